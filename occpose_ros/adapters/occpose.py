"""occpose_ros/Keypoints2DArray: our own message, any layout that occpose knows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from occpose_ros.adapters.keypoints import KeypointsArray, check_crowd, counts, people_from_arrays, skeleton_of
from occpose_ros.message_types import stamp_ns_from_msg


def keypoints_from_occpose_msg(msg: Any, layout: str = "") -> KeypointsArray:
    """Read occpose_ros/Keypoints2DArray; `layout`, if given, replaces the message's. Raises RejectedMessageError."""
    skeleton = skeleton_of(layout or msg.layout)
    check_crowd(len(msg.people))
    joints = len(skeleton.joints)
    fitting = [person for person in msg.people if len(person.xy) == 2 * joints and len(person.score) == joints]
    dropped = Counter(wrong_joint_count=len(msg.people) - len(fitting))
    # in both worlds of messages each array is a buffer of float32, so this is one copy
    raw = b"".join(values for person in fitting for values in (person.xy, person.score))
    values = np.frombuffer(raw, dtype=np.float32).reshape(len(fitting), 3 * joints)
    xy_px, score = values[:, : 2 * joints].reshape(-1, joints, 2), values[:, 2 * joints :]
    people = people_from_arrays([person.id for person in fitting], xy_px, score, skeleton, dropped)
    return KeypointsArray(
        stamp_ns=stamp_ns_from_msg(msg.header.stamp),
        frame_id=msg.header.frame_id,
        layout=skeleton.name,
        width=int(msg.width),
        height=int(msg.height),
        people=people,
        dropped=counts(dropped),
    )
