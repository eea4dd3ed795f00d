"""Small recordings for the viewer's tests: somebody who walks to the right at 1 m/s, and somebody who stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from occpose_ros.adapters import skeletons_to_msg
from occpose_ros.bag import BagWriter, typestore
from occpose_ros.message_types import NANOSECONDS, MessageTypes, header_to_msg
from tests.ros.people import FRAME_ID, camera_info_msg, skeleton

BEGIN_NS = 1_700_000_000 * NANOSECONDS
RATE_HZ = 30
_TYPES = MessageTypes.from_rosbags(typestore())


def skeletons_msg(seconds: float, people: int = 2) -> Any:
    """The first walks to the right at 1 m/s, whose left wrist is hidden; the others stand behind each other."""
    walker = skeleton("walker", x_m=seconds, hidden=("left_wrist",))
    others = [skeleton(f"{number}", x_m=-1.0) for number in range(1, people)]
    stamp_ns = BEGIN_NS + round(seconds * NANOSECONDS)
    return skeletons_to_msg([walker, *others], [], stamp_ns=stamp_ns, frame_id=FRAME_ID, types=_TYPES)


def tf_msg(seconds: float, parent: str, child: str, x_m: float, z_m: float) -> Any:
    """A TFMessage: the child stands there, and looks along x as an optical frame does."""
    types = typestore().types
    header = header_to_msg(BEGIN_NS + round(seconds * NANOSECONDS), parent, _TYPES)
    turn = _TYPES.Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)
    place = _TYPES.Vector3(x=x_m, y=0.0, z=z_m)
    transform = types["geometry_msgs/msg/Transform"](translation=place, rotation=turn)
    stamped = types["geometry_msgs/msg/TransformStamped"](header=header, child_frame_id=child, transform=transform)
    return types["tf2_msgs/msg/TFMessage"](transforms=[stamped])


def write_bag(path: Path, seconds: Sequence[float], people: int = 2, *, moving_camera: bool = False) -> Path:
    """Skeletons at some seconds, CameraInfo with the first; with a camera that moves forward at 1 m/s, 2 m high."""
    with BagWriter(path) as bag:
        for place, second in enumerate(seconds):
            stamp_ns = BEGIN_NS + round(second * NANOSECONDS)
            if not place:
                bag.write("/camera_info", camera_info_msg(_TYPES), stamp_ns)
            if moving_camera:
                bag.write("/tf", tf_msg(second, "map", FRAME_ID, x_m=second, z_m=2.0), stamp_ns)
            bag.write("/skeletons", skeletons_msg(second, people), stamp_ns)
    return path


def steadily(duration_s: float) -> list[float]:
    """Seconds of messages at 30 Hz."""
    return [number / RATE_HZ for number in range(round(duration_s * RATE_HZ) + 1)]
