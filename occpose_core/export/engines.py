"""What TensorRT makes of an exported file: whether it can be built, and whether its answers are the file's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from occpose_core.checkpoint import ModelInfo
from occpose_core.errors import OccposeError
from occpose_core.runtime.accuracy import largest_differences
from occpose_core.runtime.cuda import NoGpuError, find_gpu
from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine
from occpose_core.runtime.plan_builder import PlanRequest
from occpose_core.runtime.plan_process import build_plan
from occpose_core.runtime.tensorrt_library import require
from occpose_core.runtime.tensorrt_loading import built_engine

ANYWHERE = "tensorrt-rtx"  # the one that builds for GPUs that are not there


def check_possible(backend: str, compute_capabilities: Sequence[tuple[int, int]]) -> None:
    """Raise OccposeError if no engine can be built here; ask before the work, not after it."""
    require(backend)
    if compute_capabilities and backend != ANYWHERE:
        raise OccposeError(f"{backend} builds for the GPU of this machine only; --compute-capability is for {ANYWHERE}")
    if compute_capabilities:
        return
    try:
        find_gpu()
    except NoGpuError as error:
        raise OccposeError(
            f"no {backend} engine can run here: {error}; --engine {ANYWHERE} --compute-capability 8.6,8.9 builds for"
            " GPUs that are elsewhere, and leave out --engine to export only"
        ) from error


def plan_sizes(path: Path, info: ModelInfo, compute_capabilities: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Build a file for each of those compute capabilities: bytes of the plans. They are not kept: plans do not travel.

    Raises ModelFileError with the library's reason if one cannot be built.
    """
    sizes = {}
    for major, minor in compute_capabilities:
        request = PlanRequest(onnx=path, backend=ANYWHERE, batches=info.batches, compute_capabilities=((major, minor),))
        sizes[f"{major}.{minor}"] = len(build_plan(request).plan)
    return sizes


def engine_differences(path: Path, backend: str) -> dict[str, float]:
    """Have a file's engine built into the cache of this machine, and compare it with ONNX Runtime, by input.

    Raises ModelFileError if it cannot be built or its answers are too far off.
    """
    return largest_differences(built_engine(path, backend), OnnxRuntimeEngine(path))
