"""`occpose view` as a process: what it says, how it ends, and a recording that is shown to the end."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path

import pytest

pytest.importorskip("viser", reason="the viewer needs viser: pip install 'occpose[view]'")

from occpose_core.skeleton import H36M17
from tests.ros.page_client import PageClient
from tests.ros.view_bags import steadily, write_bag
from tests.ros.viewer_process import ViewerProcess, refused

JOINTS = len(H36M17.joints)
NO_ROS = "sys.modules['rclpy'] = None"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_recording_is_shown_until_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    path = write_bag(tmp_path / "bag.mcap", steadily(5.0))
    with ViewerProcess(str(path)) as viewer:
        assert viewer.greeting.startswith("bag.mcap is shown at http://127.0.0.1:") and "Ctrl-C" in viewer.greeting
        with PageClient(viewer.port) as page:
            page.until(lambda: page.shown("/joints/MEASURED", "batched_positions") == 2 * JOINTS - 1, "two people")
            page.until(lambda: (page.value("Time (s)") or 0.0) > 0.2, "time that goes on")
        assert viewer.end(number) == (0, "")


def test_a_recording_needs_no_ros(tmp_path: Path) -> None:
    """Nor does a fault of it."""
    said = refused(str(tmp_path / "bag.mcap"), before=NO_ROS)
    assert (
        said
        == f"occpose view: {tmp_path / 'bag.mcap'} does not exist; give the path of a .mcap file or a rosbag2 folder\n"
    )


def test_a_recording_that_vanishes_ends_it(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    with ViewerProcess(str(write_bag(folder / "bag.mcap", steadily(60.0)))) as viewer:
        shutil.rmtree(folder)
        code, said = viewer.ended()
    assert code == 2 and said.startswith("occpose view: ") and "is gone" in said and said.count("\n") == 1


def test_a_running_node_needs_ros() -> None:
    said = refused(before=NO_ROS)
    assert "a running node is heard by ROS 2" in said and "or name a BAG, which needs no ROS" in said
    assert said.count("\n") == 1


def test_a_model_needs_a_recording() -> None:
    assert "--model runs over a BAG" in refused("--model", "stream-s")


def test_a_port_that_is_taken_is_said_before_a_model_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        said = refused("nothing.mcap", "--port", str(other.getsockname()[1]))
    assert "is taken, maybe by another viewer: name a free one with --port" in said and said.count("\n") == 1


def test_whoever_lets_everybody_in_is_told(tmp_path: Path) -> None:
    with ViewerProcess(str(write_bag(tmp_path / "bag.mcap", [0.0])), "--host", "0.0.0.0") as viewer:
        assert "everybody can look who reaches this machine" in viewer.greeting
        assert viewer.end() == (0, "")
