"""TF over DDS: people's frames go out, and the robot's frames come in for the target frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from scipy.spatial.transform import Rotation

from occpose_core.skeleton import H36M17
from occpose_ros.body_frames import Frames, frames_to_msgs
from occpose_ros.message_types import message_class, stamp_ns_from_msg, stamp_to_msg
from occpose_ros.transforms import Transform, TransformBuffer
from tests.ros.graph import FRAME_NS, Graph, find
from tests.ros.people import FRAME_ID

pytestmark = pytest.mark.usefixtures("interfaces")

LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
# the robot turns about its z axis while it drives
RATE_RAD_S, SPEED_M_S = 1.0, 0.8
BASE_FROM_CAMERA = Transform(
    rotation=np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), translation_m=np.array([0.1, 0.0, 1.2])
)


def odom_from_base(stamp_ns: int) -> Transform:
    t_s = stamp_ns * 1e-9
    return Transform(
        rotation=Rotation.from_rotvec((0, 0, RATE_RAD_S * t_s)).as_matrix(),
        translation_m=np.array([SPEED_M_S * t_s, 0.0, 0.0]),
    )


class Robot:
    """Says where its base and its camera are."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._kind = message_class("tf2_msgs/msg/TFMessage")
        self._tf = graph.peer.create_publisher(self._kind, "/tf", 100)
        self._tf_static = graph.peer.create_publisher(self._kind, "/tf_static", LATCHED)

    def say_where_the_camera_is(self) -> None:
        graph = self._graph
        graph.wait("listener", lambda: self._tf.get_subscription_count() and self._tf_static.get_subscription_count())
        self._say(self._tf_static, "base", FRAME_ID, BASE_FROM_CAMERA, 0)

    def say_where_the_base_is(self, stamp_ns: int) -> None:
        self._say(self._tf, "odom", "base", odom_from_base(stamp_ns), stamp_ns)

    def say_nonsense(self) -> None:
        self._tf.publish(self._kind(transforms=[message_class("geometry_msgs/msg/TransformStamped")()]))

    def _say(self, publisher: Any, parent: str, child: str, transform: Transform, stamp_ns: int) -> None:
        quaternion = Rotation.from_matrix(transform.rotation).as_quat()
        frames = Frames(
            names=[(parent, child)], quaternions=quaternion[None], translations_m=transform.translation_m[None]
        )
        publisher.publish(self._kind(transforms=frames_to_msgs(frames, stamp_ns, self._graph.types)))


def listen_to_tf(graph: Graph, node: Any) -> list[Any]:
    subscription = graph.listen(message_class("tf2_msgs/msg/TFMessage"), "/tf")
    # its publisher comes with the first answer
    graph.wait("/tf", lambda: graph.publisher_count(subscription) or graph.ask())
    graph.heard["/tf"].clear()
    return graph.heard["/tf"]


def frames(messages: list[Any], since_ns: int = 0) -> set[str]:
    """Names of the frames since a stamp."""
    stamped = [transform for msg in messages for transform in msg.transforms]
    return {t.child_frame_id for t in stamped if stamp_ns_from_msg(t.header.stamp) >= since_ns}


def positions(answer: Any) -> np.ndarray:
    return np.array([person.position for person in answer.people]).reshape(-1, 3)


def buffer_of(messages: list[Any]) -> TransformBuffer:
    buffer = TransformBuffer()
    for msg in messages:
        assert buffer.add_msg(msg, static=False) == ""
    return buffer


def test_frames_of_a_person_who_looks_at_the_camera_come_and_go(graph):
    node = graph.active(publish_joint_tf=True)
    heard = listen_to_tf(graph, node)
    answer = graph.ask()
    stamp_ns = stamp_ns_from_msg(answer.header.stamp)
    graph.wait("frames", lambda: any(stamp_ns_from_msg(m.transforms[0].header.stamp) == stamp_ns for m in heard))
    tree = buffer_of(heard)
    body = tree.lookup(FRAME_ID, "body_p7", stamp_ns)
    assert body.rotation[2, 0] < -0.8, "x points at the camera"
    assert body.rotation[1, 2] < -0.8, "z points up"
    for joint, frame in (("left_knee", "l_knee_p7"), ("head_top", "head_top_p7")):
        joint_cam_m = positions(answer)[H36M17.index(joint)]
        np.testing.assert_allclose(tree.lookup(FRAME_ID, frame, stamp_ns).translation_m, joint_cam_m, atol=1e-5)

    graph.wait("loss", lambda: "7" in graph.ask([]).lost_ids)
    without_ns = [graph.stamp_ns, *(stamp_ns_from_msg(graph.ask([]).header.stamp) for _ in range(3))]
    graph.ask()
    graph.wait("return", lambda: frames(heard, since_ns=graph.stamp_ns))
    assert not any(find([msg.transforms[0] for msg in heard], stamp_ns) for stamp_ns in without_ns)


