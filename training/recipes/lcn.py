"""Recipe `lcn`: train LCN as published, on poses in the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from occpose_core.errors import OccposeError
from training.data.batch import Batch
from training.image_pose import image_pose, units_per_m
from training.losses import gaussian_nll, mpjpe_loss
from training.recipes.recipe import Recipe

_MOST_UNITS_PER_M = 3.0  # whole people in the person view have 1.6 to 3.5; in a normalised picture they have less


class LCNRecipe(Recipe):
    """Trains LCN with the target "image" by the mean squared error of all coordinates in the image's unit.

    The learning rate is multiplied by `decay` in `decay_steps` steps, little by little. epoch_steps: steps of a
    published epoch, so that a run with a budget goes through the same schedule. weight_decay: the paper's optional L2.
    In the masked form sigma is learned as in recipe `lift`. Raises OccposeError for another target.

    Of people of whom little is in the picture that little is shown large, and what is not in it is far outside: their
    errors count as those of a person whose metre is 3 units.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-3,
        decay: float = 0.96,
        decay_steps: int = 32_000,
        epoch_steps: int = 7_799,
        weight_decay: float = 0.0,
        sigma_weight: float = 0.02,
        init: Path | None = None,
    ) -> None:
        super().__init__("lcn", config, learning_rate, decay, init, weight_decay=weight_decay)
        self.save_hyperparameters()
        if self.model.config.target != "image":
            raise OccposeError(
                f"recipe lcn trains the target 'image', got {self.model.config.target!r}; use recipe lift"
            )
        self.decay_steps, self.epoch_steps, self.sigma_weight = decay_steps, epoch_steps, sigma_weight

    def configure_optimizers(self) -> Any:
        (optimizer,), _ = super().configure_optimizers()
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor_of_step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        lifted = self.model.answer(batch["kpts"], batch["visible"])
        loss = image_loss(lifted["joints_image"], batch["true_kpts"][:, -1], batch["joints_root_m"][:, -1])
        if "sigma_m" in lifted:
            joints_m, target_m = lifted["joints_root_m"], batch["joints_root_m"][:, -1]
            loss = loss + self.sigma_weight * gaussian_nll(joints_m, target_m, lifted["sigma_m"])
        return self.checked(loss, "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        lifted, target_m = self.model.answer(batch["kpts"], batch["visible"]), batch["joints_root_m"][:, -1]
        self.checked(image_loss(lifted["joints_image"], batch["true_kpts"][:, -1], target_m), "val", batch_idx)
        self.log("val_mpjpe_mm", 1e3 * mpjpe_loss(lifted["joints_root_m"], target_m), prog_bar=True, batch_size=1)

    def _factor_of_step(self, step: int) -> float:
        """Of the first learning rate, after so many steps of this run."""
        published = float(step)
        if self.schedule_epochs != 1:
            published = step / self.trainer.num_training_batches * self.schedule_epochs * self.epoch_steps
        return float(self.decay ** (published / self.decay_steps))


def image_loss(joints_image: Tensor, true_kpts: Tensor, joints_root_m: Tensor) -> Tensor:
    """Mean squared error of image poses (B, J, 3) against true 2D (B, J, 2) and 3D (B, J, 3)."""
    weight = (_MOST_UNITS_PER_M / units_per_m(true_kpts, joints_root_m)).clamp(max=1.0).square()
    error = (joints_image - image_pose(true_kpts, joints_root_m)).square().mean(dim=(1, 2))
    return (weight * error).mean()
