"""The default model in the pipeline, with people of whom a part is never seen, or a limb hides for a moment.

The people of the sample bag walk about; here a detector with 2 px of noise sees their true joints, but for some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.pipeline import PipelineOutput, PosePipeline
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import Engine, Lifted, load
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, Keypoints2D, Origin, State
from occpose_ros.adapters import camera_from_msg
from occpose_ros.bag import BagReader

JOINTS = np.array(H36M17.joints)
LEGS = ("right_knee", "right_ankle", "left_knee", "left_ankle")
BELOW_THE_COUNTER = ("pelvis", "right_hip", "left_hip", *LEGS)
UPPER_BODY = tuple(joint for joint in H36M17.joints if joint not in BELOW_THE_COUNTER)
EVERYTHING = H36M17.joints
FRAMES, WARM = 240, 5  # the answers of a person's first frames may correct each other
FRAME_NS = 33_333_334
REACH_M = 1.7  # no joint of a person is farther from the pelvis
JUMP_M = 0.15  # 4.5 m/s at 30 Hz: as fast as these people ever swing a limb, and half as much again

Hide = Callable[[int], Sequence[str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """joints_cam_m: person -> (F, J, 3) at 30 Hz."""

    camera: Camera
    joints_cam_m: dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Of one person in F frames: joints_m (F, J, 3) relative to the pelvis, sigma_m, seen and filled (F, J)."""

    joints_m: np.ndarray
    sigma_m: np.ndarray
    seen: np.ndarray
    filled: np.ndarray

    @property
    def moved_m(self) -> np.ndarray:
        """(F - 1, J) from frame to frame."""
        return np.asarray(np.linalg.norm(np.diff(self.joints_m, axis=0), axis=-1))


@pytest.fixture(scope="module")
def truth(sample: Path) -> Truth:
    people: dict[str, list[np.ndarray]] = {}
    with BagReader(sample) as bag:
        camera = camera_from_msg(next(iter(bag.messages(["/camera_info"]))).message)
        for record in bag.messages(["/ground_truth/skeletons"]):
            for person in record.message.people:
                people.setdefault(person.id, []).append(np.asarray(person.position).reshape(-1, 3))
    return Truth(camera=camera, joints_cam_m={name: np.stack(poses)[100:] for name, poses in people.items()})


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load()


def detected(truth: Truth, name: str, hide: Hide) -> list[Keypoints2D]:
    """What the detector says of a person; joints outside the image are hidden, too."""
    rng, film = np.random.default_rng(0), []
    for frame, joints in enumerate(truth.joints_cam_m[name][:FRAMES]):
        xy_px = px_from_cam(joints, truth.camera) + rng.normal(0.0, 2.0, (len(JOINTS), 2))
        inside = ((xy_px >= 0) & (xy_px < [truth.camera.width, truth.camera.height])).all(axis=-1)
        score = np.where(inside & ~np.isin(JOINTS, hide(frame)), 0.9, 0.0)
        film.append(Keypoints2D(id=name, xy_px=xy_px.astype(np.float32), score=score.astype(np.float32)))
    return film


def play(pipe: PosePipeline, film: Sequence[Keypoints2D], camera: Camera, start: int = 0) -> list[PipelineOutput]:
    return [pipe.step([person], (start + frame) * FRAME_NS, camera) for frame, person in enumerate(film)]


def watch(engine: Engine, truth: Truth, name: str, hide: Hide) -> Answers:
    film = detected(truth, name, hide)
    skeletons = [skeleton for out in play(PosePipeline(engine), film, truth.camera) for skeleton in out.skeletons]
    assert [skeleton.id for skeleton in skeletons] == [name] * FRAMES  # always there, and always the same person
    joints_m = np.stack([skeleton.joints_cam_m for skeleton in skeletons])
    return Answers(
        joints_m=joints_m - joints_m[:, [H36M17.index("pelvis")]],
        sigma_m=np.stack([skeleton.sigma_m for skeleton in skeletons]),
        seen=np.stack([person.visible for person in film]),
        filled=np.stack([skeleton.origin for skeleton in skeletons]) != Origin.MEASURED,
    )


@pytest.mark.parametrize("name", ["1", "2"])
@pytest.mark.parametrize(
    "never",
    [
        pytest.param(LEGS, id="knees and below"),
        pytest.param(BELOW_THE_COUNTER, id="behind a counter"),
        pytest.param(UPPER_BODY, id="only legs"),
    ],
)
def test_a_half_that_is_never_seen_is_filled_calmly_and_with_more_doubt(
    engine: Engine, truth: Truth, name: str, never: Sequence[str]
) -> None:
    answers = watch(engine, truth, name, lambda _: never)
    unseen = np.isin(JOINTS, never)
    assert (answers.filled == ~answers.seen).all() and answers.filled[:, unseen].all()
    assert np.abs(answers.joints_m).max() < REACH_M
    moved_m, body = answers.moved_m[WARM:], JOINTS != "pelvis"  # the pelvis is the origin, and does not move
    seen, filled = moved_m[:, ~unseen & body], moved_m[:, unseen & body]
    assert filled.max() < min(JUMP_M, 1.5 * seen.max())
    assert np.median(filled) < 1.5 * np.median(seen)
    sigma_m = answers.sigma_m[WARM:, body]
    assert np.median(sigma_m[:, unseen[body]]) > 1.3 * np.median(sigma_m[:, ~unseen[body]])
    whole = watch(engine, truth, name, lambda _: ())
    assert np.median(answers.sigma_m[:, unseen & body]) > 1.5 * np.median(whole.sigma_m[:, unseen & body])


