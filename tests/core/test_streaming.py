"""Models that remember by themselves: every engine, the evaluation and the pipeline step them alike, at any rate."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from occpose_core.baselines import mean_pose_view_m  # noqa: E402
from occpose_core.camera import view_of  # noqa: E402
from occpose_core.checkpoint import RAYS, ModelFileError, load_checkpoint, save_checkpoint  # noqa: E402
from occpose_core.cli import main  # noqa: E402
from occpose_core.clips import Shot, film, make_clips, spans  # noqa: E402
from occpose_core.evaluation import ask, check_mode, score  # noqa: E402
from occpose_core.export import ExportError, export_onnx  # noqa: E402
from occpose_core.figures import figures_of  # noqa: E402
from occpose_core.geometry import stature_m  # noqa: E402
from occpose_core.metrics import calibration, joint_errors  # noqa: E402
from occpose_core.models.stream import Stream  # noqa: E402
from occpose_core.pipeline import PipelineOutput, PosePipeline  # noqa: E402
from occpose_core.pipeline_config import PipelineConfig  # noqa: E402
from occpose_core.runtime import Engine, Lifted, load  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from occpose_core.types import Keypoints2D, Origin, State  # noqa: E402
from tests import onnx_files  # noqa: E402
from tests.core import walkers  # noqa: E402
from tests.core.cardboard import CAMERA, FIGURE, JOINTS, STATURE_M, standing  # noqa: E402
from tests.core.standing_stream import RADII, info_of, standing_stream  # noqa: E402
from tests.tolerances import ENGINE  # noqa: E402

SECOND = 1_000_000_000
FRAME = SECOND // 30
OUTPUTS = ("joints_root_m", "sigma_m", "filled")
HARDLY_ANYTHING = H36M17.joints[2:]  # hidden: two joints are left
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The network by backend; exporting takes seconds."""
    folder, model = tmp_path_factory.mktemp("stream"), standing_stream()
    trained = folder / "standing.safetensors"
    save_checkpoint(trained, model, info_of(model))
    assert main(["export", str(trained), "--out", str(folder / "out")]) == 0
    return {"torch": trained, "onnxruntime": folder / "out" / "standing.onnx"}


@pytest.fixture(scope="module")
def engine(files: dict[str, Path]) -> Engine:
    return load(files["torch"])


