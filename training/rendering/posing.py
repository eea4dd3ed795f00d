"""From joint positions of a recording to rotations of the body model, with what positions cannot tell drawn at random.

The body at rest stands in a T pose, x to its left, y up, z forward. Limbs point exactly where the recorded bones point,
and elbows and knees bend in the recorded plane. Seventeen positions say nothing of the turn of the head about the neck,
the turn of hands and feet, the bend of the wrist, nor of the turn of a straight arm or leg about itself: these are
drawn within what people can do, so that pictures carry more than keypoints.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.body.joints import SMPL24, SMPL_PARENTS
from occpose_core.skeleton import H36M17

_X, _Y, _Z = np.eye(3)
_SPINE = ("spine1", "spine2", "spine3")
_HINGE = {"elbow": {"left": -_Y, "right": _Y}, "knee": {"left": _X, "right": _X}}  # bends by positive angles
# Between these bends of a hinge (radians) trust grows in the plane that it shows.
_STRAIGHT, _BENT = np.radians(10.0), np.radians(30.0)
_LARGEST_TWIST, _LARGEST_SHRUG, _LARGEST_TRUNK_TURN, _LARGEST_TILT = np.radians([100.0, 25.0, 80.0, 60.0])
_FOOT_ON_FLOOR_M = 0.2  # an ankle below this has its foot on the floor

# What positions leave open: standard deviation and largest value in degrees; a pair of them where the mean is not zero.
_OPEN_DEG = {
    "head_yaw": (28.0, 65.0),
    "head_pitch": (10.0, 25.0),
    "arm_twist": (25.0, 50.0),
    "leg_twist": (10.0, 20.0),
    "pronation": (35.0, 75.0),
    "wrist_flexion": (20.0, 45.0),
    "wrist_deviation": (8.0, 15.0),
    "foot_yaw": (10.0, 25.0),
    "foot_pitch": (14.0, 30.0),
}


def pose_body(joints_world_m: np.ndarray, rest_m: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotations of the body model for recorded poses.

    joints_world_m: (N, 17, 3) m of `h36m17`, z up. rest_m: (24, 3) m, the model's joints at rest. Returns (N, 24, 3, 3)
    float64, each joint relative to its parent, the root relative to the world; multiply the root by cam_from_world to
    have the body in a camera's axes.
    """
    draw = partial(_draw, rng=rng, count=len(joints_world_m))
    turned = _trunk(joints_world_m)
    _head(turned, joints_world_m, draw("head_yaw"), draw("head_pitch"))
    for side in ("left", "right"):
        _collar(turned, side, joints_world_m)
        _limb(turned, side, ("shoulder", "elbow", "wrist"), joints_world_m, rest_m, draw("arm_twist"))
        _hand(turned, side, joints_world_m, *map(draw, ("pronation", "wrist_flexion", "wrist_deviation")))
        _limb(turned, side, ("hip", "knee", "ankle"), joints_world_m, rest_m, draw("leg_twist"))
        _foot(turned, side, joints_world_m, draw("foot_yaw"), draw("foot_pitch"))
    return _relative_to_parents(turned)


def _draw(name: str, rng: np.random.Generator, count: int) -> np.ndarray:
    sd, largest = np.radians(_OPEN_DEG[name])
    return np.asarray(np.clip(sd * rng.standard_normal(count), -largest, largest))


# --- parts; `turned` maps joints to (N, 3, 3), world from rest -------------------------------------------------------

Turned = dict[str, np.ndarray]


def _trunk(joints: np.ndarray) -> Turned:
    """The bend between hips and shoulders, in equal parts along the spine."""
    pelvis = _frame(_bone(joints, "right_hip", "left_hip"), _bone(joints, "pelvis", "spine"))
    chest = _frame(_bone(joints, "right_shoulder", "left_shoulder"), _bone(joints, "spine", "thorax"))
    bend = _limited(_transposed(pelvis) @ chest, _LARGEST_TRUNK_TURN)
    parts = {joint: pelvis @ _part(bend, step / len(_SPINE)) for step, joint in enumerate(_SPINE, 1)}
    return {"pelvis": pelvis, **parts}


def _head(turned: Turned, joints: np.ndarray, yaw: np.ndarray, pitch: np.ndarray) -> None:
    """Half of the tilt is in the neck. Where a head joint is differs from recording to recording, so tilts count."""
    chest = turned["spine3"]
    upright = _aim(chest, _Y, _bone(joints, "nose", "head_top"))
    tilt = _limited(_transposed(chest) @ upright, _LARGEST_TILT) @ _about(_Y, yaw) @ _about(_X, pitch)
    turned["neck"], turned["head"] = chest @ _part(tilt, 0.5), chest @ tilt


def _collar(turned: Turned, side: str, joints: np.ndarray) -> None:
    """Shoulders that are shrugged or pulled forward, as far as the collar bones allow.

    Recordings have the thorax at the height of the shoulders, give or take; hence only a part of the angle.
    """
    chest = turned["spine3"]
    level = _X if side == "left" else -_X
    shrug = _transposed(chest) @ _aim(chest, level, _bone(joints, "thorax", f"{side}_shoulder"))
    turned[f"{side}_collar"] = chest @ _limited(_part(shrug, 0.5), _LARGEST_SHRUG)


