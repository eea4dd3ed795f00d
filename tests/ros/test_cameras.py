"""Several cameras in one graph, each with its node in a namespace: in one process, and as the manual composes them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from occpose_ros.pose_node import PoseNode
from tests.ros.detector import Detector

MANUAL = Path(__file__).parents[2] / "docs" / "ros.md"
CAMERAS = ("front", "rear")


def detectors(graph):
    """A detector for each camera, whose frame is named after it."""
    return {
        camera: Detector(
            graph,
            *(f"{camera}/{topic}" for topic in ("keypoints", "camera_info", "skeletons")),
            frame_id=f"{camera}_optical_frame",
        )
        for camera in CAMERAS
    }


def reporters(graph):
    """Names in the diagnostics."""
    return {status.name for message in graph.heard["/diagnostics"] for status in message.status}


def test_nodes_in_one_executor_mind_their_own_camera(graph):
    for camera in CAMERAS:
        shared = ["--ros-args", "-r", "markers:=/markers", "-p", "diagnostics_period_s:=0.1"]
        options = {"context": graph.context, "use_global_arguments": False, "cli_args": shared}
        graph.add(PoseNode(namespace=camera, **options)).start()
    asked = detectors(graph)
    for _ in range(3):
        for camera, detector in asked.items():
            assert detector.wait_for_answer().header.frame_id == f"{camera}_optical_frame"

    def namespaces():
        for detector in asked.values():
            detector.ask()
        return {marker.ns for array in graph.heard["markers"] for marker in array.markers if marker.ns}

    graph.wait("markers of both", lambda: {ns.partition("/")[0] for ns in namespaces()} == set(CAMERAS))
    graph.wait("reports", lambda: reporters(graph) == {f"/{camera}/pose_node: lifting" for camera in CAMERAS})


def composition() -> str:
    """The example of the manual that composes nodes in one process."""
    examples = re.findall(r"```python\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (example for example in examples if "import PoseNode" in example)
    return code


def test_the_composition_of_the_manual_runs(graph, tmp_path):
    program = tmp_path / "cameras.py"
    program.write_text(composition())
    process = subprocess.Popen(
        [sys.executable, program, "--ros-args", "-p", "diagnostics_period_s:=0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for camera, detector in detectors(graph).items():
            assert detector.wait_for_answer().header.frame_id == f"{camera}_optical_frame"
        graph.wait("reports of all", lambda: len(reporters(graph)) == 3)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "Traceback" not in output
