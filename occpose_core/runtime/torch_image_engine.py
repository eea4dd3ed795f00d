"""Runs safetensors checkpoints of image models with PyTorch: for models that are not exported, and to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from occpose_core.checkpoint import BODY_OUTPUTS, load_checkpoint
from occpose_core.runtime.image_engine import (
    EDGE_INPUT,
    IMAGE_INPUTS,
    BodyAnswer,
    check_image_model,
    in_portions,
)


class TorchImageEngine:
    """A .safetensors file, on a GPU if there is one. Raises ModelFileError as load_checkpoint does."""

    def __init__(self, path: Path) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model: Any
        model, self.info = load_checkpoint(path)
        check_image_model(self.info, path)
        self._model = model.deployed().eval().to(self._device)
        self.takes_edges = model.config.edge == "given"
        self.faces = model.body.faces
        self.backend = f"torch-{self._device.type}"
        self.reason = f"torch {'finds a' if self._device.type == 'cuda' else 'finds no'} CUDA device"

    def run(
        self, images: np.ndarray, kpts: np.ndarray, visible: np.ndarray, edges: np.ndarray | None = None
    ) -> BodyAnswer:
        """See ImageEngine.run."""
        given = dict(zip(IMAGE_INPUTS, (images, kpts, visible), strict=True))
        if self.takes_edges and edges is not None:
            given[EDGE_INPUT] = edges
        return in_portions(self._ask, given)

    def _ask(self, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        tensors = (torch.from_numpy(np.ascontiguousarray(values)).to(self._device) for values in given.values())
        with torch.inference_mode():
            outputs = self._model(*tensors)
        return [outputs[name].cpu().numpy() for name in BODY_OUTPUTS]
