"""A better engine that is made ready beside the one that serves."""

from __future__ import annotations

import threading
from collections.abc import Callable

from occpose_core.errors import OccposeError
from occpose_core.runtime.engine import Engine

Say = Callable[[str], None]


class CancelledError(OccposeError):
    """Nobody wants the engine any more."""


class Preparation:
    """Builds, warms up and checks an engine in a thread of its own.

    `make(say, cancelled)` does the work: it says in one sentence what it is at, and raises CancelledError soon after
    the event is set. All members may be used from any thread, and none of them waits for the work.
    """

    def __init__(self, make: Callable[[Say, threading.Event], Engine], title: str) -> None:
        self._make, self._title = make, title
        self._cancelled = threading.Event()
        self._progress, self._failure = f"{title} will be made ready", ""
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        # a daemon, for it may wait long for a build that it has told to end
        self._thread = threading.Thread(target=self._run, name="preparation", daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    @property
    def progress(self) -> str:
        """What it is at, in one sentence without a full stop; after a failure or the end: that."""
        return self._progress

    @property
    def failure(self) -> str:
        """Why no engine comes, in one sentence; empty while one may come, and after `cancel`."""
        return self._failure

    def poll(self) -> Engine | None:
        """The engine, once, as soon as it is ready to serve; else None."""
        with self._lock:
            engine, self._engine = self._engine, None
        return engine

    def cancel(self) -> None:
        """Have it end; returns at once, and `poll` gives nothing from now on."""
        with self._lock:
            self._cancelled.set()
            self._engine = None

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended; whether it has."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            engine = self._make(self._say, self._cancelled)
        except CancelledError:
            self._progress = f"{self._title} is not wanted any more"
            return
        except OccposeError as error:
            self._failure = self._progress = str(error)
            return
        except Exception as error:  # noqa: BLE001 the border of a thread: nobody else would hear of it
            self._failure = self._progress = f"{self._title} cannot be had: {error!r}"
            return
        with self._lock:
            if not self._cancelled.is_set():
                self._engine = engine
                self._progress = f"{self._title} is ready"

    def _say(self, sentence: str) -> None:
        self._progress = sentence
