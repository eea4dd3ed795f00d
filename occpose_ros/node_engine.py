"""The engine of a node: loaded at once, bettered beside the work, and told about."""

from __future__ import annotations

from occpose_core.camera import load_lens_models
from occpose_core.runtime import Preparation, load, preparation
from occpose_core.runtime.switching_engine import SwitchingEngine
from occpose_core.runtime.tensorrt_library import LIBRARIES
from occpose_core.tracking import load_solver

UNCONFIGURED = {"model": "none", "engine": "none", "engine reason": "not configured", "engine preparation": "none"}


class NodeEngine:
    """`engine` for the pipeline, and what there is to say about it.

    Making one loads the model, which takes a while; raises ModelFileError. Only `engine` may be used by another thread.
    """

    def __init__(self, model: str, backend: str) -> None:
        load_lens_models()
        load_solver()
        self.engine = load(model, backend)
        self._preparation: Preparation | None = None
        if self.engine.backend in LIBRARIES:  # nothing is better, but a GPU can be lost
            self.engine = SwitchingEngine(load(model, "onnxruntime"), better=self.engine)
        elif preparing := preparation(model, backend):
            self._preparation = preparing
            self.engine = SwitchingEngine(self.engine, preparing)
        self._told: set[str] = set()

    def start(self) -> None:
        """Begin to make a better engine ready, if there can be one."""
        if self._preparation is not None:
            self._preparation.start()

    def cancel(self) -> None:
        """Want nothing better any more; returns at once."""
        if self._preparation is not None:
            self._preparation.cancel()

    @property
    def breakdown(self) -> str:
        """Why an engine no longer serves that should; else empty."""
        return self.engine.breakdown if isinstance(self.engine, SwitchingEngine) else ""

    def values(self) -> dict[str, str]:
        """For the diagnostics."""
        return {
            "model": self.engine.info.name,
            "engine": self.engine.backend,
            "engine reason": self.engine.reason,
            "engine preparation": "none" if self._preparation is None else self._preparation.progress,
        }

    def news(self) -> tuple[str, str]:
        """What lifts and why, and why nothing better comes; "" for what was told before."""
        about = f"model {self.engine.info.name} on {self.engine.backend} ({self.engine.reason})"
        failure = "" if self._preparation is None else self._preparation.failure
        return self._if_new(about), self._if_new(failure)

    def _if_new(self, sentence: str) -> str:
        if sentence in self._told:
            return ""
        self._told.add(sentence)
        return sentence
