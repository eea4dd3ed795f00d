"""Parameters, configuration, launch files and the RViz layout fit each other."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from occpose_ros.markers import LAYERS
from occpose_ros.mesh_markers import LAYER
from occpose_ros.parameter_fields import ParameterError, changed, explain
from occpose_ros.parameters import NodeParameters
from occpose_ros.ros2_bag import SETTINGS

ROOT = Path(__file__).parents[2]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
PARAMETERS = {item.name: item for item in dataclasses.fields(NodeParameters)}


def test_the_configuration_file_holds_every_default():
    (section,) = yaml.safe_load((ROOT / "config" / "pose.yaml").read_text()).values()
    assert section["ros__parameters"] == {name: item.default for name, item in PARAMETERS.items()}


def test_every_parameter_has_its_meaning_and_reason():
    text = explain(NodeParameters)
    for name, item in PARAMETERS.items():
        assert item.metadata["what"] and item.metadata["why"] and name in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"hold_s": 99.0}, "hold_s must lie in 0.0 to 10.0, got 99.0", id="range"),
        pytest.param({"max_persons": 3.0}, "max_persons must be an integer, got 3.0", id="type"),
        pytest.param({"beta": float("nan")}, "beta must lie in", id="NaN"),
        pytest.param({"model": "x"}, "model cannot change while the node is configured", id="not live"),
    ],
)
def test_a_bad_change_is_refused(change, words):
    with pytest.raises(ParameterError, match=words):
        changed(NodeParameters(), change, configured=True)


def test_an_unknown_choice_is_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match="layout must be one of h36m17, .* or empty, got 'coco71'"):
        NodeParameters(layout="coco71")


def test_a_good_change_reaches_the_pipeline():
    parameters = changed(
        NodeParameters(), {"person_height_m": 1.9, "hold_s": 5.0, "use_sim_time": True}, configured=True
    )
    config = parameters.pipeline_config
    assert (config.target_height_m, config.hold_s) == (1.9, 5.0)
    assert config.gap_s >= config.hold_s
    assert NodeParameters().pipeline_config.target_height_m is None


def test_rviz_shows_the_markers_without_a_click():
    displays = rviz_displays()
    display = displays["/markers"]
    assert display["Enabled"] and display["Value"]
    assert display["Namespaces"] == dict.fromkeys([*LAYERS, LAYER], True)
    assert display["Topic"]["Reliability Policy"] == "Reliable"


@pytest.mark.parametrize("topic, kind", [("/overlay", "Image"), ("/furniture", "MarkerArray")])
def test_rviz_offers_what_is_not_always_there(topic, kind):
    display = rviz_displays()[topic]
    assert display["Class"] == f"rviz_default_plugins/{kind}"
    assert not display["Enabled"] and not display["Value"]


def rviz_displays():
    layout = yaml.safe_load((ROOT / "rviz" / "occpose.rviz").read_text())["Visualization Manager"]
    return {display["Topic"]["Value"]: display for display in layout["Displays"] if "Topic" in display}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_launch_files_are_python(path):
    compile(path.read_text(), str(path), "exec")


def launch_table(name: str, path: Path = ROOT / "launch" / "pose.launch.py"):
    """A literal table of a launch file, read without importing it (its packages need ROS)."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return node.value
    raise AssertionError(f"{path} has no {name}")


def test_launch_arguments_that_are_parameters_exist_and_have_their_type():
    table = launch_table("PARAMETERS")
    kinds = {key.value: kind.id for key, kind in zip(table.keys, table.values, strict=True)}
    arguments = {key.value for key in launch_table("ARGUMENTS").keys}
    assert set(kinds) <= set(PARAMETERS) & arguments
    named = {str: "str", float: "float", bool: "switch"}
    assert kinds == {name: named[type(PARAMETERS[name].default)] for name in kinds}


def words_of(process, context):
    """The command of an action as `ros2 launch` would run it."""
    return [word[0].perform(context) for word in process.process_description.cmd]