def test_frames_of_joints_are_switched_while_the_node_runs(graph):
    node = graph.active(publish_tf=True)
    heard = listen_to_tf(graph, node)
    graph.ask()
    graph.wait("frames", lambda: heard)
    assert frames(heard) == {"body_p7"}
    node.set_parameters([Parameter("publish_joint_tf", value=True), Parameter("publish_tf", value=False)])
    graph.ask()
    graph.wait("joints", lambda: len(heard[-1].transforms) == 18)
    node.set_parameters([Parameter("publish_joint_tf", value=False)])
    graph.ask()
    off_ns = graph.stamp_ns
    node.set_parameters([Parameter("publish_tf", value=True)])
    graph.wait("frames", lambda: graph.ask() and frames(heard, since_ns=off_ns))
    assert frames(heard, since_ns=off_ns) == {"body_p7"}
    assert find([msg.transforms[0] for msg in heard], off_ns) is None


def in_target_frame(graph: Graph) -> list[Any]:
    subscription = graph.listen(graph.types.Skeleton3DArray, "skeletons_in_target_frame")
    graph.wait("topic", lambda: graph.publisher_count(subscription))
    return graph.heard["skeletons_in_target_frame"]


def check(there: Any, answer: Any) -> None:
    """The skeletons of the answer, moved as the robot stood at their stamp."""
    assert there.header.frame_id == "odom" and there.header.stamp == answer.header.stamp
    robot = odom_from_base(stamp_ns_from_msg(answer.header.stamp)).after(BASE_FROM_CAMERA)
    np.testing.assert_allclose(positions(there), robot.apply(positions(answer)), atol=0.003)
    assert [p.id for p in there.people] == [p.id for p in answer.people]
    assert there.people[0].std_dev == answer.people[0].std_dev


def test_a_moving_robot_is_where_it_was_at_the_stamp(graph):
    graph.active(target_frame="odom", tf_wait_s=5.0)
    robot, heard = Robot(graph), in_target_frame(graph)
    robot.say_where_the_camera_is()
    begin_ns = graph.stamp_ns
    for k in range(20):
        robot.say_where_the_base_is(begin_ns + k * 50_000_000)
    for _ in range(5):
        answer = graph.ask()
        stamp_ns = stamp_ns_from_msg(answer.header.stamp)
        check(graph.wait("target frame", lambda s=stamp_ns: find(heard, s)), answer)


def test_transforms_that_come_late_lose_nothing(graph):
    graph.active(target_frame="odom", tf_wait_s=5.0)
    robot, heard = Robot(graph), in_target_frame(graph)
    robot.say_where_the_camera_is()
    robot.say_where_the_base_is(graph.stamp_ns)
    answers = [graph.ask() for _ in range(4)]
    assert heard == []
    robot.say_where_the_base_is(graph.stamp_ns + 1)
    graph.wait("target frame", lambda: len(heard) == len(answers))
    for there, answer in zip(heard, answers, strict=True):
        check(there, answer)
    status = graph.diagnosis(lambda values: values["answered"] == "4")
    assert "dropped.no_transform" not in {pair.key for pair in status.values}


def test_no_more_than_thirty_answers_wait(graph):
    graph.active(target_frame="odom", tf_wait_s=5.0)
    heard = in_target_frame(graph)
    for _ in range(33):
        graph.ask()
    assert graph.diagnosis(lambda values: values.get("dropped.no_transform") == "3")
    robot = Robot(graph)
    robot.say_where_the_camera_is()
    robot.say_where_the_base_is(5_000_000_000)
    robot.say_where_the_base_is(graph.stamp_ns)
    graph.wait("target frame", lambda: len(heard) == 30)


def test_a_bad_transform_is_counted_and_costs_only_itself(graph):
    graph.active(target_frame="odom", tf_wait_s=5.0)
    robot, heard = Robot(graph), in_target_frame(graph)
    robot.say_where_the_camera_is()
    robot.say_where_the_base_is(graph.stamp_ns)
    robot.say_nonsense()
    status = graph.diagnosis(lambda values: values.get("dropped.bad_transform") == "1")
    assert status.level == DiagnosticStatus.WARN
    robot.say_where_the_base_is(graph.stamp_ns + FRAME_NS)
    graph.ask()
    graph.wait("target frame", lambda: heard)


