"""Signals that end a command, while it has processes of its own to stop first. For the main thread only."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from occpose_core.errors import OccposeError


@contextlib.contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handler: Callable[[int, Any], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextlib.contextmanager
def stopping_in_order() -> Iterator[None]:
    """Meanwhile SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    with _handled((signal.SIGTERM, signal.SIGHUP), interrupt):
        yield


def with_node(name: str, work: Callable[[], int]) -> int:
    """The exit status of a command that runs a node: that of `work`; 2 if the user can mend it, 130 if interrupted."""
    try:
        with stopping_in_order():
            return work()
    except OccposeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; pose_node is stopped", file=sys.stderr)
        return 130


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Meanwhile no signal interrupts; those that came take effect afterwards."""
    came: list[int] = []
    with _handled((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), lambda number, frame: came.append(number)):
        yield
    for number in came:
        signal.raise_signal(number)
