"""People by REP-155: topics that come and go with people, and what is said on them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from occpose_core.skeleton import H36M17, get_skeleton
from occpose_ros.humans import normalised
from occpose_ros.message_types import message_class
from occpose_ros.parameter_fields import ParameterError
from occpose_ros.parameters import NodeParameters
from tests.ros.graph import find
from tests.ros.people import HEIGHT, WIDTH, camera, keypoints, person_msg, skeleton

pytestmark = pytest.mark.usefixtures("interfaces")
HRI18 = get_skeleton("hri18")


def test_the_layout_is_that_of_hri_msgs_and_hidden_joints_are_filled() -> None:
    person = skeleton(hidden=("left_knee",), unknown=("right_wrist",))
    (places,), (confidence,) = normalised([person], camera())
    for joint in ("nose", "left_knee", "right_shoulder"):
        px = person.kpts_px[H36M17.index(joint)]
        np.testing.assert_allclose(places[HRI18.index(joint)] * (WIDTH, HEIGHT), px + 0.5, rtol=1e-5)
    by_joint = dict(zip(HRI18.joints, confidence, strict=True))
    assert 0 < by_joint["left_knee"] < by_joint["right_knee"] <= 1
    assert by_joint["neck"] > 0
    assert by_joint["right_wrist"] == by_joint["left_eye"] == by_joint["right_ear"] == 0


def test_nobody_is_an_empty_array() -> None:
    places, confidence = normalised([], camera())
    assert places.shape == (0, 18, 2) and confidence.shape == (0, 18)


def bodies(graph: Any) -> set[str]:
    """Topics of people, as the graph sees them."""
    return {name for name, _ in graph.peer.get_topic_names_and_types() if name.endswith("/skeleton2d")}


def test_topics_come_and_go_with_people(graph: Any) -> None:
    graph.active(publish_humans=True)
    graph.listen(message_class("hri_msgs/msg/IdsList"), "occpose/humans/bodies/tracked")
    graph.listen(message_class("hri_msgs/msg/Skeleton2D"), "occpose/humans/bodies/p7/skeleton2d")
    tracked = graph.heard["occpose/humans/bodies/tracked"]
    seen = graph.heard["occpose/humans/bodies/p7/skeleton2d"]

    graph.wait("the skeleton", lambda: graph.ask() and seen)
    answer = graph.ask()
    msg = graph.wait("the last skeleton", lambda: find(seen, graph.stamp_ns))
    assert graph.wait("who is there", lambda: find(tracked, graph.stamp_ns)).ids == ["p7"]
    assert msg.header == answer.header and len(msg.skeleton) == 18
    xy_px = np.array(answer.people[0].xy).reshape(-1, 2)
    left_knee, expected = msg.skeleton[HRI18.index("left_knee")], xy_px[H36M17.index("left_knee")]
    np.testing.assert_allclose((left_knee.x * WIDTH - 0.5, left_knee.y * HEIGHT - 0.5), expected, atol=0.01)

    both = [*graph.good_people(), person_msg(graph.types, "b b", *keypoints(1.0))]
    graph.ask(both)
    ids = graph.wait("both", lambda: find(tracked, graph.stamp_ns)).ids
    assert len(ids) == 2
    graph.wait("two topics", lambda: len(bodies(graph)) == 2)
    graph.wait("loss of both", lambda: not graph.ask([]).people)
    assert graph.wait("nobody", lambda: find(tracked, graph.stamp_ns)).ids == []
    # the test listens to p7 itself
    graph.wait("no topics", lambda: graph.peer.count_publishers("occpose/humans/bodies/p7/skeleton2d") == 0)
    graph.wait("no other topic", lambda: len(bodies(graph)) == 1)


def test_switched_off_or_inactive_it_leaves_nothing_behind(graph: Any) -> None:
    node = graph.active(publish_humans=True, humans_prefix="/humans")
    topics = ("/humans/bodies/tracked", "/humans/bodies/p7/skeleton2d")

    def publishers() -> list[int]:
        return [graph.peer.count_publishers(topic) for topic in topics]

    graph.wait("topics", lambda: graph.ask() and publishers() == [1, 1])
    graph.listen(message_class("hri_msgs/msg/IdsList"), topics[0])
    graph.wait("somebody", lambda: graph.ask() and graph.heard[topics[0]])
    node.set_parameters([Parameter("publish_humans", value=False)])
    graph.wait("switched off", lambda: graph.ask() and publishers() == [0, 0])
    graph.wait("nobody", lambda: graph.heard[topics[0]][-1].ids == [])
    node.set_parameters([Parameter("publish_humans", value=True)])
    graph.wait("topics again", lambda: graph.ask() and publishers() == [1, 1])
    assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    graph.wait("nobody is told", lambda: publishers() == [1, 0])
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    graph.wait("all gone", lambda: publishers() == [0, 0])


@pytest.mark.parametrize("prefix", ["", "/", "no topic", "humans/", "7", "a//b"])
def test_a_prefix_that_is_no_topic_is_refused_with_a_sentence(prefix: str) -> None:
    with pytest.raises(ParameterError, match="humans_prefix must be the name of a topic"):
        NodeParameters(humans_prefix=prefix)


def test_without_the_message_package_it_is_refused_with_a_sentence(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("hri_msgs", "tf2_msgs"):
        monkeypatch.setitem(sys.modules, f"{package}.msg", None)
    node = graph.make_node()
    for name, package in (("publish_humans", "hri_msgs"), ("publish_tf", "tf2_msgs"), ("publish_joint_tf", "tf2_msgs")):
        (result,) = node.set_parameters([Parameter(name, value=True)])
        assert not result.successful
        assert f"{name} cannot be True: the message package {package} is not there" in result.reason
    with pytest.raises(ParameterError, match="the message package tf2_msgs is not there"):
        graph.make_node(target_frame="map")
