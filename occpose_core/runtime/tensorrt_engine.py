"""Runs a TensorRT plan on the GPU: recorded once for each batch size, and then played with one call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from occpose_core.checkpoint import ModelFileError, ModelInfo
from occpose_core.runtime.buckets import answer_in_buckets
from occpose_core.runtime.cuda import CudaError
from occpose_core.runtime.device_buffers import DeviceBuffers, Stream
from occpose_core.runtime.engine import Lifted, input_names, inputs_for
from occpose_core.runtime.tensorrt_library import TensorRtLibrary

_NEW_STATE = "new_state"


class TensorRtEngine:
    """A deserialised plan; for one thread at a time.

    compiled: kernels as `compiled` gave them before. Raises ModelFileError if the library does not take the plan, or it
    is not that of the model, and CudaError if the GPU does not do its work.
    """

    def __init__(self, library: TensorRtLibrary, plan: bytes, info: ModelInfo, compiled: bytes = b"") -> None:
        self.info = info
        errors: list[str] = []
        self._logger = library.logger(errors.append)
        self._runtime = library.module.Runtime(self._logger)  # must live as long as the engine
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise ModelFileError(
                f"{library.backend} does not take the plan: {errors[0] if errors else 'it gives no reason'}"
            )
        self._outputs = [*info.outputs, *([_NEW_STATE] if info.streaming else [])]
        self._stream = Stream()
        self._buffers = _buffers(library, engine, input_names(info), self._outputs, max(info.batches))
        contexts, self.compiled = library.contexts(engine, len(info.batches), compiled)
        self._buckets = {
            size: _Recorded(library, context, size, input_names(info), self._outputs, self._buffers, self._stream)
            for size, context in zip(info.batches, contexts, strict=True)
        }
        recorded = all(bucket.recorded for bucket in self._buckets.values())
        self.backend = library.backend
        self.reason = f"{library.backend} {library.version} {'with' if recorded else 'without'} CUDA graphs"

    def run(
        self,
        kpts: np.ndarray,
        visible: np.ndarray,
        state: np.ndarray | None = None,
        only_state: bool = False,
        dt_s: np.ndarray | None = None,
    ) -> Lifted:
        """See Engine.run."""
        given = inputs_for(self.info, kpts, visible, state, dt_s)
        wanted = [_NEW_STATE] if self.info.streaming and only_state else self._outputs
        answer = answer_in_buckets(self._buckets, given, wanted)
        return Lifted(state=answer.pop(_NEW_STATE, None), **answer)


def _buffers(
    library: TensorRtLibrary, engine: Any, inputs: Sequence[str], outputs: Sequence[str], people: int
) -> DeviceBuffers:
    """Room for the largest batch, in the first rows of which smaller ones go; ModelFileError for other tensors."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    if sorted(names) != sorted([*inputs, *outputs]):
        raise ModelFileError(f"the plan has tensors {names}, expected {', '.join([*inputs, *outputs])}")
    shapes = {name: (people, *tuple(engine.get_tensor_shape(name))[1:]) for name in names}
    return DeviceBuffers(
        shapes, {name: np.dtype(library.module.nptype(engine.get_tensor_dtype(name))) for name in names}
    )


class _Recorded:
    """One batch size: an execution context of its own, so that its recording stays true whatever the others do."""

    def __init__(
        self,
        library: TensorRtLibrary,
        context: Any,
        size: int,
        inputs: Sequence[str],
        outputs: Sequence[str],
        buffers: DeviceBuffers,
        stream: Stream,
    ) -> None:
        self.inputs = {name: buffers.host[name][:size] for name in inputs}
        self.outputs = {name: buffers.host[name][:size] for name in outputs}
        self._context, self._stream = context, stream
        for name in inputs:
            context.set_input_shape(name, buffers.host[name][:size].shape)
        for name in (*inputs, *outputs):
            context.set_tensor_address(name, int(buffers.address[name]))

        def enqueue() -> None:
            for name in inputs:
                buffers.upload(name, size, stream)
            if not context.execute_async_v3(int(stream.handle)):
                raise CudaError(f"the engine does not take {size} people")
            for name in outputs:
                buffers.download(name, size, stream)

        # unrecorded first: TensorRT puts off some work until then that cannot be recorded
        self._play: Callable[[], None] = enqueue
        self.execute()
        if library.can_be_recorded(context, int(stream.handle)):
            with contextlib.suppress(CudaError):  # slower, but not wrong
                play = stream.record(enqueue)
                play()
                stream.wait()
                self._play = play
        self.recorded = self._play is not enqueue

    def execute(self) -> None:
        """See Bucket.execute."""
        self._play()
        self._stream.wait()
