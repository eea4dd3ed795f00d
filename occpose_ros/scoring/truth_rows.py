"""True skeletons, whatever they come from: one row for each person and moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17, convert_joints, get_skeleton
from occpose_core.types import Origin
from occpose_ros.message_types import stamp_ns_from_msg

# Between two samples that are further apart than this, nobody knows where a joint was.
MAX_GAP_S = 0.25
_J = len(H36M17.joints)
_CLOSE_S = 1e-6  # times that differ by less are the same
# Midpoints that many systems do not give, of joints that all have.
_MIDPOINTS = (("pelvis", "hip"), ("thorax", "shoulder"))


class TruthError(OccposeError):
    """True poses cannot be read, or say nothing about the recording."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """M true people at moments, `h36m17`, in the camera's optical frame.

    stamp_ns: (M,) int64, of images. ids: M, each person's own. joints_cam_m: (M, J, 3) float64, NaN where not known.
    known: (M, J) bool, the joint counts. seen: (M, J) bool, False where the truth says that no detector can see the
    joint. named: the ids are meant to be those of the detector; else people are told apart by their place alone.
    """

    stamp_ns: np.ndarray
    ids: tuple[str, ...]
    joints_cam_m: np.ndarray
    known: np.ndarray
    seen: np.ndarray
    named: bool = True


def truth_from_msgs(messages: Sequence[Any]) -> Truth:
    """Read occpose_ros/Skeleton3DArray messages of any layout; people with another number of joints are left out.

    Raises LayoutError if a layout is not known.
    """
    rows = [(stamp_ns_from_msg(message.header.stamp), *row) for message in messages for row in _people(message)]
    joints_cam_m = np.array([pose for _, _, pose, _ in rows], dtype=np.float64).reshape(-1, _J, 3)
    return Truth(
        stamp_ns=np.array([row[0] for row in rows], dtype=np.int64),
        ids=tuple(row[1] for row in rows),
        joints_cam_m=joints_cam_m,
        known=np.asarray(np.isfinite(joints_cam_m).all(axis=-1)),
        seen=np.array([row[3] for row in rows], dtype=bool).reshape(-1, _J),
    )


def _people(message: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Of each person the id, (J, 3) joints, NaN where not known, and (J,) whether they can be seen."""
    layout = get_skeleton(message.layout or H36M17.name)
    for person in message.people:
        if len(person.position) != 3 * len(layout.joints) or len(person.origin) != len(layout.joints):
            continue
        origin = np.asarray(person.origin)[:, None]
        joints_m = np.asarray(person.position, dtype=np.float64).reshape(-1, 3)
        known = np.isfinite(joints_m).all(axis=-1, keepdims=True) & (origin != Origin.UNKNOWN)
        values = np.concatenate([np.where(known, joints_m, np.nan), origin == Origin.MEASURED], axis=-1)
        if layout is not H36M17:
            values = convert_joints(values, layout)
        yield person.id, values[:, :3], values[:, 3] == 1.0


def truth_of_people(stamps_ns: np.ndarray, people: Mapping[str, np.ndarray], *, named: bool) -> Truth:
    """Truth of poses at the stamps of all images.

    stamps_ns: (T,). people: id -> (T, J, 3) m in the camera's frame, NaN where not known. A pelvis or thorax that is
    not known is the middle of the hips or shoulders. Moments at which nothing is known of a person are left out.
    """
    joints_m = np.concatenate([np.zeros((0, _J, 3)), *(_with_midpoints(pose_m) for pose_m in people.values())])
    known = np.isfinite(joints_m).all(axis=-1)
    there = known.any(axis=-1)
    ids = np.repeat(np.array(list(people), dtype=object), len(stamps_ns))
    return Truth(
        stamp_ns=np.tile(stamps_ns, len(people))[there],
        ids=tuple(ids[there]),
        joints_cam_m=np.where(known[..., None], joints_m, np.nan)[there],
        known=known[there],
        seen=np.ones_like(known[there]),
        named=named,
    )


def _with_midpoints(joints_m: np.ndarray) -> np.ndarray:
    joints_m = joints_m.copy()
    for name, ends in _MIDPOINTS:
        index = H36M17.index(name)
        middle = joints_m[:, H36M17.indices(f"left_{ends}", f"right_{ends}")].mean(axis=1)
        joints_m[:, index] = np.where(np.isfinite(joints_m[:, index]), joints_m[:, index], middle)
    return joints_m


def interpolate(times_s: np.ndarray, samples: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """Samples at other times, linearly; NaN outside, in gaps longer than MAX_GAP_S, and beside samples that are NaN.

    times_s: (T,), growing. samples: (T, ...). at_s: (M,). Returns (M, ...) float64.
    """
    samples = np.asarray(samples, dtype=np.float64)
    shape = (len(at_s), *(1 for _ in samples.shape[1:]))
    if not len(times_s):
        return np.full((len(at_s), *samples.shape[1:]), np.nan)
    after = np.clip(np.searchsorted(times_s, at_s), 0, len(times_s) - 1)
    before = np.where(times_s[after] > at_s, np.maximum(after - 1, 0), after)
    step = times_s[after] - times_s[before]
    share = np.where(step > 0, (at_s - times_s[before]) / np.where(step > 0, step, 1.0), 0.0)
    near = (times_s[before] <= at_s + _CLOSE_S) & (times_s[after] >= at_s - _CLOSE_S) & (step <= MAX_GAP_S)
    first, second = samples[before], samples[after]
    share = share.reshape(shape)
    return np.where(near.reshape(shape), first + share * (second - first), np.nan)
