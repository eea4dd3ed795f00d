"""What a model must beat where joints are hidden: its own last answer held, or moved on at constant velocity.

A baseline uses the model's own answers for joints while they were seen, and nothing else; a joint never seen so far
gets the training-mean pose.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

VELOCITY_S = 0.2  # velocity is taken over so long a time before the joint was hidden: one frame pair is mostly noise


@lru_cache(maxsize=1)
def mean_pose_view_m() -> np.ndarray:
    """(17, 3) m: mean of the training poses in person-view axes, pelvis at 0; the `mean_pose` baseline."""
    return np.asarray(np.load(Path(__file__).parent / "weights" / "mean_pose.npy", allow_pickle=False))


def hold(answers_m: np.ndarray, last: np.ndarray, never_m: np.ndarray) -> np.ndarray:
    """Each joint as it was answered when last seen.

    answers_m: (F, J, 3) own answers. last: (N, J) frame of each joint's last sight, -1 for none (clips.last_seen).
    never_m: (N, J, 3) for joints never seen. Returns (N, J, 3).
    """
    held = np.take_along_axis(answers_m, np.maximum(last, 0)[..., None], axis=0)
    return np.where(last[..., None] >= 0, held, never_m)


def constant_velocity(
    answers_m: np.ndarray, last: np.ndarray, before: np.ndarray, now: np.ndarray, never_m: np.ndarray
) -> np.ndarray:
    """Each joint moved on from its last sight at the velocity that it had from frame `before` to then.

    answers_m, last, never_m: as for hold. before: (N, J) earlier frames (equal to `last`: no velocity is known).
    now: (N,) frame of each result. Returns (N, J, 3).
    """
    held = hold(answers_m, last, never_m)
    earlier = np.take_along_axis(answers_m, np.maximum(before, 0)[..., None], axis=0)
    step = (held - earlier) / np.maximum(last - before, 1)[..., None]
    return np.where((last > before)[..., None], held + step * (now[:, None] - last)[..., None], held)


def velocity_start(last: np.ndarray, start: np.ndarray, rate_hz: float) -> np.ndarray:
    """(N, J) frame VELOCITY_S before each joint's last sight, but in its clip; -1 for joints never seen."""
    return np.where(last >= 0, np.maximum(last - max(1, round(VELOCITY_S * rate_hz)), start[:, None]), -1)
