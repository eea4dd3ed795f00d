"""A command in a process of its own, whose children can be found whatever they do."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


class MarkedProcess:
    """A running command; it and everything that it started have a mark in their environment."""

    def __init__(self, command: Sequence[str]) -> None:
        self.mark = f"OCCPOSE_TEST_MARK={uuid.uuid4()}"
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(
            command,
            env={**os.environ, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def processes(self) -> list[int]:
        """Process ids of the command and everything that it started."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    environment = (folder / "environ").read_bytes()
                except OSError:  # it has just ended, or is not ours
                    continue
                if self.mark.encode() in environment.split(b"\0"):
                    found.append(int(folder.name))
        return found

    def wait_for(self, word: str) -> None:
        """Read the output until a line has the word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if word in line:
                return
        pytest.fail(f"the command ended with {self.process.wait()} before it said {word!r}")

    def wait_until(self, condition: Callable[[list[int]], bool], timeout_s: float = 60) -> None:
        """Wait until the list of processes fulfils a condition."""
        deadline_s = time.monotonic() + timeout_s
        while not condition(self.processes()):
            assert time.monotonic() < deadline_s, f"still {self.processes()} after {timeout_s:g} s"
            os.sched_yield()

    def kill(self) -> None:
        """End all of them at once."""
        for process in self.processes():
            os.kill(process, signal.SIGKILL)
        self.process.wait()
