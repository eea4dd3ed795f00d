"""Recipe `filling`: learn to guess the missing joints of a 2D pose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from training.data.batch import Batch
from training.losses import masked_distance
from training.recipes.recipe import Recipe


class FillingRecipe(Recipe):
    """Trains the attention filling network on noisy 2D with natural gaps; the target is the pose without noise."""

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 2e-3,
        decay: float = 0.95,
        init: Path | None = None,
    ) -> None:
        super().__init__("filling", config, learning_rate, decay, init)
        self.save_hyperparameters()

    def _loss(self, batch: Batch) -> Tensor:
        filled = self.model.answer(batch["kpts"], batch["visible"])["filled"]
        # far outside the picture a joint's exact place is of no use: bound what it weighs
        target = batch["true_kpts"][:, -1].clamp(-6.0, 6.0)
        return masked_distance(filled, target, batch["visible"][:, -1] == 0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.checked(self._loss(batch), "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.checked(self._loss(batch), "val", batch_idx)