def test_without_transforms_the_camera_frame_goes_on(graph):
    graph.active(target_frame="odom", tf_wait_s=0.0)
    heard = in_target_frame(graph)
    for _ in range(5):
        assert graph.ask().header.frame_id == FRAME_ID
    assert graph.diagnosis(lambda values: values.get("dropped.no_transform") == "5")
    assert heard == []


def test_a_clock_that_jumps_back_forgets_where_the_robot_was(graph):
    clock = graph.peer.create_publisher(Clock, "/clock", 10)
    node = graph.active(target_frame="odom", tf_wait_s=0.0, use_sim_time=True)
    graph.wait("clock subscription", clock.get_subscription_count)
    robot, heard = Robot(graph), in_target_frame(graph)
    robot.say_where_the_camera_is()
    for k in range(10):
        robot.say_where_the_base_is(graph.stamp_ns + k * 500_000_000)

    def set_clock(stamp_ns: int) -> None:
        clock.publish(Clock(clock=stamp_to_msg(stamp_ns, graph.types)))
        graph.wait("clock", lambda: node.get_clock().now().nanoseconds == stamp_ns)

    set_clock(graph.stamp_ns + 10**9)
    graph.wait("transforms", lambda: graph.ask() and heard)
    set_clock(graph.stamp_ns - 10**9)
    graph.ask()
    missing_ns = graph.stamp_ns
    for later_ns in (1, 5 * 10**9):
        robot.say_where_the_base_is(missing_ns + later_ns)
    graph.wait("transforms again", lambda: graph.ask() and stamp_ns_from_msg(heard[-1].header.stamp) > missing_ns)
    assert find(heard, missing_ns) is None


def test_a_recording_that_begins_again_finds_its_transforms(graph):
    graph.active(target_frame="odom", tf_wait_s=5.0)
    robot, heard = Robot(graph), in_target_frame(graph)
    robot.say_where_the_camera_is()
    begin_ns = graph.stamp_ns
    for lap in range(2):
        graph.stamp_ns = begin_ns
        for topic in ("skeletons", "skeletons_in_target_frame"):
            graph.heard[topic].clear()
        robot.say_where_the_base_is(begin_ns)
        for _ in range(3):
            answer = graph.ask(ahead_ns=20 * FRAME_NS)
            stamp_ns = stamp_ns_from_msg(answer.header.stamp)
            robot.say_where_the_base_is(stamp_ns + FRAME_NS)
            check(graph.wait(f"lap {lap}", lambda s=stamp_ns: find(heard, s)), answer)


def leave_outputs(graph: Graph, node: Any) -> None:
    """Have nobody listen to what the node says about people in its own topics."""
    for subscription in list(graph.peer.subscriptions):
        if subscription.topic_name in ("/skeletons", "/markers", "/filled_keypoints"):
            graph.peer.destroy_subscription(subscription)
    graph.wait("rest", lambda: not node.count_subscribers("/skeletons"))


@pytest.mark.parametrize(
    ("parameters", "kind", "topic"),
    [
        pytest.param({"publish_tf": True}, "tf2_msgs/msg/TFMessage", "/tf", id="tf"),
        pytest.param({"publish_humans": True}, "hri_msgs/msg/IdsList", "occpose/humans/bodies/tracked", id="humans"),
        pytest.param(
            {"target_frame": FRAME_ID}, "occpose_ros/msg/Skeleton3DArray", "skeletons_in_target_frame", id="target"
        ),
    ],
)
def test_a_lazy_node_works_for_who_hears_frames_alone(graph, parameters, kind, topic):
    node = graph.active(lazy=True, **parameters)
    leave_outputs(graph, node)
    graph.listen(message_class(kind), topic)
    graph.wait("words", lambda: graph.send() and graph.heard[topic])


def test_a_node_that_hears_tf_does_not_take_itself_for_a_listener(graph):
    node = graph.active(lazy=True, publish_tf=True, target_frame="odom")
    leave_outputs(graph, node)
    graph.wait("the node on /tf", lambda: node.count_subscribers("/tf"))
    for _ in range(3):
        graph.send()
        graph.diagnosis(lambda values: True)
    graph.diagnosis(lambda values: values["rested"] == values["received"] != "0")
    graph.listen(message_class("tf2_msgs/msg/TFMessage"), "/tf")
    graph.wait("frames", lambda: graph.send() and graph.heard["/tf"])
