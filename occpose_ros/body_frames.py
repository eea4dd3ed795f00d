"""Frames of people for TF, by REP-155.

`body_<id>` has its origin between the hips, x out of the body, y to its left and z along the trunk to the head. Its
parent is the camera's frame. A joint's frame lies at the joint and has the axes of the body, for a point has none of
its own. Who cannot be told front from back, because the hips lie in line with the trunk or are unknown, has no frames.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile

from occpose_core.skeleton import H36M17
from occpose_core.types import Origin, Skeleton3D
from occpose_ros.answer import Answer
from occpose_ros.lifecycle import ManagedNode
from occpose_ros.message_types import MessageTypes, header_to_msg, message_class
from occpose_ros.parameters import NodeParameters
from occpose_ros.qos import advertise_plainly
from occpose_ros.transforms import Transform

# No person's hips or trunk are so short: they are not in their places.
_SHORTEST_M = 0.02
# Sine of the angle between hips and trunk under which left and right are a matter of noise.
_SMALLEST_SINE = 0.3
_LONGEST_ID = 40
# joint -> frame: names of REP-155 where it has one for the joint, else in its style
JOINT_FRAMES = tuple(
    "waist" if joint == "pelvis" else joint.replace("left_", "l_").replace("right_", "r_") for joint in H36M17.joints
)


def name_of(id: str, namespace: str = "") -> str:
    """A person's name for frames and topics: a letter, then letters, digits and underscores.

    "7" becomes "p7", and "front_p7" in the namespace /front, for there is one TF tree for all cameras. An id with other
    characters, or very long, ends with a checksum, so that different ids have different names.
    """
    prefix = namespace.strip("/").replace("/", "_")
    return f"{prefix}_{_name(id)}" if prefix else _name(id)


def _name(id: str) -> str:
    if re.fullmatch(r"[0-9]{1,9}", id):
        return f"p{id}"
    if re.fullmatch(r"[A-Za-z]\w*", id, re.ASCII) and len(id) <= _LONGEST_ID and not re.fullmatch(r"p[0-9]+", id):
        return id
    cleaned = re.sub(r"\W+", "_", id, flags=re.ASCII)[:_LONGEST_ID].strip("_")
    return f"p{cleaned}_{zlib.crc32(id.encode(errors='surrogatepass')):08x}"


def cam_from_body(skeleton: Skeleton3D) -> Transform | None:
    """The body's frame in the camera's, None if front and back cannot be told."""
    rows = H36M17.indices("left_hip", "right_hip", "thorax")
    if (skeleton.origin[rows] == Origin.UNKNOWN).any():
        return None
    left, right, thorax = skeleton.joints_cam_m[rows].astype(np.float64)
    origin = (left + right) / 2
    hips, trunk = left - right, thorax - origin
    hips_m, trunk_m = np.linalg.norm(hips), np.linalg.norm(trunk)
    if not min(hips_m, trunk_m) > _SHORTEST_M:
        return None
    z = trunk / trunk_m
    y = hips / hips_m - z * (z @ hips / hips_m)
    sine = np.linalg.norm(y)
    if not sine > _SMALLEST_SINE:
        return None
    y /= sine
    return Transform(rotation=np.stack([np.cross(y, z), y, z], axis=1), translation_m=origin)


def joints_in_body(skeleton: Skeleton3D, body: Transform) -> dict[str, np.ndarray]:
    """Frame of each known joint, without the id -> (3,) its position in the body's frame."""
    positions = body.inverse().apply(skeleton.joints_cam_m.astype(np.float64))
    known = skeleton.origin != Origin.UNKNOWN
    return {frame: positions[joint] for joint, frame in enumerate(JOINT_FRAMES) if known[joint]}


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """N frames. names: (parent, child). quaternions: (N, 4) x y z w. translations_m: (N, 3) in the parent."""

    names: Sequence[tuple[str, str]]
    quaternions: np.ndarray
    translations_m: np.ndarray


def frames_of(people: Mapping[str, Skeleton3D], camera_frame: str, joints: bool) -> Frames:
    """Frames of everybody who has some. people: by name. joints: not only of bodies."""
    bodies = {name: body for name, skeleton in people.items() if (body := cam_from_body(skeleton)) is not None}
    names = [(camera_frame, f"body_{name}") for name in bodies]
    rotations = np.array([body.rotation for body in bodies.values()]).reshape(-1, 3, 3)
    translations_m = [body.translation_m for body in bodies.values()]
    for name, body in bodies.items() if joints else ():
        positions = joints_in_body(people[name], body)
        names += [(f"body_{name}", f"{frame}_{name}") for frame in positions]
        translations_m += positions.values()
    quaternions = np.tile((0.0, 0.0, 0.0, 1.0), (len(names), 1))
    if bodies:
        from scipy.spatial.transform import Rotation  # here, for it takes long to load

        quaternions[: len(bodies)] = Rotation.from_matrix(rotations).as_quat()
    return Frames(names=names, quaternions=quaternions, translations_m=np.array(translations_m).reshape(-1, 3))


def frames_to_msgs(frames: Frames, stamp_ns: int, types: MessageTypes) -> list[Any]:
    """geometry_msgs/TransformStamped of each frame. What is the same for several is one object: it is quicker."""
    Stamped, Message = (message_class(f"geometry_msgs/msg/{kind}") for kind in ("TransformStamped", "Transform"))
    headers = {parent: header_to_msg(stamp_ns, parent, types) for parent in {parent for parent, _ in frames.names}}
    upright = types.Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)
    msgs = []
    for (parent, child), q, (x, y, z) in zip(
        frames.names, frames.quaternions.tolist(), frames.translations_m.tolist(), strict=True
    ):
        rotation = upright if q[3] == 1.0 else types.Quaternion(x=q[0], y=q[1], z=q[2], w=q[3])
        message = Message(translation=types.Vector3(x=x, y=y, z=z), rotation=rotation)
        msgs.append(Stamped(header=headers[parent], child_frame_id=child, transform=message))
    return msgs


class BodyFrames:
    """The output (answer.py) on /tf. Its publisher exists from the first time that it is switched on."""

    def __init__(self, node: ManagedNode, types: MessageTypes) -> None:
        self._node = node
        self._types = types
        parameters: NodeParameters = node.parameters
        self._ourselves = int(parameters.hears_tf)  # a subscriber that needs no answer
        self._publisher: Any = None

    def wanted(self, parameters: NodeParameters) -> bool:
        """Whether it is on and somebody listens."""
        on = parameters.publish_tf or parameters.publish_joint_tf
        return on and self._node.count_subscribers(self._node.resolve_topic_name("/tf")) > self._ourselves

    def publish(self, answer: Answer) -> None:
        """Publish the frames of all people who have some, while somebody listens."""
        if not (answer.parameters.publish_tf or answer.parameters.publish_joint_tf):
            return
        kind = message_class("tf2_msgs/msg/TFMessage")
        if self._publisher is None:
            self._publisher = advertise_plainly(self._node, kind, "/tf", QoSProfile(depth=100))
        if self._publisher.get_subscription_count() <= self._ourselves:
            return
        people = {name_of(skeleton.id, self._node.get_namespace()): skeleton for skeleton in answer.skeletons}
        frames = frames_of(people, answer.camera.frame_id, joints=answer.parameters.publish_joint_tf)
        if frames.names:
            self._publisher.publish(kind(transforms=frames_to_msgs(frames, answer.stamp_ns, self._types)))

    def clear(self, stamp_ns: int) -> None:
        """Nothing: TF cannot take back a frame, it gets old."""

    def destroy(self) -> None:
        """Leave the graph."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
