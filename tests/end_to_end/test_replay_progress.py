"""How far a replay is: on a terminal a bar with rate and time left, in a log file a line for each of several bags."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.cuts import cuts

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """Two bags and a file that is none."""
    folder = cuts(sample, tmp_path_factory.mktemp("recordings"), 2)
    (folder / "part_9.mcap").write_bytes(b"no bag")
    return folder


def command(what: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "occpose_ros.cli", "replay", str(what), "--out", str(folder), "--jobs", "2"]


def on_a_terminal(words: list[str]) -> list[str]:
    """What a command shows there, line by line."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "150", "TERM": "xterm"}
    with subprocess.Popen(words, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, env=environment):
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # nobody has the other end any more
            pass
    os.close(ours)
    return [line.strip() for line in re.split(r"[\r\n]+", _CONTROL.sub("", shown.decode())) if line.strip()]


def test_on_a_terminal_there_is_a_bar_with_rate_and_time_left(recordings: Path, tmp_path: Path) -> None:
    lines = on_a_terminal(command(recordings, tmp_path / "out"))
    bars = [line for line in lines if "x real time" in line]
    assert all(re.search(r"\d of 3 bags \d+\.\d x real time [-\d]:[-\d]{2}:[-\d]{2} left$", bar) for bar in bars)
    assert "3 of 3 bags" in bars[-1] and bars[-1].endswith("0:00:00 left")
    assert any(line.startswith("part_9 failed: ") and "not a readable ROS 2 bag" in line for line in lines)


def test_of_one_bag_the_bar_counts_messages(recordings: Path, tmp_path: Path) -> None:
    bars = on_a_terminal(command(recordings / "part_0.mcap", tmp_path / "out"))
    assert re.search(r"46 of 46 messages \d+\.\d x real time", bars[-1])


def test_in_a_log_file_there_is_a_line_for_each_bag(recordings: Path, tmp_path: Path) -> None:
    done = subprocess.run(command(recordings, tmp_path / "out"), capture_output=True, text=True, check=False)
    *lines, last = done.stderr.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"{number} of 3 bags" for number in (1, 2, 3)]
    assert sum(bool(re.search(r"x real time: part_[01]: 1\.5 s$", line)) for line in lines) == 2
    assert sum("x real time: part_9: failed: " in line for line in lines) == 1
    assert last == "occpose replay: 1 of 3 bags failed: part_9"
    one = subprocess.run(command(recordings / "part_0.mcap", tmp_path / "one"), capture_output=True, text=True)
    assert (one.returncode, one.stderr) == (0, "")
