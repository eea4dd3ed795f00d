"""NVIDIA's GPU through its package cuda-python: which one there is, and calls that raise when they fail."""

from __future__ import annotations

import ctypes
import importlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from occpose_core.errors import OccposeError


class NoGpuError(OccposeError):
    """There is no GPU that can be used."""


class CudaError(OccposeError):
    """A call of the CUDA runtime has failed."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """What an engine is built for. driver and runtime: CUDA versions as 1000 * major + 10 * minor."""

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    driver: int
    runtime: int


@cache
def cudart() -> Any:
    """The module of the CUDA runtime. Raises NoGpuError if it is not installed."""
    for name in ("cuda.bindings.runtime", "cuda.cudart"):  # since 12.6, before
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise NoGpuError("the package cuda-bindings is not installed: pip install cuda-bindings")


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """What a function of the CUDA runtime gives besides its status, if anything. Raises CudaError if it fails."""
    status, *values = function(*arguments)
    if status.value:
        cudart().cudaGetLastError()  # takes note of it, or the next library that asks would think it was its own
        raise CudaError(f"{function.__name__} fails with {status.name}")
    return values[0] if values else None


def free_with(owner: object, function: Callable[..., Any], handle: Any) -> None:
    """Have a function of the CUDA runtime free a handle when its owner goes; at the process's end the driver does."""
    weakref.finalize(owner, function, handle).atexit = False


@cache
def find_gpu() -> Gpu:
    """The first GPU that CUDA_VISIBLE_DEVICES leaves. Raises NoGpuError with the reason if there is none.

    Asks the loader for the driver's library first: without one, CUDA is not called at all.
    """
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise NoGpuError("there is no NVIDIA driver on this machine") from error
    runtime = cudart()
    try:
        if not call(runtime.cudaGetDeviceCount):
            raise NoGpuError("the NVIDIA driver finds no GPU")
        properties = call(runtime.cudaGetDeviceProperties, 0)
        versions = call(runtime.cudaDriverGetVersion), call(runtime.cudaRuntimeGetVersion)
    except CudaError as error:
        raise NoGpuError(f"the NVIDIA driver cannot be used: {error}") from error
    return Gpu(
        name=properties.name.split(b"\0", 1)[0].decode(),
        compute_capability=(properties.major, properties.minor),
        multiprocessors=properties.multiProcessorCount,
        driver=versions[0],
        runtime=versions[1],
    )