@pytest.mark.parametrize("name", ["1", "2"])
@pytest.mark.parametrize(
    "limb",
    [
        pytest.param(("left_elbow", "left_wrist"), id="arm"),
        pytest.param(("right_shoulder", "right_elbow", "right_wrist"), id="whole arm"),
        pytest.param(("left_knee", "left_ankle"), id="leg"),
    ],
)
def test_a_limb_that_hides_for_half_a_second_does_not_jump_when_it_goes(
    engine: Engine, truth: Truth, name: str, limb: Sequence[str]
) -> None:
    starts, length = range(30, FRAMES - 30, 30), 15
    answers = watch(engine, truth, name, lambda frame: limb if any(0 <= frame - s < length for s in starts) else ())
    whole, column = watch(engine, truth, name, lambda _: ()), np.isin(JOINTS, limb)
    moved_m, usual_m = answers.moved_m[:, column], whole.moved_m[WARM:, column]
    going = moved_m[[start - 1 for start in starts]]
    away = moved_m[[start + frame for start in starts for frame in range(length - 1)]]
    assert going.max() < 1.5 * usual_m.max()
    assert away.max() < 1.5 * usual_m.max()
    last, first = (answers.sigma_m[[start + at for start in starts]][:, column] for at in (length - 1, 0))
    assert np.median(last) > np.median(first)


class SavedState:
    """An engine whose states are written to a file and read again between all steps."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.info, self.backend, self._engine, self._path = engine.info, engine.backend, engine, path

    def run(self, kpts, visible, state=None, only_state=False, dt_s=None) -> Lifted:
        np.save(self._path, state)
        return self._engine.run(kpts, visible, np.load(self._path), only_state, dt_s)


def test_states_that_were_saved_have_the_same_future(engine: Engine, truth: Truth, tmp_path: Path) -> None:
    film = detected(truth, "2", lambda frame: UPPER_BODY[:6] if frame % 40 > 20 else ())[:80]
    pipes = PosePipeline(engine), PosePipeline(SavedState(engine, tmp_path / "state.npy"))
    for straight, again in zip(*(play(pipe, film, truth.camera) for pipe in pipes), strict=True):
        (one,), (two,) = straight.skeletons, again.skeletons
        assert one.joints_cam_m.tobytes() == two.joints_cam_m.tobytes()
        assert one.sigma_m.tobytes() == two.sigma_m.tobytes()


def test_people_who_leave_are_held_and_lost_and_come_back_as_new(engine: Engine, truth: Truth) -> None:
    config = PipelineConfig()
    hold, gap = round(config.hold_s * 30), round(config.gap_s * 30)
    film = detected(truth, "2", lambda frame: EVERYTHING if 60 <= frame < 60 + gap + 10 else ())
    outputs = play(PosePipeline(engine), film, truth.camera)
    states = [[skeleton.state for skeleton in out.skeletons] for out in outputs]
    assert states[:60] == [[State.TRACKED]] * 60
    assert states[60 : 60 + hold - 1] == [[State.OCCLUDED]] * (hold - 1)
    assert not any(states[60 + hold + 1 : 60 + gap + 10])
    assert [out.lost_ids for out in outputs if out.lost_ids] == [("2",)]
    held = np.stack([out.skeletons[0].joints_cam_m for out in outputs[59 : 59 + hold]])
    assert np.linalg.norm(np.diff(held, axis=0), axis=-1).max() < JUMP_M
    sigma_m = np.stack([out.skeletons[0].sigma_m for out in outputs[59 : 59 + hold]])
    assert (sigma_m[-1] > sigma_m[0]).all()
    back = outputs[60 + gap + 10 :]
    fresh = play(PosePipeline(engine), film[60 + gap + 10 :], truth.camera, start=60 + gap + 10)
    for one, two in zip(back, fresh, strict=True):
        np.testing.assert_allclose(one.skeletons[0].joints_cam_m, two.skeletons[0].joints_cam_m, atol=1e-6)


def test_who_hides_for_less_than_the_hold_keeps_the_name_and_the_place(engine: Engine, truth: Truth) -> None:
    film = detected(truth, "2", lambda frame: EVERYTHING if frame % 60 >= 52 else ())
    outputs = play(PosePipeline(engine), film, truth.camera)
    assert all([skeleton.id for skeleton in out.skeletons] == ["2"] for out in outputs)
    assert not any(out.lost_ids for out in outputs) and not any("pose_jump" in out.dropped for out in outputs)
    root = np.stack([out.skeletons[0].joints_cam_m[H36M17.index("pelvis")] for out in outputs])
    assert np.linalg.norm(np.diff(root[WARM:], axis=0), axis=-1).max() < 2 * JUMP_M
