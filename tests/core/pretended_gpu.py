"""A GPU made of host memory, for machines without one: CUDA's calls as an engine makes them, and TensorRT's on top.

As on a GPU nothing is done before somebody waits for the stream, a recording does what was queued while it was made,
and whatever is not freed stays. The engine itself is ONNX Runtime's, so the numbers are real.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from occpose_core.runtime import cuda as runtime_cuda
from occpose_core.runtime import device_buffers, tensorrt_loading
from occpose_core.runtime.cuda import Gpu
from occpose_core.runtime.tensorrt_library import TensorRtLibrary

GPU = Gpu(name="pretended", compute_capability=(8, 6), multiprocessors=28, driver=13000, runtime=13000)
SUCCESS = SimpleNamespace(value=0, name="cudaSuccess")


class PretendedCuda:
    """The functions of cuda.bindings.runtime that occpose uses; calls: how often each. spoilt: recordings fail."""

    cudaStreamNonBlocking = 1
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread")
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="up", cudaMemcpyDeviceToHost="down")

    def __init__(self, spoilt: bool) -> None:
        self.spoilt = spoilt
        self.calls: Counter[str] = Counter()
        self.alive: dict[int, Any] = {}  # memory, streams, recordings
        self.host: set[int] = set()
        self._queue: list[Callable[[], object]] = []
        self._recording: list[Callable[[], object]] | None = None

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("cuda") and name[4:5].isupper() and not name.startswith(("cudaStreamN", "cudaStreamCap")):
            object.__getattribute__(self, "calls")[name] += 1
        return object.__getattribute__(self, name)

    def enqueue(self, work: Callable[[], object]) -> None:
        (self._queue if self._recording is None else self._recording).append(work)

    def _new(self, thing: Any) -> int:
        handle = ctypes.addressof(thing) if isinstance(thing, ctypes.Array) else id(thing)
        self.alive[handle] = thing
        return handle

    def _free(self, handle: int) -> tuple[Any, ...]:
        del self.alive[handle]
        self.host.discard(handle)
        return (SUCCESS,)

    cudaFree = cudaFreeHost = cudaStreamDestroy = cudaGraphDestroy = cudaGraphExecDestroy = _free

    def cudaGetLastError(self) -> tuple[Any, ...]:
        return (SUCCESS,)

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        return SUCCESS, self._new((ctypes.c_byte * size)())

    def cudaMallocHost(self, size: int) -> tuple[Any, ...]:
        handle = self._new((ctypes.c_byte * size)())
        self.host.add(handle)
        return SUCCESS, handle

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:
        assert flags == self.cudaStreamNonBlocking
        return SUCCESS, self._new(SimpleNamespace())

    def cudaMemcpyAsync(self, target: int, source: int, size: int, kind: str, stream: int) -> tuple[Any, ...]:
        assert stream in self.alive
        assert (target in self.host, source in self.host) == ((False, True) if kind == "up" else (True, False))
        assert all(size <= ctypes.sizeof(self.alive[end]) for end in (target, source))
        self.enqueue(lambda: ctypes.memmove(target, source, size))
        return (SUCCESS,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        assert self._recording is None, "a stream that is recorded cannot be waited for"
        for work in self._queue:
            work()
        self._queue.clear()
        return (SUCCESS,)

    def cudaStreamBeginCapture(self, stream: int, mode: str) -> tuple[Any, ...]:
        assert self._recording is None and mode == "thread"
        self._recording = []
        return (SUCCESS,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        graph, self._recording = self._recording, None
        if self.spoilt:
            return SimpleNamespace(value=901, name="cudaErrorStreamCaptureInvalidated"), None
        return SUCCESS, self._new(SimpleNamespace(work=graph))

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[Any, ...]:
        return SUCCESS, self._new(SimpleNamespace(work=list(self.alive[graph].work)))

    def cudaGraphLaunch(self, executable: int, stream: int) -> tuple[Any, ...]:
        for work in self.alive[executable].work:
            self.enqueue(work)
        return (SUCCESS,)


class _Context:
    def __init__(self, cuda: PretendedCuda, session: onnxruntime.InferenceSession, error_m: float) -> None:
        self._cuda, self._session, self._error_m = cuda, session, error_m
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def _array(self, name: str, size: int) -> np.ndarray:
        return np.frombuffer(self._cuda.alive[self._addresses[name]], np.float32, size)

    def _work(self) -> None:
        given = {name: self._array(name, int(np.prod(shape))).reshape(shape) for name, shape in self._shapes.items()}
        names = [value.name for value in self._session.get_outputs()]
        for name, values in zip(names, self._session.run(names, given), strict=True):
            self._array(name, values.size)[:] = values.ravel() + (self._error_m if name != "new_state" else 0)

    def execute_async_v3(self, stream: int) -> bool:
        self._cuda.enqueue(self._work)
        return True


class _Engine:
    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session
        self._tensors = {value.name: value for value in (*session.get_inputs(), *session.get_outputs())}
        self.num_io_tensors = len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self._tensors[name].shape)

    def get_tensor_dtype(self, name: str) -> str:
        return "FLOAT"


class PretendedLibrary(TensorRtLibrary):
    """TensorRT for RTX, whose engines are sessions of a model; plans that are empty or begin with zeros it refuses."""

    def __init__(self, cuda: PretendedCuda, onnx: Path, error_m: float = 0.0, recordable: bool = True) -> None:
        self.backend, self.version = "tensorrt-rtx", "1.7"
        self._cuda, self._onnx, self._error_m, self._recordable = cuda, onnx, error_m, recordable
        self.module = SimpleNamespace(Runtime=lambda logger: self, nptype=lambda dtype: np.float32)

    def targets(self, gpu: Gpu) -> tuple[tuple[int, int], ...]:
        return (gpu.compute_capability,)

    def logger(self, hear: Callable[[str], None]) -> Any:
        hear("it is made of zeros")
        return hear

    def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
        return _Engine(onnxruntime.InferenceSession(self._onnx)) if plan.strip(b"\0") else None

    def contexts(self, engine: Any, count: int, compiled: bytes) -> tuple[list[Any], Callable[[], bytes]]:
        contexts = [_Context(self._cuda, engine.session, self._error_m) for _ in range(count)]
        return contexts, lambda: compiled + b"kernels"

    def can_be_recorded(self, context: Any, stream: int) -> bool:
        return self._recordable


def pretend(
    monkeypatch: pytest.MonkeyPatch, onnx: Path, error_m: float = 0.0, recordable: bool | None = True
) -> tuple[PretendedCuda, PretendedLibrary]:
    """Have occpose find a GPU, and a library for it, that answers a model with an error of so many metres.

    recordable: whether work can be recorded; None: it seems so, but fails.
    """
    cuda = PretendedCuda(spoilt=recordable is None)
    library = PretendedLibrary(cuda, onnx, error_m, recordable is not False)
    for module in (runtime_cuda, device_buffers):
        monkeypatch.setattr(module, "cudart", lambda: cuda)
    monkeypatch.setattr(tensorrt_loading, "find_gpu", lambda: GPU)
    monkeypatch.setattr(tensorrt_loading, "TensorRtLibrary", lambda backend: library)
    return cuda, library