def sequence(people: int, frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rays (B, F, J, 2), scores (B, F, J) with runs of nothing seen, and seconds since the frame before (B, F)."""
    rng = np.random.default_rng(seed)
    rays = rng.uniform(-0.5, 0.5, (people, 1, 1, 2)) + 0.15 * FIGURE[:, :2] + rng.normal(0, 0.01, (frames, JOINTS, 2))
    scores = rng.random((people, frames, JOINTS)) * (rng.random((people, frames, JOINTS)) < 0.7)
    scores[::2, frames // 3 : frames // 2] = 0
    dt_s = np.exp(rng.uniform(np.log(1 / 120), np.log(1 / 5), (people, frames)))
    return rays.astype(np.float32), scores.astype(np.float32), dt_s.astype(np.float32)


def stepped(
    engine: Engine, rays: np.ndarray, scores: np.ndarray, dt_s: np.ndarray | None, state: np.ndarray | None = None
) -> Iterator[Lifted]:
    """The answers frame by frame."""
    for frame in range(rays.shape[1]):
        now = slice(frame, frame + 1)
        lifted = engine.run(rays[:, now], scores[:, now], state, dt_s=None if dt_s is None else dt_s[:, frame])
        state = lifted.state
        yield lifted


# --- engines


def test_a_file_says_how_its_model_wants_to_be_run(files: dict[str, Path]) -> None:
    for path in files.values():
        info = load(path).info
        assert (info.normalisation, info.timed, info.remembers, info.frames) == (RAYS, True, True, 1)
        assert (info.interval_radii, info.rate_hz) == (RADII, 0.0)
    assert max(info.training["export"]["max_difference"].values()) <= ENGINE


def test_both_runtimes_and_the_whole_sequence_at_once_give_the_same(files: dict[str, Path]) -> None:
    rays, scores, dt_s = sequence(3, 30)
    model, _ = load_checkpoint(files["torch"])
    with torch.inference_mode():
        whole = model.answer(*map(torch.from_numpy, (rays, scores, dt_s)))
    garbage = np.where(scores[..., None] > 0, rays, np.float32(1e5))
    for path in files.values():
        for frame, lifted in enumerate(stepped(load(path), garbage, scores, dt_s)):
            for name in OUTPUTS:
                np.testing.assert_allclose(getattr(lifted, name), whole[name][:, frame], atol=ENGINE, rtol=0)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_a_saved_state_has_the_same_future(files: dict[str, Path], backend: str, tmp_path: Path) -> None:
    rays, scores, dt_s = sequence(2, 20)
    answers = list(stepped(load(files[backend]), rays, scores, dt_s))
    np.save(tmp_path / "state.npy", answers[11].state)
    rest = stepped(load(files[backend]), rays[:, 12:], scores[:, 12:], dt_s[:, 12:], np.load(tmp_path / "state.npy"))
    for straight, again in zip(answers[12:], rest, strict=True):
        for name in (*OUTPUTS, "state"):
            np.testing.assert_array_equal(getattr(again, name), getattr(straight, name))


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_the_state_alone_is_the_same(files: dict[str, Path], backend: str) -> None:
    engine, (rays, scores, dt_s) = load(files[backend]), sequence(2, 6)
    whole = alone = None
    for frame in range(6):
        now = slice(frame, frame + 1)
        whole = engine.run(rays[:, now], scores[:, now], whole, dt_s=dt_s[:, frame]).state
        lifted = engine.run(rays[:, now], scores[:, now], alone, True, dt_s[:, frame])
        assert all(getattr(lifted, name) is None for name in OUTPUTS)
        alone = lifted.state
    np.testing.assert_allclose(alone, whole, atol=ENGINE, rtol=0)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_who_tells_no_time_has_thirty_frames_a_second(files: dict[str, Path], backend: str) -> None:
    engine, (rays, scores, _) = load(files[backend]), sequence(2, 6)
    given, untold = (list(stepped(engine, rays, scores, dt_s)) for dt_s in (np.full((2, 6), 1 / 30), None))
    np.testing.assert_array_equal(given[-1].joints_root_m, untold[-1].joints_root_m)
    slow = list(stepped(engine, rays, scores, np.full((2, 6), 1 / 5)))
    assert np.abs(slow[-1].joints_root_m - given[-1].joints_root_m).max() > 1e-3, "time is of no effect"


def test_a_file_that_is_not_told_the_time_it_wants_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(files["onnxruntime"])
    proto.metadata_props[0].value = dataclasses.replace(load(files["onnxruntime"]).info, timed=False).to_json()
    onnx_files.save(proto, tmp_path / "wrong.onnx")
    with pytest.raises(ModelFileError, match="inputs .*dt_s.* expected kpts, visible, state and"):
        load(tmp_path / "wrong.onnx")


def test_a_model_that_remembers_has_no_windowed_form(files: dict[str, Path], tmp_path: Path, capsys) -> None:
    assert main(["export", str(files["torch"]), "--out", str(tmp_path / "x"), "--windowed"]) == 2
    assert "standing has no window: leave out --windowed" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


class Timeless(Stream):
    """Another network: it takes no notice of the time."""

    def forward(self, kpts, visible, dt_s=None):
        return super().forward(kpts, visible, None)


def test_a_file_whose_steps_differ_from_the_whole_is_not_written(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    model = standing_stream()
    model.__class__ = Timeless
    monkeypatch.setattr("occpose_core.export.to_onnx", lambda *_: onnx.load(files["onnxruntime"]))
    with pytest.raises(ExportError, match="ONNX Runtime and torch differ by"):
        export_onnx(model, info_of(model), tmp_path / "wrong.onnx")
    assert list(tmp_path.iterdir()) == []


# --- evaluation


def filmed(rate_hz: float) -> list[Shot]:
    return [
        film(walkers.walker(f"walk{i}", frames).resampled(rate_hz), "train", "noisy")
        for i, frames in enumerate((90, 50))
    ]


@pytest.mark.parametrize("rate_hz", [7.0, 30.0, 100.0])
def test_it_is_measured_as_it_answers_whole_recordings(files: dict[str, Path], engine: Engine, rate_hz: float) -> None:
    assert check_mode(engine, "causal", rate_hz) == 0
    shots = filmed(rate_hz)
    clips = make_clips(shots, spans(shots, ["natural"], 20))
    frames = np.arange(len(clips.start))
    answers, model = ask(engine, clips, frames), load_checkpoint(files["torch"])[0]
    for first in np.unique(clips.start):
        own = slice(first, clips.stop[first])
        given = (clips.rays[own], clips.score[own], np.full(clips.stop[first] - first, 1 / rate_hz))
        with torch.inference_mode():
            whole = model.answer(*(torch.from_numpy(each.astype(np.float32))[None] for each in given))
        np.testing.assert_allclose(answers.joints_m[own], whole["joints_root_m"][0], atol=ENGINE, rtol=0)
        np.testing.assert_allclose(answers.sigma_m[own], whole["sigma_m"][0], atol=ENGINE, rtol=0)
    assert answers.answered[clips.visible.any(axis=-1)].all()
    seen = view_of(clips.rays, clips.visible)
    np.testing.assert_allclose(answers.mean_pose_m, seen.to_cam(mean_pose_view_m()[None]), atol=1e-6)


def test_it_goes_on_answering_when_nothing_is_seen(engine: Engine) -> None:
    scores = score(engine, walkers.filmed(), ["frames20c"], max_frames=150)
    assert scores.hidden.all(axis=1).any()
    assert scores.answered.all()


def test_its_own_intervals_are_measured(engine: Engine) -> None:
    scores = score(engine, filmed(30.0), ["natural"], max_frames=40)
    mask = scores.hidden & (np.arange(JOINTS) != H36M17.index("pelvis"))
    errors_m = joint_errors(scores.predicted_m, scores.target_m)
    scores = dataclasses.replace(scores, sigma_m=np.full_like(scores.sigma_m, np.median(errors_m) / 2))
    own, gaussian = (calibration(errors_m, scores.sigma_m, mask, *radii) for radii in ((RADII,), ()))
    assert own != gaussian
    assert figures_of(scores)["calibration"]["hidden"] == pytest.approx(own, abs=1e-4)


# --- the pipeline


def pipeline(engine: Engine, **config: object) -> PosePipeline:
    """Unsmoothed, of people whose height is known."""
    return PosePipeline(engine, PipelineConfig(target_height_m=STATURE_M, min_cutoff_hz=0.0, **config))


def walk(rng: np.random.Generator, frames: int, visible: float = 0.8) -> list[Keypoints2D]:
    """Frames of a person who goes about, with joints missing."""
    place, film = np.array([rng.uniform(-1, 1), 0.0, 5.0]), []
    for _ in range(frames):
        place = place + rng.normal(0, 0.02, 3)
        score = rng.uniform(0.4, 1.0, JOINTS) * (rng.random(JOINTS) < visible)
        film.append(standing(*place, id="a", score=score))
    return film


def play(pipe: PosePipeline, film: Sequence[Keypoints2D | None], stamps_ns: Sequence[int]) -> list[PipelineOutput]:
    return [pipe.step([p] if p else [], stamp, CAMERA) for p, stamp in zip(film, stamps_ns, strict=True)]


def by_hand(engine: Engine, film: Sequence[Keypoints2D | None], stamps_ns: Sequence[int]) -> list[Lifted]:
    """What the network itself says of a person, where frames without the person are frames with nothing seen."""
    rays = np.zeros((1, len(film), JOINTS, 2), np.float32)
    scores = np.zeros((1, len(film), JOINTS), np.float32)
    for frame, person in enumerate(film):
        if person:
            rays[0, frame] = (person.xy_px - CAMERA.K[:2, 2]) / np.diag(CAMERA.K)[:2]
            scores[0, frame] = person.score
    dt_s = np.diff(stamps_ns, prepend=stamps_ns[0] - FRAME)[None] * 1e-9
    return list(stepped(engine, rays, scores, dt_s.astype(np.float32)))


def shape(joints_m: np.ndarray) -> np.ndarray:
    """(J, 3) relative to the pelvis and in statures: the pipeline gives people their true height."""
    return (joints_m - joints_m[H36M17.index("pelvis")]) / np.linalg.norm(joints_m - joints_m[0])


@settings(max_examples=15)
@given(seed=seeds)
def test_the_pipeline_steps_it_at_the_pace_of_the_stamps(engine: Engine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    film = walk(rng, 25)
    film[8], film[9] = None, dataclasses.replace(film[9], score=film[9].score * (np.arange(JOINTS) < 3))
    film[15:18] = [None] * 3
    stamps_ns = np.cumsum(rng.integers(SECOND // 120, SECOND // 5, 25))
    outputs = play(pipeline(engine, hold_s=10.0, gap_s=10.0, jump_m=50.0), film, stamps_ns)
    for frame, (output, lifted) in enumerate(zip(outputs, by_hand(engine, film, stamps_ns), strict=True)):
        (skeleton,) = output.skeletons
        hidden = film[frame] is None or film[frame].visible.sum() < 4
        assert skeleton.state == (State.OCCLUDED if hidden else State.TRACKED)
        np.testing.assert_allclose(shape(skeleton.joints_cam_m), shape(lifted.joints_root_m[0]), atol=1e-4)


@settings(max_examples=10)
@given(seed=seeds, garbage=st.sampled_from([0.0, 1e6, np.inf, np.nan]))
def test_hidden_coordinates_have_no_influence(engine: Engine, seed: int, garbage: float) -> None:
    film = walk(np.random.default_rng(seed), 12, visible=0.5)
    spoiled = [dataclasses.replace(p, xy_px=np.where(p.score[:, None] > 0, p.xy_px, np.float32(garbage))) for p in film]
    stamps_ns = FRAME * np.arange(12)
    for clean, other in zip(*(play(pipeline(engine), each, stamps_ns) for each in (film, spoiled)), strict=True):
        assert len(clean.skeletons) == len(other.skeletons)
        for one, two in zip(clean.skeletons, other.skeletons, strict=True):
            assert one.joints_cam_m.tobytes() == two.joints_cam_m.tobytes()
            assert (one.sigma_m.tobytes(), one.kpts_px.tobytes()) == (two.sigma_m.tobytes(), two.kpts_px.tobytes())


@pytest.mark.parametrize("later_ns", [1, FRAME, 10 * SECOND])
def test_newcomers_have_no_time_behind_them(engine: Engine, later_ns: int) -> None:
    film, pipe = walk(np.random.default_rng(0), 3), pipeline(engine)
    pipe.step([standing(2, 0, 8, id="b")], 0, CAMERA)
    late = play(pipe, film, later_ns + FRAME * np.arange(3))
    first = play(pipeline(engine), film, FRAME * np.arange(3))
    for one, two in zip(late, first, strict=True):
        joints = [{s.id: s.joints_cam_m for s in output.skeletons}["a"] for output in (one, two)]
        np.testing.assert_allclose(*joints, atol=1e-5)


def test_the_network_goes_on_for_hidden_people_and_their_doubt_grows(engine: Engine) -> None:
    film = [*walk(np.random.default_rng(1), 12), *[None] * 10]
    stamps_ns = FRAME * np.arange(22)
    outputs, lifted = play(pipeline(engine), film, stamps_ns), by_hand(engine, film, stamps_ns)
    poses = [output.skeletons[0] for output in outputs]
    for pose, answer in zip(poses[12:], lifted[12:], strict=True):
        assert (pose.state, set(pose.origin)) == (State.OCCLUDED, {Origin.FILLED})
        np.testing.assert_allclose(shape(pose.joints_cam_m), shape(answer.joints_root_m[0]), atol=1e-4)
    assert np.abs(shape(poses[-1].joints_cam_m) - shape(poses[12].joints_cam_m)).max() > 1e-4, "the last is held"
    own = np.array([answer.sigma_m[0] for answer in lifted[12:]])
    grown = np.array([pose.sigma_m for pose in poses[12:]])
    size = stature_m(poses[12].joints_cam_m) / stature_m(lifted[12].joints_root_m[0])
    assert (grown > own * size * 0.99).all() and (np.diff(grown - own * size, axis=0) > 0).all()
    away = np.linalg.norm(np.diff([pose.joints_cam_m for pose in poses], axis=0), axis=-1).max(axis=1)
    assert away[11:].max() <= away[:11].max(), "nobody jumps who was calm before"


def test_a_person_gone_for_long_is_forgotten(engine: Engine) -> None:
    film = walk(np.random.default_rng(2), 8)
    stamps_ns = FRAME * np.arange(60)
    for missing, forgotten in ((20, False), (40, True)):
        pipe = pipeline(engine, hold_s=0.2, gap_s=1.0)
        frames = [*film, *[None] * missing, *film]
        back = play(pipe, frames, stamps_ns[: len(frames)])[-len(film) :]
        fresh = play(pipeline(engine), film, stamps_ns[: len(film)])
        same = [
            np.allclose(shape(one.skeletons[0].joints_cam_m), shape(two.skeletons[0].joints_cam_m), atol=1e-5)
            for one, two in zip(back, fresh, strict=True)
        ]
        assert all(same) if forgotten else not any(same)


def test_no_bone_is_remembered_for_it(engine: Engine) -> None:
    film = walk(np.random.default_rng(3), 10, visible=1.0)
    arm = H36M17.indices("left_elbow", "left_wrist")
    film[-1].score[arm] = 0
    stamps_ns = FRAME * np.arange(10)
    (skeleton,) = play(pipeline(engine), film, stamps_ns)[-1].skeletons
    np.testing.assert_allclose(
        shape(skeleton.joints_cam_m), shape(by_hand(engine, film, stamps_ns)[-1].joints_root_m[0]), atol=1e-5
    )


def test_few_visible_joints_stay_where_they_are_in_the_image(engine: Engine) -> None:
    film = walk(np.random.default_rng(4), 6)
    pipe = pipeline(engine)
    play(pipe, film, FRAME * np.arange(6))
    person = standing(0.1, 0, 5, id="a", hidden=HARDLY_ANYTHING)
    (skeleton,) = pipe.step([person], 6 * FRAME, CAMERA).skeletons
    assert skeleton.state == State.OCCLUDED
    assert (skeleton.origin[person.visible] == Origin.MEASURED).all()
    np.testing.assert_array_equal(skeleton.kpts_px[person.visible], person.xy_px[person.visible])


def test_one_call_of_the_network_serves_the_seen_and_the_hidden(engine: Engine, monkeypatch) -> None:
    pipe, people = pipeline(engine), [standing(x, 0, 7, id=str(x)) for x in (-1, 0, 1)]
    pipe.step(people, 0, CAMERA)
    calls: list[int] = []
    run = type(engine).run
    monkeypatch.setattr(type(engine), "run", lambda self, *given: (calls.append(len(given[0])), run(self, *given))[1])
    output = pipe.step(people[:1], FRAME, CAMERA)
    assert calls == [3]
    assert sorted(skeleton.id for skeleton in output.skeletons) == ["-1", "0", "1"]


def test_a_state_that_is_lost_is_not_remembered(engine: Engine, files: dict[str, Path], tmp_path: Path) -> None:
    """Weights that answer NaN for hidden people only, as a damaged state would: they are forgotten, not published."""
    broken = load(Path(shutil.copy(files["torch"], tmp_path / "copy.safetensors")))
    run = broken.run

    def poisoned(kpts, visible, *rest):
        lifted = run(kpts, visible, *rest)
        lifted.joints_root_m[~(visible > 0).any(axis=(1, 2))] = np.nan
        return lifted

    broken.run = poisoned
    pipe = pipeline(broken)
    play(pipe, walk(np.random.default_rng(5), 4), FRAME * np.arange(4))
    output = pipe.step([], 4 * FRAME, CAMERA)
    assert (output.skeletons, output.lost_ids, output.dropped) == ((), ("a",), {"non_finite": 1})
