"""hri_msgs/Skeleton2D of ROS4HRI (REP-155): a topic for each body, coordinates as shares of the image.

The joints are those of OpenPose, but eyes and ears come left first. Joints beyond the image's border have coordinates
below 0 or above 1 and are kept. The message does not say how large the image is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from occpose_ros.adapters.keypoints import KeypointsArray, check_crowd, counts, people_from_arrays, skeleton_of
from occpose_ros.message_types import stamp_ns_from_msg

LAYOUT = "hri18"


@dataclass(frozen=True, kw_only=True, eq=False)
class Bodies:
    """All bodies of one image: id -> hri_msgs/Skeleton2D. header: of one of them, or of the list that names nobody."""

    header: Any
    bodies: Mapping[str, Any]


def keypoints_from_hri_bodies(msg: Bodies, layout: str = "") -> KeypointsArray:
    """Read the skeletons of one image; `layout`, if given, replaces `hri18`. Raises RejectedMessageError."""
    skeleton = skeleton_of(layout or LAYOUT)
    check_crowd(len(msg.bodies))
    frame_id = msg.header.frame_id if msg.bodies else ""
    ours = {id: body for id, body in msg.bodies.items() if body.header.frame_id == frame_id}
    fitting = {id: body.skeleton for id, body in ours.items() if len(body.skeleton) == len(skeleton.joints)}
    dropped = Counter(frame_id=len(msg.bodies) - len(ours), wrong_joint_count=len(ours) - len(fitting))
    points = list(chain.from_iterable(fitting.values()))
    columns = [[point.x for point in points], [point.y for point in points], [point.c for point in points]]
    values = np.array(columns, dtype=np.float32).T.reshape(len(fitting), len(skeleton.joints), 3)
    return KeypointsArray(
        stamp_ns=stamp_ns_from_msg(msg.header.stamp),
        frame_id=frame_id,
        layout=skeleton.name,
        width=0,
        height=0,
        people=people_from_arrays(list(fitting), values[..., :2], values[..., 2], skeleton, dropped),
        normalised=True,
        dropped=counts(dropped),
    )
