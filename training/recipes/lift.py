"""Recipe `lift`: from 2D with gaps to 3D, on guessed joints where a trained filling network is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from occpose_core.checkpoint import load_checkpoint
from training.data.windows import Batch
from training.losses import gaussian_nll, mpjpe_loss
from training.recipes.recipe import Recipe


class LiftRecipe(Recipe):
    """Trains a lifter by MPJPE, and its sigma by the likelihood of the errors it makes.

    filling: checkpoint of a filling network (frozen). With it, a random half of the windows has its missing joints
    guessed and the other half has them empty, so that one lifter serves with and without it.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-3,
        decay: float = 0.96,
        sigma_weight: float = 0.02,
        filling: Path | None = None,
        init: Path | None = None,
    ) -> None:
        super().__init__("lcn", config, learning_rate, decay, init)
        self.save_hyperparameters()
        self.sigma_weight = sigma_weight
        self.filling = load_checkpoint(filling)[0].requires_grad_(False) if filling else None

    def _lift(self, batch: Batch, guess: Tensor) -> dict[str, Tensor]:
        """guess: (B,) bool, whose missing joints are filled."""
        kpts, visible = batch["kpts"], batch["visible"]
        seen = visible[:, -1, :, None]
        given = kpts[:, -1] * seen
        if self.filling is not None:
            filled = self.filling.eval().answer(kpts, visible)["filled"]  # type: ignore[operator]
            given = torch.where(guess[:, None, None], filled, given)
        return self.model.lift(given, seen)  # type: ignore[operator]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        guess = torch.rand(len(batch["kpts"]), device=self.device) < 0.5
        lifted, target = self._lift(batch, guess), batch["joints_root_m"]
        mpjpe_m = mpjpe_loss(lifted["joints_root_m"], target)
        likelihood = gaussian_nll(lifted["joints_root_m"], target, lifted["sigma_m"])
        self.log("train_mpjpe_mm", 1e3 * mpjpe_m, prog_bar=True, batch_size=1)
        return self.checked(mpjpe_m + self.sigma_weight * likelihood, "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        for name, with_guess in (("val_mpjpe_mm", True), ("val_mpjpe_empty_mm", False)):
            guess = torch.full((len(batch["kpts"]),), with_guess, device=self.device)
            joints_m = self._lift(batch, guess)["joints_root_m"]
            self.log(name, 1e3 * mpjpe_loss(joints_m, batch["joints_root_m"]), prog_bar=with_guess, batch_size=1)
