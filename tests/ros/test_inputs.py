"""What other people's detectors publish goes into pose_node over DDS, and skeletons come out."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

import rclpy
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from occpose_core.skeleton import H36M17
from occpose_core.types import State
from occpose_ros import bodies, inputs
from occpose_ros.message_types import message_class
from occpose_ros.pose_node import PoseNode
from tests.ros import families
from tests.ros.families import COCO17, Person, World
from tests.ros.graph import FRAME_NS
from tests.ros.people import WIDTH, keypoints, person_msg

pytestmark = pytest.mark.usefixtures("interfaces")

LEFT_WRIST = H36M17.index("left_wrist")
MESSAGES = {
    "yolo": ("yolo_msgs/msg/DetectionArray", families.yolo_msg),
    "zed": ("zed_msgs/msg/ObjectsStamped", families.zed_msg),
    "openpose": ("openpose_ros2_msgs/msg/PoseKeyPointsList", families.openpose_msg),
}


@pytest.fixture
def world() -> World:
    """Messages of this ROS."""
    return World("rclpy")


def standing(id: str = "7", x_m: float = 0.0) -> Person:
    """A person whose left wrist is hidden."""
    xy_px, score = keypoints(x_m)
    score[COCO17.index("left_wrist")] = 0.0
    return Person(id, xy_px, score)


def make_node(graph, *remaps: str, **options) -> PoseNode:
    """A node with other names of topics."""
    arguments = ["--ros-args", *(word for remap in remaps for word in ("-r", remap))]
    parameters = [Parameter(name, value=value) for name, value in options.pop("parameters", {}).items()]
    options = {"cli_args": arguments, "parameter_overrides": parameters, **options}
    return graph.add(PoseNode(context=graph.context, use_global_arguments=False, **options))


def active(graph, **parameters):
    """An active node that knows its camera, hears `detections` and whose skeletons are heard."""
    # a topic has one type in a process, and that of `keypoints` is taken by the peer
    remaps = ["keypoints:=detections"] if parameters.get("input") in MESSAGES else []
    node = make_node(graph, *remaps, parameters={"diagnostics_period_s": 0.1, **parameters})
    node.start()
    assert node.state == "active", node.failure
    graph.wait("camera", lambda: node.camera or graph.send_camera())
    (skeletons,) = [publisher for publisher in node.publishers if publisher.topic_name == "/skeletons"]
    graph.wait("a hearer of the skeletons", skeletons.get_subscription_count)
    return node


def publisher(graph, kind: str, topic: str):
    """A publisher of the peer that the node hears."""
    made = graph.peer.create_publisher(message_class(kind), topic, 10)
    graph.wait(f"the node to hear {topic}", made.get_subscription_count)
    return made


def states(answer) -> dict[str, State]:
    return {person.id: State(person.state) for person in answer.people}


@pytest.mark.parametrize("family", MESSAGES)
def test_a_message_becomes_skeletons(graph, world, family):
    kind, write = MESSAGES[family]
    active(graph, input=family)
    sender = publisher(graph, kind, "detections")
    graph.stamp_ns += FRAME_NS
    sender.publish(write(world, [standing("7", -0.5), standing("8", 0.5)], graph.stamp_ns))
    answer = graph.answer_to(graph.stamp_ns)
    people = sorted(answer.people, key=lambda person: person.position[0])
    assert len(people) == 2 and (family == "openpose" or [person.id for person in people] == ["7", "8"])
    for person, sent in zip(people, (standing("7", -0.5), standing("8", 0.5)), strict=True):
        knee = H36M17.index("left_knee")
        assert (person.origin[LEFT_WRIST], person.origin[knee]) == (1, 0)
        np.testing.assert_allclose(person.xy[2 * knee : 2 * knee + 2], sent.xy_px[COCO17.index("left_knee")], atol=1.0)


def test_the_executable_reads_a_remapped_topic(graph, world, start):
    start("-p", "input:=yolo", "-r", "keypoints:=/yolo/tracking")
    sender = publisher(graph, MESSAGES["yolo"][0], "/yolo/tracking")

    def answered():
        graph.send_camera()
        graph.stamp_ns += FRAME_NS
        sender.publish(families.yolo_msg(world, [standing("7")], graph.stamp_ns))
        return [answer for answer in graph.heard["skeletons"] if answer.people]

    assert states(graph.wait("skeletons", answered)[0]) == {"7": State.TRACKED}


@pytest.mark.parametrize("family", [*MESSAGES, "hri"])
def test_a_missing_message_package_is_one_sentence(graph, monkeypatch, family):
    package = message_class(inputs.INPUTS[family].msgtype).__module__.split(".")[0]
    node = make_node(graph, "keypoints:=detections", parameters={"input": family, "autostart": False})
    with monkeypatch.context() as without:
        without.setitem(sys.modules, f"{package}.msg", None)
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert f"the message package {package} is not there: install it" in node.failure
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def test_a_mirrored_camera_image_is_turned_back(graph):
    active(graph, mirror=True)
    graph.wait("the node to hear keypoints", graph.keypoints.get_subscription_count)
    xy_px, score = keypoints(x_m=0.5)
    xy_px, score = xy_px[COCO17.mirror], score[COCO17.mirror]
    xy_px[:, 0] = (WIDTH - 1) - xy_px[:, 0]
    (person,) = graph.ask([person_msg(graph.types, "7", xy_px, score)]).people
    assert np.mean(person.position[0::3]) > 0.2
    left, right = (person.position[3 * H36M17.index(f"{side}_shoulder")] for side in ("left", "right"))
    assert left > right  # the person faces the camera


class Detector:
    """Speaks REP-155, as hri_body_detect does: the skeletons of an image first, then the list of their ids."""

    def __init__(self, graph, world: World, humans: str = "/humans") -> None:
        self.graph, self.world, self.humans = graph, world, humans
        self.list = publisher(graph, "hri_msgs/msg/IdsList", f"{humans}/bodies/tracked")
        self.bodies: dict[str, object] = {}

    def track(self, *ids: str, heard: bool = True) -> int:
        """Publish the list of one frame later, and wait until the node listens to new bodies."""
        self.graph.stamp_ns += FRAME_NS
        self.say(*ids)
        for id in ids if heard else ():
            if id not in self.bodies:
                topic = f"{self.humans}/bodies/{id}/skeleton2d"
                self.bodies[id] = publisher(self.graph, "hri_msgs/msg/Skeleton2D", topic)
        return self.graph.stamp_ns

    def say(self, *ids: str) -> None:
        """Publish the list."""
        header = self.world.header(self.graph.stamp_ns)
        self.list.publish(self.world.make("hri_msgs/IdsList", header=header, ids=list(ids)))

    def see(self, *ids: str) -> int:
        """Publish the skeletons of one frame later."""
        self.graph.stamp_ns += FRAME_NS
        for id in ids:
            person = standing(id, x_m="abc".index(id) - 1.0)
            self.bodies[id].publish(families.hri_skeleton(self.world, person, self.graph.stamp_ns))
        return self.graph.stamp_ns


def test_bodies_appear_and_vanish_at_run_time(graph, world):
    active(graph, input="hri")
    detector = Detector(graph, world)
    detector.track("a")
    assert states(graph.answer_to(detector.see("a"))) == {"a": State.TRACKED}
    detector.track("a", "b")
    both = graph.answer_to(detector.see("a", "b"))
    assert states(both) == {"a": State.TRACKED, "b": State.TRACKED}
    x_m = {person.id: person.position[0] for person in both.people}
    assert x_m["a"] < -0.3 and abs(x_m["b"]) < 0.3
    detector.track("a")  # b has left
    assert states(graph.answer_to(detector.see("a"))) == {"a": State.TRACKED, "b": State.OCCLUDED}
    nobody = detector.track()
    assert states(graph.answer_to(nobody)) == {"a": State.OCCLUDED, "b": State.OCCLUDED}


def test_a_body_that_stays_away_costs_one_image_at_most(graph, world):
    active(graph, input="hri")
    detector = Detector(graph, world)
    detector.track("a", "b")
    detector.see("a")  # waits for b, until the next image begins
    for _ in range(2):
        assert states(graph.answer_to(detector.see("a"))) == {"a": State.TRACKED}
    assert states(graph.answer_to(detector.see("a", "b")))["a"] == State.TRACKED
    assert states(graph.answer_to(detector.see("b", "a"))) == {"a": State.TRACKED, "b": State.TRACKED}


def test_topics_of_bodies_are_left_when_they_are_gone(graph, world, monkeypatch):
    node = active(graph, input="hri")
    detector = Detector(graph, world)
    detector.track("a", "b")
    monkeypatch.setattr(bodies, "KEEP_S", -1.0)

    def topics() -> set[str]:
        return {s.topic_name for s in node.subscriptions if s.topic_name.endswith("skeleton2d")}

    assert topics() == {"/humans/bodies/a/skeleton2d", "/humans/bodies/b/skeleton2d"}
    graph.wait("the topics to be left", lambda: detector.track() and not topics())
    monkeypatch.undo()
    detector.bodies.clear()
    detector.track("b")
    assert states(graph.answer_to(detector.see("b")))["b"] == State.TRACKED
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert topics() == set()


def test_more_bodies_than_can_be_heard_and_names_that_are_none(graph, world, monkeypatch):
    monkeypatch.setattr(bodies, "MAX_BODIES", 2)
    node = active(graph, input="hri")
    detector = Detector(graph, world)
    detector.track("no-name", "", "1a", "{bad}", "a" * 300, "a", "b", "c", heard=False)
    status = graph.diagnosis(lambda values: values.get("dropped.refused_body"))
    assert "refused_body" in status.message
    topics = sorted(s.topic_name for s in node.subscriptions if s.topic_name.endswith("skeleton2d"))
    assert topics == ["/humans/bodies/a/skeleton2d", "/humans/bodies/b/skeleton2d"]
    detector.track(*(f"b{i}" for i in range(1001)), heard=False)
    graph.diagnosis(lambda values: values.get("dropped.too_many_people"))
    detector.track("c")  # takes the place of one that is tracked no more
    assert states(graph.answer_to(detector.see("c"))) == {"c": State.TRACKED}


def test_a_namespace_holds_for_relative_humans(graph, world):
    node = make_node(graph, namespace="/robot", parameters={"input": "hri", "humans_namespace": "humans"})
    node.start()
    assert "/robot/humans/bodies/tracked" in {s.topic_name for s in node.subscriptions}


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        pytest.param({"humans_prefix": "/humans"}, "input hri reads there", id="own output"),
        pytest.param({"humans_namespace": "no good"}, "humans_namespace cannot be 'no good'", id="no name"),
        pytest.param({"humans_namespace": "{bad}"}, "humans_namespace cannot be '{bad}'", id="no substitution"),
    ],
)
def test_places_where_hri_cannot_be_read(graph, parameters, words):
    node = graph.make_node(input="hri", autostart=False, **parameters)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert words in node.failure
    assert not [s for s in node.subscriptions if "bodies" in s.topic_name or s.topic_name == "/camera_info"]


def test_the_diagnostics_name_the_topic_that_is_silent(graph):
    active(graph, input="hri")
    status = graph.diagnosis(lambda values: values["message"].startswith("no keypoints"))
    assert status.message == "no keypoints on /humans/bodies/tracked"


@pytest.fixture
def stranger(ros_domain_id):
    """A node as in another process: there a topic may have another type."""
    context = Context()
    rclpy.init(context=context, domain_id=ros_domain_id)
    node = rclpy.create_node("stranger", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_the_diagnostics_tell_the_input_that_the_messages_need(graph, stranger):
    active(graph, input="zed")
    stranger.create_publisher(message_class(MESSAGES["yolo"][0]), "detections", 1)
    status = graph.diagnosis(lambda values: "input" in values["message"])
    assert (
        status.message
        == "no keypoints on /detections, but yolo_msgs/msg/DetectionArray: set the parameter input to yolo"
    )
