"""What `replay.launch.py` asks of `ros2 bag`: the processes it composes, without a ROS installation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from occpose_ros.ros2_bag import Ros2BagError, check, play_command, ready_command, record_command

ROOT = Path(__file__).parents[2]
QOS = "qos.yaml"
GIVEN = {
    "bag": str(ROOT / "samples" / "two_people.mcap"),
    "rate": "1.0",
    "loop": "false",
    "record": "",
    "input": "",
    "keypoints": "keypoints",
    "camera_info": "camera_info",
    "namespace": "",
    "overlay": "false",
    "image_model": "",
    "image": "image",
    "image_transport": "",
}


def after(command: list[str], option: str) -> list[str]:
    """The values of an option: up to the next option or the end."""
    values = command[command.index(option) + 1 :]
    ends = [index for index, word in enumerate(values) if word.startswith("--")]
    return values[: ends[0]] if ends else values


@pytest.mark.parametrize(
    ("changes", "topics"),
    [
        pytest.param({}, ["/keypoints", "/camera_info"], id="default"),
        pytest.param(
            {"keypoints": "/detector/people", "namespace": "front"},
            ["/detector/people", "/front/camera_info"],
            id="namespace",
        ),
        pytest.param({"namespace": "/front/"}, ["/front/keypoints", "/front/camera_info"], id="slashes"),
        pytest.param(
            {"overlay": "true", "image": "/camera/image_raw", "image_transport": "raw"},
            ["/keypoints", "/camera_info", "/camera/image_raw"],
            id="overlay",
        ),
        pytest.param(
            {"image_model": "sefd.onnx", "image_transport": "compressed"},
            ["/keypoints", "/camera_info", "/image/compressed"],
            id="image-model",
        ),
        pytest.param(
            {"overlay": "true"},
            ["/keypoints", "/camera_info", "/image", "/image/compressed"],
            id="transport-from-the-parameter-file",
        ),
    ],
)
def test_the_input_alone_is_played(changes, topics):
    command = play_command({**GIVEN, **changes}, QOS)
    assert command[:4] == ["ros2", "bag", "play", GIVEN["bag"]]
    assert after(command, "--topics") == [*topics, "/tf", "/tf_static"]
    assert after(command, "--clock") == ["100"] and after(command, "--qos-profile-overrides-path") == [QOS]


def test_bodies_of_ros4hri_are_played_whatever_they_are_called_and_old_answers_do_not_mix_in():
    command = play_command({**GIVEN, "input": "hri", "namespace": "front"}, QOS)
    assert "--topics" not in command
    assert "/front/skeletons:=/recorded/front/skeletons" in after(command, "--remap")


@pytest.mark.parametrize(
    ("loop", "expected", "absent"),
    [pytest.param("true", "--loop", "--delay", id="loop"), pytest.param("false", "--delay", "--loop", id="once")],
)
def test_only_the_first_pass_waits_for_listeners(loop, expected, absent):
    command = play_command({**GIVEN, "loop": loop}, QOS)
    assert expected in command and absent not in command


@pytest.mark.parametrize(
    ("topic", "recorded"),
    [
        pytest.param("/detector/people", True, id="keypoints"),
        pytest.param("/front/camera_info", True, id="camera"),
        pytest.param("/front/skeletons", True, id="skeletons"),
        pytest.param("/front/skeletons_in_target_frame", True, id="target-frame"),
        pytest.param("/front/skeleton_info", True, id="latched"),
        pytest.param("/front/markers", True, id="markers"),
        pytest.param("/front/filled_keypoints", True, id="filled"),
        pytest.param("/tf_static", True, id="static-frames"),
        pytest.param("/humans/bodies/b1/skeleton2d", True, id="hri-input"),
        pytest.param("/front/occpose/humans/bodies/tracked", True, id="hri-answer"),
        pytest.param("/clock", False, id="clock"),
        pytest.param("/skeletons", False, id="another-camera"),
        pytest.param("/front/image", False, id="image-nobody-looks-at"),
        pytest.param("/front/skeletons/other", False, id="below"),
    ],
)
def test_input_and_answers_are_recorded_in_the_time_of_the_bag(topic, recorded):
    given = {**GIVEN, "record": "answers", "keypoints": "/detector/people", "namespace": "front"}
    command = record_command(given)
    assert after(command, "--output") == ["answers"] and "--use-sim-time" in command
    (pattern,) = after(command, "--regex")
    assert bool(re.search(pattern, topic)) is recorded  # as rosbag2 asks


def test_the_player_waits_for_the_node_of_the_namespace():
    assert ready_command("front")[-2:] == ["/front/skeleton_info", "occpose_ros/msg/SkeletonInfo"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"bag": "no_such_bag"}, "got 'no_such_bag': it does not exist", id="bag"),
        pytest.param({"rate": "fast"}, "rate must be a number above 0, got 'fast'", id="rate"),
        pytest.param({"rate": "-1"}, "rate must be a number above 0, got '-1'", id="backwards"),
        pytest.param({"record": str(ROOT)}, "record must be a folder that is not there yet", id="record-exists"),
        pytest.param({"record": "new", "loop": "true"}, "record and loop:=true exclude each other", id="record-loop"),
    ],
)
def test_what_cannot_be_played_or_recorded_is_refused_with_a_sentence(changes, words):
    check(GIVEN)
    with pytest.raises(Ros2BagError, match=re.escape(words)):
        check({**GIVEN, **changes})


def test_the_player_latches_static_frames_and_keeps_all_of_them():
    """A player that offers less than the listeners of /tf_static ask for is not heard at all."""
    qos = pytest.importorskip("rclpy.qos", reason="needs ROS 2: run `make setup`, or source your ROS")
    yaml = pytest.importorskip("yaml", reason="comes with ROS 2")
    profiles = yaml.safe_load((ROOT / "config" / "replay_qos.yaml").read_text(encoding="utf-8"))
    policies = {
        "durability": qos.QoSDurabilityPolicy,
        "reliability": qos.QoSReliabilityPolicy,
        "history": qos.QoSHistoryPolicy,
    }
    offered = {topic: {} for topic in profiles}
    for topic, wishes in profiles.items():  # as ros2 bag reads the file
        for key, value in wishes.items():
            offered[topic][key] = policies[key].get_from_short_key(value) if key in policies else value
    assert list(offered) == ["/tf_static"]
    asked = qos.QoSProfile(depth=100, durability=qos.QoSDurabilityPolicy.TRANSIENT_LOCAL)
    for change, expected in ({}, True), ({"durability": qos.QoSDurabilityPolicy.VOLATILE}, False):
        offer = qos.QoSProfile(**{**offered["/tf_static"], **change})
        compatible, _ = qos.qos_check_compatible(offer, asked)
        assert (compatible != qos.QoSCompatibility.ERROR) is expected
    assert offered["/tf_static"]["depth"] >= 100
