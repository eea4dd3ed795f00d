"""One engine serves until a better one is ready, and again if that breaks down."""

from __future__ import annotations

import numpy as np

from occpose_core.runtime.engine import Engine, Lifted
from occpose_core.runtime.preparation import Preparation


class SwitchingEngine:
    """Two engines of one model that are one for the pipeline.

    first: serves until there is a better one, and again if that breaks down; `breakdown` says why it did. preparation:
    of the better one, which takes over between two calls. better: it, where it is there already. Nobody's past is lost
    by a change, for what a streaming model remembers is given and taken as numpy, and is the same for all engines.
    `run` is called by one thread at a time; the rest may be used from any thread.
    """

    def __init__(self, first: Engine, preparation: Preparation | None = None, better: Engine | None = None) -> None:
        self.info = first.info
        self.breakdown = ""
        self._first, self._preparation = first, preparation
        self._serve(first if better is None else better)

    def run(
        self,
        kpts: np.ndarray,
        visible: np.ndarray,
        state: np.ndarray | None = None,
        only_state: bool = False,
        dt_s: np.ndarray | None = None,
    ) -> Lifted:
        """See Engine.run."""
        better = None if self._preparation is None else self._preparation.poll()
        if better is not None:
            self._serve(better)
        if self._serving is not self._first:
            try:
                return self._serving.run(kpts, visible, state, only_state, dt_s)
            except Exception as error:  # noqa: BLE001  a GPU is lost in many ways; the first engine may still work
                self.breakdown = f"{self.backend} broke down: {str(error).partition(chr(10))[0]}"
                self._serve(self._first)
        return self._first.run(kpts, visible, state, only_state, dt_s)

    def _serve(self, engine: Engine) -> None:
        self._serving = engine
        self.backend = engine.backend
        self.reason = f"{self.breakdown}; {engine.reason}" if self.breakdown else engine.reason
