"""From an exported model to a TensorRT engine that may serve: out of the cache, or built, checked and kept there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from occpose_core.checkpoint import METADATA_KEY, ModelFileError, ModelInfo
from occpose_core.errors import OccposeError
from occpose_core.runtime.accuracy import refusal
from occpose_core.runtime.cuda import find_gpu
from occpose_core.runtime.engine import Engine, warm_up
from occpose_core.runtime.engine_cache import CachedPlan, CacheError, EngineCache, cache_key
from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine
from occpose_core.runtime.plan_builder import LEVEL, PlanRequest
from occpose_core.runtime.plan_process import build_plan
from occpose_core.runtime.preparation import CancelledError, Preparation, Say
from occpose_core.runtime.tensorrt_engine import TensorRtEngine
from occpose_core.runtime.tensorrt_library import TensorRtLibrary, require


class NotBuiltError(OccposeError):
    """There can be an engine, but it has to be built first."""


class TensorRtModel:
    """An exported model, for the GPU of this machine.

    Raises NoGpuError or ModelFileError if there is no GPU or the library cannot be loaded, CacheError if there is no
    place for a cache.
    """

    def __init__(self, path: Path, backend: str) -> None:
        require(backend)
        self._gpu = gpu = find_gpu()  # before the library, which takes long to load
        self._library = TensorRtLibrary(backend)
        self._path, self.title = path, f"the {backend} engine of {path.stem}"
        self._facts = {
            "backend": backend,
            "version": self._library.version,
            "gpu": asdict(gpu),
            "level": LEVEL,
        }
        self._cache = EngineCache()
        self._key = cache_key(path.read_bytes(), self._facts)
        self._kernels = f"{self._key}.kernels"
        self._timing_cache = f"{cache_key(b'', self._facts)}.timing"

    def is_missing(self) -> bool:
        """Whether it has to be built before it can serve."""
        try:
            return self._cache.read(self._key) is None
        except CacheError:
            return True

    def ready(self) -> Engine:
        """The engine that lies in the cache. Raises NotBuiltError if none does, ModelFileError if it must not serve."""
        cached = self._cache.read(self._key)
        if cached is None:
            raise NotBuiltError(f"{self.title} is not built yet")
        if cached.refused:
            raise ModelFileError(
                f"{self.title} must not serve: {cached.refused}; to try again empty {self._cache.folder}"
            )
        try:
            info = ModelInfo.from_metadata({METADATA_KEY: cached.metadata}, self._path)
            return self._engine(cached.plan, info, self._cache.read_blob(self._kernels))
        except ModelFileError as error:
            self._cache.discard(self._key)
            raise NotBuiltError(f"{self.title} has to be built again: {error}") from error

    def built(self, say: Say, cancelled: threading.Event) -> Engine:
        """The engine, built now if it is not in the cache. Raises ModelFileError if it cannot be had or must not serve.

        CancelledError soon after the event is set.
        """
        waiting = f"{self.title} waits until another process has built its own"
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(NotBuiltError, CacheError):
                stack.enter_context(self._cache.lock(cancelled, lambda: say(waiting)))
                return self.ready()  # another process may have built it meanwhile
            return self._build(say, cancelled)

    def _build(self, say: Say, cancelled: threading.Event) -> Engine:
        reference = OnnxRuntimeEngine(self._path)

        def tell(share: float) -> None:
            say(f"building {self.title}: {share:.0%}".replace("%", " %"))

        tell(0.0)
        request = PlanRequest(
            onnx=self._path,
            backend=self._library.backend,
            batches=reference.info.batches,
            compute_capabilities=self._library.targets(self._gpu),
        )
        plan = build_plan(request, tell, cancelled, self._cache.read_blob(self._timing_cache))
        say(f"checking {self.title}")
        engine = self._engine(plan.plan, reference.info, b"")
        if cancelled.is_set():
            raise CancelledError(f"{self.title} is not wanted any more")
        refused = refusal(engine, reference)
        cached = CachedPlan(plan=plan.plan, metadata=reference.info.to_json(), refused=refused)
        try:
            self._cache.store(self._key, cached, self._facts)
            for name, blob in ((self._kernels, engine.compiled()), (self._timing_cache, plan.timing_cache)):
                if blob:
                    self._cache.write(name, blob)
        except CacheError as error:
            engine.reason += f"; it has to be built at every start: {error}"
        if refused:
            raise ModelFileError(f"{self.title} must not serve: {refused}")
        return engine

    def _engine(self, plan: bytes, info: ModelInfo, kernels: bytes) -> TensorRtEngine:
        """An engine that has answered once. Raises ModelFileError if it does not."""
        try:
            engine = TensorRtEngine(self._library, plan, info, kernels)
        except OccposeError:
            raise
        except Exception as error:  # the library's exceptions have no common base of their own
            raise ModelFileError(f"{self.title} cannot be loaded: {str(error).splitlines()[0]}") from error
        engine.reason = f"{engine.reason} on {self._gpu.name}, plan {self._key[:8]}"
        warm_up(engine, self._path)
        return engine


def cached_engine(path: Path, backends: Iterable[str]) -> tuple[Engine | None, str]:
    """The engine of the first backend that has one in the cache, or why none has; never builds, never raises."""
    reasons = []
    for backend in backends:
        try:
            return TensorRtModel(path, backend).ready(), ""
        except (OccposeError, OSError) as error:
            reasons.append(str(error))
    return None, ", ".join(dict.fromkeys(reasons))  # each once


def prepared_engine(path: Path, backends: Iterable[str]) -> Preparation | None:
    """The engine of the first backend that can be built here; None if none can, or one lies in the cache already."""
    for backend in backends:
        with contextlib.suppress(OccposeError, OSError):
            model = TensorRtModel(path, backend)
            return Preparation(model.built, model.title) if model.is_missing() else None
    return None


def built_engine(path: Path, backend: str) -> Engine:
    """The engine, built now if need be. Raises ModelFileError with the reason if it cannot be had."""
    try:
        return TensorRtModel(path, backend).built(lambda sentence: None, threading.Event())
    except ModelFileError:
        raise
    except (OccposeError, OSError) as error:
        raise ModelFileError(f"backend {backend} cannot run {path}: {error}") from error
