"""A replay answers as the node does that hears the same messages, whatever detector speaks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import load
from occpose_ros.bag import BagReader, BagWriter
from occpose_ros.message_types import message_class
from occpose_ros.pose_node import PoseNode
from occpose_ros.replay.answer_writer import SKELETONS, AnswerWriter
from occpose_ros.replay.run import replay
from occpose_ros.replay.topics import add_source_arguments, find_topics, source_settings
from tests.ros import families
from tests.ros.bag_files import every_type
from tests.ros.families import COCO17, Person, World
from tests.ros.graph import FRAME_NS, find
from tests.ros.people import camera_info_msg, keypoints

pytestmark = pytest.mark.usefixtures("interfaces")

IMAGES = 12
Spoken = list[tuple[str, str, Any]]  # topic, type, message; of one image


def people(image: int) -> list[Person]:
    """Two people who walk apart, one with a hidden wrist, and who comes late."""
    found = []
    for id, side in (("7", -1.0), ("8", 1.0)):
        xy_px, score = keypoints(side * (0.4 + 0.02 * image))
        score[COCO17.index("left_wrist" if id == "7" else "right_ankle")] = 0.0
        found.append(Person(id, xy_px, score))
    return found[: 1 if image < 3 else 2]


def one_topic(kind: str, write: Callable[..., Any], **how: Any) -> Callable[[World, int, int], Spoken]:
    def speak(world: World, image: int, stamp_ns: int) -> Spoken:
        return [("/detections", kind, write(world, people(image), stamp_ns, **how))]

    return speak


def bodies(world: World, image: int, stamp_ns: int) -> Spoken:
    """The list, and then whom it names."""
    there = [Person(f"body_{person.id}", person.xy_px, person.score) for person in people(image)]
    ids = world.make("hri_msgs/IdsList", header=world.header(stamp_ns), ids=[person.id for person in there])
    spoken: Spoken = [("/humans/bodies/tracked", "hri_msgs/msg/IdsList", ids)]
    for person in there:
        skeleton = families.hri_skeleton(world, person, stamp_ns)
        spoken.append((f"/humans/bodies/{person.id}/skeleton2d", "hri_msgs/msg/Skeleton2D", skeleton))
    return spoken


CASES = [
    pytest.param(
        {"input": "yolo", "first_joint_id": 0, "mirror": True},
        one_topic("yolo_msgs/msg/DetectionArray", families.yolo_msg, first_joint_id=0),
        id="yolo, joints from 0, mirrored",
    ),
    pytest.param(
        {"input": "zed", "image_width": 1920, "person_height_m": 1.8},
        one_topic("zed_msgs/msg/ObjectsStamped", families.zed_msg, layout="zed34"),
        id="zed, in pixels of another size",
    ),
    pytest.param(
        {"input": "openpose", "layout": "openpose18", "min_cutoff_hz": 0.0},
        one_topic("openpose_ros2_msgs/msg/PoseKeyPointsList", families.openpose_msg, layout="openpose18"),
        id="openpose, without smoothing",
    ),
    pytest.param({"input": "hri", "hold_s": 0.1}, bodies, id="hri"),
]


def live(graph: Any, parameters: dict[str, Any], speak: Callable[..., Spoken], bag: Path) -> list[Any]:
    """What the node answers, image by image; what it heard is in the bag."""
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    # a topic has one type in a process, and that of `keypoints` is taken by the peer
    arguments = ["--ros-args", "-r", "keypoints:=detections"]
    options: dict[str, Any] = {"cli_args": arguments, "parameter_overrides": overrides, "use_global_arguments": False}
    node = graph.add(PoseNode(context=graph.context, **options))
    node.start()
    graph.wait("camera", lambda: node.camera or graph.send_camera())
    (skeletons,) = [publisher for publisher in node.publishers if publisher.topic_name == "/skeletons"]
    graph.wait("a hearer of the skeletons", skeletons.get_subscription_count)
    world, senders, answers = World("rclpy"), {}, []
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}

        def say(topic: str, kind: str, message: Any) -> None:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=every_type())
            writer.write(connections[topic], graph.stamp_ns, serialize_message(message))

        say("/camera_info", "sensor_msgs/msg/CameraInfo", camera_info_msg(graph.types))
        for image in range(IMAGES):
            graph.stamp_ns += FRAME_NS
            for topic, kind, message in speak(world, image, graph.stamp_ns):
                if topic not in senders:
                    senders[topic] = graph.peer.create_publisher(message_class(kind), topic, 10)
                    graph.wait(f"the node to hear {topic}", senders[topic].get_subscription_count)
                senders[topic].publish(message)
                say(topic, kind, message)
            answers.append(graph.answer_to(graph.stamp_ns))
    return answers


def replayed(bag: Path, parameters: dict[str, Any], folder: Path) -> list[Any]:
    """What a replay answers that has the node's parameter file."""
    file = folder / "node.yaml"
    file.write_text(json.dumps({"pose_node": {"ros__parameters": parameters}}))
    parser = argparse.ArgumentParser()
    add_source_arguments(parser)
    settings = source_settings(parser.parse_args(["--params", str(file)]))
    pipeline = PosePipeline(load(), settings.parameters.pipeline_config)
    with BagReader(bag) as recording, BagWriter(folder / "out.mcap") as out:
        replay(recording, find_topics(recording, settings), pipeline, AnswerWriter(out), settings=settings)
    with BagReader(folder / "out.mcap") as output:
        return [record.message for record in output.messages([SKELETONS])]


@pytest.mark.parametrize(("parameters", "speak"), CASES)
def test_node_and_replay_say_the_same(
    graph: Any, parameters: dict[str, Any], speak: Callable[..., Spoken], tmp_path: Path
) -> None:
    heard = live(graph, parameters, speak, tmp_path / "bag")
    told = replayed(tmp_path / "bag", parameters, tmp_path)
    assert len(told) == len(heard) == IMAGES
    assert len(heard[-1].people) == 2
    for theirs in heard:
        ours = find(told, theirs.header.stamp.sec * 10**9 + theirs.header.stamp.nanosec)
        assert ours.header.frame_id == theirs.header.frame_id
        assert len(ours.people) == len(theirs.people)
        for mine, other in zip(ours.people, theirs.people, strict=True):
            if parameters["input"] != "openpose":  # which has no ids: those of the node begin as nobody else's
                assert mine.id == other.id
            for name in ("state", "metric", "height"):
                assert getattr(mine, name) == getattr(other, name)
            for name in ("position", "std_dev", "origin", "xy"):
                np.testing.assert_array_equal(getattr(mine, name), np.asarray(getattr(other, name)))