def _limb(
    turned: Turned,
    side: str,
    chain: tuple[str, str, str],
    joints: np.ndarray,
    rest_m: np.ndarray,
    open_twist: np.ndarray,
) -> None:
    """Upper and lower bone of an arm or a leg; where it is straight its turn about itself is drawn."""
    start, hinge, end = (f"{side}_{joint}" for joint in chain)
    upper, lower = _bone(joints, start, hinge), _bone(joints, hinge, end)
    parent = turned[SMPL24[SMPL_PARENTS[SMPL24.index(start)]]]
    aimed = _aim(parent, _rest_bone(rest_m, start, hinge), upper)
    axis = _apply(aimed, _HINGE[chain[1]][side])
    plane = np.cross(upper, lower)
    bend = np.arctan2(np.linalg.norm(plane, axis=-1), (upper * lower).sum(-1))
    seen = np.arctan2((np.cross(axis, plane) * upper).sum(-1), (axis * plane).sum(-1))
    trust = np.clip((bend - _STRAIGHT) / (_BENT - _STRAIGHT), 0.0, 1.0)
    twist = np.clip(seen * trust, -_LARGEST_TWIST, _LARGEST_TWIST) + open_twist * (1.0 - trust)
    turned[start] = _about(upper, twist) @ aimed
    turned[hinge] = _aim(turned[start], _rest_bone(rest_m, hinge, end), lower)


def _hand(
    turned: Turned, side: str, joints: np.ndarray, pronation: np.ndarray, flexion: np.ndarray, deviation: np.ndarray
) -> None:
    """Half of the forearm's turn shows at the elbow, half at the wrist."""
    forearm = _bone(joints, f"{side}_elbow", f"{side}_wrist")
    turned[f"{side}_elbow"] = _about(forearm, pronation / 2) @ turned[f"{side}_elbow"]
    wrist = _about(forearm, pronation / 2) @ turned[f"{side}_elbow"]
    turned[f"{side}_wrist"] = wrist @ _about(_Z, flexion) @ _about(_Y, deviation)
    turned[f"{side}_hand"] = turned[f"{side}_wrist"]


def _foot(turned: Turned, side: str, joints: np.ndarray, yaw: np.ndarray, pitch: np.ndarray) -> None:
    """A foot near the floor lies flat on it, as far as the ankle allows; another hangs."""
    shank = turned[f"{side}_knee"] @ _about(_Y, yaw)
    across, forward = _apply(shank, _X), _apply(shank, _Z)
    rise = np.cross(across, forward)[:, 2]
    flat = np.arctan(-forward[:, 2] / np.where(np.abs(rise) < 1e-6, 1e-6, rise))
    height = joints[:, H36M17.index(f"{side}_ankle"), 2]
    on_floor = np.clip(2.0 - height / _FOOT_ON_FLOOR_M, 0.0, 1.0)
    hanging = np.radians(15.0) + pitch
    angle = np.clip(on_floor * flat + (1.0 - on_floor) * hanging, *np.radians([-30.0, 50.0]))
    turned[f"{side}_ankle"] = turned[f"{side}_foot"] = shank @ _about(_X, angle)


def _relative_to_parents(turned: Turned) -> np.ndarray:
    world = np.stack([turned[joint] for joint in SMPL24], axis=1)
    local = _transposed(world[:, list(SMPL_PARENTS)]) @ world
    local[:, 0] = world[:, 0]
    return local


# --- directions and rotations ----------------------------------------------------------------------------------------


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _bone(joints: np.ndarray, start: str, end: str) -> np.ndarray:
    """(N, 3) unit vectors between two joints of `h36m17`."""
    return _unit(joints[:, H36M17.index(end)] - joints[:, H36M17.index(start)])


def _rest_bone(rest_m: np.ndarray, start: str, end: str) -> np.ndarray:
    return _unit(rest_m[SMPL24.index(end)] - rest_m[SMPL24.index(start)])


def _transposed(matrices: np.ndarray) -> np.ndarray:
    return np.swapaxes(matrices, -1, -2)


def _apply(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _frame(across: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(N, 3, 3) world from rest: x exactly along `across` (to the person's left), y as near to `up` as can be."""
    x = _unit(across)
    y = _unit(up - (up * x).sum(-1, keepdims=True) * x)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def _about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotations by (N,) radians about an axis (3,), or one (N, 3) each."""
    return np.asarray(Rotation.from_rotvec(np.broadcast_to(axis, (len(angle), 3)) * angle[:, None]).as_matrix())


def _part(rotations: np.ndarray, share: float) -> np.ndarray:
    """A share of each rotation (N, 3, 3), about the same axis."""
    return np.asarray(Rotation.from_rotvec(share * Rotation.from_matrix(rotations).as_rotvec()).as_matrix())


def _limited(rotations: np.ndarray, largest: float) -> np.ndarray:
    """Rotations (N, 3, 3) by no more than so many radians, about the same axis."""
    vectors = Rotation.from_matrix(rotations).as_rotvec()
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(Rotation.from_rotvec(vectors * np.minimum(1.0, largest / np.maximum(angle, 1e-9))).as_matrix())


def _swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N, 3, 3) smallest rotations that take unit vectors (N, 3) to unit vectors (N, 3)."""
    axis = np.cross(start, end)
    sine, cosine = np.linalg.norm(axis, axis=-1, keepdims=True), (start * end).sum(-1, keepdims=True)
    aside = np.cross(start, np.eye(3)[np.abs(start).argmin(-1)])  # any axis serves where they are opposite
    axis = np.where(sine > 1e-6, axis, aside)
    return np.asarray(Rotation.from_rotvec(_unit(axis) * np.arctan2(sine, cosine)).as_matrix())


def _aim(frame: np.ndarray, rest_direction: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Turn frames (N, 3, 3) the shortest way so that a direction at rest (3,) points along (N, 3)."""
    return _swing(_apply(frame, rest_direction), direction) @ frame
