"""A node's parameter file means to a replay what it means to the node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from occpose_ros.parameter_fields import ParameterError
from occpose_ros.parameters import NodeParameters
from occpose_ros.replay.node_settings import read_parameters

ROOT = Path(__file__).parents[2]
FILES = [
    pytest.param("/**:\n  ros__parameters:\n    hold_s: 1.0\n", {"hold_s": 1.0}, id="all nodes"),
    pytest.param("pose_node:\n  ros__parameters:\n    hold_s: 1.0\n", {"hold_s": 1.0}, id="by name"),
    pytest.param("/pose_node:\n  ros__parameters:\n    mirror: true\n", {"mirror": True}, id="by full name"),
    pytest.param(
        "pose_node: {ros__parameters: {hold_s: 1.0}}\n/**: {ros__parameters: {hold_s: 2.0, beta: 1.0}}\n",
        {"hold_s": 2.0, "beta": 1.0},
        id="of all after its own",
    ),
    pytest.param(
        "/**: {ros__parameters: {hold_s: 2.0, beta: 1.0}}\npose_node: {ros__parameters: {hold_s: 1.0}}\n",
        {"hold_s": 1.0, "beta": 1.0},
        id="its own after those of all",
    ),
    pytest.param(
        "camera_driver: {ros__parameters: {hold_s: 9.0}}\npose_node: {ros__parameters: {hold_s: 1.0}}\n",
        {"hold_s": 1.0},
        id="others beside it",
    ),
    pytest.param(
        "/**: {ros__parameters: {qos_overrides: {/camera_info: {subscription: {depth: 1}}}, use_sim_time: true}}\n",
        {},
        id="what is not pose_node's",
    ),
]
REPLAYED_ALONE = [
    pytest.param("/robot/pose_node: {ros__parameters: {hold_s: 1.0}}\n", {"hold_s": 1.0}, id="in a namespace"),
    pytest.param("robot:\n  pose_node: {ros__parameters: {hold_s: 1.0}}\n", {"hold_s": 1.0}, id="namespace, nested"),
    pytest.param("front_pose: {ros__parameters: {hold_s: 1.0}}\n", {"hold_s": 1.0}, id="by another name"),
]


def written(folder: Path, text: str) -> Path:
    path = folder / "node.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "expected"), FILES + REPLAYED_ALONE)
def test_parameters_are_found(tmp_path: Path, text: str, expected: dict[str, Any]) -> None:
    assert read_parameters(written(tmp_path, text)) == expected


@pytest.mark.parametrize(("text", "expected"), FILES)
def test_the_node_finds_the_same(graph: Any, tmp_path: Path, text: str, expected: dict[str, Any]) -> None:
    pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")
    from occpose_ros.pose_node import PoseNode

    arguments = ["--ros-args", "--params-file", str(written(tmp_path, text))]
    node = graph.add(PoseNode(context=graph.context, use_global_arguments=False, cli_args=arguments))
    assert node.parameters == NodeParameters(**expected)


def test_the_shipped_file_has_the_defaults() -> None:
    assert NodeParameters(**read_parameters(ROOT / "config" / "pose.yaml")) == NodeParameters()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(None, "the parameter file .* cannot be read: No such file", id="missing"),
        pytest.param("a: [1, 2", "the parameter file .* is no YAML", id="no YAML"),
        pytest.param("hold_s: 1.0\n", "has no ros__parameters, so it is no parameter file", id="no sections"),
        pytest.param("", "has no ros__parameters", id="empty"),
        pytest.param("&a {b: *a}\n", "has no ros__parameters", id="itself"),
        pytest.param("[" * 600, "is no YAML", id="nested without end"),
        pytest.param("!!python/object/apply:os.system ['true']\n", "is no YAML", id="code"),
        pytest.param(
            "a: {ros__parameters: {hold_s: 1.0}}\nb: {ros__parameters: {hold_s: 2.0}}\n",
            "has parameters of several nodes, a, b: leave those of one in it, under pose_node",
            id="two nodes",
        ),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "node.yaml" if text is None else written(tmp_path, text)
    with pytest.raises(ParameterError, match=sentence) as caught:
        read_parameters(path)
    assert "\n" not in str(caught.value)


def test_what_only_a_ros_installation_can_do_is_no_fault_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay needs no tf2_msgs of ROS: the bag has TF, and rosbags reads it."""
    monkeypatch.setitem(__import__("sys").modules, "tf2_msgs.msg", None)
    assert NodeParameters(ground_frame="map", publish_tf=True).ground_frame == "map"
