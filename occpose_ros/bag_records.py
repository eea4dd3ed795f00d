"""What bags are made of: messages and topics, and the types that occpose knows by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rosbags.typesys.store import Typestore

from occpose_ros.message_definitions import PACKAGE

KEYPOINTS_TYPE = f"{PACKAGE}/msg/Keypoints2DArray"
SKELETONS_TYPE = f"{PACKAGE}/msg/Skeleton3DArray"
SKELETON_INFO_TYPE = f"{PACKAGE}/msg/SkeletonInfo"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
MARKERS_TYPE = "visualization_msgs/msg/MarkerArray"
TF_TYPE = "tf2_msgs/msg/TFMessage"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One message of a bag: received at `stamp_ns` (the recorder's clock, not the header's stamp).

    message: what `raw` says; None as long as nobody has unpacked it.
    """

    topic: str
    msgtype: str
    stamp_ns: int
    raw: bytes
    message: Any = None


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A topic as a bag describes it: the text and hash of its message type; whether it is for late joiners, too."""

    topic: str
    msgtype: str
    definition: str
    digest: str
    latched: bool


def channel_of(topic: str, msgtype: str, store: Typestore, latched: bool) -> Channel:
    """A topic of a type that the store knows."""
    definition, _ = store.generate_msgdef(msgtype, ros_version=2)
    digest = store.hash_rihs01(msgtype)
    return Channel(topic=topic, msgtype=msgtype, definition=definition, digest=digest, latched=latched)
