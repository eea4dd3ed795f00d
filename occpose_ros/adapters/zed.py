"""zed_msgs/ObjectsStamped, of the ZED wrapper's body tracking: the 2D skeletons, in pixels of the camera's left image.

Each skeleton has room for 70 joints, of which its format uses the first 18, 34 or 38. A hidden joint is NaN, in older
versions of the SDK negative or (0, 0). There are no scores of joints: a visible one has the score of its person.

The header names the frame of the 3D skeletons, which is not the optical frame of CameraInfo, so it says nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from occpose_core.skeleton import Skeleton
from occpose_core.types import People2D
from occpose_ros.adapters.keypoints import KeypointsArray, check_crowd, counts, joined, people_from_arrays, skeleton_of
from occpose_ros.message_types import stamp_ns_from_msg

LAYOUTS = {0: "zed18", 1: "zed34", 2: "zed38"}  # by body_format
_OK, _OFF = 1, 0  # of tracking_state; the others say that the person was not seen in this image, only predicted
_UNTRACKED = -1
_FULL_CONFIDENCE = 100.0


def keypoints_from_zed_msg(msg: Any, layout: str = "") -> KeypointsArray:
    """Read zed_msgs/ObjectsStamped; `layout`, if given, replaces those of the formats. Raises RejectedMessageError.

    A person whom the camera has lost and only predicts (SEARCHING, TERMINATE) is left out, for a prediction is no
    measurement: occpose predicts people itself, and says so.
    """
    check_crowd(len(msg.objects))
    dropped: Counter[str] = Counter()
    with_skeleton = [person for person in msg.objects if person.skeleton_available]
    seen = [person for person in with_skeleton if person.tracking_state in (_OK, _OFF)]
    dropped.update(no_skeleton=len(msg.objects) - len(with_skeleton), predicted=len(with_skeleton) - len(seen))
    groups: dict[str, list[Any]] = {}
    for person in seen:
        groups.setdefault(layout or LAYOUTS.get(person.body_format, ""), []).append(person)
    dropped["unknown_body_format"] = len(groups.pop("", ()))
    people = [_people(group, skeleton_of(name), dropped) for name, group in groups.items()]
    return KeypointsArray(
        stamp_ns=stamp_ns_from_msg(msg.header.stamp),
        frame_id="",
        layout=layout or next(iter(groups), ""),
        width=0,
        height=0,
        people=joined(people),
        dropped=counts(dropped),
    )


def _people(people: Sequence[Any], skeleton: Skeleton, dropped: Counter[str]) -> People2D:
    """People of one layout."""
    joints = len(skeleton.joints)
    # each joint is an array of two float32, so this is one copy
    raw = b"".join([joint.kp for person in people for joint in person.skeleton_2d.keypoints[:joints]])
    xy_px = np.frombuffer(raw, dtype=np.float32).reshape(len(people), joints, 2)
    hidden = ~np.isfinite(xy_px).all(axis=-1) | (xy_px < 0).any(axis=-1) | (xy_px == 0).all(axis=-1)
    confidence = np.array([person.confidence for person in people], dtype=np.float32) / _FULL_CONFIDENCE
    return people_from_arrays(
        [_id(person) for person in people], xy_px, np.where(hidden, 0.0, confidence[:, None]), skeleton, dropped
    )


def _id(person: Any) -> str:
    tracked = person.tracking_available and person.tracking_state != _OFF and person.label_id != _UNTRACKED
    return str(person.label_id) if tracked else ""
