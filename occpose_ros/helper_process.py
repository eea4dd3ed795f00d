"""Processes that take some of a command's work, where there are cores for them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

# Of the libraries of linear algebra: with as many processes as cores, more would wait for each other.
_THREADS = {"OMP_NUM_THREADS": "1"}
_FEWEST_MESSAGES = 500  # that take longer than a process takes to start


class HelperProcess:
    """A process that runs `target(line, *args)`, and our end of the line to it. It must end when that is closed."""

    def __init__(self, target: Callable[..., None], *args: Any) -> None:
        # A new interpreter, not a copy of this one: threads of the libraries do not survive a copy.
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *args), daemon=True)
        with _not_for_children(), _one_thread():
            self._process.start()
        theirs.close()  # the other end is closed when the process has ended, not before

    @property
    def pid(self) -> int | None:
        """Number of the process."""
        return self._process.pid

    def end_of(self, what: str) -> str:
        """A sentence about how the process ended, for which it waits."""
        self._process.join()
        return f"the process that {what} ended with exit code {self._process.exitcode}"

    def close(self) -> None:
        """End it, whatever it is at."""
        self.line.close()
        self._process.kill()
        self._process.join()


Line = Connection


def worth_helpers(messages: int) -> bool:
    """Whether so many messages are done sooner with helpers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores > 1 and messages >= _FEWEST_MESSAGES


@contextlib.contextmanager
def _not_for_children() -> Iterator[None]:
    """Ctrl-C goes to every process of a terminal; those that start meanwhile are deaf to it, and end with this one."""
    resource_tracker.ensure_running()  # else it starts now, and lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that start meanwhile use one thread each, unless the user has said otherwise."""
    ours = {name: value for name, value in _THREADS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
