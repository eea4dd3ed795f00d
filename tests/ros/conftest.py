"""What the ROS tests share: their own DDS domain, and message types of both worlds."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from occpose_ros.bag import typestore
from occpose_ros.message_types import MessageTypes

os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"  # Iron and later
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ["ROS_LOCALHOST_ONLY"] = "1"
# Fast DDS 2.14 has a race where shared memory is given up: a process that makes a thousand nodes may crash
os.environ.setdefault("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")

ROOT = Path(__file__).parents[2]
_WORLDS = {
    "rclpy": MessageTypes.from_rclpy,
    "rosbags": lambda: MessageTypes.from_rosbags(typestore()),
}


@pytest.fixture(params=list(_WORLDS))
def types(request: pytest.FixtureRequest) -> MessageTypes:
    """Message constructors; skipped for rclpy where ROS is not installed."""
    try:
        return _WORLDS[request.param]()
    except ImportError as error:
        pytest.skip(f"no ROS here: {error}")


@pytest.fixture(scope="session")
def interfaces() -> None:
    """The message packages of other people's detectors, and tf2_msgs; see interfaces.py."""
    pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")
    pytest.importorskip("colcon_core", reason="needs colcon to build message packages")
    from tests.ros.interfaces import provide

    provide()


@pytest.fixture(scope="session", params=["rclpy", "rosbags"])
def world(request: pytest.FixtureRequest) -> Any:
    """Makes the messages of all detectors, as generated classes and as rosbags knows them; see families.py."""
    from tests.ros.families import World

    if request.param == "rclpy":
        request.getfixturevalue("interfaces")
    return World(request.param)


@pytest.fixture(scope="session")
def ros_domain_id() -> Iterator[int]:
    """A DDS domain that no other test run on this machine uses: it is held by a port, as domain_coordinator does."""
    for domain_id in random.Random().sample(range(1, 101), 100):
        with socket.socket() as holder:
            try:
                holder.bind(("127.0.0.1", 32768 + domain_id))
            except OSError:
                continue
            os.environ["ROS_DOMAIN_ID"] = str(domain_id)
            yield domain_id
            return
    pytest.fail("all 100 DDS domains are in use")


@pytest.fixture
def graph(ros_domain_id: int) -> Iterator[Any]:
    """A ROS graph of its own, with a peer that talks and listens; see graph.py."""
    from tests.ros.graph import Graph

    graph = Graph(ros_domain_id)
    yield graph
    graph.close()


@pytest.fixture
def node(graph: Any) -> Any:
    """An active pose_node on that graph that knows its camera."""
    return graph.active()


@pytest.fixture
def start(graph: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts pose_node, or another script, with ROS arguments; whatever is left of it in the end is killed."""
    processes = []

    def start(*arguments: str, script: Path = ROOT / "scripts" / "pose_node") -> subprocess.Popen[str]:
        command = [sys.executable, str(script), "--ros-args", *arguments]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        print(process.communicate()[0])
