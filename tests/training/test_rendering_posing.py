"""Bodies in recorded poses: limbs where the recording has them, and random only in what positions cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from occpose_core.body.joints import SMPL24, SMPL_PARENTS
from occpose_core.skeleton import H36M17
from tests.tolerances import EXACT
from tests.training.stage import standing
from training.rendering.posing import pose_body

pytest.importorskip("torch")

from occpose_core.body.layer import BodyModel
from training.rendering.people import Actors

LIMBS = [
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("left", "right")
    for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]


def crowd(count: int, seed: int = 0) -> np.ndarray:
    """(N, 17, 3) people whose joints are anywhere near those of one who stands, headed anywhere."""
    rng = np.random.default_rng(seed)
    joints = standing() + 0.12 * rng.standard_normal((count, 17, 3))
    turns = Rotation.from_rotvec(rng.uniform(-np.pi, np.pi, (count, 1)) * [0, 0, 1]).as_matrix()
    return joints @ np.swapaxes(turns, 1, 2)


@pytest.fixture(scope="module")
def rest_m() -> np.ndarray:
    return Actors(BodyModel()).rest_joints_m


def of_joints(rotations: np.ndarray, rest_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations relative to the world and positions of the joints, the pelvis at 0."""
    turned, at = [rotations[:, 0]], [np.zeros((len(rotations), 3))]
    for joint, parent in list(enumerate(SMPL_PARENTS))[1:]:
        turned.append(turned[parent] @ rotations[:, joint])
        at.append(at[parent] + turned[parent] @ (rest_m[joint] - rest_m[parent]))
    return np.stack(turned, axis=1), np.stack(at, axis=1)


def bone(joints: np.ndarray, names: tuple[str, ...], start: str, end: str) -> np.ndarray:
    vector = joints[:, names.index(end)] - joints[:, names.index(start)]
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def test_limbs_point_where_the_recorded_ones_do(rest_m: np.ndarray) -> None:
    joints = crowd(500)
    rotations = pose_body(joints, rest_m, np.random.default_rng(1))
    _, at = of_joints(rotations, rest_m)
    for start, end in LIMBS:
        np.testing.assert_allclose(bone(at, SMPL24, start, end), bone(joints, H36M17.joints, start, end), atol=1e-6)
    identity = rotations @ np.swapaxes(rotations, -1, -2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=EXACT)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=EXACT)


def test_hips_and_shoulders_lie_across_as_recorded(rest_m: np.ndarray) -> None:
    turned, _ = of_joints(pose_body(standing()[None], rest_m, np.random.default_rng(0)), rest_m)
    for joint in ("pelvis", "spine3"):
        np.testing.assert_allclose(turned[0, SMPL24.index(joint)] @ [1, 0, 0], [-1, 0, 0], atol=1e-6)
        assert (turned[0, SMPL24.index(joint)] @ [0, 0, 1])[1] > 0.9  # it looks along y


