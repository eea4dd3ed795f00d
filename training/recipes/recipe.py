"""What all recipes share: a model of a family, Adam with a schedule by epochs, a stop when the loss is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from occpose_core.checkpoint import NORMALISATION, RAYS, SCREEN, ModelInfo, load_checkpoint, save_checkpoint
from occpose_core.errors import OccposeError
from occpose_core.models import build, describe
from occpose_core.models.pose_model import PoseModel
from training.origin import origin


class Recipe(lightning.LightningModule):
    """Base of the recipes.

    family, config: of occpose_core.models. learning_rate is multiplied by `decay` after each epoch, and by one half
    instead after each `halve_every`-th, if that is not 0. init: checkpoint to start from; OccposeError if it does not
    fit.
    schedule_epochs: that one epoch of the run counts for; more than 1 in a run with a budget.
    """

    schedule_epochs: float = 1.0
    _batch: Mapping[str, Tensor] | None = None

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
        self.model = self.make(family, config)
        if init:
            loaded, info = load_checkpoint(init, (NORMALISATION, RAYS, SCREEN))
            take_weights(self.model, loaded.state_dict(), init, info, self.model.config)
        self.learning_rate, self.decay, self.halve_every = learning_rate, decay, halve_every
        self.amsgrad, self.weight_decay = amsgrad, weight_decay

    def make(self, family: str, config: dict[str, Any]) -> Any:
        """The model to train; overridden where it is no pose model."""
        return build(family, config)

    def on_train_batch_start(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        self._batch = batch

    def on_validation_batch_start(self, batch: Mapping[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        self._batch = batch

    def checked(self, loss: Tensor, step: str, batch_idx: int) -> Tensor:
        """Log the loss; FloatingPointError with the batch's origin if it is not finite. step: "train" or "val"."""
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"{step} loss is {loss.item()} in epoch {self.current_epoch}, batch {batch_idx} (step"
                f" {self.global_step}); {origin(self._batch, getattr(self.trainer, 'datamodule', None), step)}"
            )
        self.log(f"{step}_loss", loss, prog_bar=True, batch_size=1)
        return loss

    def log(self, name: str, value: Any, **options: Any) -> None:  # type: ignore[override]
        """As LightningModule.log; validation figures are the mean over all processes."""
        super().log(name, value, **{"sync_dist": name.startswith("val"), **options})

    def save(
        self, path: Path, name: str, training: dict[str, Any], rate_hz: float, normalisation: str = NORMALISATION
    ) -> None:
        """Write what was trained to a file that load_checkpoint reads; the others: for ModelInfo."""
        info = describe(name, self.family, self.model, training, rate_hz, normalisation)
        save_checkpoint(path, self.model, info)

    def learning_rate_factor(self, epoch: int) -> float:
        """Of the first epoch's rate, after so many epochs."""
        halved = epoch // self.halve_every if self.halve_every else 0
        return float(self.decay ** (epoch - halved) * 0.5**halved)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is trained, for the optimiser; overridden where some of it has a rate or weight decay of its own."""
        return [{"params": [parameter for parameter in self.parameters() if parameter.requires_grad]}]

    def configure_optimizers(self) -> Any:
        # six times faster than without, which large lifters notice; mixed precision cannot clip gradients with it
        fused = not (self._trainer and self._trainer.gradient_clip_val)
        optimizer = torch.optim.Adam(
            self.parameter_groups(),
            lr=self.learning_rate,
            amsgrad=self.amsgrad,
            weight_decay=self.weight_decay,
            fused=fused,
        )
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor_of_run)]

    def _factor_of_run(self, epoch: int) -> float:
        return self.learning_rate_factor(round(epoch * self.schedule_epochs))


def take_weights(
    part: torch.nn.Module, weights: Mapping[str, Tensor], init: Path, info: ModelInfo, config: Any
) -> None:
    """Load the weights, read from init, into a part of the model of that config; OccposeError unless all fit."""
    try:
        part.load_state_dict(weights)
    except RuntimeError as error:
        raise OccposeError(
            f"{init} is a {info.family} of {info.config}, whose weights do not fit this model's {config};"
            " give both phases the same sizes and form"
        ) from error


def frozen(option: str, path: Path, kind: type[PoseModel]) -> Any:
    """A trained network that helps to train another and stays as it is; OccposeError if it is of another kind."""
    model, _ = load_checkpoint(path, (NORMALISATION, SCREEN))
    if not isinstance(model, kind):
        raise OccposeError(f"model.{option}: {path} holds a {type(model).__name__}, not a {kind.__name__}")
    return model.requires_grad_(False)
