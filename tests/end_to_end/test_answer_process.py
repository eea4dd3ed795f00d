"""A replay's bag from another process: the same bytes as from this one, and nothing left when something goes wrong."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import load
from occpose_ros.bag import BagError, BagReader, BagWriter
from occpose_ros.replay.answer_process import AnswerProcess, PostponingWriter, answers_bag
from occpose_ros.replay.answer_writer import MARKERS, OUTPUTS, AnswerWriter
from occpose_ros.replay.run import replay
from occpose_ros.replay.topics import find_topics

SECONDS = 2.0


@pytest.fixture(scope="module")
def short(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample from where both people are there."""
    path = tmp_path_factory.mktemp("short") / "short.mcap"
    with BagReader(sample) as bag, BagWriter(path) as copy:
        records = list(bag.records())
        begin_ns = records[0].stamp_ns + 10 * 10**9
        for record in records:
            if "tf_static" in record.topic or 0 <= record.stamp_ns - begin_ns <= SECONDS * 1e9:
                copy.copy(record, bag)
    return path


def replay_into(bag: Path, target: Any) -> None:
    with BagReader(bag) as opened:
        replay(opened, find_topics(opened), PosePipeline(load()), target)


@pytest.fixture(scope="module")
def alone(short: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of it."""
    path = tmp_path_factory.mktemp("alone") / "out.mcap"
    with BagWriter(path) as bag:
        replay_into(short, AnswerWriter(bag))
    return path


def test_two_processes_write_what_one_writes(short: Path, alone: Path, tmp_path: Path) -> None:
    """Ctrl-C, which reaches both, is for the first one alone."""
    with AnswerProcess(tmp_path / "out.mcap") as process:
        os.kill(process.pid, signal.SIGINT)
        replay_into(short, process)
    assert (tmp_path / "out.mcap").read_bytes() == alone.read_bytes()
    assert os.listdir(tmp_path) == ["out.mcap"]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_a_process_is_started_where_it_is_worth_it(tmp_path: Path) -> None:
    with answers_bag(tmp_path / "long.mcap", 10**4) as target:
        assert isinstance(target, AnswerProcess)
        target.wait_until_ready()
        target.finish()
    with answers_bag(tmp_path / "short.mcap", 10) as target:
        assert isinstance(target, PostponingWriter)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with answers_bag(tmp_path / "slow.mcap", 10**4) as target:
            assert isinstance(target, PostponingWriter)
    finally:
        os.sched_setaffinity(0, cores)


def test_what_is_postponed_is_the_same(short: Path, alone: Path, tmp_path: Path) -> None:
    with answers_bag(tmp_path / "out.mcap", 1) as target:
        replay_into(short, target)
    assert (tmp_path / "out.mcap").read_bytes() == alone.read_bytes()


def test_without_markers_the_other_answers_are_the_same(short: Path, alone: Path, tmp_path: Path) -> None:
    with BagWriter(tmp_path / "out.mcap") as target:
        replay_into(short, AnswerWriter(target, markers=False))
    others = [topic for topic in OUTPUTS if topic != MARKERS]
    with BagReader(tmp_path / "out.mcap") as bag, BagReader(alone) as whole:
        assert MARKERS not in bag.topics
        assert [r.raw for r in bag.records(others)] == [r.raw for r in whole.records(others)]


@contextmanager
def small_files() -> Iterator[None]:
    """Meanwhile no file grows beyond a few bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _kill(process: AnswerProcess) -> None:
    os.kill(process.pid, signal.SIGKILL)


FAULTS = [
    pytest.param(small_files, lambda process: None, "cannot write to .*: File too large; choose another", id="full"),
    pytest.param(contextmanager(lambda: iter([None])), _kill, "ended with exit code -9", id="killed"),
]


@pytest.mark.parametrize(("state", "harm", "sentence"), FAULTS)
def test_a_process_that_cannot_write_is_an_error_that_says_why(
    state: Callable[[], Any],
    harm: Callable[[AnswerProcess], None],
    sentence: str,
    short: Path,
    tmp_path: Path,
) -> None:
    with state():
        process = AnswerProcess(tmp_path / "out.mcap")
        with pytest.raises(BagError, match=sentence) as caught, process:
            process.wait_until_ready()
            harm(process)
            replay_into(short, process)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_nothing_can_be_written_to_is_an_error_that_says_so() -> None:
    process = AnswerProcess(Path("/proc/out.mcap"))
    with pytest.raises(BagError, match="cannot write to /proc: .*; choose another folder"), process:
        pass


def test_an_error_on_this_side_leaves_neither_file_nor_process(tmp_path: Path) -> None:
    process = AnswerProcess(tmp_path / "out.mcap")
    with pytest.raises(KeyboardInterrupt), process:
        process.wait_until_ready()
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "out.mcap").write_bytes(b"precious")
    with pytest.raises(ValueError, match="exists already"), AnswerProcess(tmp_path / "out.mcap"):
        pass
    assert (tmp_path / "out.mcap").read_bytes() == b"precious"


def test_a_replay_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """Its other process notices that, and takes the unfinished file away."""
    code = "import os, sys; from pathlib import Path; from occpose_ros.replay.answer_process import AnswerProcess\n"
    code += "with AnswerProcess(Path(sys.argv[1])) as process:\n"
    code += "    process.wait_until_ready(); print(process.pid, flush=True); os._exit(9)"
    command = [sys.executable, "-c", code, str(tmp_path / "out.mcap")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 9 and re.fullmatch(r"\d+\n", done.stdout), done.stderr
    deadline_s = time.monotonic() + 30
    while os.listdir(tmp_path) and time.monotonic() < deadline_s:
        os.sched_yield()
    assert os.listdir(tmp_path) == []
