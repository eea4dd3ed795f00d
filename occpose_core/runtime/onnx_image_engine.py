"""Runs exported image models with ONNX Runtime, on a GPU if its CUDA provider is there, else on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occpose_core.checkpoint import BODY_OUTPUTS, ModelFileError, ModelInfo
from occpose_core.checksum import check
from occpose_core.runtime.image_engine import (
    EDGE_INPUT,
    FACES_KEY,
    IMAGE_INPUTS,
    BodyAnswer,
    check_image_model,
    faces_of_text,
    in_portions,
)
from occpose_core.runtime.onnxruntime_engine import device_of, read_content, session_of


class OnnxImageEngine:
    """An exported .onnx file. Raises ModelFileError if it is missing, damaged or does not fit."""

    def __init__(self, path: Path) -> None:
        content = read_content(path)
        self._session = session_of(path, content, planned_memory=True)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.info = ModelInfo.from_metadata(metadata, path)
        check_image_model(self.info, path)
        inputs = [value.name for value in self._session.get_inputs()]
        outputs = [value.name for value in self._session.get_outputs()]
        self.takes_edges = EDGE_INPUT in inputs
        expected = [*IMAGE_INPUTS, *([EDGE_INPUT] if self.takes_edges else [])]
        if sorted(inputs) != sorted(expected) or not set(BODY_OUTPUTS) <= set(outputs):
            raise ModelFileError(
                f"{path} has inputs {inputs} and outputs {outputs}, expected {', '.join(IMAGE_INPUTS)} and"
                f" {', '.join(BODY_OUTPUTS)}; export it again"
            )
        check(content, path)
        self.faces = faces_of_text(metadata.get(FACES_KEY, ""), path)
        self.backend, self.reason = device_of(self._session)

    def run(
        self, images: np.ndarray, kpts: np.ndarray, visible: np.ndarray, edges: np.ndarray | None = None
    ) -> BodyAnswer:
        """See ImageEngine.run."""
        given = dict(zip(IMAGE_INPUTS, (images, kpts, visible), strict=True))
        if self.takes_edges:
            given[EDGE_INPUT] = np.zeros_like(images[:, :1]) if edges is None else edges
        return in_portions(lambda feed: self._session.run(list(BODY_OUTPUTS), feed), given)
