"""What all recipes share: a model of a family, Adam with a schedule by epochs, a stop when the loss is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from occpose_core.checkpoint import load_checkpoint
from occpose_core.models import build


class Recipe(lightning.LightningModule):
    """Base of the recipes.

    family, config: of occpose_core.models. learning_rate is multiplied by `decay` after each epoch, and by one half
    instead after each `halve_every`-th, if that is not 0. init: checkpoint to start from.
    """

    def __init__(
        self,
        family: str,
        config: dict[str, Any],
        learning_rate: float,
        decay: float = 1.0,
        init: Path | None = None,
        halve_every: int = 0,
        amsgrad: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__()
        self.family = family
        self.model = build(family, config)
        if init:
            self.model.load_state_dict(load_checkpoint(init)[0].state_dict())
        self.learning_rate, self.decay, self.halve_every = learning_rate, decay, halve_every
        self.amsgrad, self.weight_decay = amsgrad, weight_decay

    def checked(self, loss: Tensor, step: str, batch_idx: int) -> Tensor:
        """Log the loss; FloatingPointError if it is not finite."""
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"{step} loss is {loss.item()} in epoch {self.current_epoch}, batch {batch_idx} (step"
                f" {self.global_step}); lower model.learning_rate or look at the data"
            )
        self.log(f"{step}_loss", loss, prog_bar=True, batch_size=1)
        return loss

    def learning_rate_factor(self, epoch: int) -> float:
        """Of the first epoch's rate, after so many epochs."""
        halved = epoch // self.halve_every if self.halve_every else 0
        return float(self.decay ** (epoch - halved) * 0.5**halved)

    def configure_optimizers(self) -> Any:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(
            trained, lr=self.learning_rate, amsgrad=self.amsgrad, weight_decay=self.weight_decay
        )
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_factor)]
