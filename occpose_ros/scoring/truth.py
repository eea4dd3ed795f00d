"""True skeletons, whatever they come from: one row for each person and moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_core.types import Origin
from occpose_ros.message_types import stamp_ns_from_msg

_J = len(H36M17.joints)


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """M true people at moments, `h36m17`, in the camera's optical frame.

    stamp_ns: (M,) int64, of images. ids: M, each person's own. joints_cam_m: (M, J, 3) float64, NaN where not known.
    seen: (M, J) bool, False where the truth says that no detector can see the joint. named: the ids are meant to be
    those of the detector; else people are told apart by their place alone.
    """

    stamp_ns: np.ndarray
    ids: tuple[str, ...]
    joints_cam_m: np.ndarray
    seen: np.ndarray
    named: bool = True


def truth_from_msgs(messages: Sequence[Any]) -> Truth:
    """Read occpose_ros/Skeleton3DArray messages; people whose arrays are not of h36m17 are left out."""
    rows = [
        (stamp_ns_from_msg(message.header.stamp), person)
        for message in messages
        for person in message.people
        if len(person.position) == 3 * _J and len(person.origin) == _J
    ]
    joints_m = np.array([person.position for _, person in rows], dtype=np.float64).reshape(-1, _J, 3)
    origin = np.array([person.origin for _, person in rows], dtype=np.uint8).reshape(-1, _J)
    known = np.isfinite(joints_m).all(axis=-1, keepdims=True) & (origin != Origin.UNKNOWN)[..., None]
    return Truth(
        stamp_ns=np.array([stamp_ns for stamp_ns, _ in rows], dtype=np.int64),
        ids=tuple(person.id for _, person in rows),
        joints_cam_m=np.where(known, joints_m, np.nan),
        seen=origin == Origin.MEASURED,
    )
