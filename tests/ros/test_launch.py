"""The launch files as a user starts them: the real `ros2 launch`, the real processes, real DDS.

`ros2 launch` itself and not launch_pytest: that plugin reaches into pytest, so that each distribution's works with the
pytest of that distribution only (Jazzy's not with pytest 8.4 and later), while the command is the same everywhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")
pytest.importorskip("ros2launch", reason="ros2 launch is not on PyPI: needs a ROS installation")

from rcl_interfaces.srv import GetParameters
from rosbags.highlevel import AnyReader

from tests.ros.detector import Detector

pytestmark = pytest.mark.needs_ros

END_S = 30


class Launched:
    """`ros2 launch occpose_ros <arguments>` in a process group of its own; all it says goes to a file."""

    def __init__(self, arguments: tuple[str, ...], folder: Path) -> None:
        self.output = folder / "output.txt"
        with open(self.output, "w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                ["ros2", "launch", "occpose_ros", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "ROS_LOG_DIR": str(folder)},
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def node_pids(self) -> list[int]:
        """Of every pose_node that was ever started."""
        return [int(pid) for pid in re.findall(r"\[pose_node-\d+\]: process started with pid \[(\d+)\]", self.said())]

    def interrupt(self) -> int:
        """Ctrl-C: every process of the group gets it; the exit status of the launch."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(END_S)

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pid in self.node_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        print(self.said())


@pytest.fixture
def launch(graph: Any, tmp_path: Path) -> Iterator[Any]:
    """Starts launch files; whatever is left of them in the end is killed."""
    started: list[Launched] = []

    def launch(*arguments: str) -> Launched:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Launched(arguments, folder))
        return started[-1]

    yield launch
    for launched in started:
        launched.end()


def parameter_of(graph: Any, node: str, name: str) -> Any:
    """The value of a parameter of another process's node, as a ParameterValue."""
    client = graph.peer.create_client(GetParameters, f"{node}/get_parameters")
    graph.wait(f"{node}", client.service_is_ready)
    future = client.call_async(GetParameters.Request(names=[name]))
    graph.wait("the parameter", future.done)
    return future.result().values[0]


def test_every_argument_has_a_description(launch):
    launched = launch("pose.launch.py", "--show-args")
    assert launched.process.wait(END_S) == 0
    arguments = re.split(r"\n    '(\w+)':\n", launched.said())
    described = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert {"keypoints", "person_height_m", "overlay", "namespace", "respawn"} <= set(described)
    assert all(len(text.split()) > 3 for text in described.values())


def test_pose_launch_answers_on_remapped_topics_and_ends_with_ctrl_c(graph, launch):
    arguments = ("keypoints:=/detector/people", "camera_info:=/camera/info", "person_height_m:=2", "layout:=h36m17")
    launched = launch("pose.launch.py", "rviz:=false", *arguments)
    answer = Detector(graph, "/detector/people", "/camera/info", "skeletons").wait_for_answer()
    assert answer.people[0].metric  # the stature was given, as an integer
    assert parameter_of(graph, "/pose_node", "layout").string_value == "h36m17"
    graph.diagnosis(lambda values: values["state"] == "active")
    assert launched.interrupt() == 0
    assert "finished cleanly" in launched.said() and "Traceback" not in launched.said()


def test_cameras_in_namespaces_do_not_hear_each_other(graph, launch):
    detectors = {}
    for camera in ("front", "rear"):
        launch("pose.launch.py", "rviz:=false", f"namespace:={camera}")
        topics = [f"{camera}/{topic}" for topic in ("keypoints", "camera_info", "skeletons")]
        detectors[camera] = Detector(graph, *topics, frame_id=f"{camera}_optical_frame")
    for _ in range(3):
        for camera, detector in detectors.items():
            assert detector.wait_for_answer().header.frame_id == f"{camera}_optical_frame"
    assert graph.peer.count_publishers("/skeletons") == 0


def test_a_parameter_file_rules_and_arguments_win_over_it(graph, launch, tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("/**:\n  ros__parameters: {hold_s: 2.5, person_height_m: 1.6}\n")
    launch("pose.launch.py", "rviz:=false", f"params_file:={file}", "person_height_m:=1.9")
    assert parameter_of(graph, "/pose_node", "hold_s").double_value == 2.5
    assert parameter_of(graph, "/pose_node", "person_height_m").double_value == pytest.approx(1.9)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        pytest.param("{hold_s: 99.0}", "hold_s must lie in 0.0 to 10.0, got 99.0", id="range"),
        pytest.param("{max_persons: many}", "max_persons must be an integer, got 'many'", id="type"),
    ],
)
def test_a_bad_parameter_ends_the_node_with_a_sentence(launch, tmp_path, parameters, words):
    file = tmp_path / "bad.yaml"
    file.write_text(f"/**:\n  ros__parameters: {parameters}\n")
    launched = launch("pose.launch.py", "rviz:=false", f"params_file:={file}")
    launched.process.wait(END_S)
    assert f"pose_node: {words}" in launched.said() and "exit code 2" in launched.said()
    assert "Traceback" not in launched.said()


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        pytest.param("person_height_m:=tall", "person_height_m must be a number, got 'tall'", id="number"),
        pytest.param("params_file:=no.yaml", "params_file must be a file, got 'no.yaml'", id="file"),
        pytest.param("rviz:=perhaps", 'Argument "rviz" provided value "perhaps" is not valid', id="switch"),
    ],
)
def test_a_bad_argument_is_refused(launch, argument, words):
    launched = launch("pose.launch.py", "rviz:=false", argument)
    assert launched.process.wait(END_S) != 0
    assert words in launched.said()


