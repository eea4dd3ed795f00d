"""The people of the sample bag with the default model: who they are, and when they are seen, lost and cut off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.geometry import stature_m
from occpose_core.pipeline import PipelineOutput, PosePipeline
from occpose_core.runtime import Engine, load
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, Keypoints2D, Origin, State
from occpose_ros.adapters import camera_from_msg, keypoints_from_occpose_msg
from occpose_ros.bag import BagReader

PELVIS = H36M17.index("pelvis")
WARM_S = 0.5

Poses = dict[str, np.ndarray]  # person -> (J, 3), camera frame, m
Shown = tuple[float, Sequence[Keypoints2D]]  # at so many seconds


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """frames: everybody who is in the image, at 30 Hz."""

    camera: Camera
    frames: list[Poses]

    def at(self, time_s: float) -> Poses:
        """Between two frames."""
        before = min(int(time_s * 30), len(self.frames) - 2)
        share = time_s * 30 - before
        both = self.frames[before].keys() & self.frames[before + 1].keys()
        return {
            name: (1 - share) * self.frames[before][name] + share * self.frames[before + 1][name]
            for name in sorted(both)
        }

    def detect(self, name: str, joints: np.ndarray, rng: np.random.Generator) -> Keypoints2D:
        """What the detector says of a pose; joints outside the image are missing."""
        xy_px = px_from_cam(joints, self.camera) + rng.normal(0.0, 2.0, (len(joints), 2))
        inside = ((xy_px >= 0) & (xy_px < [self.camera.width, self.camera.height])).all(axis=-1)
        return Keypoints2D(id=name, xy_px=xy_px, score=np.where(inside, 0.9, 0.0))


@pytest.fixture(scope="module")
def truth(sample: Path) -> Truth:
    with BagReader(sample) as bag:
        camera = camera_from_msg(next(iter(bag.messages(["/camera_info"]))).message)
        frames = [
            {person.id: np.asarray(person.position).reshape(-1, 3) for person in record.message.people}
            for record in bag.messages(["/ground_truth/skeletons"])
        ]
    return Truth(camera=camera, frames=frames)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load()


def film(truth: Truth, times_s: Iterable[float], who: str = "12") -> list[Shown]:
    rng = np.random.default_rng(0)
    return [
        (time_s, [truth.detect(name, joints, rng) for name, joints in truth.at(time_s).items() if name in who])
        for time_s in times_s
    ]


def play(engine: Engine, shown: Iterable[Shown], camera: Camera) -> list[PipelineOutput]:
    pipe = PosePipeline(engine)
    return [pipe.step(people, round(time_s * 1e9), camera) for time_s, people in shown]


def pose_error_m(joints: np.ndarray, true: np.ndarray) -> float:
    """Of the pose at its true size, without its place."""
    scaled = (joints - joints[PELVIS]) * stature_m(true) / stature_m(joints)
    return float(np.linalg.norm(scaled - (true - true[PELVIS]), axis=-1).mean())


def errors_m(truth: Truth, shown: Sequence[Shown], outputs: Sequence[PipelineOutput], name: str) -> list[float]:
    """Of everybody seen under that id, after the first moments."""
    pairs = [(time_s, output) for (time_s, _), output in zip(shown, outputs, strict=True)]
    return [
        pose_error_m(skeleton.joints_cam_m, truth.at(time_s)[name])
        for time_s, output in pairs
        for skeleton in output.skeletons
        if skeleton.id == name and name in truth.at(time_s) and time_s > pairs[0][0] + WARM_S
    ]


# --- identity


def crossings(truth: Truth) -> list[int]:
    """Frames at which one person passes before the other in the image."""
    sides = [
        np.sign(np.subtract(*(frame[name][PELVIS, 0] / frame[name][PELVIS, 2] for name in "12")))
        if len(frame) == 2
        else 0
        for frame in truth.frames
    ]
    return [k for k in range(1, len(sides)) if sides[k] * sides[k - 1] < 0 and 60 < k < len(sides) - 60]


def test_a_detector_that_swaps_and_loses_people_who_cross_makes_no_difference(
    engine: Engine, truth: Truth, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = crossings(truth)
    assert frames, "the people of the sample bag cross"
    switches, error_mm = 0, {"true ids": [], "confused ids": []}
    for middle in frames:
        drop = range(middle + 2, middle + 11)
        times = [k / 30 for k in range(middle - 45, middle + 45)]
        dropped = [
            (time_s, [p for p in people if not (p.id == "1" and round(time_s * 30) in drop)])
            for time_s, people in film(truth, times)
        ]
        confused = [
            (time_s, [Keypoints2D(id=confusion(p.id, round(time_s * 30), middle), xy_px=p.xy_px, score=p.score)
                      for p in people])
            for time_s, people in dropped
        ]  # fmt: skip
        for kind, shown in (("true ids", dropped), ("confused ids", confused)):
            outputs = play(engine, shown, truth.camera)
            for name in "12":
                error_mm[kind] += [1000 * error for error in errors_m(truth, shown, outputs, name)]
            for (time_s, _), output in zip(shown, outputs, strict=True):
                poses, seen = truth.at(time_s), {s.id: s.joints_cam_m for s in output.skeletons}
                assert seen.keys() <= {"1", "2"}
                switches += sum(whose(seen[name], poses) != name for name in seen.keys() & poses.keys())
    mean = {kind: float(np.mean(errors)) for kind, errors in error_mm.items()}
    with capsys.disabled():
        print(
            f" [{len(frames)} crossings, {switches} identity errors, "
            + ", ".join(f"{m:.1f} mm with {k}" for k, m in mean.items())
            + "]"
        )
    assert switches == 0
    assert mean["confused ids"] <= 1.001 * mean["true ids"]


def confusion(name: str, frame: int, middle: int) -> str:
    """The detector swaps both ids as they cross, and calls the one whom it lost for a moment by a new one."""
    if frame < middle:
        return name
    return "1" if name == "2" else "2" if frame < middle + 11 else "77"


def whose(joints: np.ndarray, poses: Poses) -> str:
    """Whose joints these are by direction and size in the image."""
    rays = joints[:, :2] / joints[:, 2:]
    return min(
        poses, key=lambda name: float(np.linalg.norm(rays - poses[name][:, :2] / poses[name][:, 2:], axis=-1).mean())
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(lambda frame, index: str(index), id="number of the detection"),
        pytest.param(lambda frame, index: f"{frame}.{index}", id="new in every image"),
    ],
)
def test_the_whole_recording_without_usable_ids_has_two_people(
    engine: Engine, sample: Path, name: Callable[[int, int], str]
) -> None:
    """Its detections as they are, with noise, gaps and false joints, in an order that changes."""
    pipe, rng, names = PosePipeline(engine), np.random.default_rng(0), set()
    with BagReader(sample) as bag:
        camera = camera_from_msg(next(iter(bag.messages(["/camera_info"]))).message)
        for frame, record in enumerate(bag.messages(["/keypoints"])):
            people = keypoints_from_occpose_msg(record.message).people
            given = [
                dataclasses.replace(people[person], id=name(frame, index))
                for index, person in enumerate(rng.permutation(len(people)))
            ]
            output = pipe.step(given, round(frame * 1e9 / 30), camera)
            poses = {skeleton.id: skeleton.kpts_px for skeleton in output.skeletons}
            for person in people:
                whose = [id for id, px in poses.items() if (px == person.xy_px)[person.visible].all()]
                names |= {(person.id, id) for id in whose if person.visible.sum() >= 4}
    assert len(names) == len({true for true, _ in names}) == len({given for _, given in names}) == 2


# --- seen and lost


def test_a_person_without_a_valid_joint_is_held_and_then_lost(engine: Engine, truth: Truth) -> None:
    frames, hidden_from = range(180, 270), 210
    shown = [
        (t, [Keypoints2D(id=p.id, xy_px=p.xy_px, score=np.where(frame < hidden_from, p.score, 0)) for p in people])
        for frame, (t, people) in zip(frames, film(truth, [frame / 30 for frame in frames], who="2"), strict=True)
    ]
    outputs = dict(zip(frames, play(engine, shown, truth.camera), strict=True))
    held = [(frame, s) for frame, output in outputs.items() for s in output.skeletons if s.state == State.OCCLUDED]
    assert [frame for frame, _ in held] == list(range(hidden_from, hidden_from + 15)), "for half a second, the default"
    assert [frame for frame, output in outputs.items() if output.lost_ids] == [held[-1][0] + 1]
    assert all((s.origin != Origin.MEASURED).all() and np.isfinite(s.joints_cam_m).all() for _, s in held)
    assert (np.diff([s.sigma_m.mean() for _, s in held]) > 0).all()


BURSTS = np.concatenate([[t, t + 0.001, t + 0.002] for t in np.arange(6.0, 9.0, 0.1)])


@pytest.mark.parametrize(
    ("times_s", "worse"),
    [
        pytest.param(np.arange(6.0, 9.0, 1 / 5), 1.35, id="5 Hz"),
        pytest.param(np.arange(6.0, 9.0, 1 / 120), 1.1, id="120 Hz"),
        pytest.param(BURSTS, 1.35, id="bursts of three at 10 Hz"),
        pytest.param(np.array([*np.arange(6.0, 7.5, 1 / 30), *np.arange(9.5, 11, 1 / 30)]), 1.6, id="gap of 2 s"),
    ],
)
def test_any_rate_of_frames(engine: Engine, truth: Truth, times_s: np.ndarray, worse: float) -> None:
    regular = film(truth, np.arange(times_s[0], times_s[-1], 1 / 30))
    shown = film(truth, times_s)
    outputs = play(engine, shown, truth.camera)
    assert {s.id for output in outputs for s in output.skeletons} == {"1", "2"}
    assert all(output.dropped == {} and not output.reset for output in outputs)
    for name in "12":
        expected = np.mean(errors_m(truth, regular, play(engine, regular, truth.camera), name))
        assert np.mean(errors_m(truth, shown, outputs, name)) < worse * expected


def test_after_a_gap_people_begin_without_a_past(engine: Engine, truth: Truth) -> None:
    after = film(truth, np.arange(9.5, 10.0, 1 / 30))
    gap = [*film(truth, np.arange(6.0, 7.5, 1 / 30)), *after]
    for one, two in zip(play(engine, gap, truth.camera)[-len(after) :], play(engine, after, truth.camera), strict=True):
        assert [s.id for s in one.skeletons] == [s.id for s in two.skeletons]
        for a, b in zip(one.skeletons[:1], two.skeletons[:1], strict=True):
            assert a.joints_cam_m == pytest.approx(b.joints_cam_m, abs=0.02)  # the first frame's step is its own


def narrowed(camera: Camera, left: int, bottom: int) -> Camera:
    """A camera that sees less of the left and of the bottom."""
    shift = np.array([[0.0, 0.0, -left], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    size = {"width": camera.width - left, "height": camera.height - bottom}
    return dataclasses.replace(camera, K=camera.K + shift, **size)


@pytest.mark.parametrize("guesses", [False, True], ids=["none given", "detector guesses them"])
@pytest.mark.parametrize(
    ("left", "bottom"), [pytest.param(0, 330, id="legs below the image"), pytest.param(310, 0, id="cut at the left")]
)
def test_joints_beyond_the_image_are_filled_with_doubt(
    engine: Engine, truth: Truth, left: int, bottom: int, guesses: bool
) -> None:
    camera = narrowed(truth.camera, left, bottom)
    cut, rng, doubt = Truth(camera=camera, frames=truth.frames), np.random.default_rng(0), []
    pipe, whole = PosePipeline(engine), PosePipeline(engine)
    outwards = np.array([-0.2 * camera.width if left else 0.0, 0.2 * camera.height if bottom else 0.0])
    for frame in range(200, 236):
        joints, stamp_ns = truth.frames[frame]["2"], frame * 33_333_333
        person = cut.detect("2", joints, rng)
        beyond = person.score == 0
        if guesses:  # with a good score
            xy_px = np.where(beyond[:, None], person.xy_px + outwards, person.xy_px)
            person = Keypoints2D(id="2", xy_px=xy_px, score=np.full(len(joints), 0.9))
        (skeleton,) = pipe.step([person], stamp_ns, camera).skeletons
        (other,) = whole.step([truth.detect("2", joints, rng)], stamp_ns, truth.camera).skeletons
        assert ((skeleton.origin == Origin.MEASURED) == ~beyond).all()
        doubt.append(np.stack([skeleton.sigma_m, other.sigma_m], axis=-1)[beyond])
    doubts = np.concatenate(doubt)
    assert len(doubts) > 0.1 * 36 * 17
    assert np.median(doubts[:, 0]) > 1.2 * np.median(doubts[:, 1]), "more than if they were seen"
