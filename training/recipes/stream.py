"""Recipe `stream`: whole sequences through the streaming network, every frame of them answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from training.data.batch import Batch
from training.losses import laplace_nll, weighted_mean
from training.optimizers import muon_and_adam
from training.recipes.recipe import Recipe

_FRAME_S = 1 / 30


class StreamRecipe(Recipe):
    """Trains by MPJPE, the velocity's and acceleration's error, the completed 2D, and the likelihood of the errors.

    Learning rates, matrix_rate that of the hidden layers (Muon), are half in the first epoch and fall to 0 in the last
    `falling_epochs`. What is validated and written are the weights' moving averages over some 1 / (1 - averaging)
    steps. velocity_weight: of the error in a step of 1 / 30 s; acceleration_weight: of its change. filled_weight: of
    hidden joints' 2D, in rays over the person's size.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 2e-3,
        matrix_rate: float = 0.02,
        averaging: float = 0.998,
        falling_epochs: int = 20,
        sigma_weight: float = 0.02,
        velocity_weight: float = 1.0,
        acceleration_weight: float = 0.5,
        filled_weight: float = 0.1,
        init: Path | None = None,
    ) -> None:
        super().__init__("stream", config, learning_rate, 1.0, init)
        self.save_hyperparameters()
        self.matrix_rate, self.averaging, self.falling_epochs = matrix_rate, averaging, falling_epochs
        self.sigma_weight, self.filled_weight = sigma_weight, filled_weight
        self.velocity_weight, self.acceleration_weight = velocity_weight, acceleration_weight

    def learning_rate_factor(self, epoch: int) -> float:
        last = (self.trainer.max_epochs or 1) * self.schedule_epochs  # a run with a budget counts as many as without
        return min((epoch + 1) / 2, 1.0, (last - epoch) / (self.falling_epochs + 1))

    def configure_callbacks(self) -> list[Callback]:
        return [_Averaging(decay=self.averaging, use_buffers=False)]

    def configure_optimizers(self) -> Any:
        hidden = {each for name, each in self.model.named_parameters() if name.startswith(("mlps.", "memories."))}
        matrices = [each for each in self.model.parameters() if each in hidden and each.ndim == 2]
        others = [each for each in self.model.parameters() if each not in hidden or each.ndim != 2]
        optimizer = muon_and_adam(matrices, others, self.learning_rate, self.matrix_rate)
        return [optimizer], [LambdaLR(optimizer, self._factor_of_run)]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        answer = self.model.answer(batch["kpts"], batch["visible"], batch["dt_s"])
        counted = ever_seen(batch["visible"])[..., None].expand_as(batch["visible"])
        target, sigma_m = batch["joints_root_m"], answer["sigma_m"]
        away = answer["joints_root_m"] - target
        error = away.norm(dim=-1)
        mpjpe_m = weighted_mean(error, counted)
        loss = mpjpe_m + self.sigma_weight * weighted_mean(laplace_nll(error.detach(), sigma_m), counted)
        step = (away[:, 1:] - away[:, :-1]) * (_FRAME_S / batch["dt_s"][:, 1:, None, None])
        loss = loss + self.velocity_weight * weighted_mean(step.norm(dim=-1), counted[:, :-1])
        change = (step[:, 1:] - step[:, :-1]).norm(dim=-1)
        loss = loss + self.acceleration_weight * weighted_mean(change, counted[:, :-2])
        scale = (batch["true_kpts"] - batch["true_kpts"].mean(dim=2, keepdim=True)).norm(dim=-1).mean(-1) + 1e-2
        missed = (answer["filled"] - batch["true_kpts"]).norm(dim=-1) / scale[..., None]
        unseen = counted * (batch["visible"] == 0)
        loss = loss + self.filled_weight * weighted_mean(missed.clamp(max=5.0), unseen)
        self.log("train_mpjpe_mm", 1e3 * mpjpe_m, prog_bar=True, batch_size=1)
        return self.checked(loss, "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        answer = self.model.answer(batch["kpts"], batch["visible"], batch["dt_s"])
        counted = ever_seen(batch["visible"])[..., None].expand_as(batch["visible"])
        away = answer["joints_root_m"] - batch["joints_root_m"]
        error_mm = 1e3 * away.norm(dim=-1)
        bend_mm = 1e3 * away.diff(n=2, dim=1).norm(dim=-1)
        figures = {
            "val_mpjpe_mm": weighted_mean(error_mm, counted),
            "val_hidden_mm": weighted_mean(error_mm, counted * batch["hidden"]),
            "val_acceleration_mm": weighted_mean(bend_mm, counted[:, :-2]),
        }
        for name, value in figures.items():
            self.log(name, value, prog_bar=True, batch_size=1)


class _Averaging(EMAWeightAveraging):
    """Gives the averages to a run with nothing left to train, too: it was killed before it wrote its model."""

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_train_end(trainer, pl_module)


def ever_seen(visible: Tensor) -> Tensor:
    """(B, T) of (B, T, J): 1 from the first frame on in which anything is visible, 0 before."""
    return (visible > 0).any(dim=-1).to(torch.float32).cummax(dim=1).values
