"""Memory for the tensors of an engine, and the stream on which they are copied and answered."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from occpose_core.runtime.cuda import call, cudart, free_with


class Stream:
    """A queue of work on the GPU."""

    def __init__(self) -> None:
        runtime = cudart()
        self.handle = call(runtime.cudaStreamCreateWithFlags, runtime.cudaStreamNonBlocking)
        free_with(self, runtime.cudaStreamDestroy, self.handle)

    def wait(self) -> None:
        """Until all of its work is done."""
        call(cudart().cudaStreamSynchronize, self.handle)

    def record(self, enqueue: Callable[[], None]) -> Callable[[], None]:
        """What queues, with one call (a CUDA graph), the work that `enqueue` queues; nothing is done now.

        Raises CudaError if it cannot be recorded; the stream can be used all the same.
        """
        runtime = cudart()
        # ThreadLocal: what other threads do on the GPU meanwhile (ONNX Runtime serves) does not spoil the recording
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call(runtime.cudaStreamBeginCapture, self.handle, mode)
        try:
            enqueue()
        finally:  # after a failure too, or the stream stays unusable
            graph = call(runtime.cudaStreamEndCapture, self.handle)
        executable = call(runtime.cudaGraphInstantiate, graph, 0)
        call(runtime.cudaGraphDestroy, graph)
        free_with(self, runtime.cudaGraphExecDestroy, executable)
        return lambda: call(runtime.cudaGraphLaunch, executable, self.handle)


class DeviceBuffers:
    """An array on the host and one on the GPU for each tensor; both stay where they are.

    shapes, dtypes: by the tensors' names. host: the arrays, page-locked, so that copies need no detour.
    address: where the tensors are on the GPU.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], dtypes: Mapping[str, np.dtype[Any]]) -> None:
        runtime = cudart()
        self.host: dict[str, np.ndarray] = {}
        self.address: dict[str, int] = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape)) * dtypes[name].itemsize
            locked = call(runtime.cudaMallocHost, size)
            free_with(self, runtime.cudaFreeHost, locked)
            self.address[name] = call(runtime.cudaMalloc, size)
            free_with(self, runtime.cudaFree, self.address[name])
            memory = memoryview((ctypes.c_byte * size).from_address(locked)).cast("B")
            self.host[name] = np.ndarray(shape, dtypes[name], memory)
            self.host[name][...] = 0

    def upload(self, name: str, rows: int, stream: Stream) -> None:
        """Queue the copy of a tensor's first rows to the GPU."""
        self._copy(name, rows, "cudaMemcpyHostToDevice", stream)

    def download(self, name: str, rows: int, stream: Stream) -> None:
        """Queue the copy of a tensor's first rows to the host."""
        self._copy(name, rows, "cudaMemcpyDeviceToHost", stream)

    def _copy(self, name: str, rows: int, direction: str, stream: Stream) -> None:
        ends = self.address[name], self.host[name].ctypes.data
        source, target = ends if direction == "cudaMemcpyDeviceToHost" else reversed(ends)
        kind = getattr(cudart().cudaMemcpyKind, direction)
        call(cudart().cudaMemcpyAsync, target, source, self.host[name][:rows].nbytes, kind, stream.handle)