def bent(angle_deg: float) -> np.ndarray:
    """Upper arms that hang, forearms and shanks bent in their natural directions."""
    joints = standing()
    angle = np.radians(angle_deg)
    for side in ("left", "right"):
        shoulder, elbow, wrist = H36M17.indices(*(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist")))
        joints[elbow] = joints[shoulder] + [0, 0, -0.28]
        joints[wrist] = joints[elbow] + 0.25 * np.array([0, np.sin(angle), -np.cos(angle)])
        hip, knee, ankle = H36M17.indices(*(f"{side}_{joint}" for joint in ("hip", "knee", "ankle")))
        joints[knee] = joints[hip] + [0, 0, -0.43]
        joints[ankle] = joints[knee] + 0.43 * np.array([0, -np.sin(angle), -np.cos(angle)])
    return joints


@pytest.mark.parametrize("angle_deg", [35.0, 70.0, 110.0])
def test_elbows_and_knees_bend_about_their_hinges(angle_deg: float, rest_m: np.ndarray) -> None:
    joints = np.repeat(bent(angle_deg)[None], 50, axis=0)
    rotations = pose_body(joints, rest_m, np.random.default_rng(2))
    for joint, axis in (("left_knee", [1, 0, 0]), ("right_knee", [1, 0, 0])):
        turn = Rotation.from_matrix(rotations[:, SMPL24.index(joint)]).as_rotvec(degrees=True)
        np.testing.assert_allclose(turn, np.broadcast_to(np.multiply(axis, angle_deg), turn.shape), atol=8.0)
    for side, sign in (("left", -1), ("right", 1)):  # the forearm may turn about itself besides
        turn = Rotation.from_matrix(rotations[:, SMPL24.index(f"{side}_elbow")]).as_matrix()
        hand = turn @ [-sign, 0, 0]
        straight = Rotation.from_rotvec([0, sign * np.radians(angle_deg), 0]).as_matrix() @ [-sign, 0, 0]
        assert (hand @ straight).min() > np.cos(np.radians(8.0))


def test_a_knee_that_seems_to_bend_forwards_is_no_reason_to_turn_the_leg(rest_m: np.ndarray) -> None:
    joints = standing()
    joints[H36M17.index("left_ankle")] += [0, 0.06, 0]  # the noise of markers
    rotations = pose_body(np.repeat(joints[None], 200, axis=0), rest_m, np.random.default_rng(3))
    turned, _ = of_joints(rotations, rest_m)
    forward = turned[:, SMPL24.index("left_knee")] @ [0, 0, 1]
    assert (forward[:, 1] > np.cos(np.radians(45.0))).all()


def test_positions_leave_head_hands_and_feet_open_and_nothing_else(rest_m: np.ndarray) -> None:
    joints = np.repeat(bent(60.0)[None], 400, axis=0)  # no limb is straight
    rotations = pose_body(joints, rest_m, np.random.default_rng(4))
    spread = np.degrees([Rotation.from_matrix(rotations[:, joint]).mean().inv().magnitude() for joint in range(24)])
    assert np.isfinite(spread).all()
    varies = {SMPL24[joint] for joint in range(len(SMPL24)) if np.ptp(rotations[:, joint], axis=0).max() > 1e-6}
    open_joints = {"neck", "head"} | {
        f"{side}_{joint}" for side in ("left", "right") for joint in ("elbow", "wrist", "ankle")
    }
    assert varies == open_joints


@pytest.mark.parametrize(
    ("joint", "least_deg", "most_deg"),
    [
        pytest.param("head", 25.0, 95.0, id="the head turns, but not backwards"),
        pytest.param("left_wrist", 15.0, 90.0, id="wrists bend"),
        pytest.param("right_ankle", 5.0, 60.0, id="feet point outwards and inwards"),
    ],
)
def test_what_is_drawn_is_within_what_people_can_do(
    joint: str, least_deg: float, most_deg: float, rest_m: np.ndarray
) -> None:
    joints = np.repeat(standing()[None], 2000, axis=0)
    rotations = pose_body(joints, rest_m, np.random.default_rng(5))
    angle = np.degrees(Rotation.from_matrix(rotations[:, SMPL24.index(joint)]).magnitude())
    assert angle.max() < most_deg
    assert np.percentile(angle, 90) > least_deg / 2


def test_a_foot_near_the_floor_lies_flat(rest_m: np.ndarray) -> None:
    joints = np.repeat(bent(25.0)[None], 100, axis=0)
    joints[..., 2] += 0.1 - joints[:, H36M17.index("left_ankle"), 2].mean()
    turned, _ = of_joints(pose_body(joints, rest_m, np.random.default_rng(6)), rest_m)
    toes = turned[:, SMPL24.index("left_foot")] @ [0, 0, 1]
    np.testing.assert_allclose(toes[:, 2], 0.0, atol=1e-6)
    joints[..., 2] += 1.0
    hanging, _ = of_joints(pose_body(joints, rest_m, np.random.default_rng(6)), rest_m)
    assert np.abs((hanging[:, SMPL24.index("left_foot")] @ [0, 0, 1])[:, 2]).mean() > 0.1


def test_turning_the_world_turns_the_root_alone(rest_m: np.ndarray) -> None:
    joints = crowd(20)
    turn = Rotation.from_rotvec([0, 0, 1.1]).as_matrix()
    here = pose_body(joints, rest_m, np.random.default_rng(7))
    there = pose_body(joints @ turn.T, rest_m, np.random.default_rng(7))
    np.testing.assert_allclose(there[:, 1:], here[:, 1:], atol=1e-7)
    np.testing.assert_allclose(there[:, 0], turn @ here[:, 0], atol=1e-7)
