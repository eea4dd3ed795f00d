"""package.xml names the ROS packages that the code and the launch files import or start, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

# What is used without being imported: commands and nodes that are started, what the generated messages run on.
STARTED = {"ros2bag", "ros2launch", "ros2topic", "rosbag2_storage_mcap", "rosidl_default_runtime", "rviz2", "tf2_ros"}
SPOKEN = {"lifecycle_msgs"}  # the node's services, made by rclpy
# Only those need them who have the detector, or publish for its peers: a sentence says so where they are missing.
OPTIONAL = {"hri_msgs", "yolo_msgs", "zed_msgs", "openpose_ros2_msgs"}
OURS = {"occpose_core", "occpose_ros"}
ROS = r"\w+_msgs|\w+_interfaces|rclpy|message_filters|launch|launch_ros|ament_\w+"
# import name -> rosdep key of what is no ROS package
PYTHON = {
    "cv2": "python3-opencv",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "onnxruntime": "python3-onnxruntime-pip",
    "scipy": "python3-scipy",
}


def imported(path: Path) -> Iterator[str]:
    """Top-level packages that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_every_dependency_is_named_and_every_name_is_needed(checkout: Path) -> None:
    package = ElementTree.parse(checkout / "package.xml").getroot()
    named = {item.text for kind in ("depend", "exec_depend") for item in package.findall(kind)}
    files = [path for room in ("occpose_core", "occpose_ros", "launch") for path in (checkout / room).rglob("*.py")]
    used = {name for path in files for name in imported(path)}
    for path in files:  # by name: in the table of message_types.py, or as "package/msg/Type"
        used |= set(re.findall(r'"(\w+_(?:msgs|interfaces))(?:": \(|/msg/)', path.read_text(encoding="utf-8")))
    ros = {name for name in used if re.fullmatch(ROS, name)}
    python = {key for name, key in PYTHON.items() if name in used}
    assert named == (ros | python | STARTED | SPOKEN) - OURS - OPTIONAL
