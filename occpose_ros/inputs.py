"""What a message family subscribes to: one topic, or for REP-155 one for each body, which come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rclpy.exceptions import InvalidTopicNameException

from occpose_ros.adapters import INPUTS
from occpose_ros.bodies import TrackedBodies
from occpose_ros.lifecycle import ManagedNode
from occpose_ros.message_types import message_class
from occpose_ros.parameter_fields import ParameterError
from occpose_ros.parameters import NodeParameters
from occpose_ros.qos import subscribe, subscribe_for_thread, subscribe_plainly
from occpose_ros.worker import Listening

_BAD_NAMES = (InvalidTopicNameException, ValueError)  # characters, and substitutions that are not known


class Input(Protocol):
    """An open input. topic: the full name of the topic that tells who is there. listener: for the thread that works."""

    topic: str

    @property
    def listener(self) -> Listening | None: ...

    def destroy(self) -> None:
        """Leave all topics."""


def open_input(node: ManagedNode, on_message: Callable[..., None]) -> Input:
    """Subscribe to what the parameter `input` says; on_message gets what `reader_of` reads, and how long it lay.

    Raises MissingMessagesError if the package of the messages is not installed, ParameterError if a topic cannot have
    its name.
    """
    parameters: NodeParameters = node.parameters
    kind = message_class(INPUTS[parameters.input].msgtype)
    if parameters.input == "hri":
        return BodiesInput(node, parameters.humans_namespace, kind, on_message)
    return TopicInput(node, kind, on_message)


def silence(node: ManagedNode, topic: str) -> str:
    """That nothing comes on the topic of an input, and why, if messages of another family are published there."""
    kinds = {publisher.topic_type for publisher in node.get_publishers_info_by_topic(topic)}
    families = [name for name, family in INPUTS.items() if family.msgtype in kinds and name != node.parameters.input]
    if len(families) == len(kinds) == 1:
        return f"no keypoints on {topic}, but {kinds.pop()}: set the parameter input to {families[0]}"
    return f"no keypoints on {topic}"


class TopicInput:
    """All people of an image in one message, on the topic `keypoints`."""

    def __init__(self, node: ManagedNode, kind: Any, on_message: Callable[..., None]) -> None:
        self._node = node
        guarded = node.guarded(on_message, "keypoints")

        def on_keypoints(msg: Any, info: Mapping[str, Any]) -> None:
            guarded(msg, waited_s(info))

        self._subscription, self.listener = subscribe_for_thread(node, kind, "keypoints", on_keypoints)
        self.topic = self._subscription.topic_name

    def destroy(self) -> None:
        """Leave the topic."""
        self.listener.destroy()
        self._node.destroy_subscription(self._subscription)


def waited_s(info: Mapping[str, Any]) -> float:
    """Seconds since the middleware received a message; 0.0 if it does not say. info: rclpy's of the message."""
    received_ns = info["received_timestamp"]
    return max(0.0, (time.time_ns() - received_ns) * 1e-9) if received_ns else 0.0


class BodiesInput:
    """A message for each body of an image, on topics that come and go as the list of tracked bodies says (REP-155)."""

    listener: Listening | None = None  # the executor listens to all of them

    def __init__(self, node: ManagedNode, humans: str, kind: Any, on_message: Callable[[Any], None]) -> None:
        self._node = node
        self._kind = kind
        self._bodies = f"{humans.rstrip('/')}/bodies"
        self._tracked = TrackedBodies(self._join, self._leave, on_message)
        self._subscriptions: dict[str, Any] = {}
        callback = node.guarded(lambda msg: self._tracked.on_list(msg, time.monotonic()), "tracked bodies")
        try:
            self._list = subscribe(node, message_class("hri_msgs/msg/IdsList"), f"{self._bodies}/tracked", callback)
        except _BAD_NAMES as error:
            raise ParameterError(f"humans_namespace cannot be {humans!r}: {error}") from None
        self.topic = self._list.topic_name
        self._refuse_own_output(node.parameters.humans_prefix)

    def destroy(self) -> None:
        """Leave all topics."""
        self._node.destroy_subscription(self._list)
        self._tracked.leave_all()

    def _refuse_own_output(self, prefix: str) -> None:
        if self._node.resolve_topic_name(f"{prefix.rstrip('/')}/bodies/tracked") == self.topic:
            self.destroy()
            raise ParameterError(
                f"humans_prefix, where publish_humans publishes, is {prefix!r}, but input hri reads there: give it"
                " another name"
            )

    def _join(self, id: str) -> bool:
        callback = self._node.guarded(lambda msg: self._tracked.on_body(id, msg), "body")
        try:
            topic = f"{self._bodies}/{id}/skeleton2d"
            self._subscriptions[id] = subscribe_plainly(self._node, self._kind, topic, callback)
        except _BAD_NAMES:
            return False
        return True

    def _leave(self, id: str) -> None:
        self._node.destroy_subscription(self._subscriptions.pop(id))
