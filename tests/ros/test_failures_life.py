"""Rows 36 to 43 and 48 of the failure table: parameters, transitions, processes. test_failures.py is the index."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine
from occpose_core.types import State
from occpose_ros.message_types import message_class, stamp_ns_from_msg
from occpose_ros.pose_node import PoseNode
from tests.ros.graph import Graph, find
from tests.ros.people import keypoints, person_msg

ROOT = Path(__file__).parents[2]
HANGING = Path(__file__).parent / "hanging_node.py"
SUCCESS = TransitionCallbackReturn.SUCCESS
SECOND_NS = 10**9


def tracked(answer) -> int:
    """How many people are seen now."""
    return sum(person.state == State.TRACKED for person in answer.people)


@pytest.mark.parametrize(
    ("name", "value", "after"),
    [
        pytest.param("min_score", 0.95, lambda answer: tracked(answer) == 0, id="min_score"),
        pytest.param("max_persons", 1, lambda answer: tracked(answer) == 1, id="max_persons"),
        pytest.param("person_height_m", 1.5, lambda answer: answer.people[0].height == 1.5, id="person_height_m"),
    ],
)
def test_row_37_live_parameters_hold_from_the_next_frame(graph, node, name, value, after):
    people = [person_msg(graph.types, id, *keypoints(x_m)) for id, x_m in (("1", -0.5), ("2", 0.5))]
    assert not after(graph.ask(people))
    assert node.set_parameters([Parameter(name, value=value)])[0].successful
    assert after(graph.ask(people))


def test_row_37_reports_follow_their_period(graph):
    node = graph.make_node(diagnostics_period_s=60.0)
    assert node.set_parameters([Parameter("diagnostics_period_s", value=0.1)])[0].successful
    graph.wait("reports", lambda: len(graph.heard["/diagnostics"]) >= 3)


# state -> transitions that it allows, and the state after
WAYS = {
    "unconfigured": {"configure": "inactive"},
    "inactive": {"activate": "active", "cleanup": "unconfigured"},
    "active": {"deactivate": "inactive"},
}
STEPS = ("configure", "activate", "deactivate", "cleanup")


def lifting() -> int:
    """How many threads lift."""
    return sum(thread.name == "lifting" for thread in threading.enumerate())


def endpoints(node: PoseNode) -> dict[str, int]:
    """How many of each kind a node has."""
    kinds = ("publishers", "subscriptions", "timers", "services", "clients")
    return {kind: len(list(getattr(node, kind))) for kind in kinds}


def wander(graph: Graph, node: PoseNode, transitions: int, seed: int) -> int:
    """Ask for random transitions while messages come; how many were allowed."""
    rng, made = random.Random(seed), 0
    for _ in range(transitions):
        graph.send_camera()
        graph.send()
        # rather on than back, so that it is often active
        step = rng.choice([*STEPS, *WAYS[node.state]])
        expected = WAYS[node.state].get(step, node.state)
        try:
            made += getattr(node, f"trigger_{step}")() == SUCCESS
        except RuntimeError:  # until Jazzy, rclpy raises when a state does not allow the transition
            assert step not in WAYS[node.state]
        assert node.state == expected
        assert lifting() == (node.state == "active")
        for _ in range(4):
            graph.executor.spin_once(timeout_sec=0.001)
    return made


def test_row_38_random_transitions_under_load_leave_nothing_behind(graph):
    node = graph.make_node()
    before = endpoints(node)
    assert wander(graph, node, 200, seed=38) > 80
    assert graph.heard["skeletons"]
    node.close()
    assert endpoints(node) == before
    assert lifting() == 0


@pytest.mark.usefixtures("interfaces")
def test_row_38_an_engine_that_hangs_is_not_begun_again_before_it_is_back(graph, monkeypatch):
    node = graph.active(publish_tf=True)
    graph.listen(message_class("tf2_msgs/msg/TFMessage"), "/tf")
    graph.wait("frames", lambda: graph.ask() and graph.heard["/tf"])
    entered, gate, run = threading.Event(), threading.Event(), OnnxRuntimeEngine.run

    def hang(self, *given):
        entered.set()
        gate.wait()
        return run(self, *given)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", hang)
    late = graph.send()
    graph.wait("the engine", entered.is_set)
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    graph.diagnosis(lambda values: "the engine still works on its last frame" in values["message"])
    gate.set()
    graph.wait("the engine", lambda: lifting() == 0)
    assert node.trigger_activate() == SUCCESS
    assert graph.ask().people
    assert find(graph.heard["skeletons"], late) is None
    graph.wait("frames", lambda: graph.ask() and stamp_of_frames(graph.heard["/tf"][-1]) > late)
    assert late not in map(stamp_of_frames, graph.heard["/tf"])


def stamp_of_frames(msg) -> int:
    return stamp_ns_from_msg(msg.transforms[0].header.stamp)


def own_ids(graph: Graph) -> set[str]:
    """Ids that a node gives to two people without any."""
    people = [person_msg(graph.types, "", *keypoints(x_m)) for x_m in (-0.5, 0.5)]

    def answer():  # again and again: what is sent before both sides have discovered each other is lost
        graph.send_camera()
        return find(graph.heard["skeletons"], graph.send(people)) or graph.heard["skeletons"]

    graph.heard["skeletons"].clear()
    return {person.id for person in graph.wait("an answer", answer)[0].people}


def test_row_40_a_node_that_was_killed_is_back_at_once_with_ids_of_its_own(graph, start):
    first = start()
    before = own_ids(graph)
    first.kill()
    first.wait()
    killed_s = time.monotonic()
    start()
    after = own_ids(graph)
    assert len(before) == len(after) == 2
    assert not before & after
    assert time.monotonic() - killed_s < 20  # seconds on a quiet machine; it has no engine to build


OF_ROS = {"/diagnostics", "/parameter_events", "/rosout", "/clock", "/tf", "/tf_static"}


def test_row_41_all_names_but_those_of_ros_are_relative(graph):
    node = graph.add(PoseNode(context=graph.context, namespace="front", use_global_arguments=False))
    assert node.trigger_configure() == SUCCESS
    topics = {endpoint.topic_name for endpoint in (*node.publishers, *node.subscriptions)}
    services = {service.srv_name for service in node.services}
    assert "/front/skeletons" in topics
    absolute = {name for name in topics | services if name.startswith("/") and not name.startswith("/front/")}
    assert absolute <= OF_ROS


def test_row_41_topics_can_be_remapped(graph):
    node = graph.add(
        PoseNode(
            context=graph.context,
            use_global_arguments=False,
            cli_args=["--ros-args", "-r", "keypoints:=/detector/people", "-r", "skeletons:=/people_3d"],
        )
    )
    node.start()
    assert [s.topic_name for s in node.subscriptions if "people" in s.topic_name] == ["/detector/people"]
    assert [p.topic_name for p in node.publishers if "3d" in p.topic_name] == ["/people_3d"]


def test_row_42_the_checks_of_message_fields_are_on(graph):
    with pytest.raises(AssertionError):
        graph.types.Skeleton3DArray(latency_ms=np.float32(1))


def test_row_43_the_code_fits_numpy_2_and_python_3_10():
    ruff = shutil.which("ruff") or pytest.skip("no ruff here")
    command = [ruff, "check", "--isolated", "--select", "NPY,E9,F", "--target-version", "py310", "--no-cache"]
    rooms = ("occpose_core", "occpose_ros", "launch", "scripts")
    done = subprocess.run([*command, *rooms], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("thread", "number"),
    [
        pytest.param("loading the model", signal.SIGTERM, id="SIGTERM while it is loaded"),
        pytest.param("lifting", signal.SIGINT, id="SIGINT while it lifts"),
    ],
)
def test_row_48_a_signal_ends_it_though_the_engine_hangs(graph, start, monkeypatch, tmp_path, thread, number):
    sign = tmp_path / "hangs"
    monkeypatch.setenv("HANG_IN", thread)
    monkeypatch.setenv("HANG_SIGN", str(sign))
    process = start(script=HANGING)

    def hangs() -> bool:  # again and again: what is sent before both sides have discovered each other is lost
        graph.send_camera()
        graph.send()
        return sign.exists()

    graph.wait("the engine", hangs)
    process.send_signal(number)
    said, _ = process.communicate(timeout=15)
    assert process.returncode == 0, said
    assert "Traceback" not in said


if __name__ == "__main__":  # by hand: python -m tests.ros.test_failures_life 1000
    graph = Graph(random.randrange(1, 101))
    node = graph.make_node()
    for part in range(10):
        made = wander(graph, node, int(sys.argv[1]) // 10, seed=part)
        for heard in graph.heard.values():
            heard.clear()
        rss_mib = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        print(f"{made} transitions made, {node.state}, {endpoints(node)}, RSS {rss_mib:.1f} MiB", flush=True)
    graph.close()
