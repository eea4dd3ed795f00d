"""The completed people as ROS4HRI wants them (REP-155): who is there, and a topic for the 2D skeleton of each.

The topics of a person come with the person and go with them. They lie under the parameter `humans_prefix`, so that they
do not meet those of a detector that speaks REP-155 itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17, convert_keypoints, get_skeleton
from occpose_core.types import Camera, Origin, Skeleton3D
from occpose_ros.adapters import confidence_of_sigma
from occpose_ros.answer import Answer
from occpose_ros.body_frames import name_of
from occpose_ros.lifecycle import ManagedNode
from occpose_ros.message_types import MessageTypes, header_to_msg, message_class
from occpose_ros.parameters import NodeParameters
from occpose_ros.qos import advertise_plainly, let_arrive


def normalised(skeletons: Sequence[Skeleton3D], camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The completed 2D poses in the layout `hri18`.

    Returns (P, 18, 2) places in the image, 0 to 1 from its left and upper border (a completed joint may lie outside),
    and (P, 18) confidence in [0, 1]; eyes, ears and unknown joints have confidence 0, and place 0.
    """
    joints = len(H36M17.joints)
    xy_px = np.array([skeleton.kpts_px for skeleton in skeletons], dtype=np.float32).reshape(-1, joints, 2)
    sigma_m = np.array([skeleton.sigma_m for skeleton in skeletons], dtype=np.float32).reshape(-1, joints)
    origin = np.array([skeleton.origin for skeleton in skeletons], dtype=np.uint8).reshape(-1, joints)
    confidence = np.where(origin == Origin.UNKNOWN, 0.0, confidence_of_sigma(sigma_m))
    places = (xy_px + 0.5) / (camera.width, camera.height)  # pixel centres are at integer coordinates
    return convert_keypoints(places, confidence, H36M17, get_skeleton("hri18"))


class Humans:
    """The output (answer.py) of REP-155."""

    def __init__(self, node: ManagedNode, types: MessageTypes) -> None:
        self._node = node
        self._types = types
        parameters: NodeParameters = node.parameters
        self._bodies = f"{parameters.humans_prefix}/bodies"
        self._tracked: Any = None
        self._publishers: dict[str, Any] = {}  # name of a person -> publisher

    def wanted(self, parameters: NodeParameters) -> bool:
        """Whether it is on and somebody wants to know who is there."""
        topic = self._node.resolve_topic_name(f"{self._bodies}/tracked")
        return parameters.publish_humans and self._node.count_subscribers(topic) > 0

    def publish(self, answer: Answer) -> None:
        """Publish who is there, and where their joints are in the image."""
        if not answer.parameters.publish_humans:
            self.clear(answer.stamp_ns)
            self.destroy()
            return
        names = [name_of(skeleton.id, self._node.get_namespace()) for skeleton in answer.skeletons]
        self._keep(names)
        header = header_to_msg(answer.stamp_ns, answer.camera.frame_id, self._types)
        self._say_who(names, header)
        Skeleton, Point = (
            message_class(f"hri_msgs/msg/{kind}") for kind in ("Skeleton2D", "NormalizedPointOfInterest2D")
        )
        for name, xy, confidence in zip(names, *normalised(answer.skeletons, answer.camera), strict=True):
            publisher = self._publisher_of(name, Skeleton)
            if publisher.get_subscription_count() > 0:
                points = [Point(x=x, y=y, c=c) for (x, y), c in zip(xy.tolist(), confidence.tolist(), strict=True)]
                publisher.publish(Skeleton(header=header, skeleton=points))

    def _say_who(self, names: Sequence[str], header: Any) -> None:
        Ids = message_class("hri_msgs/msg/IdsList")
        if self._tracked is None:
            self._tracked = advertise_plainly(self._node, Ids, f"{self._bodies}/tracked")
        self._tracked.publish(Ids(header=header, ids=list(names)))

    def _publisher_of(self, name: str, kind: Any) -> Any:
        if name not in self._publishers:
            topic = f"{self._bodies}/{name}/skeleton2d"
            self._publishers[name] = advertise_plainly(self._node, kind, topic)
        return self._publishers[name]

    def _keep(self, names: Sequence[str]) -> None:
        """Destroy the topics of everybody else."""
        for gone in set(self._publishers) - set(names):
            self._node.destroy_publisher(self._publishers.pop(gone))

    def clear(self, stamp_ns: int) -> None:
        """Say that nobody is there."""
        self._keep(())
        if self._tracked is not None:
            self._say_who((), header_to_msg(stamp_ns, "", self._types))

    def destroy(self) -> None:
        """Leave the graph."""
        self._keep(())
        if self._tracked is not None:
            let_arrive(self._tracked)  # who listens must hear that nobody is there any more
            self._node.destroy_publisher(self._tracked)
            self._tracked = None
