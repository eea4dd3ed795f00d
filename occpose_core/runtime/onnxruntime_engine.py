"""Runs exported models with ONNX Runtime, on a GPU if its CUDA provider is there, else on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from occpose_core.checkpoint import ModelFileError, ModelInfo
from occpose_core.runtime.engine import Lifted

_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One thread that sleeps when idle: a robot's other processes need the cores, and these models are small.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    available = onnxruntime.get_available_providers()
    providers = [provider for provider in _PROVIDERS if provider in available]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        raise ModelFileError(f"ONNX Runtime cannot load {path}: {str(error).splitlines()[0]}") from error


class OnnxRuntimeEngine:
    """An exported .onnx file. Raises ModelFileError if it is missing, damaged or does not fit."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ModelFileError(f"no model file at {path}; `occpose models` lists the shipped ones")
        self._session = _session(path)
        self.info = ModelInfo.from_metadata(self._session.get_modelmeta().custom_metadata_map, path)
        inputs = [value.name for value in self._session.get_inputs()]
        outputs = [value.name for value in self._session.get_outputs()]
        expected = ["kpts", "visible", *(["state"] if self.info.streaming else [])]
        self._outputs = [*self.info.outputs, *(["new_state"] if self.info.streaming else [])]
        if inputs != expected or sorted(outputs) != sorted(self._outputs):
            raise ModelFileError(
                f"{path} has inputs {inputs} and outputs {outputs}, expected {', '.join(expected)} and"
                f" {', '.join(self._outputs)}; export it again"
            )
        device = self._session.get_providers()[0].removesuffix("ExecutionProvider").lower()
        self.backend = f"onnxruntime-{device}"

    def run(self, kpts: np.ndarray, visible: np.ndarray, state: np.ndarray | None = None) -> Lifted:
        """See Engine.run."""
        feed = {"kpts": kpts.astype(np.float32, copy=False), "visible": visible.astype(np.float32, copy=False)}
        if self.info.streaming:
            feed["state"] = np.zeros((len(kpts), self.info.state_size), np.float32) if state is None else state
        answer = dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))
        return Lifted(state=answer.pop("new_state", None), **answer)
