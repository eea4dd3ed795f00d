"""Rows 25 to 29 and 47 of the failure table: load, subscribers, long runs. test_failures.py is their index."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from occpose_core.types import State
from occpose_ros.pose_node import PoseNode
from tests.ros.graph import LATCHED, Graph
from tests.ros.people import keypoints, person_msg

LISTENER = Path(__file__).parent / "listener_node.py"


def positions(answer) -> np.ndarray:
    """(P, J, 3) metres."""
    return np.stack([np.asarray(person.position).reshape(-1, 3) for person in answer.people])


def test_row_26_a_subscriber_that_stands_still_holds_nobody_up(graph, node, start):
    listener = start(script=LISTENER)
    graph.listen(Header, "heard")
    heard = graph.heard["heard"]
    graph.wait("the listener", lambda: heard or (graph.send() and None))
    listener.send_signal(signal.SIGSTOP)
    for _ in range(50):
        assert graph.ask().people
    listener.send_signal(signal.SIGCONT)
    newest = graph.ask().header
    graph.wait("what it hears now", lambda: heard[-1] == newest)
    graph.diagnosis(lambda values: values["callback_errors"] == "0")


TOPICS = ("/skeletons", "/markers", "/filled_keypoints")


def leave(graph: Graph, node: PoseNode) -> None:
    """Let the peer stop listening to what the node says, and the node know it."""
    for subscription in [s for s in graph.peer.subscriptions if s.topic_name in TOPICS]:
        graph.peer.destroy_subscription(subscription)
    publishers = [p for p in node.publishers if p.topic_name in TOPICS]
    graph.wait("goodbye", lambda: not any(publisher.get_subscription_count() for publisher in publishers))


def test_row_27_it_rests_while_nobody_listens_and_begins_without_a_stale_past(graph):
    node = graph.active(lazy=True)
    graph.stamp_ns = node.get_clock().now().nanoseconds
    fresh = graph.ask()
    for x_m in (0.1, 0.2, 0.3):
        graph.ask([person_msg(graph.types, "7", *keypoints(x_m))])
    leave(graph, node)
    said = graph.heard["/diagnostics"]

    def idle() -> Any:
        graph.send()
        return next((m.status[0] for m in said if "idle: nobody listens" in m.status[0].message), None)

    assert graph.wait("a rest", idle).level == DiagnosticStatus.OK
    graph.listen(graph.types.Skeleton3DArray, "skeletons")

    def answer() -> Any:
        graph.send()
        return graph.heard["skeletons"]

    after = graph.wait("an answer", answer)[0]
    assert [(person.id, person.state) for person in after.people] == [("7", State.TRACKED)]
    np.testing.assert_allclose(positions(after), positions(fresh), atol=1e-5)


def test_row_27_without_lazy_people_stay_known_while_nobody_listens(graph, node):
    graph.ask()
    leave(graph, node)
    graph.send()
    graph.diagnosis(lambda values: (values["answered"], values["rested"]) == ("2", "0"))


class Log:
    """What the process says, as far as it is heard: rclpy loses logs of nodes of the same name on /rosout."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd, self._heard = capfd, ""

    def has(self, *words: str) -> bool:
        """Whether one line has all of the words."""
        self._heard += self._capfd.readouterr().err
        return any(all(word in line for word in words) for line in self._heard.splitlines())


def test_row_28_a_subscriber_with_other_qos_is_told(graph, node, capfd):
    log = Log(capfd)
    graph.listen(graph.types.Skeleton3DArray, "skeletons", LATCHED)
    remedy = "qos_overrides./skeletons.publisher.durability"
    graph.wait("the log", lambda: log.has("ERROR", "subscriber of /skeletons", "DURABILITY", remedy))


def test_row_28_policies_are_overridden_by_parameters_and_a_publisher_that_does_not_fit_is_told(graph, capfd):
    log = Log(capfd)
    latched = {"durability": "transient_local", "reliability": "reliable"}
    overrides = {f"qos_overrides./camera_info.subscription.{policy}": value for policy, value in latched.items()}
    node = graph.make_node(**overrides)
    node.start()
    remedy = "qos_overrides./camera_info.subscription.durability"
    graph.wait("the log", lambda: log.has("ERROR", "publisher of /camera_info", "DURABILITY", remedy))
    graph.peer.destroy_publisher(graph.camera_info)
    graph.camera_info = graph.peer.create_publisher(CameraInfo, "camera_info", LATCHED)
    graph.send_camera()
    graph.wait("the latched CameraInfo", lambda: node.camera)
    for trigger in (node.trigger_deactivate, node.trigger_cleanup, node.trigger_configure, node.trigger_activate):
        assert trigger() == TransitionCallbackReturn.SUCCESS
    graph.connect(node)  # the keypoints of the peer are not latched: the override is of the one topic alone
    graph.wait("the latched CameraInfo", lambda: node.camera)
    assert graph.ask().people


def size(thing: Any, known: set[int] | None = None) -> int:
    """Elements in all containers, bytes in all arrays, of an object of occpose."""
    known = set() if known is None else known
    if id(thing) in known:
        return 0
    known.add(id(thing))
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, Mapping):
        return len(thing) + sum(size(value, known) for value in thing.values())
    if isinstance(thing, (list, tuple, set, frozenset, deque)):
        return len(thing) + sum(size(value, known) for value in thing)
    if type(thing).__module__.startswith(("occpose_core", "occpose_ros")) or is_dataclass(thing):
        return sum(size(value, known) for value in vars(thing).values())
    return 0


def test_row_47_nothing_grows_with_people_who_come_and_go(graph, node):
    """Each of 20 people a frame is new; what is kept of them is bounded by what is held at a time."""
    sizes = []
    for number in range(24):
        people = [
            person_msg(graph.types, str(1000 * number + k) if k % 2 else "", *keypoints(0.3 * (k - 10) / 10))
            for k in range(20)
        ]
        graph.ask(people, ahead_ns=200_000_000)
        graph.send(layout="unknown" + str(number))
        sizes.append(size(node))
    assert max(sizes[16:]) <= 1.1 * max(sizes[8:16])
