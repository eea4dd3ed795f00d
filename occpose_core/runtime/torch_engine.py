"""Runs a safetensors checkpoint with PyTorch: for models that are not exported yet, and to compare with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from occpose_core.checkpoint import load_checkpoint
from occpose_core.runtime.engine import Lifted


class TorchEngine:
    """A .safetensors file, on a GPU if there is one. Raises ModelFileError as load_checkpoint does."""

    def __init__(self, path: Path) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model, self.info = load_checkpoint(path)
        self._model = model.to(self._device)
        self.backend = f"torch-{self._device.type}"

    def run(
        self, kpts: np.ndarray, visible: np.ndarray, state: np.ndarray | None = None, only_state: bool = False
    ) -> Lifted:
        """See Engine.run."""
        inputs = (torch.from_numpy(np.asarray(array, dtype=np.float32)).to(self._device) for array in (kpts, visible))
        with torch.inference_mode():
            outputs = self._model(*inputs)
        return Lifted(**{name: value.cpu().numpy() for name, value in outputs.items()})
