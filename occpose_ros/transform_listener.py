"""Hears /tf and /tf_static."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSDurabilityPolicy, QoSProfile

from occpose_ros.adapters import RejectedMessageError
from occpose_ros.lifecycle import ManagedNode
from occpose_ros.message_types import message_class
from occpose_ros.qos import subscribe
from occpose_ros.transforms import TransformBuffer


class TransformListener:
    """Fills a buffer from /tf and /tf_static; made, called and destroyed by the executor's thread.

    on_change: called after each message. A bad transform is left out, counted and logged. Raises MissingMessagesError
    if tf2_msgs is not there.
    """

    def __init__(
        self, node: ManagedNode, buffer: TransformBuffer, on_change: Callable[[], None] = lambda: None
    ) -> None:
        kind = message_class("tf2_msgs/msg/TFMessage")
        self._node = node
        self._buffer = buffer
        self._on_change = on_change
        # reliable and deep, as tf2's own: /tf carries many small messages, and all count
        latched = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        self._subscriptions = [
            subscribe(node, kind, topic, node.guarded(callback, topic), qos)
            for topic, callback, qos in (
                ("/tf", lambda msg: self._hear(msg, static=False), QoSProfile(depth=100)),
                ("/tf_static", lambda msg: self._hear(msg, static=True), latched),
            )
        ]

    def _hear(self, msg: Any, static: bool) -> None:
        refused = self._buffer.add_msg(msg, static)
        self._on_change()
        if refused:
            raise RejectedMessageError("bad_transform", refused)

    def destroy(self) -> None:
        """Leave the topics."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
