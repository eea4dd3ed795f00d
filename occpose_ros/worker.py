"""Work beside the executor's thread: one thread that works on the newest item only, and one for work that is done once.

All threads are daemons: an engine that hangs must not keep the process alive after everybody has given up on it.

Why a thread: lifting takes milliseconds to tens of milliseconds, and the executor that delivers messages must not wait
for it, or messages pile up and every answer is late. Why a mailbox of one: an answer about an old image is worth less
than one about the newest, so an item not yet begun is replaced, never queued. Why a reset is not an item: it must not
be replaced by the next item, and it makes the item that waits stale.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
# `ros2 launch` follows SIGINT by SIGTERM after 5 s and by SIGKILL after 10 s more.
_JOIN_TIMEOUT_S = 2.0


def in_background(work: Callable[[], Result], name: str) -> Future[Result]:
    """Start work in a thread of its own."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is taken
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class Listening(Protocol):
    """Something to listen to for want of work (listening.py): what is heard leads to an `offer` by the same thread."""

    def listen(self) -> bool:
        """Wait for something or for `wake`; False if that is impossible, until the next offer at least."""

    def wake(self) -> None:
        """Let `listen` come back."""


class LatestWorker(Generic[Item]):
    """Calls `work(item)` and `reset()` from one thread of its own; both must handle their errors themselves.

    listener: what the thread listens to while it has nothing to do.
    """

    def __init__(
        self, work: Callable[[Item], None], reset: Callable[[], None], name: str, listener: Listening | None = None
    ) -> None:
        self._work = work
        self._reset = reset
        self._listener = listener
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._busy = False
        self._reset_wanted = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, item: Item, patience_s: float = 0.0) -> bool:
        """Hand over an item; True if it replaced one that had not been begun.

        patience_s: wait so long for the work, if it begins at once. One thread at a time runs Python, so a caller that
        goes on working makes the item wait, for up to `sys.getswitchinterval` (5 ms).
        """
        with self._changed:
            replaced = self._item is not None
            begins = not self._busy and threading.current_thread() is not self._thread
            self._item = item
            self._tell()
            if begins:
                self._changed.wait_for(lambda: self._item is None and not self._busy, patience_s)
        return replaced

    def request_reset(self) -> None:
        """Have `reset()` called before any later item; an item that waits is forgotten."""
        with self._changed:
            self._item = None
            self._reset_wanted = True
            self._tell()

    @property
    def running(self) -> bool:
        """Whether the thread lives, be it only for the item in work."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = _JOIN_TIMEOUT_S) -> bool:
        """End the thread after the item in work; False if that took longer than the timeout."""
        with self._changed:
            self._stopping = True
            self._tell()
        self._thread.join(timeout_s)
        return not self.running

    def _tell(self) -> None:
        """Wake whoever waits; the lock is held."""
        self._changed.notify_all()
        if self._listener is not None and threading.current_thread() is not self._thread:
            self._listener.wake()

    def _wanted(self) -> bool:
        return self._stopping or self._reset_wanted or self._item is not None

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
            while self._listener is not None and not self._wanted() and self._listener.listen():
                pass
            with self._changed:
                self._changed.wait_for(self._wanted)
                if self._stopping:
                    return
                reset, self._reset_wanted = self._reset_wanted, False
                item, self._item = self._item, None
                self._busy = True
            if reset:
                self._reset()
            if item is not None:
                self._work(item)
