"""Engines that are made ready beside others, when a test says so."""

from __future__ import annotations

import threading

from occpose_core.runtime import DEFAULT_MODEL, load
from occpose_core.runtime.engine import Engine, Lifted
from occpose_core.runtime.preparation import CancelledError, Preparation


class Counted:
    """An engine of its own that counts its calls, and breaks down at one of them."""

    def __init__(self, breaks_at: int = -1) -> None:
        self._engine = load(DEFAULT_MODEL)
        self.info, self.backend, self.reason = self._engine.info, "counted", "a test asked for it"
        self.calls, self._breaks_at = 0, breaks_at

    def run(self, *given) -> Lifted:
        self.calls += 1
        if self.calls == self._breaks_at:
            raise RuntimeError("CUDA error 700: an illegal memory access was encountered\nsecond line")
        return self._engine.run(*given)


class Build:
    """A preparation whose work ends when the test says so; `cancelled` tells whether it is still wanted."""

    def __init__(self, engine: Engine | Exception) -> None:
        self._engine, self._may_end = engine, threading.Event()
        self.cancelled = False
        self.preparation = Preparation(self._make, "the better engine")

    def _make(self, say, cancelled: threading.Event) -> Engine:
        say("building the better engine: 43 %")
        while not self._may_end.wait(0.01):
            if cancelled.is_set():
                self.cancelled = True
                raise CancelledError("not wanted")
        if isinstance(self._engine, Exception):
            raise self._engine
        return self._engine

    def end(self) -> None:
        """Let the work end, and wait for that."""
        self._may_end.set()
        assert self.preparation.join(30)
