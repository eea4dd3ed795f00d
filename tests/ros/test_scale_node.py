"""What sets the scale in a running node: TF of the ground, and the service set_person_height."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation

from occpose_ros.body_frames import Frames, frames_to_msgs
from occpose_ros.message_types import message_class
from occpose_ros.transforms import Transform
from tests.ros.graph import Graph
from tests.ros.people import FRAME_ID, keypoints, person_msg

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
# the camera of tests/ros/people.py stands level, 1 m above the floor
MAP_FROM_CAMERA = Transform(
    rotation=np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), translation_m=np.array([5.0, 1.0, 1.0])
)


def say_where_the_camera_is(graph: Graph) -> Any:
    publisher = graph.peer.create_publisher(message_class("tf2_msgs/msg/TFMessage"), "/tf_static", LATCHED)
    graph.wait("listener", publisher.get_subscription_count)
    frames = Frames(
        names=[("map", FRAME_ID)],
        quaternions=Rotation.from_matrix(MAP_FROM_CAMERA.rotation).as_quat()[None],
        translations_m=MAP_FROM_CAMERA.translation_m[None],
    )
    msgs = frames_to_msgs(frames, 0, graph.types)
    publisher.publish(message_class("tf2_msgs/msg/TFMessage")(transforms=msgs))
    return publisher


class Teller:
    """A client of the service."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._kind = message_class("occpose_ros/srv/SetPersonHeight")
        self._client = graph.peer.create_client(self._kind, "/pose_node/set_person_height")
        graph.wait("service", self._client.service_is_ready)

    def tell(self, id: str, height: float) -> Any:
        future = self._client.call_async(self._kind.Request(id=id, height=height))
        self._graph.wait("response", future.done)
        return future.result()


@pytest.mark.usefixtures("interfaces")
def test_people_on_the_ground_get_a_metric_scale(graph: Graph) -> None:
    graph.active(ground_frame="map")
    say_where_the_camera_is(graph)
    first = graph.ask().people[0]
    assert not first.metric and first.height == pytest.approx(1.7)
    person = graph.wait("metric scale", lambda: next((p for p in graph.ask().people if p.metric), None))
    # who stands 4 m away, 1.72 m tall
    assert person.height == pytest.approx(1.72, rel=0.06)
    assert person.position[2] == pytest.approx(4.0, rel=0.06)
    status = graph.diagnosis(lambda values: values.get("people.scale_ground") == "1")
    assert status


@pytest.mark.usefixtures("interfaces")
def test_without_a_ground_the_sensor_output_goes_on(graph: Graph) -> None:
    graph.active(ground_frame="map")
    for _ in range(5):
        person = graph.ask().people[0]
        assert not person.metric and person.height == pytest.approx(1.7)
    graph.diagnosis(lambda values: int(values.get("dropped.no_ground", 0)) >= 5)
    publisher = say_where_the_camera_is(graph)
    graph.wait("metric scale", lambda: any(p.metric for p in graph.ask().people))
    assert publisher


def test_heights_of_ids_are_told_and_forgotten_while_the_node_runs(graph: Graph, node: Any) -> None:
    people = [person_msg(graph.types, id, *keypoints(x)) for id, x in (("7", 0.0), ("8", 1.0))]
    before = {p.id: p for p in graph.ask(people).people}
    teller = Teller(graph)
    answer = teller.tell("7", 1.9)
    assert (answer.success, answer.message) == (True, "'7' is 1.9 m tall")
    told = {p.id: p for p in graph.ask(people).people}
    assert told["7"].metric and told["7"].height == pytest.approx(1.9)
    assert told["7"].position[2] / before["7"].position[2] == pytest.approx(1.9 / 1.7, rel=0.02)
    assert not told["8"].metric and told["8"].height == pytest.approx(1.7)
    graph.diagnosis(lambda values: values.get("people.scale_known") == "1")
    assert teller.tell("7", 0.0).message == "the height of '7' is forgotten"
    forgotten = {p.id: p for p in graph.ask(people).people}
    assert not forgotten["7"].metric and forgotten["7"].height == pytest.approx(1.7)


@pytest.mark.parametrize(
    ("id", "height", "words"),
    [
        ("7", 17.0, "the height of '7' must lie in 0.3 to 3 m, got 17"),
        ("7", -1.7, "must lie in 0.3 to 3 m"),
        ("7", math.nan, "must lie in 0.3 to 3 m"),
        ("", 1.7, "name the id"),
    ],
)
def test_heights_that_make_no_sense_are_refused_and_change_nothing(graph, node, id, height, words):
    answer = Teller(graph).tell(id, height)
    assert not answer.success
    assert words in answer.message
    assert not graph.ask().people[0].metric


def test_forgetting_what_was_never_known_is_no_error(graph: Graph, node: Any) -> None:
    answer = Teller(graph).tell("nobody", 0.0)
    assert (answer.success, answer.message) == (True, "no height of 'nobody' was known")


def test_the_service_comes_and_goes_with_the_configuration(graph: Graph, node: Any) -> None:
    Teller(graph).tell("7", 1.9)
    for _ in range(2):
        assert node.trigger_deactivate() and node.trigger_cleanup()
        assert not [service for service in node.services if service.srv_name.endswith("set_person_height")]
        assert node.trigger_configure() and node.trigger_activate()
    graph.connect(node)
    graph.wait("camera", lambda: node.camera or graph.send_camera())
    assert not graph.ask().people[0].metric, "heights are forgotten with the configuration"
