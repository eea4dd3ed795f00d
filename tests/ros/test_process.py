"""The real process: it starts from the command line, answers, and ends as it should."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from tests.ros.graph import values

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_cleanly(graph, start, number):
    process = start("--params-file", str(ROOT / "config" / "pose.yaml"))

    def ask() -> bool:  # again and again: what is sent before both sides have discovered each other is lost
        graph.send_camera()
        graph.send()
        return bool(graph.heard["skeletons"] and graph.heard["markers"])

    graph.wait("an answer", ask)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    graph.wait("cleared markers", lambda: graph.heard["markers"][-1].markers[0].action == 3)


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to know when signals are caught")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_while_it_loads_its_libraries_ends_it_cleanly(graph, start, number):
    process = start()
    graph.wait("the handlers", lambda: catches(process.pid, signal.SIGTERM))  # python itself catches SIGINT only
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert "Traceback" not in output


def test_it_ends_cleanly_when_it_could_not_start(graph, start):
    process = start("-p", "model:=no-such-model", "-p", "diagnostics_period_s:=0.1")
    graph.diagnosis(lambda values: "unknown model 'no-such-model'" in values["message"])
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output


def test_a_transition_that_is_not_allowed_does_not_end_it(graph, start):
    process = start("-p", "autostart:=false", "-p", "diagnostics_period_s:=0.1")
    client = graph.peer.create_client(ChangeState, "pose_node/change_state")
    legal, illegal = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE

    def ask_for(*transitions):  # again and again: what is sent before both sides have discovered each other is lost
        for transition in transitions:
            client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        return {values(message)["state"] for message in graph.heard["/diagnostics"]}

    # once configured, the second of these is allowed and the first no more
    graph.wait("activation", lambda: "active" in ask_for(illegal, legal))
    ask_for(legal, legal)
    graph.diagnosis(lambda values: values["state"] == "active")
    assert process.poll() is None


def test_autostart_can_be_turned_off(graph, start):
    process = start("-p", "autostart:=false", "-p", "diagnostics_period_s:=0.1")
    graph.diagnosis(lambda values: values["state"] == "unconfigured" and values["message"] == "unconfigured")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to know what is loaded")
def test_the_first_image_waits_for_no_library(graph, start):
    process = start("-p", "diagnostics_period_s:=0.1")
    graph.diagnosis(lambda values: values["state"] == "active")
    # OpenCV takes 0.15 s, in which a fast detector overruns the queue of the node
    assert "cv2" in Path(f"/proc/{process.pid}/maps").read_text()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


BRIEF = """
import gc
from occpose_ros.bench.echo_node import EchoNode
from occpose_ros.process import run

class Brief(EchoNode):
    def start(self, stopping):
        stopping.set()

    def close(self):
        print(gc.get_freeze_count() > len(gc.get_objects()))

raise SystemExit(run([Brief], argv=["brief"]))
"""


def test_garbage_is_not_looked_for_among_what_was_there_at_the_start(ros_domain_id):
    done = subprocess.run([sys.executable, "-c", BRIEF], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["-p", "person_height_m:=2"], "person_height_m must be a double, got 2: write 2.0", id="integer"),
        pytest.param(["-p", "min_score:=7.0"], "min_score must lie in 0.0 to 1.0, got 7.0", id="range"),
        pytest.param(["-p", "min_score:=.nan"], "min_score must lie in 0.0 to 1.0, got nan", id="NaN"),
        pytest.param(["-p", "input:=fax"], "openpose, got 'fax'", id="family"),
        pytest.param(["--params-file", "/no/such.yaml"], "/no/such.yaml", id="missing file"),
        pytest.param(["--", "nonsense"], "unrecognized arguments: nonsense", id="unknown argument"),
    ],
)
def test_bad_arguments_get_a_sentence_and_status_2(start, arguments, words):
    process = start(*arguments)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert words in output and "Traceback" not in output


def test_help_explains_every_parameter(start):
    process = start("--", "--help")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "person_height_m (0.0 to 3.0, default 0.0; may change at any time)" in output