def test_a_killed_node_is_started_again_and_answers(graph, launch):
    launched = launch("pose.launch.py", "rviz:=false", "respawn:=true")
    detector = Detector(graph, "keypoints", "camera_info", "skeletons")
    before = detector.wait_for_answer()
    os.kill(launched.node_pids()[0], signal.SIGKILL)
    graph.wait("a new process", lambda: len(launched.node_pids()) == 2)
    after = detector.wait_for_answer()
    assert after.people[0].id and before.people[0].id
    assert launched.interrupt() == 0


def test_the_overlay_is_started_on_request(graph, launch):
    pytest.importorskip("message_filters", reason="message_filters is not on PyPI: needs a ROS installation")
    launch("pose.launch.py", "rviz:=false", "overlay:=true", "image:=/camera/image_raw")
    graph.wait("overlay_node", lambda: graph.peer.count_publishers("/overlay"))


SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["bag:=no_such_bag"], "bag must be a .mcap file or a rosbag2 folder, got 'no_such_bag'", id="bag"),
        pytest.param(["rate:=fast"], "rate must be a number above 0, got 'fast'", id="rate"),
        pytest.param([f"record:={SAMPLE.parent}"], "record must be a folder that is not there yet", id="record-exists"),
        pytest.param(["record:=new", "loop:=true"], "record and loop:=true exclude each other", id="record-loop"),
    ],
)
def test_what_cannot_be_replayed_ends_with_a_sentence(launch, arguments, words):
    launched = launch("replay.launch.py", f"bag:={SAMPLE}", "rviz:=false", *arguments)
    assert launched.process.wait(END_S) == 1
    assert words in launched.said()


def test_replay_plays_the_bag_in_its_own_time(graph, launch):
    pytest.importorskip("ros2bag", reason="ros2 bag is not on PyPI: needs a ROS installation")
    launched = launch("replay.launch.py", f"bag:={SAMPLE}", "rviz:=false", "rate:=2")
    graph.wait("skeletons", lambda: graph.heard["skeletons"])
    assert graph.heard["skeletons"][0].header.stamp.sec < first_second(SAMPLE) + 5  # the node was awaited
    assert parameter_of(graph, "/pose_node", "use_sim_time").bool_value
    assert launched.interrupt() == 0


def test_a_replay_in_a_loop_begins_again_with_new_people(graph, launch):
    pytest.importorskip("ros2bag", reason="ros2 bag is not on PyPI: needs a ROS installation")
    launched = launch("replay.launch.py", f"bag:={SAMPLE}", "rviz:=false", "rate:=10", "loop:=true")

    def stamps() -> list[int]:
        return [message.header.stamp.sec for message in graph.heard["skeletons"]]

    graph.wait("the end", lambda: stamps() and max(stamps()) > first_second(SAMPLE) + 20)
    begun_again = graph.wait("the beginning", lambda: stamps()[-1] < first_second(SAMPLE) + 10 and len(stamps()))
    graph.diagnosis(lambda values: int(values["resets"]) > 0)
    assert graph.heard["skeletons"][begun_again - 1].people
    assert launched.interrupt() == 0


def test_a_replay_records_input_and_answers_in_the_time_of_the_bag(graph, launch, tmp_path):
    pytest.importorskip("ros2bag", reason="ros2 bag is not on PyPI: needs a ROS installation")
    answers = tmp_path / "answers"
    launched = launch("replay.launch.py", f"bag:={SAMPLE}", "rviz:=false", "rate:=4", f"record:={answers}")
    # of itself: who waited for the node, the player, and then the recorder
    graph.wait("three ends", lambda: len(re.findall(r"process has (?:finished|died)", launched.said())) == 3)
    assert launched.interrupt() == 0
    with AnyReader([SAMPLE]) as asked, AnyReader([answers]) as bag:
        assert {"/keypoints", "/camera_info", "/skeletons", "/markers", "/skeleton_info"} <= set(bag.topics)
        assert bag.topics["/skeletons"].msgcount > 0.9 * asked.topics["/keypoints"].msgcount
        assert asked.start_time <= bag.start_time < bag.end_time < asked.end_time + 10**9


def first_second(path: Path) -> int:
    """The second in which a bag begins, in its own time."""
    with AnyReader([path]) as bag:
        return bag.start_time // 10**9
