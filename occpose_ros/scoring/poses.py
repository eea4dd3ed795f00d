"""Root-relative poses of the answers and of their baselines.

The baselines use the system's own answers: a joint as it was answered when last measured (hold), moved on at constant
velocity, and the training-mean pose turned to the person. A joint never measured before has the mean pose in all three.
"""

from __future__ import annotations

import numpy as np

from occpose_core.baselines import constant_velocity, hold, mean_pose_view_m, velocity_start
from occpose_core.camera import rays_from_cam, view_of
from occpose_core.skeleton import H36M17
from occpose_core.types import Origin
from occpose_ros.scoring.pairs import Pairs

_PELVIS = H36M17.index("pelvis")
# A longer gap between two answers about a person counts as one of this length: of what is further back, no baseline
# tells anything, and a clock that jumps must not ask for a frame of every moment between.
_LONGEST_GAP_S = 60.0


def root_relative(joints_cam_m: np.ndarray) -> np.ndarray:
    """(..., J, 3) from the pelvis, in the camera's axes."""
    return joints_cam_m - joints_cam_m[..., _PELVIS : _PELVIS + 1, :]


def baselines(pairs: Pairs) -> dict[str, np.ndarray]:
    """Root-relative poses (N, J, 3), camera axes, of each baseline."""
    answers_m = root_relative(pairs.joints_cam_m)
    never_m = _mean_pose_cam_m(pairs.joints_cam_m)
    found = {"mean_pose": never_m, "hold": never_m.copy(), "constant_velocity": never_m.copy()}
    for run in pairs.runs():
        frame = frame_numbers(pairs.stamp_ns[run], pairs.frame_ns)
        # Answers on a regular grid of frames; a gap holds the answer before it.
        row_of_frame = np.searchsorted(frame, np.arange(frame[-1] + 1), side="right") - 1
        grid_m = answers_m[run][row_of_frame]
        last = _last_measured(pairs.origin[run] == Origin.MEASURED, frame)
        before = velocity_start(last, np.zeros(len(frame), dtype=np.int64), 1e9 / pairs.frame_ns)
        found["hold"][run] = hold(grid_m, last, never_m[run])
        found["constant_velocity"][run] = constant_velocity(grid_m, last, before, frame, never_m[run])
    return found


def unmeasured_s(pairs: Pairs) -> np.ndarray:
    """(N, J) time since each joint was last measured, 0 where it is now, NaN where it never was."""
    found = np.full(pairs.origin.shape, np.nan)
    for run in pairs.runs():
        stamp_ns = pairs.stamp_ns[run]
        row = np.arange(len(stamp_ns))
        last = _last_measured(pairs.origin[run] == Origin.MEASURED, row)
        since_s = (stamp_ns[:, None] - stamp_ns[np.maximum(last, 0)]) * 1e-9
        found[run] = np.where(last >= 0, since_s, np.nan)
    return found


def second_difference(pairs: Pairs, joints_m: np.ndarray) -> np.ndarray:
    """(N, J) length of the second difference over this frame and the two before, NaN where a frame is missing."""
    found = np.full(joints_m.shape[:-1], np.nan)
    for run in pairs.runs():
        regular = np.abs(np.diff(pairs.stamp_ns[run]) - pairs.frame_ns) < 0.2 * pairs.frame_ns
        lengths = np.linalg.norm(np.diff(joints_m[run], n=2, axis=0), axis=-1)
        found[run][2:] = np.where((regular[:-1] & regular[1:])[:, None], lengths, np.nan)
    return found


def frame_numbers(stamps_ns: np.ndarray, frame_ns: float) -> np.ndarray:
    """(T,) numbers of frames from 0, of stamps (T,) that grow; a gap of more than a minute counts as one."""
    steps = np.rint((stamps_ns - stamps_ns[:1]) / frame_ns).astype(np.int64)
    longest = max(1, round(_LONGEST_GAP_S * 1e9 / frame_ns))
    return np.concatenate([steps[:1], np.cumsum(np.minimum(np.diff(steps), longest))])


def _last_measured(measured: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """(T, J) frame in which each joint was last measured, -1 for never."""
    return np.asarray(np.maximum.accumulate(np.where(measured, frame[:, None], -1), axis=0))


def _mean_pose_cam_m(joints_cam_m: np.ndarray) -> np.ndarray:
    """(N, J, 3) the training-mean pose, turned from the view of each answered person to the camera's axes."""
    rays = rays_from_cam(joints_cam_m)
    return view_of(rays, np.ones(rays.shape[:-1], dtype=bool)).to_cam(mean_pose_view_m()[None].astype(np.float64))
