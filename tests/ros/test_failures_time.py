"""Rows 14 to 20 of the failure table: stamps and clocks. test_failures.py is the index of all rows."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from rosgraph_msgs.msg import Clock

from occpose_core.types import State
from occpose_ros.message_types import stamp_to_msg
from tests.ros.graph import FRAME_NS, Graph
from tests.ros.people import keypoints, person_msg

SECOND_NS = 10**9
YEAR_S = 365.25 * 86400


def people_at(graph: Graph, x_m: float) -> list:
    return [person_msg(graph.types, "7", *keypoints(x_m))]


def positions(answer) -> np.ndarray:
    """(P, J, 3) metres."""
    return np.stack([np.asarray(person.position).reshape(-1, 3) for person in answer.people])


def test_row_14_another_image_with_the_stamp_of_the_last_is_dropped(graph, node):
    first = graph.ask()
    graph.send(people_at(graph, 1.0), ahead_ns=0)
    graph.diagnosis(lambda values: values.get("dropped.duplicate_stamp") == "1")
    second = graph.ask()
    assert np.abs(positions(second) - positions(first)).max() < 0.05  # as if nothing had been between


@pytest.fixture
def simulated(graph):
    """A node on sim time that has its camera, and a function that sets the clock."""
    node = graph.make_node(use_sim_time=True)
    clock = graph.peer.create_publisher(Clock, "/clock", 10)
    node.start()
    graph.connect(node)
    graph.wait("clock subscription", clock.get_subscription_count)
    graph.wait("camera", lambda: node.camera or graph.send_camera())

    def set_clock(stamp_ns: int) -> None:
        clock.publish(Clock(clock=stamp_to_msg(stamp_ns, graph.types)))
        graph.wait("clock", lambda: node.get_clock().now().nanoseconds == stamp_ns)

    return node, set_clock


def test_row_17_a_clock_that_leaps_forward_starts_people_anew(graph, simulated):
    _, set_clock = simulated
    set_clock(graph.stamp_ns)
    fresh = graph.ask()
    for x_m in (0.1, 0.2, 0.3):
        graph.ask(people_at(graph, x_m))
    set_clock(graph.stamp_ns + 1000 * SECOND_NS)
    after = graph.ask(ahead_ns=1000 * SECOND_NS)
    np.testing.assert_allclose(positions(after), positions(fresh), atol=1e-5)
    status = graph.diagnosis(lambda values: values["answered"] == "5")  # the timer lives
    assert "ahead" not in status.message and "behind" not in status.message


def test_row_17_a_clock_that_trembles_forgets_nobody(graph, simulated):
    _, set_clock = simulated
    set_clock(10 * SECOND_NS)
    graph.ask()
    set_clock(10 * SECOND_NS - 1_000_000)
    assert graph.ask([]).people[0].state == State.OCCLUDED
    graph.diagnosis(lambda values: values["resets"] == "0")


def test_row_18_without_a_clock_it_answers_and_says_so(graph, simulated):
    graph.ask()
    status = graph.diagnosis(lambda values: values["answered"] == "1")
    assert status.level == DiagnosticStatus.STALE and "nothing publishes /clock" in status.message
    graph.stamp_ns = -FRAME_NS
    graph.send()  # stamp 0, and no time of arrival to take instead
    graph.diagnosis(lambda values: values.get("dropped.no_stamp") == "1" and values["answered"] == "1")


def test_row_19_keypoints_without_stamps_get_that_of_their_arrival(graph, node):
    before_ns = node.get_clock().now().nanoseconds
    for number in range(1, 4):
        graph.stamp_ns = -FRAME_NS
        graph.send()
        graph.wait("an answer", lambda number=number: len(graph.heard["skeletons"]) == number)
    stamps_ns = [m.header.stamp.sec * SECOND_NS + m.header.stamp.nanosec for m in graph.heard["skeletons"]]
    assert before_ns < stamps_ns[0] < stamps_ns[1] < stamps_ns[2] < node.get_clock().now().nanoseconds
    status = graph.diagnosis(lambda values: values.get("dropped.no_stamp") == "3")
    assert status.level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)


def test_row_19_keypoints_without_stamps_are_dropped_on_request(graph):
    graph.active(zero_stamps="drop")
    graph.stamp_ns = -FRAME_NS
    graph.send()
    status = graph.diagnosis(lambda values: "1 no_stamp" in values["message"])
    assert status.level == DiagnosticStatus.WARN
    assert graph.ask().people


@pytest.mark.parametrize(("years", "words"), [(-5, "5.0 years ahead of"), (20, "20.0 years behind")], ids=str)
def test_row_19_stamps_of_another_clock_are_answered_and_told(graph, node, years, words):
    graph.stamp_ns = node.get_clock().now().nanoseconds - int(years * YEAR_S) * SECOND_NS
    assert graph.ask().people
    status = graph.diagnosis(lambda values: words in values["message"] or (graph.send() and None))
    assert status.level == DiagnosticStatus.WARN and "use_sim_time" in status.message
    age_s = next(float(pair.value) for pair in status.values if pair.key == "input age (s)")
    assert age_s == pytest.approx(years * YEAR_S, abs=60)


def walk(graph: Graph, rate_hz: float, seconds: float = 0.6, speed_mps: float = 1.0) -> np.ndarray:
    """The last answer to a person who walks from the middle to the right."""
    frames = round(seconds * rate_hz)
    for frame in range(frames + 1):
        answer = graph.ask(people_at(graph, speed_mps * frame / rate_hz), ahead_ns=int(SECOND_NS / rate_hz))
        assert [(person.id, person.state) for person in answer.people] == [("7", State.TRACKED)]
    return positions(answer)


@pytest.mark.parametrize("rate_hz", [5.0, 120.0], ids="{:g} Hz".format)
def test_row_20_any_rate_leads_to_the_same_place(graph, node, rate_hz):
    expected = walk(graph, 30.0)
    assert graph.ask([], ahead_ns=5 * SECOND_NS).people == []
    place = walk(graph, rate_hz)
    assert np.linalg.norm(place - expected, axis=-1).max() < 0.15
    graph.diagnosis(lambda values: "dropped.pose_jump" not in values)


def test_row_20_after_a_gap_people_start_anew(graph, node):
    fresh = graph.ask()
    for x_m in (0.1, 0.2, 0.3):
        graph.ask(people_at(graph, x_m))
    after = graph.ask(ahead_ns=2 * SECOND_NS)
    np.testing.assert_allclose(positions(after), positions(fresh), atol=1e-5)


def test_row_20_a_burst_is_answered_with_its_newest_and_the_rest_counted(graph, node):
    graph.ask()
    stamps_ns = [graph.send() for _ in range(5)]
    graph.answer_to(stamps_ns[-1])

    def all_counted(values: dict[str, str]) -> bool:
        return int(values["answered"]) + int(values.get("dropped.replaced", 0)) == int(values["received"]) == 6

    graph.diagnosis(all_counted)
