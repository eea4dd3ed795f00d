"""Recipe `lift`: from 2D with gaps to 3D with a single-frame lifter of any family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from occpose_core.models.filling import Filling
from training.data.batch import Batch
from training.losses import gaussian_nll, mpjpe_loss
from training.recipes.recipe import Recipe, frozen


class LiftRecipe(Recipe):
    """Trains a lifter by MPJPE, and its sigma, if it has one, by the likelihood of the errors it makes.

    filling: checkpoint of a filling network (frozen). With it, a random half of the windows has its missing joints
    guessed and the other half has them empty, so that one lifter serves with and without it.
    """

    def __init__(
        self,
        family: str,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-3,
        decay: float = 0.96,
        halve_every: int = 0,
        amsgrad: bool = False,
        weight_decay: float = 0.0,
        sigma_weight: float = 0.02,
        filling: Path | None = None,
        init: Path | None = None,
    ) -> None:
        super().__init__(family, config, learning_rate, decay, init, halve_every, amsgrad, weight_decay)
        self.save_hyperparameters()
        self.sigma_weight = sigma_weight
        self.filling = frozen("filling", filling, Filling) if filling else None

    def _lift(self, batch: Batch, guess: Tensor | None) -> dict[str, Tensor]:
        """guess: (B,) bool, whose missing joints are filled."""
        kpts, visible = batch["kpts"], batch["visible"]
        if self.filling is None or guess is None:
            return self.model.answer(kpts, visible)
        seen = (visible[:, -1, :, None] > 0).to(kpts.dtype)
        filled = self.filling.eval().answer(kpts, visible)["filled"]
        given = torch.where(guess[:, None, None], filled, kpts[:, -1] * seen)
        return self.model.lift(given, seen)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        guess = torch.rand(len(batch["kpts"]), device=self.device) < 0.5
        lifted, target = self._lift(batch, guess), batch["joints_root_m"][:, -1]
        loss = mpjpe_m = mpjpe_loss(lifted["joints_root_m"], target)
        if "sigma_m" in lifted:
            likelihood = gaussian_nll(lifted["joints_root_m"], target, lifted["sigma_m"])
            loss = mpjpe_m + self.sigma_weight * likelihood
        self.log("train_mpjpe_mm", 1e3 * mpjpe_m, prog_bar=True, batch_size=1)
        return self.checked(loss, "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        target = batch["joints_root_m"][:, -1]
        guess = torch.ones(len(target), dtype=torch.bool, device=self.device)
        lifted = {"val_mpjpe_mm": self._lift(batch, guess)}
        if self.filling is not None:
            lifted["val_mpjpe_empty_mm"] = self._lift(batch, None)
        for name, answer in lifted.items():
            error_mm = 1e3 * mpjpe_loss(answer["joints_root_m"], target)
            self.log(name, error_mm, prog_bar=name == "val_mpjpe_mm", batch_size=1)
