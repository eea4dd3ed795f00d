"""ROS message constructors for two worlds: rclpy (the node) and the `rosbags` library (replay without ROS).

Adapters and markers take a `MessageTypes` and build messages that are alike in both. Two differences are hidden here:
rosbags constructors have no default values, so builders always pass every field by keyword; and a primitive sequence
is an `array.array` in rclpy (the one type that it takes without looking at each element, and the only one besides
lists that passes ROS_PYTHON_CHECK_FIELDS=1), but a numpy array in rosbags.
"""

from __future__ import annotations

import array
import importlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.errors import OccposeError

NANOSECONDS = 1_000_000_000
# Topics of skeletons that begin so are true ones, not answers.
TRUTH_PREFIX = "/ground_truth"
# The stamp of a header that a serialised message begins with, behind four bytes that say "little-endian".
_CDR_STAMP, _CDR_STAMP_AT = struct.Struct("<iI"), 4
_PACKAGES = {
    "builtin_interfaces": ("Time", "Duration"),
    "std_msgs": ("Header", "ColorRGBA"),
    "geometry_msgs": ("Point", "Vector3", "Quaternion", "Pose"),
    "sensor_msgs": ("CameraInfo", "CompressedImage", "RegionOfInterest"),
    "visualization_msgs": ("Marker", "MarkerArray", "MeshFile"),
    "occpose_ros": ("Keypoints2D", "Keypoints2DArray", "Skeleton3D", "Skeleton3DArray", "SkeletonInfo"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class MessageTypes:
    """Constructors of all messages that occpose builds.

    sequence: makes the value of a primitive sequence field from a numpy array of the field's element type, of any shape
    (flattened in row order).
    """

    Time: Callable[..., Any]
    Duration: Callable[..., Any]
    Header: Callable[..., Any]
    ColorRGBA: Callable[..., Any]
    Point: Callable[..., Any]
    Vector3: Callable[..., Any]
    Quaternion: Callable[..., Any]
    Pose: Callable[..., Any]
    CameraInfo: Callable[..., Any]
    CompressedImage: Callable[..., Any]
    RegionOfInterest: Callable[..., Any]
    Marker: Any  # a class: its constants are needed too
    MarkerArray: Callable[..., Any]
    MeshFile: Callable[..., Any]
    Keypoints2D: Callable[..., Any]
    Keypoints2DArray: Callable[..., Any]
    Skeleton3D: Callable[..., Any]
    Skeleton3DArray: Callable[..., Any]
    SkeletonInfo: Callable[..., Any]
    sequence: Callable[[np.ndarray], Any]

    @classmethod
    def from_rclpy(cls) -> MessageTypes:
        """The message classes of the ROS installation; ImportError if one of their packages is not there."""
        modules = {package: importlib.import_module(f"{package}.msg") for package in _PACKAGES}
        found = {name: getattr(modules[package], name) for package, names in _PACKAGES.items() for name in names}
        return cls(**found, sequence=_array_sequence)

    @classmethod
    def from_rosbags(cls, typestore: Any) -> MessageTypes:
        """The message classes of a rosbags typestore in which occpose's own messages are registered."""
        found = {name: typestore.types[f"{pkg}/msg/{name}"] for pkg, names in _PACKAGES.items() for name in names}
        return cls(**found, sequence=_numpy_sequence)


def _array_sequence(values: np.ndarray) -> array.array[Any]:
    """numpy's type characters b, B, i, f, d are those of array.array."""
    return array.array(values.dtype.char, values.tobytes())


def _numpy_sequence(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1)


class MissingMessagesError(OccposeError):
    """A package of messages is not installed."""


def message_class(name: str) -> Any:
    """The rclpy class of a message or service, "std_msgs/msg/Header"; MissingMessagesError if its package lacks."""
    package, folder, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{folder}"), kind)
    except ImportError:
        raise MissingMessagesError(
            f"the message package {package} is not there: install it, by apt if your distribution has"
            f" ros-$ROS_DISTRO-{package.replace('_', '-')}, else build it, and source the setup file of its workspace"
        ) from None


def stamp_ns_from_msg(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def stamp_ns_from_cdr(raw: bytes) -> int:
    """Nanoseconds of the stamp of a serialised message that begins with a header; nothing else is unpacked."""
    sec, nanosec = _CDR_STAMP.unpack_from(raw, _CDR_STAMP_AT)
    return int(sec) * NANOSECONDS + int(nanosec)


def cdr_behind_stamp(raw: bytes) -> bytes:
    """What a serialised message that begins with a header says besides its stamp."""
    return raw[:_CDR_STAMP_AT] + raw[_CDR_STAMP_AT + _CDR_STAMP.size :]


def stamp_cdr(raw: bytearray, stamp_ns: int) -> None:
    """Give a serialised message that begins with a header another stamp, in place."""
    _CDR_STAMP.pack_into(raw, _CDR_STAMP_AT, *divmod(stamp_ns, NANOSECONDS))


def stamp_to_msg(stamp_ns: int, types: MessageTypes) -> Any:
    """builtin_interfaces/Time of nanoseconds."""
    sec, nanosec = divmod(stamp_ns, NANOSECONDS)
    return types.Time(sec=sec, nanosec=nanosec)


def header_to_msg(stamp_ns: int, frame_id: str, types: MessageTypes) -> Any:
    """std_msgs/Header."""
    return types.Header(stamp=stamp_to_msg(stamp_ns, types), frame_id=frame_id)
