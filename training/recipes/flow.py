"""Recipe `flow`: learn how likely a 2D pose is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from occpose_core.checkpoint import NORMALISATION
from occpose_core.errors import OccposeError
from training.data.batch import Batch
from training.flow import FlowConfig, PoseFlow
from training.poses import complete_poses
from training.recipes.recipe import Recipe


class FlowRecipe(Recipe):
    """Fits the principal components to poses of the training data, then the flow on them by likelihood.

    config: of training.flow.FlowConfig. poses: "true_kpts", or "kpts" for what the detector gives. component_poses: how
    many the components are fitted to.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-4,
        decay: float = 1.0,
        poses: str = "true_kpts",
        component_poses: int = 20_000,
    ) -> None:
        super().__init__("flow", config, learning_rate, decay)
        self.poses, self.component_poses = poses, component_poses

    def make(self, family: str, config: dict[str, Any]) -> PoseFlow:
        known = [field.name for field in dataclasses.fields(FlowConfig)]
        if unknown := set(config) - set(known):
            raise OccposeError(f"a flow has no {sorted(unknown)}; known: {known}")
        return PoseFlow(FlowConfig(**config))

    def on_fit_start(self) -> None:
        flow: PoseFlow = self.model
        if flow.fitted:  # resumed
            return
        found: list[Tensor] = []
        for batch in self.trainer.datamodule.train_dataloader():  # type: ignore[attr-defined]
            found.append(complete_poses(batch, self.poses))
            if sum(map(len, found)) >= self.component_poses:
                break
        flow.fit_components(torch.cat(found).to(self.device))
        for buffer in (flow.mean, flow.basis, flow.scale):  # every process has drawn other poses
            buffer.copy_(self.trainer.strategy.broadcast(buffer))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.checked(self._nll(batch), "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.checked(self._nll(batch), "val", batch_idx)

    def save(
        self, path: Path, name: str, training: dict[str, Any], rate_hz: float, normalisation: str = NORMALISATION
    ) -> None:
        """Write the flow to a file that load_flow reads."""
        self.model.save(path, {"name": name, **training})

    def _nll(self, batch: Batch) -> Tensor:
        nll: Tensor = self.model.nll(complete_poses(batch, self.poses)).mean()
        return nll
