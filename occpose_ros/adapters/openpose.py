"""openpose_ros2_msgs/PoseKeyPointsList, of openpose_ros2: x, y and score of all joints of each person, without ids.

The coordinates are pixels, and a joint that was not found is 0, 0, 0. The number of joints tells the layout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from occpose_core.skeleton import Skeleton, get_skeleton
from occpose_core.types import People2D
from occpose_ros.adapters.keypoints import KeypointsArray, check_crowd, counts, joined, people_from_arrays, skeleton_of
from occpose_ros.message_types import stamp_ns_from_msg

LAYOUTS = ("body25", "openpose18")


def keypoints_from_openpose_msg(msg: Any, layout: str = "") -> KeypointsArray:
    """Read openpose_ros2_msgs/PoseKeyPointsList; `layout`, if given, is that of all people.

    Raises RejectedMessageError.
    """
    skeletons = [skeleton_of(layout)] if layout else [get_skeleton(name) for name in LAYOUTS]
    lists = [person.pose_key_points for person in msg.pose_key_points_list]
    check_crowd(len(lists))
    groups = {skeleton: [points for points in lists if len(points) == len(skeleton.joints)] for skeleton in skeletons}
    dropped = Counter(wrong_joint_count=len(lists) - sum(map(len, groups.values())))
    people = [_people(group, skeleton, dropped) for skeleton, group in groups.items() if group]
    return KeypointsArray(
        stamp_ns=stamp_ns_from_msg(msg.header.stamp),
        frame_id=msg.header.frame_id,
        layout=next((skeleton.name for skeleton, group in groups.items() if group), layout),
        width=0,
        height=0,
        people=joined(people),
        dropped=counts(dropped),
    )


def _people(lists: Sequence[Sequence[Any]], skeleton: Skeleton, dropped: Counter[str]) -> People2D:
    """People of one layout."""
    points = list(chain.from_iterable(lists))
    columns = [[point.x for point in points], [point.y for point in points], [point.score for point in points]]
    values = np.array(columns, dtype=np.float32).T.reshape(len(lists), len(skeleton.joints), 3)
    return people_from_arrays([""] * len(lists), values[..., :2], values[..., 2], skeleton, dropped)
