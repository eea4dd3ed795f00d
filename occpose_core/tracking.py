"""Who is seen: how badly keypoints fit where known people are expected, and the assignment that fits best.

All misfits are -2 log likelihoods, up to a constant: a difference of 14 is odds of a thousand to one.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

# How far real people are from where they are predicted, as standard deviations at once and for each second unseen (m),
# from simulated crowds with the motion of real walkers, and half as much again for people who turn and stop.
_PLACE_M, _PLACE_MPS = 0.03, 0.4  # of the whole person
_SHAPE_M, _SHAPE_MPS = 0.04, 0.15  # of the joints around their centre
_SHAPE_FREEDOM = 2.0  # a pose errs in as many independent directions as this, if all joints are visible

# A misfit above this is somebody new. It leaves 0.2 m to a person seen a frame ago, and 1.2 m after 0.8 s.
STRANGER = 26.0
# Of two names for a person the detector's own counts for odds of 150 to 1. Twice that must speak for an exchange.
DETECTOR = 10.0


def median_m(rays: np.ndarray, visible: np.ndarray, expected: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
    """(R,) median distance of the visible joints from where they are expected, metres at that depth; 0 of none.

    rays, expected: (R, J, 2). visible: (R, J). depth_m: (R,) of the expected person.
    """
    away_m = np.linalg.norm(rays - expected, axis=-1) * depth_m[:, None]
    ordered = np.sort(np.where(visible, away_m, np.inf), axis=-1)
    joints = visible.sum(axis=-1)
    median = ordered[np.arange(len(ordered)), np.maximum(joints - 1, 0) // 2]
    return np.asarray(np.where(joints > 0, median, 0.0))


def misfit(
    rays: np.ndarray, visible: np.ndarray, expected: np.ndarray, depth_m: np.ndarray, since_s: np.ndarray
) -> np.ndarray:
    """How badly seen joints fit a person's prediction, >= 0; leading axes (...) are broadcast.

    rays, expected: (..., J, 2). visible: (..., J). depth_m, since_s: (...) of the prediction. Place and shape count
    apart: a hidden person walks on, but keeps their size and hardly changes their pose.
    """
    joints = np.maximum(visible.sum(axis=-1), 1)
    away_m = np.where(visible[..., None], (rays - expected) * depth_m[..., None, None], 0.0)
    shift_m = away_m.sum(axis=-2) / joints[..., None]
    square_m = (shift_m**2).sum(axis=-1)
    shape_m = np.maximum((away_m**2).sum(axis=(-1, -2)) / joints - square_m, 0.0)
    shape_var = (_SHAPE_M + _SHAPE_MPS * since_s) ** 2
    place_var = (_PLACE_M + _PLACE_MPS * since_s) ** 2 + shape_var / joints
    freedom = _SHAPE_FREEDOM * visible.mean(axis=-1)
    vague = 2.0 * np.log1p(_PLACE_MPS / _PLACE_M * since_s) * 2.0
    vague = vague + 2.0 * freedom * np.log1p(_SHAPE_MPS / _SHAPE_M * since_s)
    return np.asarray(square_m / place_var + freedom * shape_m / shape_var + vague)


def assign(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (person seen, person known) of the assignment with the largest sum of gains (P, N) above 0."""
    seen, known = linear_sum_assignment(np.maximum(gain, 0.0), maximize=True)
    worth = gain[seen, known] > 0
    return seen[worth], known[worth]
