"""Recipes of StridedPoseGraphFormer's phases: the spatial part alone, the temporal part on it, and both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from occpose_core.checkpoint import NORMALISATION, SCREEN, load_checkpoint
from occpose_core.models.posegraphnet import PoseGraphNet
from occpose_core.models.strided_posegraph import StridedPoseGraphFormer
from training.data.batch import Batch
from training.losses import gaussian_nll, mpjpe_loss
from training.recipes.recipe import Recipe, take_weights


class SpatialPretrainRecipe(Recipe):
    """Trains the single-frame network whose trunk encodes the frames of the windowed one, by its mean squared error.

    Metres inside; the authors' millimetres would make the loss a million times as large, which Adam does not notice.
    Only the joints are trained, for of this network only the trunk is used.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-4,
        decay: float = 1.0,
        init: Path | None = None,
    ) -> None:
        super().__init__("posegraphnet", config, learning_rate, decay, init)
        self.save_hyperparameters()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        joints_m = self.model.answer(batch["kpts"], batch["visible"])["joints_root_m"]
        return self.checked(mse_loss(joints_m, batch["joints_root_m"][:, -1]), "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        joints_m = self.model.answer(batch["kpts"], batch["visible"])["joints_root_m"]
        error_mm = 1e3 * mpjpe_loss(joints_m, batch["joints_root_m"][:, -1])
        self.log("val_mpjpe_mm", error_mm, prog_bar=True, batch_size=1)


class SpatioTemporalRecipe(Recipe):
    """Trains on the answer and, with the same weight, on the auxiliary answers for all frames of the window.

    init: the model to go on from, or the single-frame network whose trunk becomes the spatial part. frozen: the spatial
    part stays as it is: no gradients, no dropout, no new statistics. spatial_learning_rate: of the spatial part, if it
    differs. Raises OccposeError if init does not fit.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-3,
        spatial_learning_rate: float | None = None,
        decay: float = 0.95,
        halve_every: int = 5,
        amsgrad: bool = True,
        sigma_weight: float = 0.02,
        frozen: bool = False,
        init: Path | None = None,
    ) -> None:
        super().__init__("strided-posegraph", config, learning_rate, decay, None, halve_every, amsgrad)
        self.save_hyperparameters()
        self.spatial_learning_rate = learning_rate if spatial_learning_rate is None else spatial_learning_rate
        self.sigma_weight, self.frozen = sigma_weight, frozen
        if init:
            begin_with(self.model, init)
        if frozen:
            self.model.spatial.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> SpatioTemporalRecipe:
        """As Module.train, but for what is frozen."""
        super().train(mode)
        if self.frozen:
            self.model.spatial.eval()
        return self

    def target(self, batch: Batch) -> Tensor:
        """(B, J, 3) m of the answered frame."""
        return batch["joints_root_m"][:, -1 - self.model.look_ahead]

    def loss(self, answer: Mapping[str, Tensor], target_m: Tensor) -> Tensor:
        """MPJPE of (..., J, 3) and, where there is a sigma, the likelihood of the error."""
        loss = mpjpe_loss(answer["joints_root_m"], target_m)
        if "sigma_m" in answer:
            likelihood = gaussian_nll(answer["joints_root_m"], target_m, answer["sigma_m"])
            loss = loss + self.sigma_weight * likelihood
        return loss

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        with torch.set_grad_enabled(not self.frozen):
            tokens = self.model.tokens(batch["kpts"], batch["visible"])
        answer, sequence = self.model.lift_both(tokens)
        target_m = self.target(batch)
        error_mm = 1e3 * mpjpe_loss(answer["joints_root_m"].detach(), target_m)
        self.log("train_mpjpe_mm", error_mm, prog_bar=True, batch_size=1)
        loss = self.loss(answer, target_m) + self.loss(sequence, batch["joints_root_m"])
        return self.checked(loss, "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        joints_m = self.model.answer(batch["kpts"], batch["visible"])["joints_root_m"]
        self.log("val_mpjpe_mm", 1e3 * mpjpe_loss(joints_m, self.target(batch)), prog_bar=True, batch_size=1)

    def parameter_groups(self) -> list[dict[str, Any]]:
        spatial = set(self.model.spatial.parameters())
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [
            {"params": [each for each in trained if each not in spatial]},
            {"params": [each for each in trained if each in spatial], "lr": self.spatial_learning_rate},
        ]


def begin_with(model: StridedPoseGraphFormer, init: Path) -> None:
    """Load all weights of a model, or of its spatial part alone if init is a single-frame network; strict."""
    loaded, info = load_checkpoint(init, (NORMALISATION, SCREEN))
    part: torch.nn.Module = model
    weights = loaded.state_dict()
    if isinstance(loaded, PoseGraphNet):
        part, weights = model.spatial, loaded.trunk.state_dict()
    take_weights(part, weights, init, info, model.config)
