"""The room of the sample bag: a camera, furniture, and what hides a joint from the camera.

World: x right, y away from the camera, z up, metres, floor at z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_core.types import Camera

CAMERA = Camera(
    width=1280,
    height=720,
    K=np.array([[905.0, 0.0, 642.3], [0.0, 904.0, 357.8], [0.0, 0.0, 1.0]]),
    D=np.array([-0.052, 0.021, 0.0004, -0.0003, 0.0]),
    distortion_model="plumb_bob",
    frame_id="camera_optical_frame",
)
EYE_WORLD_M = np.array([0.0, 0.0, 1.9])
_PITCH = np.radians(12.0)
CAM_FROM_WORLD = np.array(
    [[1.0, 0.0, 0.0], [0.0, -np.sin(_PITCH), -np.cos(_PITCH)], [0.0, np.cos(_PITCH), -np.sin(_PITCH)]]
)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A piece of furniture, upright and square to the room: low and high corner, world metres."""

    name: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]


FURNITURE = (
    Box(name="counter", low=(-1.9, 3.1, 0.0), high=(-0.6, 3.5, 0.8)),
    Box(name="shelf", low=(0.75, 3.2, 0.0), high=(1.03, 3.5, 1.9)),
    Box(name="armchair", low=(1.6, 3.4, 0.0), high=(2.3, 4.0, 0.7)),
)

# Body parts that hide what is behind them: (joint, joint, radius in metres).
_TRUNK = ("pelvis", "thorax", 0.11)
_CAPSULES = (
    _TRUNK,
    ("nose", "head_top", 0.10),
    *((f"{side}_hip", f"{side}_knee", 0.08) for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_ankle", 0.06) for side in ("left", "right")),
    *((f"{side}_shoulder", f"{side}_elbow", 0.05) for side in ("left", "right")),
)
# Detectors guess an elbow behind the trunk well enough from the shoulder; the wrist hangs free.
_FREE = H36M17.indices("left_wrist", "right_wrist")
_SKIN_M = 0.03


def cam_from_world(points_world_m: np.ndarray) -> np.ndarray:
    """(..., 3) world -> camera optical frame, metres."""
    return np.asarray((points_world_m - EYE_WORLD_M) @ CAM_FROM_WORLD.T)


def world_from_cam(points_cam_m: np.ndarray) -> np.ndarray:
    """(..., 3) camera optical frame -> world, metres."""
    return np.asarray(points_cam_m @ CAM_FROM_WORLD + EYE_WORLD_M)


def hidden_by_furniture(points_world_m: np.ndarray) -> np.ndarray:
    """(...) bool: a box stands on the line from the camera to the point (slab method, Kay and Kajiya 1986)."""
    ray = points_world_m - EYE_WORLD_M
    ray = np.where(np.abs(ray) < 1e-9, 1e-9, ray)
    hidden = np.zeros(points_world_m.shape[:-1], dtype=bool)
    for box in FURNITURE:
        to_low, to_high = (np.array(box.low) - EYE_WORLD_M) / ray, (np.array(box.high) - EYE_WORLD_M) / ray
        enter = np.minimum(to_low, to_high).max(axis=-1)
        leave = np.maximum(to_low, to_high).min(axis=-1)
        hidden |= (enter < leave) & (leave > 0) & (enter < 1)
    return hidden


def _segment_distance(points_m: np.ndarray, a_m: np.ndarray, b_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between the lines of sight to points (T, P, 3), camera frame, and segments a-b (T, 3): least distance (T, P), and
    how far along the line of sight it is, 0 at the camera and 1 at the point (Ericson 2005, 5.1.9)."""
    sight, bone, offset = points_m, (b_m - a_m)[:, None], -a_m[:, None]
    ss, bb = (sight**2).sum(-1), (bone**2).sum(-1)
    sb, so, bo = (sight * bone).sum(-1), (sight * offset).sum(-1), (bone * offset).sum(-1)
    along = np.clip((sb * bo - so * bb) / np.maximum(ss * bb - sb**2, 1e-9), 0.0, 1.0)
    on_bone = np.clip((sb * along + bo) / bb, 0.0, 1.0)
    along = np.clip((sb * on_bone - so) / ss, 0.0, 1.0)
    gap = sight * along[..., None] - (a_m[:, None] + bone * on_bone[..., None])
    return np.linalg.norm(gap, axis=-1), along


def _hidden_by(capsule: tuple[str, str, float], points_cam_m: np.ndarray, joints_cam_m: np.ndarray) -> np.ndarray:
    start, end, radius = capsule
    a, b = joints_cam_m[:, H36M17.index(start)], joints_cam_m[:, H36M17.index(end)]
    distance, along = _segment_distance(points_cam_m, a, b)
    behind_m = (1.0 - along) * np.linalg.norm(points_cam_m, axis=-1)
    return np.asarray((distance < radius) & (behind_m > radius + _SKIN_M))


def hidden_by_person(points_cam_m: np.ndarray, joints_cam_m: np.ndarray) -> np.ndarray:
    """(T, P) bool: a person's body (T, 17, 3) stands between the camera and points (T, P, 3); camera frame, metres."""
    return np.any([_hidden_by(capsule, points_cam_m, joints_cam_m) for capsule in _CAPSULES], axis=0)


def hidden_by_own_trunk(joints_cam_m: np.ndarray) -> np.ndarray:
    """(T, 17) bool: wrists behind the person's own trunk; (T, 17, 3), camera frame, metres."""
    hidden = np.zeros(joints_cam_m.shape[:-1], dtype=bool)
    hidden[:, _FREE] = _hidden_by(_TRUNK, joints_cam_m[:, _FREE], joints_cam_m)
    return hidden