def described(path: Path):
    """The LaunchDescription of a launch file."""
    spec = importlib.util.spec_from_file_location(path.name.split(".")[0], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


@pytest.mark.needs_ros
@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_launch_files_describe_a_launch(path):
    pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI: needs a ROS installation")
    if path.name == "replay.launch.py":
        pytest.importorskip("ros2bag", reason="ros2 bag is not on PyPI: needs a ROS installation")
    from launch.actions import DeclareLaunchArgument, OpaqueFunction

    from launch import LaunchContext

    context = LaunchContext()
    context.launch_configurations["bag"] = str(ROOT / "samples" / "two_people.mcap")
    pose = described(ROOT / "launch" / "pose.launch.py").entities  # replay.launch.py includes it, with its arguments
    description = described(path)
    for entity in [*pose, *description.entities]:
        if isinstance(entity, DeclareLaunchArgument):
            assert entity.description
            if entity.default_value is not None:
                entity.execute(context)
    (function,) = (entity for entity in description.entities if isinstance(entity, OpaqueFunction))
    assert function.execute(context)


def told_symptoms():
    """The cells of "how to see it" in docs/ros.md."""
    text = (ROOT / "docs" / "ros.md").read_text()
    table = text.split("## Troubleshooting by symptom")[1].split("\n## ")[0]
    return [line.split("|")[2] for line in table.splitlines() if line.startswith("| ") and "how to see it" not in line]


def test_troubleshooting_names_what_the_nodes_say():
    pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")
    from occpose_ros.diagnostics import Statistics
    from occpose_ros.node_engine import UNCONFIGURED

    statistics = Statistics()
    source = "\n".join(path.read_text() for path in sorted((ROOT / "occpose_ros").rglob("*.py")))
    source += "\n".join(path.read_text() for path in sorted((ROOT / "occpose_core").glob("*.py")))
    cells = told_symptoms()
    assert len(cells) > 20
    for sentence in re.findall(r'"([^"]+)"', "".join(cells)):
        assert sentence in source
    for name in re.findall(r"`(?:dropped|dropped_now)\.(\w+)`", "".join(cells)):
        assert f'"{name}"' in source or f"{name}=" in source
    statistics.dropped({"replaced": 1})
    _, values = statistics.report()
    others = [name for name in re.findall(r"`([^`]+)`", "".join(cells)) if not name.startswith("dropped.")]
    topics_and_fields = {"skeletons", "lost_ids", "std_dev", "camera_info", "overlay", "state"}
    assert set(others) <= {*values, *UNCONFIGURED, *topics_and_fields}


def test_a_replay_asks_for_arguments_that_the_launch_files_have():
    declared = {key.value for path in LAUNCH_FILES for key in launch_table("ARGUMENTS", path).keys}
    assert set(SETTINGS) <= declared


@pytest.mark.needs_ros
@pytest.mark.parametrize(
    ("record", "verbs"),
    [pytest.param("", ["echo"], id="play"), pytest.param("answers", ["record", "echo"], id="record")],
)
def test_a_replay_begins_when_the_node_is_ready(record, verbs, tmp_path):
    pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI: needs a ROS installation")
    pytest.importorskip("ros2bag", reason="ros2 bag is not on PyPI: needs a ROS installation")
    from launch.actions import ExecuteProcess

    from launch import LaunchContext

    context = LaunchContext()
    context.launch_configurations.update({**dict.fromkeys(SETTINGS, ""), "bag": str(tmp_path), "rate": "2"})
    context.launch_configurations.update({"loop": "false", "overlay": "false", "keypoints": "k", "record": record})
    *_, function = described(ROOT / "launch" / "replay.launch.py").entities
    actions = function.execute(context)
    commands = [words_of(action, context) for action in actions if isinstance(action, ExecuteProcess)]
    assert [command[2] for command in commands] == verbs  # the player is not among them
