"""The joints of a body model by name, and what keypoint layouts share with them.

SMPL's 24 joints turn the body; six points of the head that detectors see are added to them (3DCrowdNet's 30). SMPL's
neck is h36m17's thorax, its head h36m17's neck/nose, its spine2 h36m17's spine.
"""

from __future__ import annotations

import numpy as np

from occpose_core.skeleton import H36M17, LayoutError, Skeleton, available, convert_keypoints, get_skeleton

_SMPL_TREE = {
    "pelvis": "",
    "left_hip": "pelvis",
    "right_hip": "pelvis",
    "spine1": "pelvis",
    "left_knee": "left_hip",
    "right_knee": "right_hip",
    "spine2": "spine1",
    "left_ankle": "left_knee",
    "right_ankle": "right_knee",
    "spine3": "spine2",
    "left_foot": "left_ankle",
    "right_foot": "right_ankle",
    "neck": "spine3",
    "left_collar": "spine3",
    "right_collar": "spine3",
    "head": "neck",
    "left_shoulder": "left_collar",
    "right_shoulder": "right_collar",
    "left_elbow": "left_shoulder",
    "right_elbow": "right_shoulder",
    "left_wrist": "left_elbow",
    "right_wrist": "right_elbow",
    "left_hand": "left_wrist",
    "right_hand": "right_wrist",
}
SMPL24: tuple[str, ...] = tuple(_SMPL_TREE)
SMPL_PARENTS: tuple[int, ...] = tuple(SMPL24.index(parent) if parent else -1 for parent in _SMPL_TREE.values())
HEAD_POINTS: tuple[str, ...] = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top")
SMPL30: tuple[str, ...] = SMPL24 + HEAD_POINTS
_HEAD = SMPL24.index("head")
_SMPL30 = Skeleton(name="smpl30", joints=SMPL30, parents=SMPL_PARENTS + (_HEAD,) * len(HEAD_POINTS))
# (30,) int64: `x[SMPL30_MIRROR]` swaps the left and right joints of x.
SMPL30_MIRROR: np.ndarray = _SMPL30.mirror

# The joints that 3DCrowdNet's graph connects, and their places among SMPL30, (15,) int64.
GRAPH15: tuple[str, ...] = (
    "pelvis",
    *(f"{side}_{joint}" for joint in ("hip", "knee", "ankle") for side in ("left", "right")),
    *("neck", "head_top"),
    *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist") for side in ("left", "right")),
)
GRAPH15_IN_SMPL30: np.ndarray = _SMPL30.indices(*GRAPH15)

_THEIR_NAMES = {"spine": "spine2", "thorax": "neck", "nose": "head"}
# The joints of SMPL30 that are h36m17's, in its order, (17,) int64.
H36M17_IN_SMPL30: np.ndarray = _SMPL30.indices(*(_THEIR_NAMES.get(joint, joint) for joint in H36M17.joints))


def smpl30_index(joint: str) -> int:
    """Position of a joint in SMPL30; LayoutError if it has none."""
    return _SMPL30.index(joint)


def smpl30_from_h36m17(xy: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put h36m17 keypoints in SMPL30's places; joints that h36m17 lacks get score 0 and coordinates 0.

    xy: (..., 17, 2), any unit. score: (..., 17) in [0, 1], 0 = missing. Returns (..., 30, 2) and (..., 30) float32.
    Raises LayoutError if the shapes do not fit.
    """
    if xy.shape[-2:] != (len(H36M17.joints), 2) or score.shape != xy.shape[:-1]:
        raise LayoutError(
            f"expected h36m17 keypoints xy (..., 17, 2) and score (..., 17), got {xy.shape}, {score.shape}"
        )
    placed_score = np.zeros((*score.shape[:-1], len(SMPL30)), dtype=np.float32)
    placed_score[..., H36M17_IN_SMPL30] = score
    placed_xy = np.zeros((*placed_score.shape, 2), dtype=np.float32)
    placed_xy[..., H36M17_IN_SMPL30, :] = np.where(score[..., None] > 0, xy, 0.0)
    return placed_xy, placed_score


def smpl30_from_layout(xy: np.ndarray, score: np.ndarray, layout: str) -> tuple[np.ndarray, np.ndarray]:
    """Put keypoints of any layout in SMPL30's places by name; pelvis and neck may be midpoints of hips and shoulders.

    xy: (..., J, 2), any unit. score: (..., J) in [0, 1]. Returns (..., 30, 2) and (..., 30) float32; joints that the
    layout lacks get score 0 and coordinates 0. Raises LayoutError.
    """
    if layout == H36M17.name:
        return smpl30_from_h36m17(xy, score)
    return convert_keypoints(xy, score, get_skeleton(layout), _SMPL30)


def available30(layout: str) -> np.ndarray:
    """(30,) bool: which joints of SMPL30 a keypoint layout gives. Raises LayoutError if there is no such layout."""
    if layout == H36M17.name:
        return np.isin(np.arange(len(SMPL30)), H36M17_IN_SMPL30)
    return available(get_skeleton(layout), _SMPL30)


def h36m17_from_smpl30(joints: np.ndarray) -> np.ndarray:
    """SMPL30's joints (..., 30, 3), any unit and frame, as h36m17 (..., 17, 3); the head top is the real one."""
    if joints.shape[-2:] != (len(SMPL30), 3):
        raise LayoutError(f"expected joints (..., {len(SMPL30)}, 3), got {joints.shape}")
    return joints[..., H36M17_IN_SMPL30, :]
