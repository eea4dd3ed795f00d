"""Runs exported models with ONNX Runtime, on a GPU if its CUDA provider is there, else on the CPU."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime

from occpose_core.checkpoint import ModelFileError, ModelInfo
from occpose_core.checksum import check
from occpose_core.runtime.engine import Lifted, input_names, inputs_for, refuse_image_model

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
_NEW_STATE = "new_state"


def read_content(path: Path) -> bytes:
    """The content of a model file. Raises ModelFileError if there is none."""
    if not path.is_file():
        raise ModelFileError(f"no model file at {path}; `occpose models` lists the shipped ones")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error


def session_of(path: Path, model: bytes, planned_memory: bool = False) -> onnxruntime.InferenceSession:
    """A session of a file's content, or of a model that was made from it.

    planned_memory: for models whose layers have too large answers to be kept all at once.
    """
    options = onnxruntime.SessionOptions()
    # No threads but the caller's: a robot's other processes need the cores, and these models are small.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # After the first call for a number of people memory is laid out by what was needed when. Reuse that is planned from
    # the graph beforehand only hinders that: calls take 1 to 5 % longer and up to twice the memory.
    options.enable_mem_reuse = planned_memory
    options.log_severity_level = 3
    available = onnxruntime.get_available_providers()
    providers = [provider for provider in _PROVIDERS if provider in available]
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        raise ModelFileError(f"ONNX Runtime cannot load {path}: {str(error).splitlines()[0]}") from error


def device_of(session: onnxruntime.InferenceSession) -> tuple[str, str]:
    """The `backend` and `reason` of an engine that runs this session."""
    device = session.get_providers()[0].removesuffix("ExecutionProvider").lower()
    return f"onnxruntime-{device}", _reason(device)


def _reason(device: str) -> str:
    """Why a session runs on a device: "cuda" or "cpu"."""
    offered = _PROVIDERS[0] in onnxruntime.get_available_providers()
    if device != "cpu":
        return "its CUDA provider works"
    return "its CUDA provider does not start on this machine" if offered else "this onnxruntime has no CUDA provider"


class OnnxRuntimeEngine:
    """An exported .onnx file. Raises ModelFileError if it is missing, damaged or does not fit."""

    def __init__(self, path: Path) -> None:
        content = read_content(path)
        self._path, self._session = path, session_of(path, content)
        self.info = ModelInfo.from_metadata(self._session.get_modelmeta().custom_metadata_map, path)
        refuse_image_model(self.info, path)
        inputs = [value.name for value in self._session.get_inputs()]
        outputs = [value.name for value in self._session.get_outputs()]
        expected = input_names(self.info)
        self._fields = [*self.info.outputs, *(["state"] if self.info.streaming else [])]
        self._outputs = [_NEW_STATE if name == "state" else name for name in self._fields]
        if inputs != expected or sorted(outputs) != sorted(self._outputs):
            raise ModelFileError(
                f"{path} has inputs {inputs} and outputs {outputs}, expected {', '.join(expected)} and"
                f" {', '.join(self._outputs)}; export it again"
            )
        check(content, path)
        self.backend, self.reason = device_of(self._session)

    def run(
        self,
        kpts: np.ndarray,
        visible: np.ndarray,
        state: np.ndarray | None = None,
        only_state: bool = False,
        dt_s: np.ndarray | None = None,
    ) -> Lifted:
        """See Engine.run."""
        feed = inputs_for(self.info, kpts, visible, state, dt_s)
        if self.info.streaming and only_state:
            return Lifted(state=self._memory.run([_NEW_STATE], feed)[0])
        return Lifted(**dict(zip(self._fields, self._session.run(self._outputs, feed), strict=True)))

    @cached_property
    def _memory(self) -> onnxruntime.InferenceSession:
        """The part of the model that makes the state; all of it where the package onnx is not installed."""
        try:
            import onnx.utils
        except ImportError:
            return self._session
        part = onnx.utils.Extractor(onnx.load(self._path)).extract_model(input_names(self.info), [_NEW_STATE])
        return session_of(self._path, part.SerializeToString())
