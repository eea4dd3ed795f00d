"""What detectors get wrong, over real DDS; the number in a test's name is its row in docs/failures.md."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import Log
from rclpy.qos import QoSDurabilityPolicy, QoSProfile

from occpose_core.skeleton import H36M17, get_skeleton
from occpose_core.types import Origin, State
from tests.ros.graph import FRAME_NS
from tests.ros.people import HEIGHT, WIDTH, keypoints, person_msg
from tests.ros.rviz_rules import marker_array_faults, shown_after

NAN, INF = float("nan"), float("inf")
WRIST = "left_wrist"
# what a node said before somebody listened
KEPT = QoSProfile(depth=50, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


def person_with(graph, joint=WRIST, xy=None, score=None, *, layout="coco17", id="7", x_m=0.0):
    """A standing person; one joint has other coordinates or another score."""
    xy_px, scores = keypoints(x_m, layout=layout)
    number = get_skeleton(layout).index(joint)
    if xy is not None:
        xy_px[number] = xy
    if score is not None:
        scores[number] = score
    return person_msg(graph.types, id, xy_px, scores)


def joint_of(person, joint=WRIST):
    """Position (3,) m, sigma m, origin and pixel (2,) of one joint of a published skeleton."""
    number = H36M17.index(joint)
    position, xy = (
        np.asarray(values).reshape(len(H36M17.joints), -1)[number] for values in (person.position, person.xy)
    )
    return position, person.std_dev[number], person.origin[number], xy


def assert_sound(answer):
    """Every number of an answer is finite, and every sigma positive."""
    for person in answer.people:
        for values in (person.position, person.std_dev, person.xy, [person.height]):
            assert np.isfinite(np.asarray(values)).all()
        assert (np.asarray(person.std_dev) > 0).all()


def again(node):
    """Begin anew: nobody is known."""
    node.trigger_deactivate()
    node.trigger_activate()


def hidden(graph, id="7"):
    """A person of whom no joint is seen."""
    xy_px, _ = keypoints()
    return person_msg(graph.types, id, np.full_like(xy_px, NAN), np.zeros(len(xy_px)))


@pytest.mark.parametrize(
    ("xy", "score"),
    [
        pytest.param((NAN, 300.0), None, id="NaN coordinate"),
        pytest.param((300.0, -INF), None, id="infinite coordinate"),
        pytest.param(None, NAN, id="NaN score"),
        pytest.param(None, INF, id="infinite score"),
    ],
)
def test_row_01_a_joint_that_is_not_finite_is_filled(graph, node, xy, score):
    missing = graph.ask([person_with(graph, score=0.0)])
    again(node)
    broken = graph.ask([person_with(graph, xy=xy, score=score)])
    assert_sound(broken)
    assert joint_of(broken.people[0])[2] == Origin.FILLED
    # as if the detector had said that it does not see it
    np.testing.assert_array_equal(broken.people[0].position, missing.people[0].position)
    graph.diagnosis(lambda values: values.get("dropped.invalid_joint") == "1")


def test_row_02_scores_out_of_range_are_clamped_and_said_once(graph, node):
    graph.listen(Log, "/rosout", KEPT)
    unit = graph.ask([person_with(graph, score=1.0)])
    again(node)
    for score in (87.0, 250.0):
        percent = graph.ask([person_with(graph, score=score)])
        assert joint_of(percent.people[0])[2] == Origin.MEASURED
        again(node)
        np.testing.assert_array_equal(percent.people[0].position, unit.people[0].position)
    for _ in range(2):
        logit = graph.ask([person_with(graph, score=-3.0)])
        assert joint_of(logit.people[0])[2] == Origin.FILLED
    graph.diagnosis(lambda values: values.get("dropped.score_out_of_range") == "4")
    said = graph.wait("the log", lambda: [entry.msg for entry in graph.heard["/rosout"] if "clamped" in entry.msg])
    assert said == ["scores outside 0 to 1 are clamped: scale the detector's scores"]


def test_row_03_zero_coordinates_with_zero_score_are_missing(graph, node):
    person = person_with(graph, xy=(0.0, 0.0), score=0.0, layout="openpose18")
    answer = graph.ask([person], layout="openpose18")
    _, _, origin, xy_px = joint_of(answer.people[0])
    assert origin == Origin.FILLED
    expected_px = keypoints(layout="h36m17")[0][H36M17.index(WRIST)]
    assert np.linalg.norm(xy_px - expected_px) < 0.2 * HEIGHT  # near the body, not in the corner
    status = graph.diagnosis(lambda values: True)
    assert "dropped.invalid_joint" not in {pair.key for pair in status.values}


@pytest.mark.parametrize(
    ("xy", "origin"),
    [
        pytest.param((WIDTH + 0.02 * WIDTH, 400.0), Origin.MEASURED, id="a little outside"),
        pytest.param((-0.02 * WIDTH, 400.0), Origin.MEASURED, id="a little outside on the left"),
        pytest.param((-5.0 * WIDTH, 400.0), Origin.FILLED, id="far outside"),
        pytest.param((640.0, 3.0 * HEIGHT), Origin.FILLED, id="far below"),
    ],
)
def test_row_04_joints_outside_the_image_are_kept_near_and_missing_far(graph, node, xy, origin):
    answer = graph.ask([person_with(graph, xy=xy)])
    assert joint_of(answer.people[0])[2] == origin
    assert_sound(answer)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param(lambda g: person_msg(g.types, "9", *(x[:16] for x in keypoints())), "wrong_joint_count", id="16"),
        pytest.param(
            lambda g: person_msg(g.types, "9", *keypoints(layout="mediapipe33")), "wrong_joint_count", id="33"
        ),
        pytest.param(lambda g: person_msg(g.types, "9", np.zeros(0), np.zeros(0)), "wrong_joint_count", id="nothing"),
        pytest.param(lambda g: person_with(g, score=0.31), "duplicate_id", id="an id twice"),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["bad one first", "bad one last"])
def test_row_05_a_bad_person_costs_that_person(graph, node, bad, reason, first):
    good = graph.good_people()
    expected = graph.ask(good)
    again(node)
    answer = graph.ask([bad(graph), *good] if first else [*good, bad(graph)])
    assert [person.id for person in answer.people] == ["7"]
    # of two with one id the surer stays
    np.testing.assert_array_equal(answer.people[0].position, expected.people[0].position)
    graph.diagnosis(lambda values: values.get(f"dropped.{reason}") == "1")


def test_row_07_nobody_is_an_answer_and_clears_rviz(graph, node):
    graph.ask()
    graph.wait("markers", lambda: shown_after(graph.heard["markers"]))
    (held,) = graph.ask([]).people
    assert held.state == State.OCCLUDED
    empty = graph.ask([], ahead_ns=10**9)
    assert (list(empty.people), list(empty.lost_ids)) == ([], ["7"])
    assert list(graph.ask([]).lost_ids) == []
    graph.wait("deletion", lambda: not shown_after(graph.heard["markers"]))
    assert marker_array_faults(graph.heard["markers"]) == []
    graph.diagnosis(lambda values: values["callback_errors"] == "0" and values["answered"] == "4")


def test_row_08_a_person_without_joints_is_held_then_lost(graph, node):
    for _ in range(5):
        graph.ask()
    states = []
    for _ in range(20):
        answer = graph.ask([hidden(graph)])
        assert_sound(answer)
        states.append(tuple(person.state for person in answer.people))
        if not answer.people:
            break
    held = states.count((State.OCCLUDED,))
    assert states == [(State.OCCLUDED,)] * held + [()]
    assert held == int(node.parameters.hold_s * 1e9 / FRAME_NS)
    assert list(answer.lost_ids) == ["7"]


def test_row_08_a_newcomer_without_joints_is_nobody(graph, node):
    answer = graph.ask([hidden(graph), person_with(graph, id="8")])
    assert [person.id for person in answer.people] == ["8"]
    graph.diagnosis(lambda values: values.get("dropped.too_few_joints") == "1")


def test_row_09_of_a_hundred_people_the_largest_and_surest_are_lifted(graph, node):
    xy_px, score = keypoints()
    centre_px = np.array([WIDTH, HEIGHT]) / 2
    people = [
        person_msg(graph.types, str(number), (xy_px - centre_px) * (1 - 0.008 * number) + centre_px, score)
        for number in range(100)
    ]
    for _ in range(3):
        answer = graph.ask(people[::-1])
        kept = {str(number) for number in range(node.parameters.max_persons)}
        assert {person.id for person in answer.people} == kept
        assert_sound(answer)
    status = graph.diagnosis(lambda values: values.get("dropped.max_persons") == str(3 * 80))
    assert status.level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)
    graph.send(people)
    status = graph.diagnosis(lambda values: "80 max_persons" in values["message"])
    assert status.level == DiagnosticStatus.WARN
    assert "raise max_persons" in status.message


def test_row_10_a_message_of_megabytes_is_refused_and_the_next_one_answered(graph):
    # reliable, for best effort may lose a part of so large a message
    graph.active(**{"qos_overrides./keypoints.subscription.reliability": "reliable"})
    graph.ask()
    graph.send(graph.good_people() * 100_000)
    status = graph.diagnosis(lambda values: values.get("dropped.too_many_people") == "1")
    assert status.level != DiagnosticStatus.ERROR
    assert [person.id for person in graph.ask().people] == ["7"]


def test_row_11_who_hides_longer_than_the_hold_is_lost_and_comes_back_without_a_past(graph, node):
    first = graph.ask([person_with(graph, x_m=0.8)])
    for step in range(1, 6):
        graph.ask([person_with(graph, x_m=0.8 - 0.05 * step)])
    lost = graph.ask([hidden(graph)], ahead_ns=int(0.6e9))
    assert (list(lost.people), list(lost.lost_ids)) == ([], ["7"])
    again = graph.ask([person_with(graph, x_m=0.8)], ahead_ns=int(1.5e9))
    assert again.people[0].state == State.TRACKED
    # bit by bit the answer that a stranger got: no filter and no memory knows the person any more
    np.testing.assert_array_equal(again.people[0].position, first.people[0].position)
    np.testing.assert_array_equal(again.people[0].std_dev, first.people[0].std_dev)


def test_row_46_who_walks_in_over_the_border_is_measured_bit_by_bit(graph, node):
    measured = []
    for step in range(12):
        xy_px, score = keypoints(2.75 - 0.05 * step, layout="h36m17")
        outside = (xy_px > (WIDTH, HEIGHT)).any(axis=-1)
        score[outside] = 0.0  # as detectors do
        answer = graph.ask([person_msg(graph.types, "7", xy_px, score)], layout="h36m17")
        assert_sound(answer)
        for person in answer.people:
            origin, sigma_m = np.asarray(person.origin), np.asarray(person.std_dev)
            assert (origin[~outside] == Origin.MEASURED).all() and (origin[outside] != Origin.MEASURED).all()
            if outside.any():
                assert np.median(sigma_m[outside]) > np.median(sigma_m[~outside])
            measured.append((origin == Origin.MEASURED).sum())
    assert measured == sorted(measured) and measured[0] < len(H36M17.joints) == measured[-1]
