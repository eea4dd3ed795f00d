"""How far a replay is: a bar with rate and time left on a terminal, a line for each finished bag in a log file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from occpose_ros.replay.results import BagResult, Failure, Outcome
from occpose_ros.replay.work_list import Task

if TYPE_CHECKING:
    from rich.progress import Progress

_SHOWN_EVERY_S = 0.1
_RATE_OVER_S = 120.0  # rich tells the time left from the rate of so long


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far a bag is: `done` of `total` messages, `seconds` of recorded time."""

    bag: str
    done: int
    total: int
    seconds: float


class Display(Protocol):
    """What shows how far a replay is."""

    def show(self, event: Step | Outcome) -> None:
        """Take what has happened."""


@dataclass(kw_only=True, eq=False)
class _Tally:
    """What is known so far of some bags: the share of their bytes that is done, and recorded seconds."""

    sizes: dict[str, int]
    steps: dict[str, Step] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)  # bag -> its recorded seconds
    begin_s: float = field(default_factory=time.monotonic)

    def take(self, event: Step | Outcome) -> None:
        if isinstance(event, Step):
            self.steps[event.bag] = event
        else:
            self.steps.pop(event.bag, None)
            self.ended[event.bag] = event.seconds if isinstance(event, BagResult) else 0.0

    @property
    def done(self) -> float:
        """Bytes of recordings."""
        running = sum(self.sizes[step.bag] * min(1.0, step.done / max(1, step.total)) for step in self.steps.values())
        return running + sum(self.sizes[bag] for bag in self.ended)

    @property
    def x_realtime(self) -> float:
        seconds = sum(self.ended.values()) + sum(step.seconds for step in self.steps.values())
        return seconds / max(1e-9, time.monotonic() - self.begin_s)


class _Lines:
    """For a log file."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tally = _Tally(sizes={task.bag.name: 1 for task in tasks})

    def show(self, event: Step | Outcome) -> None:
        """See Display."""
        if isinstance(event, Step):
            return
        self._tally.take(event)
        bags, rate = f"{len(self._tally.ended)} of {len(self._tally.sizes)} bags", self._tally.x_realtime
        what = f"{event.seconds:.1f} s" if isinstance(event, BagResult) else f"failed: {event.reason}"
        print(f"{bags}, {rate:.1f} x real time: {event.bag}: {what}", file=sys.stderr, flush=True)


class _Bar:
    """For a terminal."""

    def __init__(self, tasks: Sequence[Task], progress: Progress) -> None:
        self._tally = _Tally(sizes={task.bag.name: max(1, task.size) for task in tasks})
        self._progress = progress
        self._what = f"0 of {len(tasks)} bags" if len(tasks) > 1 else tasks[0].bag.name
        self._task = progress.add_task("", total=sum(self._tally.sizes.values()), what=self._what, rate="")
        self._shown_s = 0.0

    def show(self, event: Step | Outcome) -> None:
        """See Display."""
        self._tally.take(event)
        now_s = time.monotonic()
        if isinstance(event, Step):
            if now_s - self._shown_s < _SHOWN_EVERY_S and event.done < event.total:
                return
            if len(self._tally.sizes) == 1:
                self._what = f"{event.done} of {event.total} messages"
        elif isinstance(event, Failure):
            self._progress.console.print(f"{event.bag} failed: {event.reason}", markup=False, highlight=False)
        if len(self._tally.sizes) > 1:
            self._what = f"{len(self._tally.ended)} of {len(self._tally.sizes)} bags"
        self._shown_s = now_s
        rate = f"{self._tally.x_realtime:.1f} x real time"
        self._progress.update(self._task, completed=self._tally.done, rate=rate, what=self._what)


class _Nothing:
    """One bag in a log file is soon done."""

    def show(self, event: Step | Outcome) -> None:
        """See Display."""


@contextlib.contextmanager
def display(tasks: Sequence[Task], *, alone: bool) -> Iterator[Display]:
    """What shows, on stderr, how far these bags are. alone: there is one bag, and was no other."""
    if not sys.stderr.isatty() or not tasks:
        yield _Nothing() if alone else _Lines(tasks)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    what, rate = TextColumn("{task.fields[what]}"), TextColumn("{task.fields[rate]}")
    columns = (BarColumn(), what, rate, TimeRemainingColumn(), TextColumn("left"))
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=_RATE_OVER_S) as progress:
        yield _Bar(tasks, progress)
