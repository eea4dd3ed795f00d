"""Recipe of PoseGraphNet: `lift` with the authors' schedule, whose rate falls when the training loss stands still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.data.batch import Batch
from training.recipes.lift import LiftRecipe

_THRESHOLD = 1e-4  # relative; less is no progress


class PoseGraphRecipe(LiftRecipe):
    """Trains PoseGraphNet. The rate is multiplied by `decay` after `patience` epochs without progress.

    weight_decay is not for the edges of the graph: it would take the skeleton apart.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-4,
        decay: float = 0.1,
        patience: int = 10,
        weight_decay: float = 1e-5,
        sigma_weight: float = 0.02,
        init: Path | None = None,
    ) -> None:
        super().__init__(
            "posegraphnet",
            config,
            learning_rate,
            decay,
            weight_decay=weight_decay,
            sigma_weight=sigma_weight,
            init=init,
        )
        self.save_hyperparameters()
        self.patience = patience

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.log("train_loss_mean", loss.detach(), on_step=False, on_epoch=True, batch_size=1, sync_dist=True)
        return loss

    def parameter_groups(self) -> list[dict[str, Any]]:
        edges = self.model.trunk.edges.edges
        others = [each for each in self.parameters() if each.requires_grad and each is not edges]
        return [{"params": others}, {"params": [edges], "weight_decay": 0.0}]

    def configure_optimizers(self) -> Any:
        (optimizer,), _ = super().configure_optimizers()
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=self.decay, patience=round(self.patience / self.schedule_epochs), threshold=_THRESHOLD
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "train_loss_mean"}}
