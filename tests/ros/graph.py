"""A small ROS graph for tests: a peer that talks to pose_node over DDS and waits for conditions, never for time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo

from occpose_ros.message_types import MessageTypes
from occpose_ros.pose_node import PoseNode
from tests.ros.people import camera_info_msg, keypoints, keypoints_msg, person_msg

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
FRAME_NS = 33_333_333
TIMEOUT_S = 30.0


class Graph:
    """One context and one executor; `peer` sends keypoints and camera_info and hears everything in `heard`."""

    def __init__(self, domain_id: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain_id)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.types = types = MessageTypes.from_rclpy()
        self.heard: dict[str, list[Any]] = {}
        self.stamp_ns = 5_000_000_000
        self.peer = self.add(rclpy.create_node("peer", context=self.context))
        # reliable: what a test sends must arrive
        self.keypoints = self.peer.create_publisher(types.Keypoints2DArray, "keypoints", 10)
        self.camera_info = self.peer.create_publisher(CameraInfo, "camera_info", 10)
        self.listen(types.Skeleton3DArray, "skeletons")
        self.listen(types.MarkerArray, "markers")
        self.listen(types.Keypoints2DArray, "filled_keypoints")
        self.listen(DiagnosticArray, "/diagnostics")

    def add(self, node: Any) -> Any:
        """Spin a node with the others."""
        self.executor.add_node(node)
        return node

    def make_node(self, **parameters: Any) -> PoseNode:
        """A pose_node on this graph, not yet started."""
        values = {"diagnostics_period_s": 0.1, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        return self.add(PoseNode(context=self.context, parameter_overrides=overrides, use_global_arguments=False))

    def active(self, **parameters: Any) -> PoseNode:
        """An active pose_node on this graph that knows its camera."""
        node = self.make_node(**parameters)
        node.start()
        self.connect(node)
        self.wait("camera", lambda: node.camera or self.send_camera())
        return node

    def listen(self, kind: Any, topic: str, qos: Any = 50) -> Any:
        """Subscribe the peer to a topic."""
        self.heard[topic] = []
        return self.peer.create_subscription(kind, topic, self.heard[topic].append, qos)

    def close(self) -> None:
        """Take everything down, now.

        A lifecycle node lives in a reference cycle until Python collects it, and would then take the log publisher of
        the next test's node of that name with it.
        """
        nodes = self.executor.get_nodes()
        self.executor.shutdown()
        for node in nodes:
            if hasattr(node, "close"):
                node.close()
            node.destroy_node()
        rclpy.shutdown(context=self.context)
        del node, nodes
        gc.collect()

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        """Spin until the condition is true and return it; fails after TIMEOUT_S."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not (answer := condition()):
            assert time.monotonic() < deadline_s, f"waited {TIMEOUT_S:.0f} s for {what}"
            self.executor.spin_once(timeout_sec=0.02)
        return answer

    def connect(self, node: Any) -> None:
        """Wait until a node of this graph and the peer hear each other, as both ends see it."""
        to_node, from_node = ("/keypoints", "/camera_info"), ("/skeletons", "/markers", "/filled_keypoints")

        def connected() -> bool:
            senders = [*_of(self.peer.publishers, to_node), *_of(node.publishers, from_node)]
            hearers = [*_of(node.subscriptions, to_node), *_of(self.peer.subscriptions, from_node)]
            return (
                len(senders) == len(hearers) == len(to_node) + len(from_node)
                and all(sender.get_subscription_count() for sender in senders)
                and all(self.publisher_count(hearer) for hearer in hearers)
            )

        self.wait("discovery", connected)

    def publisher_count(self, subscription: Any) -> int:
        """How many publishers a subscription has; Humble's subscriptions do not know it, but the graph does."""
        if hasattr(subscription, "get_publisher_count"):
            return subscription.get_publisher_count()
        return self.peer.count_publishers(subscription.topic_name)

    def send_camera(self, **fields: Any) -> None:
        """Publish CameraInfo."""
        self.camera_info.publish(camera_info_msg(self.types, **fields))

    def good_people(self) -> list[Any]:
        """One standing person."""
        return [person_msg(self.types, "7", *keypoints())]

    def send(self, people: list[Any] | None = None, *, ahead_ns: int = FRAME_NS, **fields: Any) -> int:
        """Publish keypoints one frame after the last (or `ahead_ns`); returns the stamp."""
        self.stamp_ns += ahead_ns
        people = self.good_people() if people is None else people
        self.keypoints.publish(keypoints_msg(self.types, people, stamp_ns=self.stamp_ns, **fields))
        return self.stamp_ns

    def answer_to(self, stamp_ns: int) -> Any:
        """Wait for the skeletons with that stamp."""
        return self.wait(f"skeletons of {stamp_ns}", lambda: find(self.heard["skeletons"], stamp_ns))

    def ask(self, people: list[Any] | None = None, **fields: Any) -> Any:
        """Send keypoints and wait for their answer."""
        return self.answer_to(self.send(people, **fields))

    def diagnosis(self, condition: Callable[[dict[str, str]], Any]) -> Any:
        """Wait for a diagnostics message whose values fulfil a condition; returns its DiagnosticStatus."""
        heard = self.heard["/diagnostics"]
        heard.clear()
        return self.wait("diagnostics", lambda: next((m.status[0] for m in heard if condition(values(m))), None))


def _of(endpoints: Any, topics: tuple[str, ...]) -> list[Any]:
    """The publishers or subscriptions of some topics."""
    return [endpoint for endpoint in endpoints if endpoint.topic_name in topics]


def find(messages: list[Any], stamp_ns: int) -> Any:
    """The message with that stamp, or None."""
    return next((m for m in messages if m.header.stamp.sec * 10**9 + m.header.stamp.nanosec == stamp_ns), None)


def values(diagnostics: Any) -> dict[str, str]:
    """The key-value pairs of a DiagnosticArray with one status, its message as "message"."""
    (status,) = diagnostics.status
    return {"message": status.message, **{pair.key: pair.value for pair in status.values}}
