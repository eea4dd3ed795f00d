"""Runs a safetensors checkpoint with PyTorch: for models that are not exported yet, and to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from occpose_core.checkpoint import load_checkpoint
from occpose_core.runtime.engine import Lifted, inputs_for, refuse_image_model


class TorchEngine:
    """A .safetensors file, on a GPU if there is one. Raises ModelFileError as load_checkpoint does."""

    def __init__(self, path: Path) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model: Any
        model, self.info = load_checkpoint(path)
        refuse_image_model(self.info, path)
        self._model = (model.streaming() if self.info.streaming else model).to(self._device)
        self.backend = f"torch-{self._device.type}"
        self.reason = f"torch {'finds a' if self._device.type == 'cuda' else 'finds no'} CUDA device"

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
        with torch.inference_mode():
            outputs = self._model(*(torch.from_numpy(array).to(self._device) for array in given.values()))
        wanted = ("new_state",) if self.info.streaming and only_state else outputs
        answer = {name: outputs[name].cpu().numpy() for name in wanted}
        return Lifted(state=answer.pop("new_state", None), **answer)
