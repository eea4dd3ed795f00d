"""OccKP-1: how a model is asked, and that the figures mean what they say. Small numpy models stand in for networks."""

import dataclasses
import json

import numpy as np
import pytest

from occpose_core import evaluation
from occpose_core.baselines import mean_pose_view_m
from occpose_core.checkpoint import ModelInfo
from occpose_core.clips import Shot, make_clips, spans
from occpose_core.evaluation import EvaluationError, ask, check_mode, figure_patterns, score
from occpose_core.evaluation_report import tables
from occpose_core.figures import figures_of
from occpose_core.report import text_table
from occpose_core.runtime import Lifted
from occpose_core.skeleton import H36M17
from occpose_core.stepping import step_through
from tests.core.remembering import RememberingEngine
from tests.core.walkers import RATE_HZ, filmed

J = len(H36M17.joints)
PELVIS = H36M17.index("pelvis")


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    return filmed()


class _Model:
    """An engine of plain numpy: answers from the visible joints of the newest frame, `guess` where hidden."""

    def __init__(self, window: int = 1, **info: object) -> None:
        outputs = ("joints_root_m", "sigma_m")
        base = ModelInfo(name="plain", family="-", form="own", config={}, parameters=0, outputs=outputs, window=window)
        self.info = dataclasses.replace(base, **info)

    def run(self, kpts: np.ndarray, visible: np.ndarray) -> Lifted:
        assert kpts.dtype == np.float32
        assert kpts.shape[1:] == (self.info.window, J, 2)
        joints = self.answer(kpts, visible.astype(bool)).astype(np.float32)
        return Lifted(joints_root_m=joints, sigma_m=np.full(joints.shape[:2], 0.1, np.float32), filled=None)

    def answer(self, kpts: np.ndarray, visible: np.ndarray) -> np.ndarray:
        seen = np.where(visible[:, -1, :, None], kpts[:, -1], 0.0)
        return np.pad(0.4 * seen, ((0, 0), (0, 0), (0, 1)))


