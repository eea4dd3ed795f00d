"""Keypoints are awaited by the thread that lifts, and by the executor when that one is away."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

import rclpy
from rclpy.context import Context
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine
from occpose_ros.diagnostics import Statistics
from occpose_ros.inputs import waited_s
from occpose_ros.listening import Listener
from occpose_ros.qos import subscribe_for_thread


@pytest.fixture
def hearers(monkeypatch):
    """Names of the threads that have taken keypoints, in their order."""
    names, received = [], Statistics.received

    def telling(statistics):
        names.append(threading.current_thread().name)
        received(statistics)

    monkeypatch.setattr(Statistics, "received", telling)
    return names


def test_the_thread_that_lifts_hears_keypoints_and_the_executor_while_that_one_is_long_at_work(
    graph, hearers, monkeypatch
):
    graph.active()
    for _ in range(3):
        graph.ask()
    assert hearers == 3 * ["lifting"]
    entered, gate, run = threading.Event(), threading.Event(), OnnxRuntimeEngine.run

    def slow(self, *given):
        entered.set()
        gate.wait()
        return run(self, *given)

    with monkeypatch.context() as hanging:
        hanging.setattr(OnnxRuntimeEngine, "run", slow)
        graph.send()
        graph.wait("the engine", entered.is_set)
        graph.send()
        graph.wait("the executor", lambda: hearers[-1] == threading.current_thread().name)
        gate.set()
    graph.answer_to(graph.stamp_ns)
    graph.wait("the worker to be back", lambda: graph.ask() and hearers[-1] == "lifting")


def test_nobody_hears_keypoints_twice(graph, hearers):
    node = graph.active()
    for _ in range(3):
        graph.ask()
        node.trigger_deactivate()
        node.trigger_activate()
        graph.wait("an answer", lambda: graph.send_camera() or graph.ask())
    graph.diagnosis(lambda values: int(values["received"]) == int(values["answered"]) == len(hearers) == 6)


def test_the_executor_hears_keypoints_while_the_thread_that_lifts_cannot(graph, hearers, monkeypatch, capfd):
    graph.active()

    def fail(self):
        raise RuntimeError("no more events")

    with monkeypatch.context() as broken:
        broken.setattr(Listener, "_wait", fail)
        for _ in range(3):
            graph.ask()  # the first may still be awaited as before
        assert hearers[1:] == 2 * [threading.current_thread().name]
    graph.wait("the thread to listen again", lambda: graph.ask() and hearers[-1] == "lifting")
    assert "listening to /keypoints failed: RuntimeError: no more events" in capfd.readouterr().err


def test_a_publisher_that_does_not_fit_is_told_by_the_thread_that_listens(graph, capfd):
    graph.make_node(**{"qos_overrides./keypoints.subscription.reliability": "reliable"}).start()
    graph.peer.destroy_publisher(graph.keypoints)
    best_effort = QoSProfile(depth=5, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    graph.keypoints = graph.peer.create_publisher(graph.types.Keypoints2DArray, "keypoints", best_effort)
    heard = []

    def told():
        heard.append(capfd.readouterr().err)
        return "qos_overrides./keypoints.subscription.reliability" in "".join(heard)

    graph.wait("the log", told)


def test_listening_ends_with_the_context(ros_domain_id):
    context = Context()
    rclpy.init(context=context, domain_id=ros_domain_id)
    node = rclpy.create_node("hearer", context=context)
    subscription, listener = subscribe_for_thread(node, CameraInfo, "camera_info", lambda msg, info: None)

    def listen():
        while listener.listen():
            pass

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    rclpy.shutdown(context=context)
    thread.join(10)
    assert not thread.is_alive()
    node.destroy_subscription(subscription)
    listener.destroy()
    listener.wake()  # may come from another thread, so it must not matter
    node.destroy_node()


def test_how_long_a_message_has_waited():
    assert waited_s({"received_timestamp": 0}) == 0.0
    assert waited_s({"received_timestamp": time.time_ns() + 10**12}) == 0.0
    assert waited_s({"received_timestamp": time.time_ns() - 10**12}) == pytest.approx(1000, rel=1e-3)
