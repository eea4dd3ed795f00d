"""Figures as papers print them: known errors in, known figures out, and nothing of one action in another's."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from safetensors.torch import save_file  # noqa: E402

from occpose_core.camera import px_from_cam  # noqa: E402
from occpose_core.checkpoint import SCREEN, ModelInfo, save_checkpoint  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.models.pose_model import ModelConfig, PoseModel, mirrored  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.training.h36m_files import write_h36m  # noqa: E402
from training.__main__ import main  # noqa: E402
from training.data.h36m import read  # noqa: E402
from training.data.recording import Recording  # noqa: E402
from training.literature.errors import by_action, mean_of_actions, measure  # noqa: E402
from training.literature.lifting import Hiding, Lifter  # noqa: E402
from training.literature.protocols import MEAN, Trial, as_lcn, as_occluded_hpe, standard, sweep  # noqa: E402
from training.recipes.refine import Refine  # noqa: E402

ACTIONS = ["Directions", "Sitting 1", "Sitting", "Walking"]
NORMALISATIONS = ["person-view", SCREEN]
TOLERANCE_MM = 0.01  # of float32 metres
WRIST = H36M17.index("left_wrist")
Offset = Callable[[str], np.ndarray | float]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_h36m(tmp_path_factory.mktemp("h36m"), ["S1", "S9", "S11"], ACTIONS, frames=12)


@pytest.fixture(scope="module")
def recordings(files: tuple[Path, Path]) -> list[Recording]:
    found = [each for each in read(*files, allow_pickle=True) if each.split == "test"]
    return [cut(each, 4) if each.action == "Walking" else each for each in found]  # actions of unequal length


def cut(recording: Recording, frames: int) -> Recording:
    return dataclasses.replace(
        recording, kpts_px=recording.kpts_px[:frames], joints_cam_m=recording.joints_cam_m[:frames]
    )


def info_of(normalisation: str = "person-view", rate_hz: float = 0.0, window: int = 1) -> ModelInfo:
    return ModelInfo(
        name="mine",
        family="lcn",
        form="paper",
        config={},
        parameters=0,
        outputs=("joints_root_m",),
        window=window,
        rate_hz=rate_hz,
        normalisation=normalisation,
    )


class Knowing(PoseModel):
    """Knows the answer to each 2D pose that it was told of, and answers for the nearest one."""

    def __init__(self, window: int = 1, look_ahead: int = 0) -> None:
        super().__init__()
        self.config, self.window, self.look_ahead = ModelConfig(), window, look_ahead
        self.kpts: list[np.ndarray] = []
        self.joints: list[np.ndarray] = []
        self.images: list[np.ndarray] = []

    def answer(self, kpts: torch.Tensor, visible: torch.Tensor) -> dict[str, torch.Tensor]:
        known = torch.from_numpy(np.concatenate(self.kpts)).flatten(1)
        rows = torch.cdist(kpts[:, -1 - self.look_ahead].double().flatten(1), known.double()).argmin(dim=1)
        tables = {"joints_root_m": self.joints, "joints_image": self.images}
        return {name: torch.from_numpy(np.concatenate(table))[rows].float() for name, table in tables.items()}

    def fold(self) -> None:
        """Nothing to make static."""


def knowing_trial(
    recordings: list[Recording], normalisation: str, change: Callable[[str, np.ndarray], np.ndarray]
) -> Trial:
    """A trial of a model that answers the truth (N, J, 3, camera axes) as changed for its action."""
    model = Knowing()
    lifter = Lifter(model, info_of(normalisation))
    for recording in recordings:
        for asked in lifter.ask(recording):
            joints = recording.joints_cam_m[asked.frames].astype(np.float64)
            answer = change(recording.action, joints - joints[:, :1])
            in_axes = asked.picture.from_cam(joints)
            unit_m = asked.picture.ray_scale[:, :, 0] * asked.root_depth_m[:, None]
            depth = (in_axes[..., 2] - asked.root_depth_m[:, None]) / unit_m
            model.kpts.append(asked.kpts.astype(np.float64))
            model.joints.append(asked.picture.from_cam(answer))
            model.images.append(np.concatenate([asked.kpts, depth[..., None]], axis=-1))
    return Trial(lifter=lifter, recordings=recordings, every=1, seed=0, progress=lambda _: None)


def unchanged(action: str, joints_m: np.ndarray) -> np.ndarray:
    return joints_m


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_a_perfect_model_makes_no_error(recordings: list[Recording], normalisation: str) -> None:
    figures = standard(knowing_trial(recordings, normalisation, unchanged)).figures
    assert list(figures) == ["Directions", "Sitting", "Walking", MEAN]
    for each in figures.values():
        errors = {name: value for name, value in each.items() if name.endswith("_mm")}
        assert errors == pytest.approx(dict.fromkeys(errors, 0.0), abs=TOLERANCE_MM)
        assert each["pck150_percent"] == 100.0
        assert each["auc_percent"] >= 100 * 30 / 31  # nothing is within the threshold of 0 mm


OFFSETS_MM = {"Directions": 34.0, "Sitting": 68.0, "Walking": 170.0}


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_known_offsets_give_known_figures_of_each_action(recordings: list[Recording], normalisation: str) -> None:
    def moved(action: str, joints_m: np.ndarray) -> np.ndarray:
        wrong = joints_m.copy()
        wrong[:, WRIST] += np.array([0.6, 0.0, 0.8]) * OFFSETS_MM[action] / 1e3
        return wrong

    figures = standard(knowing_trial(recordings, normalisation, moved)).figures
    for action, offset_mm in OFFSETS_MM.items():
        assert figures[action]["p1_mm"] == pytest.approx(offset_mm / 17, abs=TOLERANCE_MM)
        assert figures[action]["wrists_mm"] == pytest.approx(offset_mm / 2, abs=TOLERANCE_MM)
        assert figures[action]["ankles_mm"] == pytest.approx(0.0, abs=TOLERANCE_MM)
        assert figures[action]["p2_mm"] > 0
    assert figures["Walking"]["pck150_percent"] == pytest.approx(100 * 16 / 17)
    # each action counts the same, although there are twice as many recordings of Sitting and few frames of Walking
    assert figures[MEAN]["p1_mm"] == pytest.approx(sum(OFFSETS_MM.values()) / 3 / 17, abs=TOLERANCE_MM)
    assert figures[MEAN]["pck150_percent"] == pytest.approx(100 * (1 - 1 / 17 / 3))


def test_only_p1_minds_the_scale(recordings: list[Recording]) -> None:
    figures = standard(knowing_trial(recordings, SCREEN, lambda _, joints_m: 1.2 * joints_m)).figures
    for action in OFFSETS_MM:
        true_m = [np.linalg.norm(root_relative(each), axis=-1) for each in recordings if each.action == action]
        assert figures[action]["p1_mm"] == pytest.approx(200 * np.concatenate(true_m).mean(), abs=TOLERANCE_MM)
        assert figures[action]["p2_mm"] == pytest.approx(0.0, abs=TOLERANCE_MM)
        assert figures[action]["n_mpjpe_mm"] == pytest.approx(0.0, abs=TOLERANCE_MM)


def root_relative(recording: Recording) -> np.ndarray:
    return recording.joints_cam_m - recording.joints_cam_m[:, :1]


def test_a_batch_of_several_actions_is_not_smeared() -> None:
    """The released evaluations credit each pose of such a batch with the batch's mean P2."""
    rng = np.random.default_rng(0)
    target = rng.normal(0.0, 0.4, size=(300, 17, 3))
    target -= target[:, :1]
    actions = np.array(["Eating", "Posing", "Posing"] * 100)
    wrong = actions == "Posing"
    predicted = target + wrong[:, None, None] * rng.normal(0.0, 0.05, size=target.shape)
    mixed = measure(actions, predicted, target)
    alone = {name: measure(actions[rows], predicted[rows], target[rows]) for name, rows in split(actions).items()}
    figures = by_action(mixed)
    assert figures["Eating"]["p2_mm"] == pytest.approx(0.0, abs=1e-6)
    assert figures["Eating"]["n_mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)
    assert figures["Posing"] == pytest.approx(by_action(alone["Posing"])["Posing"])
    smeared = 1e3 * mixed.aligned_m.mean()
    assert figures["Posing"]["p2_mm"] > 1.4 * smeared > 0
    means = mean_of_actions(figures)
    assert means["p2_mm"] == pytest.approx(figures["Posing"]["p2_mm"] / 2)
    assert means["p2_mm"] < 0.8 * smeared  # the plain mean over poses is another figure


def split(actions: np.ndarray) -> dict[str, np.ndarray]:
    return {str(name): actions == name for name in np.unique(actions)}


def test_every_pose_is_aligned_by_itself() -> None:
    """One alignment for a whole batch would not undo a rotation of each pose."""
    rng = np.random.default_rng(1)
    target = rng.normal(0.0, 0.4, size=(50, 17, 3))
    turns = np.linalg.qr(rng.normal(size=(50, 3, 3)))[0]
    turns *= np.sign(np.linalg.det(turns))[:, None, None]
    predicted = rng.uniform(0.5, 2.0, size=(50, 1, 1)) * target @ turns
    assert measure(["Eating"] * 50, predicted, target).aligned_m.max() < 1e-6


def test_mirror_images_are_forgiven_only_where_papers_did(recordings: list[Recording]) -> None:
    trial = knowing_trial(recordings, "person-view", lambda _, joints_m: joints_m * [-1.0, 1.0, 1.0])
    assert standard(trial).figures[MEAN]["p2_mm"] > 20.0
    assert as_occluded_hpe(trial).figures["0"]["p2_reflected_mm"] == pytest.approx(0.0, abs=TOLERANCE_MM)


def test_the_label_free_systems_figures_ignore_scale(recordings: list[Recording]) -> None:
    figures = as_occluded_hpe(knowing_trial(recordings, "person-view", lambda _, joints_m: 3 * joints_m)).figures
    assert list(figures) == ["0", "1", "2", "3"]
    assert figures["0"]["n_mpjpe_norm_ratio_mm"] == pytest.approx(0.0, abs=TOLERANCE_MM)
    assert figures["0"]["n_pck150_percent"] == figures["0"]["pck150_after_procrustes_percent"] == 100.0


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_lcns_own_evaluation_is_absolute_and_knows_the_roots_depth(
    recordings: list[Recording], normalisation: str
) -> None:
    pinhole = [without_distortion(each) for each in recordings]
    trial = knowing_trial(pinhole, normalisation, unchanged)
    result = as_lcn(trial)
    assert result.table.note.startswith("oracle: root depth")
    assert result.figures[MEAN] == pytest.approx({"absolute_mm": 0.0, "p2_reflected_mm": 0.0}, abs=0.05)
    # moved in the picture as a whole: root-relative nothing changes, absolute everything
    trial.lifter.model.images = [each + [0.1, 0.0, 0.0] for each in trial.lifter.model.images]
    moved = as_lcn(trial).figures[MEAN]
    assert moved["absolute_mm"] > 30.0
    assert moved["p2_reflected_mm"] < 0.2 * moved["absolute_mm"]


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_refining_takes_x_and_y_from_the_picture_and_the_roots_true_depth(
    recordings: list[Recording], normalisation: str
) -> None:
    trial = knowing_trial([without_distortion(each) for each in recordings], normalisation, unchanged)
    trial.lifter.model.joints = [each * [0.5, 0.8, 1.0] for each in trial.lifter.model.joints]
    plain = standard(trial).figures[MEAN]["p1_mm"]
    assert plain > 50.0
    for bias, expected in ((-100.0, 0.0), (100.0, plain)):  # all from the picture, all from the network
        trial.lifter.refine = Refine().eval()
        with torch.no_grad():
            trial.lifter.refine.weigh[-2].bias.fill_(bias)
        assert standard(trial).figures[MEAN]["p1_mm"] == pytest.approx(expected, abs=0.05)


def without_distortion(recording: Recording) -> Recording:
    camera = dataclasses.replace(recording.camera, D=np.zeros(0), distortion_model="none")
    px = px_from_cam(recording.joints_cam_m, camera).astype(np.float32)
    return dataclasses.replace(recording, camera=camera, kpts_px=px)


def test_windows_repeat_the_edges_and_are_centred(recordings: list[Recording]) -> None:
    recording = recordings[0]
    lifter = Lifter(Knowing(window=5, look_ahead=2), info_of(SCREEN, window=5))
    (asked,) = lifter.ask(recording)
    screen = 2 * recording.kpts_px / recording.camera.width - [1.0, recording.camera.height / recording.camera.width]
    np.testing.assert_allclose(asked.kpts, screen, atol=1e-6)
    for frame, rows in ((0, [0, 0, 0, 1, 2]), (5, [3, 4, 5, 6, 7]), (11, [9, 10, 11, 11, 11])):
        np.testing.assert_allclose(asked.picture.kpts[frame], screen[rows], atol=1e-6)


@pytest.mark.parametrize(
    ("rate_hz", "rows"),
    [
        pytest.param(0.0, [5, 6, 7], id="any rate"),
        pytest.param(50.0, [5, 6, 7], id="as recorded"),
        pytest.param(25.0, [3, 5, 7], id="every other frame"),
        pytest.param(30.0, [4, 5, 7], id="the nearest frames"),
    ],
)
def test_windows_have_the_rate_that_the_model_was_trained_at(
    recordings: list[Recording], rate_hz: float, rows: list[int]
) -> None:
    lifter = Lifter(Knowing(window=3), info_of(SCREEN, rate_hz, window=3))
    ((asked), given) = next(lifter.ask(recordings[0])), next(Lifter(Knowing(), info_of(SCREEN)).ask(recordings[0]))
    np.testing.assert_array_equal(asked.picture.kpts[7], given.kpts[rows])
    assert lifter.resampled(recordings) == (rate_hz not in (0.0, 50.0))


def test_one_in_so_many_frames_is_answered(recordings: list[Recording]) -> None:
    lifter = Lifter(Knowing(), info_of())
    assert [asked.frames.tolist() for asked in lifter.ask(recordings[0], every=5)] == [[0, 5, 10]]


@pytest.mark.parametrize("pattern", ["joint30", "joint30c"])
@pytest.mark.parametrize(
    ("window", "look_ahead"), [(81, 40), (81, 0), (27, 13), (243, 121), (1, 0)], ids=lambda value: str(value)
)
def test_each_window_misses_one_joint_in_30_of_81_frames(
    recordings: list[Recording], pattern: str, window: int, look_ahead: int
) -> None:
    hiding, frames = Hiding(pattern=f"{pattern}(left_wrist)"), np.arange(200)
    visible = hiding.visible(recordings[0], frames, window, look_ahead)
    assert visible.shape == (200, window, 17)
    assert np.delete(visible, WRIST, axis=2).all()
    hidden = ~visible[..., WRIST]
    if window >= 81:
        np.testing.assert_array_equal(hidden.sum(axis=1), round(30 / 81 * window))
    assert hidden.mean() == pytest.approx(30 / 81, abs=0.08)
    assert hidden.mean(axis=0).std() < 0.2  # not always the same frames
    np.testing.assert_array_equal(hiding.visible(recordings[0], frames[50:60], window, look_ahead), visible[50:60])
    assert (dataclasses.replace(hiding, seed=1).visible(recordings[0], frames, window, look_ahead) != visible).any()


class WristCounter(Knowing):
    """Answers zeros, and notes in how many of the asked frames each joint was missing."""

    missing: np.ndarray

    def answer(self, kpts: torch.Tensor, visible: torch.Tensor) -> dict[str, torch.Tensor]:
        self.missing = self.missing + (visible == 0).sum(dim=(0, 1)).numpy()
        assert (kpts[visible == 0] == 0).all()
        return {"joints_root_m": torch.zeros(len(kpts), 17, 3)}


def test_the_sweep_hides_every_joint_in_turn(recordings: list[Recording]) -> None:
    model = WristCounter()
    model.missing = np.zeros(17, dtype=int)
    trial = Trial(
        lifter=Lifter(model, info_of(SCREEN)), recordings=recordings[:6], every=1, seed=0, progress=lambda _: None
    )
    figures = sweep(trial, "random").figures
    assert list(figures) == ["none", *H36M17.joints]
    assert (model.missing > 0).all()
    assert model.missing.sum() / (17 * 72) == pytest.approx(30 / 81, abs=0.08)


def test_flip_averaging_is_the_mean_with_the_mirrored_persons_answer(recordings: list[Recording]) -> None:
    torch.manual_seed(0)
    model = build("htnet", {"channels": 24, "hidden": 8, "graph_channels": 8, "blocks": 1}).eval()
    plain = Lifter(model, info_of())
    asked = next(plain.ask(recordings[0]))
    straight = plain.lift(asked)
    with torch.inference_mode():
        kpts, visible = torch.from_numpy(asked.picture.kpts), torch.from_numpy(asked.picture.visible)
        back = mirrored(model(mirrored(kpts), visible)["joints_root_m"]).double().numpy()
    expected = (straight + asked.picture.to_cam(back)) / 2
    averaged = Lifter(model, info_of(), flip=True)
    assert averaged.averages
    np.testing.assert_allclose(averaged.lift(asked), expected, atol=1e-5)
    assert np.abs(expected - straight).max() > 1e-3


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, paths = tmp_path_factory.mktemp("checkpoints"), {}
    configs = {"htnet": {"channels": 24, "hidden": 8, "graph_channels": 8, "blocks": 1}, "lcn": {"channels": 8}}
    for family, config in {**configs, "filling": {}}.items():
        torch.manual_seed(0)
        model = build(family, config)
        info = describe(f"my-{family}", family, model, {}, normalisation=SCREEN if family == "lcn" else "person-view")
        paths[family] = folder / f"{family}.safetensors"
        save_checkpoint(paths[family], model, info)
    return paths


def arguments(files: tuple[Path, Path], checkpoint: Path) -> list[str]:
    given = ["--set", "h36m", "--allow-pickle", "--data", str(files[0]), "--keypoints", str(files[1])]
    return ["literature", "--model", str(checkpoint), *given]


def test_the_command_prints_and_writes_everything_and_names_what_was_on(
    files: tuple[Path, Path], checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    options = ["--flip", "--every", "3", "--as-published", "lcn", "occluded-hpe", "--json", str(out)]
    assert main([*arguments(files, checkpoints["lcn"]), *options]) == 0
    printed, written = capsys.readouterr().out, json.loads(out.read_text())
    for text in ("Flip averaging: on", "One in 3 frames", "oracle: root depth", "2D normalisation: screen", "S11, S9"):
        assert text in printed
    assert list(written["results"]) == ["standard", "as_published_lcn", "as_published_occluded-hpe"]
    assert written["frames"] == 2 * len(ACTIONS) * 4 * 4
    assert written["subjects"] == ["S11", "S9"]
    assert written["results"]["standard"][MEAN]["p1_mm"] > written["results"]["standard"][MEAN]["p2_mm"] > 0
    assert "oracle" not in written["notes"]["standard"]


def test_nothing_is_on_unless_asked_for(
    files: tuple[Path, Path], checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(files, checkpoints["htnet"])) == 0
    printed = capsys.readouterr().out
    assert "Flip averaging: off" in printed
    assert "oracle" not in printed
    assert "As published" not in printed


def test_the_oracle_is_found_beside_its_checkpoint_and_named(
    files: tuple[Path, Path], checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    beside = checkpoints["htnet"].with_name("htnet-oracle.safetensors")
    try:
        save_file(Refine().state_dict(), beside)
        assert main([*arguments(files, checkpoints["htnet"]), "--refine"]) == 0
        assert "oracle: root depth and camera" in capsys.readouterr().out
        save_file({"other": torch.zeros(1)}, beside)
        assert main([*arguments(files, checkpoints["htnet"]), "--refine"]) == 2
        assert "no refine module; train the refine phase again" in capsys.readouterr().err
    finally:
        beside.unlink()


@pytest.mark.parametrize(
    ("family", "options", "says"),
    [
        pytest.param("filling", [], "gives no 3D pose", id="no lifter"),
        pytest.param("htnet", ["--as-published", "lcn"], "no pose in the picture", id="no image pose"),
        pytest.param("htnet", ["--refine"], "no refine module at", id="no refine module"),
        pytest.param("htnet", ["--split", "val"], "no recording of split 'val'", id="empty split"),
        pytest.param("missing", [], "no model file at", id="no file"),
    ],
)
def test_bad_input_gets_one_sentence(
    files: tuple[Path, Path],
    checkpoints: dict[str, Path],
    family: str,
    options: list[str],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*arguments(files, checkpoints.get(family, tmp_path / "x.safetensors")), *options]) == 2
    assert says in capsys.readouterr().err
