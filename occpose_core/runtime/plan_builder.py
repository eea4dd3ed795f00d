"""Builds a TensorRT plan, an engine in serialised form, from an exported model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occpose_core.checkpoint import ModelFileError
from occpose_core.runtime.tensorrt_library import TensorRtLibrary

LEVEL = 3  # builder_optimization_level: TensorRT's own default
_REASON = 300  # characters of what a library has logged
_TYPICAL = 2  # people that the engine is made best for


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What to build. batches: numbers of people. compute_capabilities: GPUs to build for, none = this machine's."""

    onnx: Path
    backend: str
    batches: tuple[int, ...]
    level: int = LEVEL
    compute_capabilities: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A built engine. timing_cache: for the next build."""

    plan: bytes
    timing_cache: bytes = b""


def build(request: PlanRequest, progress: Callable[[float], None], timing_cache: bytes = b"") -> Plan:
    """Build, in this thread, and tell the share that is done.

    Raises ModelFileError with the library's reason if it cannot be built.
    """
    library, errors = TensorRtLibrary(request.backend), list[str]()
    try:
        plan = _build(library, request, library.logger(errors.append), progress, timing_cache)
    except ModelFileError:
        raise
    except Exception as error:  # what the library raises has no common base, and what it logs says more
        raise _refusal(library, request, [*errors, str(error)]) from error
    if plan is None:
        raise _refusal(library, request, errors)
    return plan


def _refusal(library: TensorRtLibrary, request: PlanRequest, errors: list[str]) -> ModelFileError:
    reason = " ".join(" ".join(errors).split())[:_REASON] or "it gives no reason"
    return ModelFileError(f"{request.backend} {library.version} cannot build {request.onnx}: {reason}")


def _build(
    library: TensorRtLibrary,
    request: PlanRequest,
    logger: Any,
    progress: Callable[[float], None],
    timing_cache: bytes,
) -> Plan | None:
    """The plan; None if the library refuses, after it has told its logger why."""
    builder = library.module.Builder(logger)
    network = library.network(builder)
    if not library.module.OnnxParser(network, logger).parse(request.onnx.read_bytes()):
        return None
    config = library.configuration(builder, request.level, request.compute_capabilities)
    config.add_optimization_profile(_profile(builder, network, request.batches))
    config.progress_monitor = monitor = _monitor(library, progress)  # TensorRT does not keep it alive
    if library.times_tactics:
        # False: what another GPU or version has measured is refused, and a new cache taken
        given = config.create_timing_cache(timing_cache)
        if given is None or not config.set_timing_cache(given, False):
            config.set_timing_cache(config.create_timing_cache(b""), False)
    plan = builder.build_serialized_network(network, config)
    del monitor
    if plan is None:
        return None
    measured = bytes(config.get_timing_cache().serialize()) if library.times_tactics else b""
    return Plan(plan=bytes(plan), timing_cache=measured)


def _profile(builder: Any, network: Any, batches: tuple[int, ...]) -> Any:
    """How many people there may be."""
    profile = builder.create_optimization_profile()
    people = (min(batches), min(max(_TYPICAL, min(batches)), max(batches)), max(batches))
    for index in range(network.num_inputs):
        given = network.get_input(index)
        profile.set_shape(given.name, *((count, *tuple(given.shape)[1:]) for count in people))
    return profile


def _monitor(library: TensorRtLibrary, progress: Callable[[float], None]) -> Any:
    """What TensorRT tells how far it is; it passes on every hundredth, once."""
    module = library.module

    class Monitor(module.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self._phases: dict[str, tuple[str | None, int, int]] = {}  # name -> the one it is part of, steps, done
            self._told = -1.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = (parent_phase, num_steps, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._phases:
                parent, steps, _ = self._phases[phase_name]
                self._phases[phase_name] = (parent, steps, step + 1)
            share = round(self._share(phase_name), 2)
            if share > self._told:  # phases come again, and then it would seem to go backwards
                self._told = share
                progress(share)
            return True  # go on

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

        def _share(self, phase_name: str | None) -> float:
            """Of the whole build: what is done of a phase is a part of the step that its parent is at."""
            share, phases = 0.0, dict(self._phases)  # several threads build
            while phase := phases.pop(phase_name, None):  # type: ignore[arg-type]  # the outermost is part of None
                phase_name, steps, done = phase
                share = min((done + share) / max(steps, 1), 1.0)
            return share

    return Monitor()