class _MeanPose(_Model):
    def answer(self, kpts: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return np.broadcast_to(mean_pose_view_m(), (len(kpts), J, 3))


class _Leaky(_Model):
    """Reads the coordinates of hidden joints, which no model may."""

    def answer(self, kpts: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return super().answer(kpts, np.ones_like(visible))


# --- the model is asked -----------------------------------------------------------------------------------------------


def test_a_model_is_given_the_scores(shots: list[Shot]) -> None:
    clips = make_clips(shots, spans(shots, ["iid20"], 20))

    class Curious(_Model):
        def run(self, kpts: np.ndarray, visible: np.ndarray) -> Lifted:
            given.append(visible)
            return super().run(kpts, visible)

    given: list[np.ndarray] = []
    ask(Curious(), clips, clips.scored)
    np.testing.assert_array_equal(np.concatenate(given)[:, 0], clips.score[clips.scored].astype(np.float32))


def test_a_model_that_ignores_hidden_joints_ignores_the_garbage(shots: list[Shot]) -> None:
    clips = make_clips(shots, spans(shots, ["k-missing(4)"], 30))
    other = dataclasses.replace(clips, rays=np.where(clips.visible[..., None], clips.rays, 123.0))
    for model, same in ((_Model(), True), (_Leaky(), False)):
        answers = [ask(model, each, clips.scored).joints_m[clips.scored] for each in (clips, other)]
        assert np.array_equal(*answers) == same


def test_a_leak_fails_loudly(shots: list[Shot]) -> None:
    hidden = []
    for model in (_Model(), _Leaky()):
        figures = figures_of(score(model, shots, ["k-missing(4)"], max_frames=60))
        hidden.append(figures["mpjpe_mm"]["hidden"])
    assert hidden[1] > 2 * hidden[0]


def test_answers_do_not_depend_on_the_batch_size(shots: list[Shot], monkeypatch: pytest.MonkeyPatch) -> None:
    clips = make_clips(shots, spans(shots, ["iid20"], 25))
    model = _Model(window=5)
    whole = ask(model, clips, clips.scored)
    monkeypatch.setattr(evaluation, "BATCH", 7)
    split = ask(model, clips, clips.scored)
    np.testing.assert_array_equal(whole.joints_m, split.joints_m)
    np.testing.assert_array_equal(whole.answered, split.answered)


def test_figures_do_not_depend_on_how_clips_are_grouped(shots: list[Shot], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.dumps(figures_of(score(_Model(), shots, ["natural"], max_frames=90)))
    monkeypatch.setattr("occpose_core.clips._CHUNK_FRAMES", 50)
    assert json.dumps(figures_of(score(_Model(), shots, ["natural"], max_frames=90))) == whole


def test_windows_are_led_in_by_their_clips_first_frame(shots: list[Shot]) -> None:
    class Oldest(_Model):
        def answer(self, kpts: np.ndarray, visible: np.ndarray) -> np.ndarray:
            same = (kpts[:, :1] == kpts).all(axis=(1, 2, 3))
            return np.broadcast_to(same[:, None, None] * np.arange(J)[:, None] * [1.0, 0, 0], (len(kpts), J, 3))

    clips = make_clips(shots, spans(shots, ["clean"], 10))
    first = np.unique(clips.start)
    assert np.abs(ask(Oldest(window=9), clips, first).joints_m[first]).max() > 1  # one frame, nine times
    assert np.abs(ask(Oldest(window=9), clips, first + 4).joints_m[first + 4]).max() == 0


# --- streaming models are stepped -------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 2, 9, 300])
@pytest.mark.parametrize(
    ("pattern", "look_ahead"), [("limb-run(leg,0.5)", 0), ("limb-run(leg,0.5)", 4), ("natural", 3), ("frames20c", 0)]
)
def test_a_streaming_model_is_measured_like_its_windowed_twin(
    shots: list[Shot], pattern: str, look_ahead: int, window: int
) -> None:
    windowed, streamed = (
        score(RememberingEngine(window, streaming, sigma=0.1), shots, [pattern], look_ahead, max_frames=25)
        for streaming in (False, True)
    )
    for name in ("predicted_m", "steps_predicted_m", "sigma_m", "answered", "root_error_m"):
        np.testing.assert_array_equal(getattr(streamed, name), getattr(windowed, name))
    for name, pose in windowed.baselines.items():
        np.testing.assert_array_equal(streamed.baselines[name], pose)


def test_a_model_that_remembers_everything_is_run_from_the_beginning(shots: list[Shot]) -> None:
    class Counting(_Model):
        def run(
            self, kpts: np.ndarray, visible: np.ndarray, state: np.ndarray, only_state: bool, dt_s: np.ndarray
        ) -> Lifted:
            frames = state + 1
            joints = np.repeat(frames[:, None, :], J, axis=1) * (np.arange(J)[:, None] > 0) * [1.0, 0.0, 0.0]
            return Lifted(joints_root_m=joints, state=frames)

    clips = make_clips(shots, spans(shots, ["natural"], 20))
    answers = ask(Counting(window=0, streaming=True, state_size=1), clips, clips.scored)
    frames = np.linalg.norm(answers.joints_m[clips.scored, 1], axis=-1)
    np.testing.assert_allclose(frames, clips.scored - clips.start[clips.scored] + 1)


def test_a_streaming_model_starts_only_as_early_as_it_must(shots: list[Shot]) -> None:
    engine = RememberingEngine(5, streaming=True)
    frames = np.array([40, 42, 90, 199, 205])  # the second recording begins at 200
    start = np.repeat([0, 200], [200, 40])
    kpts = np.zeros((240, J, 2), np.float32)
    stop = np.repeat([200, 240], [200, 40])
    answered = [batch for batch, _ in step_through(engine, kpts, np.ones((240, J), np.float32), start, stop, frames)]
    np.testing.assert_array_equal(np.sort(np.concatenate(answered)), frames)
    assert sum(len(kpts) for kpts, _ in engine.calls) == len(frames), "only asked frames are lifted"
    assert engine.steps == (42 - 36 + 1) + 5 + 5 + 5


def test_figures_do_not_depend_on_how_many_are_stepped_at_once(
    shots: list[Shot], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = json.dumps(figures_of(score(RememberingEngine(9, True), shots, ["natural"], max_frames=90)))
    monkeypatch.setattr("occpose_core.stepping.BATCH", 2)
    assert json.dumps(figures_of(score(RememberingEngine(9, True), shots, ["natural"], max_frames=90))) == whole


# --- figures ----------------------------------------------------------------------------------------------------------


def test_a_model_that_answers_the_mean_pose_is_the_mean_pose_baseline(shots: list[Shot]) -> None:
    figures = figures_of(score(_MeanPose(), shots, ["k-missing(3)"], max_frames=50))
    for mask in ("all", "visible", "hidden"):
        assert figures["mpjpe_mm"][mask] == pytest.approx(figures["baselines"]["mean_pose"][mask])


def test_patterns_share_the_answers_to_clean_input(shots: list[Shot]) -> None:
    class Counted(_Model):
        rows = 0

        def run(self, kpts: np.ndarray, visible: np.ndarray) -> Lifted:
            Counted.rows += len(kpts)
            return super().run(kpts, visible)

    patterns, clean, rows = ("k-missing(3)", "k-missing(5)", "natural", "hallucinate"), {}, []
    for pattern in patterns:
        shared = figures_of(score(Counted(), shots, [pattern], max_frames=30, clean=clean))
        rows.append(Counted.rows)
        assert json.dumps(shared) == json.dumps(figures_of(score(_Model(), shots, [pattern], max_frames=30)))
    new = np.diff(rows, prepend=0)
    assert new[1] < new[0] and new[3] < new[2]
    assert len(clean) == 2


def test_clean_input_leaves_only_the_image_border(shots: list[Shot]) -> None:
    figures = figures_of(score(_Model(), shots, ["clean"], max_frames=50))
    assert figures["mpjpe_mm"]["all"] == pytest.approx(figures["baselines"]["clean"]["all"])
    assert figures["frames"] == 50


def test_frames_without_any_visible_joint_count_as_not_answered_but_are_scored(shots: list[Shot]) -> None:
    scores = score(_Model(), shots, ["frames20c"], max_frames=150)
    unseen = scores.hidden.all(axis=1)
    assert unseen.any()
    assert not scores.answered[unseen].any()
    np.testing.assert_array_equal(scores.predicted_m[unseen], scores.baselines["hold"][unseen])
    figures = figures_of(scores)
    assert figures["coverage"] == pytest.approx(1 - unseen.mean())
    assert figures["frames"] == 150


def test_visible_joints_of_hold_are_the_models_own(shots: list[Shot]) -> None:
    scores = score(_Model(), shots, ["limb-run(arm,0.25)"], max_frames=40)
    for name in ("hold", "constant_velocity"):
        np.testing.assert_array_equal(scores.baselines[name][~scores.hidden], scores.predicted_m[~scores.hidden])
    seen_before = scores.hidden & np.isfinite(scores.hidden_s)
    assert scores.hidden_s[seen_before].min() > 0
    wrist = H36M17.index("right_wrist")
    inside = seen_before[:, wrist]
    assert scores.hidden_s[inside, wrist].min() == pytest.approx(round(0.25 * RATE_HZ) / RATE_HZ)


def perfect(shots: list[Shot]) -> evaluation.Scores:
    scores = score(_Model(), shots, ["limb-run(leg,0.5)"], max_frames=60)
    return dataclasses.replace(scores, predicted_m=scores.target_m, steps_predicted_m=scores.steps_target_m)


def test_perfect_answers_have_no_error(shots: list[Shot]) -> None:
    figures = figures_of(perfect(shots))
    for key in ("pa_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm", "accel_error_mm"):
        assert figures[key] == pytest.approx(0.0, abs=1e-6)
    assert figures["mpjpe_mm"] == pytest.approx({"all": 0.0, "visible": 0.0, "hidden": 0.0})
    assert figures["pck150"]["hidden"] == figures["auc"]["hidden"] == 1.0
    assert figures["calibration"]["hidden"] == {"p50": 1.0, "p90": 1.0}


def test_an_error_of_hidden_joints_shows_up_where_it_belongs(shots: list[Shot]) -> None:
    scores = perfect(shots)
    moved = dataclasses.replace(scores, predicted_m=scores.target_m + scores.hidden[..., None] * [0.1, 0.0, 0.0])
    figures = figures_of(moved)
    assert figures["mpjpe_mm"]["hidden"] == pytest.approx(100.0)
    assert figures["mpjpe_mm"]["visible"] == pytest.approx(0.0)
    assert figures["mpjpe_mm"]["all"] == pytest.approx(100.0 * scores.hidden.mean())
    low, high = figures["mpjpe_interval_mm"]["hidden"]
    assert (low, high) == pytest.approx((100.0, 100.0))
    curve = [row for row in figures["by_occlusion_s"] if row["joints"]]
    assert sum(row["joints"] for row in curve) == scores.hidden.sum()
    assert {round(row["model_mm"], 6) for row in curve} == {100.0}


def test_limb_ends_are_wrists_and_ankles(shots: list[Shot]) -> None:
    scores = perfect(shots)
    ends = H36M17.indices(*(f"{side}_{joint}" for side in ("left", "right") for joint in ("wrist", "ankle")))
    moved = scores.target_m.copy()
    moved[:, ends] += scores.hidden[:, ends, None] * [0.0, 0.2, 0.0]
    figures = figures_of(dataclasses.replace(scores, predicted_m=moved))
    share = scores.hidden[:, ends].mean()
    assert figures["limb_end_mm"] == pytest.approx({"all": 200 * share, "visible": 0.0, "hidden": 200.0}, abs=1e-3)
    assert figures["mpjpe_mm"]["all"] == pytest.approx(figures["limb_end_mm"]["all"] * 4 / J, abs=1e-3)


def test_pooled_figures_tell_of_each_pattern(shots: list[Shot]) -> None:
    ((name, concrete),) = figure_patterns(["joint30"]).items()
    scores = score(_Model(), shots, concrete, max_frames=60)
    figures = figures_of(scores)
    assert name == "joint30"
    assert list(figures["by_pattern"]) == concrete
    assert sum(row["frames"] for row in figures["by_pattern"].values()) == 60
    means = [row["mpjpe_mm"]["all"] * row["frames"] for row in figures["by_pattern"].values()]
    assert sum(means) / 60 == pytest.approx(figures["mpjpe_mm"]["all"], abs=1e-3)
    knee = scores.pattern == "joint30(left_knee)"
    alone = figures_of(dataclasses.replace(scores, predicted_m=np.where(knee[:, None, None], 0.0, scores.target_m)))
    wrong = {pattern for pattern, row in alone["by_pattern"].items() if row["mpjpe_mm"]["all"] > 0}
    assert wrong == {"joint30(left_knee)"}


def test_a_model_without_sigma_has_all_figures_but_calibration(shots: list[Shot]) -> None:
    class Unsure(_Model):
        def run(self, kpts: np.ndarray, visible: np.ndarray) -> Lifted:
            return Lifted(joints_root_m=super().run(kpts, visible).joints_root_m)

    sure, unsure = (figures_of(score(model, shots, ["natural"], max_frames=40)) for model in (_Model(), Unsure()))
    assert all(np.isnan(value) for inside in unsure.pop("calibration").values() for value in inside.values())
    sure.pop("calibration")
    sure.pop("place")  # which depends on sigma
    head = {"model": "plain", "pattern": "natural", "rig": "train", "input": "noisy", "mode": "causal"}
    calibration = {name: {"p50": np.nan, "p90": np.nan} for name in ("visible", "hidden")}
    _, other, _ = tables([{**head, **unsure, "calibration": calibration}])
    unsure.pop("place")
    assert text_table(other).splitlines()[3].split().count("-") == 2
    assert json.dumps(unsure) == json.dumps(sure)


def test_equal_runs_give_equal_figures(shots: list[Shot]) -> None:
    first, again, other = (
        json.dumps(figures_of(score(_Model(), shots, ["natural"], max_frames=80, seed=seed))) for seed in (0, 0, 1)
    )
    assert first == again != other


# --- what is asked for ------------------------------------------------------------------------------------------------


def test_patterns_expand_to_figures() -> None:
    groups = figure_patterns(["natural", "k-missing", "joint30", "layout(coco17)"])
    assert list(groups)[:2] == ["natural", "k-missing(1)"]
    assert len(groups["joint30"]) == J
    assert groups["layout(coco17)"] == ["layout(coco17)"]


def test_pooled_patterns_have_one_figure_a_name() -> None:
    groups = figure_patterns(["natural", "k-missing", "limb-run(leg,0.5)", "layout"], pool=True)
    assert list(groups) == ["natural", "k-missing", "limb-run(leg,0.5)", "layout"]
    assert groups["k-missing"] == [f"k-missing({k})" for k in range(1, 7)]
    assert len(groups["layout"]) == 3


@pytest.mark.parametrize(
    ("info", "mode", "message"),
    [
        pytest.param({"outputs": ("filled",)}, "causal", "gives no 3D pose", id="fills only"),
        pytest.param({"rate_hz": 50.0}, "causal", "--rate 50", id="other rate"),
        pytest.param({}, "centre", "--mode causal", id="causal model asked for centre"),
        pytest.param({"look_ahead_s": 0.5}, "causal", "--mode centre", id="look-ahead asked for causal"),
    ],
)
def test_models_that_cannot_be_measured_so(info: dict, mode: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        check_mode(_Model(**info), mode, RATE_HZ)


def test_look_ahead_is_counted_in_frames() -> None:
    assert check_mode(_Model(look_ahead_s=0.4), "centre", RATE_HZ) == 12
