"""What a start loads: no library that is not needed for it, for each takes time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from occpose_ros.cli import COMMANDS

ROOT = Path(__file__).parents[2]
LIBRARIES = {
    "cv2",
    "lightning",
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "rclpy",
    "rosbags",
    "safetensors",
    "scipy",
    "tensorrt",
    "tensorrt_rtx",
    "torch",
}
COMMAND = """
import sys
from occpose_ros.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
"""
# a node, in the process of the peer that asks it, until its first skeletons came
FIRST_SKELETONS = """
import sys
from tests.ros.graph import Graph
graph = Graph(int(sys.argv[1]))
graph.active()
assert graph.ask().people[0].id == "7"
graph.close()
"""


def loaded(code: str, *argv: str) -> set[str]:
    """The libraries that are loaded after code has run in a new Python that sees no GPU."""
    tell = f"{code}\nprint('loaded', *({LIBRARIES!r} & sys.modules.keys()))"
    command, unseen = [sys.executable, "-c", tell, *argv], {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=unseen, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    word, *libraries = done.stdout.splitlines()[-1].split()
    assert word == "loaded"
    return set(libraries)


@pytest.mark.parametrize(
    ("argv", "libraries"),
    [
        pytest.param(["--help"], set(), id="help"),
        pytest.param(["no-such-command"], set(), id="unknown"),
        pytest.param(["models"], {"numpy", "onnxruntime"}, id="models"),
        pytest.param(["export", "--help"], {"numpy"}, id="export"),
        pytest.param(["replay", "--help"], {"numpy", "rosbags"}, id="replay"),
    ],
)
def test_a_command_loads_what_it_needs(argv: list[str], libraries: set[str]) -> None:
    assert loaded(COMMAND, *argv) <= libraries


def test_the_node_loads_neither_torch_nor_what_only_commands_need(ros_domain_id: int) -> None:
    pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")
    needed = {"numpy", "rclpy", "onnxruntime", "cv2", "scipy"}
    assert loaded(FIRST_SKELETONS, str(ros_domain_id)) == needed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_parts(name: str) -> None:
    """They are imported by name, so that no type checker sees whether they fit."""
    command = import_module(COMMANDS[name])
    assert command.__doc__ and callable(command.add_arguments) and callable(command.run)
