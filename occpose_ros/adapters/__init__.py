"""Foreign messages to occpose's own types and back: the only place that knows how a message spells a person."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from occpose_ros.adapters.camera import assumed_camera, camera_from_msg, read_camera
from occpose_ros.adapters.hri import Bodies, keypoints_from_hri_bodies
from occpose_ros.adapters.keypoints import (
    MAX_PEOPLE_IN_MESSAGE,
    KeypointsArray,
    RejectedMessageError,
    match_camera,
    people_from_arrays,
)
from occpose_ros.adapters.occpose import keypoints_from_occpose_msg
from occpose_ros.adapters.openpose import keypoints_from_openpose_msg
from occpose_ros.adapters.skeletons import (
    confidence_of_sigma,
    filled_keypoints_to_msg,
    finite_skeletons,
    skeleton_info_to_msg,
    skeletons_to_msg,
)
from occpose_ros.adapters.yolo import keypoints_from_yolo_msg
from occpose_ros.adapters.zed import keypoints_from_zed_msg


class Family(NamedTuple):
    """One message family: msgtype, as in "package/msg/Type", and read(msg, layout) -> KeypointsArray.

    What is read is a message of that type, or for `hri` all those of one image (`Bodies`).
    """

    msgtype: str
    read: Callable[[Any, str], KeypointsArray]


INPUTS: dict[str, Family] = {
    "occpose": Family("occpose_ros/msg/Keypoints2DArray", keypoints_from_occpose_msg),
    "yolo": Family("yolo_msgs/msg/DetectionArray", keypoints_from_yolo_msg),
    "hri": Family("hri_msgs/msg/Skeleton2D", keypoints_from_hri_bodies),
    "zed": Family("zed_msgs/msg/ObjectsStamped", keypoints_from_zed_msg),
    "openpose": Family("openpose_ros2_msgs/msg/PoseKeyPointsList", keypoints_from_openpose_msg),
}


def reader_of(family: str, first_joint_id: int = 1) -> Callable[[Any, str], KeypointsArray]:
    """What reads the messages of a family: msg, layout -> KeypointsArray. first_joint_id: see the adapter of yolo."""
    if family == "yolo":
        return partial(keypoints_from_yolo_msg, first_joint_id=first_joint_id)
    return INPUTS[family].read


__all__ = [
    "INPUTS",
    "MAX_PEOPLE_IN_MESSAGE",
    "Bodies",
    "Family",
    "KeypointsArray",
    "RejectedMessageError",
    "assumed_camera",
    "camera_from_msg",
    "confidence_of_sigma",
    "filled_keypoints_to_msg",
    "finite_skeletons",
    "keypoints_from_hri_bodies",
    "keypoints_from_occpose_msg",
    "keypoints_from_openpose_msg",
    "keypoints_from_yolo_msg",
    "keypoints_from_zed_msg",
    "match_camera",
    "people_from_arrays",
    "read_camera",
    "reader_of",
    "skeleton_info_to_msg",
    "skeletons_to_msg",
]
