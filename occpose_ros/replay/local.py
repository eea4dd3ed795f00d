"""Replaying bags on the cores of this machine, each core's process one bag after the other.

The pools of the standard library do not survive a process that is killed, by the system for lack of memory or by a
library that crashes: one gives up everything, the other waits for ever. Here such a process costs its bag a second
try, and every other bag nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait

from occpose_ros.helper_process import HelperProcess, Line
from occpose_ros.replay.models import Models
from occpose_ros.replay.one_bag import attempt
from occpose_ros.replay.progress import Step
from occpose_ros.replay.result_folder import clear
from occpose_ros.replay.results import Failure, Outcome
from occpose_ros.replay.settings import ReplaySettings
from occpose_ros.replay.work_list import Task

_TRIES = 2
_STEP_EVERY_S = 0.2


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A process that replays, and the bag that it has."""

    def __init__(self, settings: ReplaySettings) -> None:
        self.task: Task | None = None
        self.helper = HelperProcess(_serve, settings)

    def give(self, task: Task) -> None:
        self.task = task
        with contextlib.suppress(OSError):  # of a process that ended it is heard why
            self.helper.line.send(task)


def replay_locally(tasks: Sequence[Task], settings: ReplaySettings, jobs: int) -> Iterator[Step | Outcome]:
    """Replay bags in so many processes; yields what happens, and of each bag in the end how it ended.

    Whoever does not want the rest closes the iterator: the processes end, and leave nothing unfinished.
    """
    waiting, tries = deque(tasks), Counter[str]()
    workers = [_Worker(settings) for _ in range(min(jobs, len(tasks)))]
    try:
        while True:
            for worker in workers:
                if worker.task is None and waiting:
                    worker.give(waiting.popleft())
            busy = {worker.helper.line: worker for worker in workers if worker.task is not None}
            if not busy:
                return
            for line in wait(list(busy)):
                worker = busy[line]  # type: ignore[index]  # `wait` gives back what it was given
                assert worker.task is not None
                try:
                    heard: Step | Outcome = worker.helper.line.recv()
                except (EOFError, OSError):
                    workers[workers.index(worker)] = _Worker(settings)
                    yield from _after_death(worker, waiting, tries)
                    continue
                if not isinstance(heard, Step):
                    worker.task = None
                yield heard
    finally:
        for worker in workers:
            worker.helper.close()
            if worker.task is not None:
                clear(worker.task.folder)


def _after_death(worker: _Worker, waiting: deque[Task], tries: Counter[str]) -> Iterator[Failure]:
    """Have the bag of a process that is gone replayed once more, or say that it is lost."""
    task = worker.task
    assert task is not None
    clear(task.folder)
    end = worker.helper.end_of(f"replays {task.bag.path}")
    worker.helper.close()
    tries[task.bag.name] += 1
    if tries[task.bag.name] < _TRIES:
        waiting.appendleft(task)
        return
    reason = f"{end}, and so did another one; if it was -9, memory was short: use fewer processes with --jobs"
    yield Failure(bag=task.bag.name, path=str(task.bag.path), reason=reason)


def _serve(line: Line, settings: ReplaySettings) -> None:
    """A worker: replays what comes over the line, tells how far it is and how it ended."""
    models, told_s = Models(), -_STEP_EVERY_S

    def tell(step: Step) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s >= _STEP_EVERY_S:
            told_s = now_s
            line.send(step)

    with contextlib.suppress(EOFError, ConnectionError):  # nobody wants more
        while True:
            line.send(attempt(line.recv(), settings, models, tell, helpers=False))
