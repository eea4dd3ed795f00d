"""Who is seen: how badly keypoints fit where known people are expected, and the assignment that fits best.

All misfits are -2 log likelihoods, up to a constant: a difference of 14 is odds of a thousand to one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from occpose_core.geometry import lengths, squared_lengths
from occpose_core.skeleton import H36M17

# How far real people are from where they are predicted, as standard deviations at once and for each second unseen (m),
# from simulated crowds with the motion of real walkers, rounded up for cameras that move and people who turn and stop.
_PLACE_M, _PLACE_MPS = 0.05, 0.4  # of the whole person
_SHAPE_M, _SHAPE_MPS = 0.05, 0.15  # of the joints around their centre
_ONES = np.ones(2 * len(H36M17.joints))
_SHAPE_FREEDOM = 2.0  # a pose errs in as many independent directions as this, if all joints are visible

# A misfit above this is somebody new. It leaves 0.3 m to a person seen a frame ago, and 1.2 m after 0.8 s.
STRANGER = 26.0
# The detector's ids are right so often before it has shown how often; of the last so many people seen it has.
_RIGHT, _WRONG = 150.0, 1.0
_REMEMBERED = 500.0
_BELIEVED = 10.0  # odds; a detector whose ids are right in nine of ten cases has tracks and not numbers


class Trust:
    """How much the detector's ids count: as the odds that they are right, which it has shown lately."""

    def __init__(self) -> None:
        self._right = self._wrong = 0.0

    @property
    def odds(self) -> float:
        """That the detector's id is right, to one that it is wrong."""
        return (self._right + _RIGHT) / (self._wrong + _WRONG)

    @property
    def bonus(self) -> float:
        """What a misfit loses if the detector's id says the same."""
        return 2.0 * math.log(min(max(self.odds, 1.0), _RIGHT))

    @property
    def believed(self) -> bool:
        """Whether the id alone makes somebody a known person, if they are near enough."""
        return self.odds >= _BELIEVED

    def learn(self, right: int, wrong: int) -> None:
        """So many ids were found with their bearers, so many elsewhere."""
        kept = (1.0 - 1.0 / _REMEMBERED) ** (right + wrong)
        self._right, self._wrong = kept * self._right + right, kept * self._wrong + wrong


@dataclass(frozen=True, kw_only=True, eq=False)
class Expected:
    """Where people are expected: rays (N, J, 2), depth_m (N,) of their roots, since_s (N,) they were last seen."""

    rays: np.ndarray
    depth_m: np.ndarray
    since_s: np.ndarray

    def at(self, rows: np.ndarray) -> Expected:
        """Some of them."""
        return Expected(rays=self.rays[rows], depth_m=self.depth_m[rows], since_s=self.since_s[rows])


def median_m(rays: np.ndarray, visible: np.ndarray, expected: Expected) -> np.ndarray:
    """(N,) median distance of the visible joints (N, J, 2), (N, J) from where they are expected; 0 of none."""
    away_m = lengths(_away_m(rays, visible, expected))
    ordered = np.sort(np.where(visible, away_m, np.inf), axis=-1)
    joints = visible.sum(axis=-1)
    median = ordered[np.arange(len(ordered)), np.maximum(joints - 1, 0) // 2]
    return np.asarray(np.where(joints > 0, median, 0.0))


def surely_fit(rays: np.ndarray, visible: np.ndarray, shown: np.ndarray, expected: Expected, most: float) -> np.ndarray:
    """(N,) bool: people whose misfit is at most `most`, but for a few of them, who need a closer look.

    rays: (N, J, 2). visible: (N, J) bool. shown: (N,) how many are. Costs half of `misfit`, by a bound: what place and
    shape err adds up to the mean square of the distances, so it weighs at most what the heavier of them would, at the
    shortest time unseen; and everybody is as vague as after the longest.
    """
    square_sum = _square_sum(_away_m(rays, visible, expected))
    since_s = expected.since_s.tolist()
    place_sd, shape_sd = _PLACE_M + _PLACE_MPS * min(since_s), _SHAPE_M + _SHAPE_MPS * min(since_s)
    left = most - _vague(max(since_s), _SHAPE_FREEDOM)
    if_place = left * place_sd**2 * shown
    if_shape = left * shape_sd**2 * visible.shape[-1] / _SHAPE_FREEDOM  # joints cancel out: each adds freedom
    return np.asarray(square_sum <= np.minimum(if_place, if_shape))


def misfit(rays: np.ndarray, visible: np.ndarray, expected: Expected) -> np.ndarray:
    """How badly seen joints (..., N, J, 2), (..., N, J) fit where N people are expected: (..., N) >= 0, 0 of none.

    Place and shape count apart: a hidden person walks on, but keeps their size and hardly changes their pose.
    """
    since_s, shown = expected.since_s, visible.sum(axis=-1)
    joints = np.maximum(shown, 1)
    away_m = _away_m(rays, visible, expected)
    shift_sq = squared_lengths(away_m.sum(axis=-2) / joints[..., None])
    shape_sq = np.maximum(_square_sum(away_m) / joints - shift_sq, 0.0)
    shape_var = (_SHAPE_M + _SHAPE_MPS * since_s) ** 2
    place_var = (_PLACE_M + _PLACE_MPS * since_s) ** 2 + shape_var / joints
    freedom = _SHAPE_FREEDOM / visible.shape[-1] * shown
    fit = shift_sq / place_var + freedom * shape_sq / shape_var + _vague(since_s, freedom)
    return np.asarray(np.where(shown > 0, fit, 0.0))


def _away_m(rays: np.ndarray, visible: np.ndarray, expected: Expected) -> np.ndarray:
    """(..., N, J, 2) how far visible joints are from where they are expected, at the depth of the root; 0 of others."""
    return np.asarray((rays - expected.rays) * (expected.depth_m[:, None] * visible)[..., None])


def _square_sum(away_m: np.ndarray) -> np.ndarray:
    """(..., N) sum of the squares of (..., N, J, 2)."""
    return np.asarray(np.square(away_m).reshape(*away_m.shape[:-2], len(_ONES)) @ _ONES)


def _vague(since_s: np.ndarray | float, freedom: np.ndarray | float) -> np.ndarray | float:
    """What people lose for having been unseen so long that they fit many places and shapes."""
    place, shape = np.log1p(_PLACE_MPS / _PLACE_M * since_s), np.log1p(_SHAPE_MPS / _SHAPE_M * since_s)
    return 4.0 * place + 2.0 * freedom * shape


def load_solver() -> None:
    """Load SciPy, which `assign` needs, so that the first people who have to be assigned do not wait 0.3 s for it."""
    import scipy.optimize  # noqa: F401


def assign(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (person seen, person known) of the assignment with the largest sum of gains (P, N) above 0."""
    from scipy.optimize import linear_sum_assignment

    seen, known = linear_sum_assignment(np.maximum(gain, 0.0), maximize=True)
    worth = gain[seen, known] > 0
    return seen[worth], known[worth]
