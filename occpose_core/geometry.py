"""Shape and place of bodies: Procrustes alignment, bone lengths, stature, absolute placement. Pure functions.

Leading axes (...) are free everywhere: persons, frames, or none.
"""

from __future__ import annotations

import sys

import numpy as np

from occpose_core.skeleton import H36M17, Skeleton

# The bones from the sole to the crown with the share of each (two legs count half each), and their mean length in
# Human3.6M (m), which says how much stature belongs to a chain of 1 m.
_CHAIN = (
    ("left_ankle", "left_knee", 0.5, 0.454),
    ("right_ankle", "right_knee", 0.5, 0.454),
    ("left_knee", "left_hip", 0.5, 0.443),
    ("right_knee", "right_hip", 0.5, 0.443),
    ("pelvis", "spine", 1.0, 0.233),
    ("spine", "thorax", 1.0, 0.257),
    ("thorax", "nose", 1.0, 0.121),
    ("nose", "head_top", 1.0, 0.115),
)
CHAIN_STARTS = H36M17.indices(*(start for start, _, _, _ in _CHAIN))
CHAIN_ENDS = H36M17.indices(*(end for _, end, _, _ in _CHAIN))
ANKLE_HEIGHT_M = 0.08  # the ankle joint above the sole of a standing person
_CHAIN_M = sum(share * length_m for _, _, share, length_m in _CHAIN)
# Stature is the sum of these times the lengths of the bones from CHAIN_STARTS to CHAIN_ENDS.
STATURE_WEIGHTS = (_CHAIN_M + ANKLE_HEIGHT_M) / _CHAIN_M * np.array([share for _, _, share, _ in _CHAIN])

_ONES = np.ones(3)
# Nearer than this no camera sees a person; a solution there is a misfit.
_NEAREST_M = 0.1
# Variance of the rays below which all joints look the same way: 0.001 is a person of 1.7 m seen from 500 m.
_MIN_RAY_VARIANCE = 1e-6


def procrustes_align(source: np.ndarray, target: np.ndarray, scale: bool = True, reflect: bool = False) -> np.ndarray:
    """Move source onto target by the similarity transform of least squares, never a reflection unless asked for.

    source, target: (..., J, 3), same unit. scale: False allows rotation and translation only. reflect: a mirror image
    may be taken where it fits better. Returns (..., J, 3) float64; a source without extent goes to the target's centre.
    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991.
    """
    source = np.asarray(source, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    target_centre = target.mean(axis=-2, keepdims=True)
    centred = source - source.mean(axis=-2, keepdims=True)
    covariance = np.swapaxes(target - target_centre, -1, -2) @ centred
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones_like(singular)
    if not reflect:
        sign[..., -1] = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    target_from_source = (u * sign[..., None, :]) @ vt
    aligned = centred @ np.swapaxes(target_from_source, -1, -2)
    if scale:
        square = (centred**2).sum(axis=(-1, -2))
        gain = (singular * sign).sum(axis=-1) / np.where(square > 0, square, 1.0)
        aligned = aligned * gain[..., None, None]
    return np.asarray(aligned + target_centre)


def bone_lengths_m(joints_m: np.ndarray, skeleton: Skeleton = H36M17) -> np.ndarray:
    """Lengths (..., bones) of `skeleton.bones`, in that order; joints_m: (..., J, 3) m."""
    parents, children = np.array(skeleton.bones, dtype=np.int64).reshape(-1, 2).T
    return np.asarray(np.linalg.norm(joints_m[..., children, :] - joints_m[..., parents, :], axis=-1))


def stature_m(joints_m: np.ndarray) -> np.ndarray:
    """Standing height (...) of a person in any pose; joints_m: (..., 17, 3) m in h36m17, any frame.

    The bones from the ankle to the head top (mean of both legs) are added up and multiplied by the factor that turns
    the mean Human3.6M lengths (1.623 m) plus 8 cm below the ankle joint into stature: 1.049. On people who stand
    straight in the two motion sets that occpose trains on, head height over this chain is 1.034 and 1.046 (medians over
    subjects).
    """
    return np.asarray(lengths(chain_bones(joints_m)) @ STATURE_WEIGHTS)


def chain_bones(joints: np.ndarray) -> np.ndarray:
    """The bones (..., 8, 3) from CHAIN_STARTS to CHAIN_ENDS of poses (..., J, 3)."""
    return np.asarray(joints.take(CHAIN_ENDS, axis=-2) - joints.take(CHAIN_STARTS, axis=-2))


def squared_lengths(vectors: np.ndarray) -> np.ndarray:
    """Of vectors (..., C), C <= 3: (...). A product with ones is far faster than a sum over so short an axis."""
    return np.asarray(vectors * vectors @ _ONES[: vectors.shape[-1]])


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Of vectors (..., C), C <= 3: (...)."""
    return np.asarray(np.sqrt(squared_lengths(vectors)))


def place_root(joints_root_m: np.ndarray, rays: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the pelvis position that makes a root-relative pose agree with the rays of its visible joints.

    joints_root_m: (..., J, 3) m, axes of the camera. rays: (..., J, 2) in the camera frame, finite, of any value where
    weight is 0. weight: (..., J) >= 0, 0 = not visible. Returns root_cam_m (..., 3) float64 and placed (...) bool.
    Where placed is False (fewer than two joints with weight, all rays equal, or the best place is not in front of the
    camera) the root is 0.

    A joint at X, Y, Z from the root t is seen at u = (X + t_x) / (Z + t_z), so X - u Z = u t_z - t_x, and likewise for
    v: linear in t. Minimising the weighted squares over t_x and t_y first leaves one equation for t_z.
    """
    weight, joints = np.asarray(weight, dtype=np.float64), np.asarray(joints_root_m, dtype=np.float64)
    *people, count = weight.shape
    share = weight / np.maximum(np.add.reduce(weight, axis=-1, keepdims=True), sys.float_info.min)
    terms = np.empty((*people, count, 2, 2))  # (u, X - u Z) and (v, Y - v Z)
    terms[..., 0] = rays
    terms[..., 1] = joints[..., :2] - rays * joints[..., 2:]
    mean = (share[..., None, :] @ terms.reshape(*people, count, 4)).reshape(*people, 2, 2)
    terms -= mean[..., None, :, :]
    spread = (share[..., None] * terms[..., 0]).reshape(*people, 1, 2 * count)
    moments = spread @ terms.reshape(*people, 2 * count, 2)
    variance, covariance = moments[..., 0, 0], moments[..., 0, 1]  # 0 of a single joint
    depth = np.asarray(covariance / np.maximum(variance, _MIN_RAY_VARIANCE))
    nearest = depth + np.minimum.reduce((weight > 0) * joints[..., 2], axis=-1)  # of the pelvis, too, which is 0
    placed = np.asarray((variance > _MIN_RAY_VARIANCE) & (nearest > _NEAREST_M))
    root = np.empty((*people, 3))
    root[..., :2], root[..., 2] = mean[..., 0] * depth[..., None] - mean[..., 1], depth
    if np.count_nonzero(placed) < placed.size:
        root[~placed] = 0.0
    return root, placed
