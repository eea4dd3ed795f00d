"""Reading in another process gives what reading in this one gives, and the same errors."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import load
from occpose_core.types import Camera
from occpose_ros.bag import BagError, BagReader, BagWriter
from occpose_ros.replay.answer_writer import AnswerWriter
from occpose_ros.replay.items import Image, Item
from occpose_ros.replay.run import replay
from occpose_ros.replay.source import ReadingProcess, read
from occpose_ros.replay.topics import find_topics


@pytest.fixture
def edited(sample: Path, tmp_path: Path) -> Callable[[Callable[[str, Any], None]], Path]:
    """Makes a bag of the sample's beginning, each message edited in place."""

    def make(edit: Callable[[str, Any], None]) -> Path:
        with BagReader(sample) as bag, BagWriter(tmp_path / "in.mcap") as copy:
            for number, record in enumerate(bag.messages(["/keypoints", "/camera_info", "/ground_truth/skeletons"])):
                if number > 200:
                    break
                edit(record.topic, record.message)
                copy.write(record.topic, record.message, record.stamp_ns)
        return tmp_path / "in.mcap"

    return make


def zoom(topic: str, message: Any) -> None:
    """Another camera after a while, and a message that cannot be used."""
    late = message.header.stamp.nanosec > 500_000_000
    if topic == "/camera_info" and late:
        message.k = message.k * np.array([1.01, 1, 1, 1, 1.01, 1, 1, 1, 1])
    if topic == "/keypoints" and message.header.stamp.nanosec == 0:
        message.header.frame_id = "elsewhere"


def uncalibrate(topic: str, message: Any) -> None:
    """CameraInfo as a driver sends it that knows nothing."""
    if topic == "/camera_info":
        message.k = np.zeros(9)


def items_of(path: Path, elsewhere: bool) -> list[Item]:
    with BagReader(path) as bag:
        topics = find_topics(bag)
        if not elsewhere:
            return list(read(bag, topics))
    with ReadingProcess(path, topics) as process:
        return list(process)


def test_another_process_reads_the_same(edited: Callable[[Any], Path], tmp_path: Path) -> None:
    path = edited(zoom)
    here, there = items_of(path, False), items_of(path, True)
    assert [pickle.dumps(item) for item in here] == [pickle.dumps(item) for item in there]
    assert sum(isinstance(item, Camera) for item in here) > 1
    assert {item.reason for item in here if isinstance(item, Image)} == {"", "frame_id"}


def test_a_replay_of_what_another_process_reads_is_the_same(edited: Callable[[Any], Path], tmp_path: Path) -> None:
    path = edited(zoom)
    with BagReader(path) as bag:
        topics = find_topics(bag)
        for name in ("here", "there"):
            with BagWriter(tmp_path / f"{name}.mcap") as out, ReadingProcess(path, topics) as process:
                source = process if name == "there" else None
                seen = replay(bag, topics, PosePipeline(load()), AnswerWriter(out), source)
                assert seen.dropped["frame_id"] > 0
    assert (tmp_path / "here.mcap").read_bytes() == (tmp_path / "there.mcap").read_bytes()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another process"])
def test_a_camera_that_is_not_calibrated_is_an_error_that_says_so(
    elsewhere: bool, edited: Callable[[Any], Path]
) -> None:
    with pytest.raises(ValueError, match="so the camera is not calibrated"):
        items_of(edited(uncalibrate), elsewhere)


def test_a_process_that_ends_is_an_error_that_says_so(sample: Path) -> None:
    with BagReader(sample) as bag:
        topics = find_topics(bag)
    with ReadingProcess(sample, topics) as process:
        items = iter(process)
        next(items)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(BagError, match=r"reads .*two_people.mcap ended with exit code -9"):
            list(items)


def test_a_process_whose_reader_is_killed_ends_without_a_word(sample: Path) -> None:
    code = "import os, sys; from pathlib import Path; from occpose_ros.bag import BagReader\n"
    code += "from occpose_ros.replay.source import ReadingProcess\nfrom occpose_ros.replay.topics import find_topics\n"
    code += "with BagReader(Path(sys.argv[1])) as bag: topics = find_topics(bag)\n"
    code += "with ReadingProcess(Path(sys.argv[1]), topics) as process:\n"
    code += "    items, status = iter(process), Path(f'/proc/{process.pid}/status'); next(items); next(items)\n"
    code += "    while '(sleeping)' not in status.read_text(): os.sched_yield()\n"  # it waits for a reader
    code += "    os._exit(9)"
    command = [sys.executable, "-c", code, str(sample)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert (done.returncode, done.stderr) == (9, "")  # both processes have closed it
