"""Recipe `pose_prior`: a latent space of the poses that people take, for the recipes `sefd` and `distillation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from occpose_core.body.layer import BodyModel
from occpose_core.body.rotations import geodesic_deg
from occpose_core.checkpoint import NORMALISATION
from occpose_core.files import write_atomically
from occpose_core.models.pose_prior import POSED_JOINTS, PosePrior
from training.data.batch import Batch
from training.recipes.recipe import Recipe


class PosePriorRecipe(Recipe):
    """Trains the variational auto-encoder by what its bodies look like and by how near its latents are to a Gaussian.

    kl_weight: of the divergence from it, a mean over people. body: as the data have it. Pavlakos et al., "Expressive
    body capture", CVPR 2019.
    """

    def __init__(
        self,
        latent: int = 32,
        hidden: int = 512,
        learning_rate: float = 1e-3,
        decay: float = 0.9,
        kl_weight: float = 5e-4,
        body: str = "capsules",
    ) -> None:
        super().__init__("pose-prior", {"latent": latent, "hidden": hidden}, learning_rate, decay)
        self.save_hyperparameters()
        self.kl_weight, self.body = kl_weight, BodyModel(body)

    def make(self, family: str, config: dict[str, Any]) -> PosePrior:
        return PosePrior(**config)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        rotations = batch["pose"][:, 1 : 1 + POSED_JOINTS]
        mean, spread = self.model.encode(rotations)
        decoded = self.model(mean + spread * torch.randn_like(spread))
        divergence = 0.5 * (mean.square() + spread.square() - 1 - 2 * spread.log()).sum(dim=1).mean()
        loss = (decoded - rotations).abs().mean() + self._distance_m(decoded, batch) + self.kl_weight * divergence
        return self.checked(loss, "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        rotations = batch["pose"][:, 1 : 1 + POSED_JOINTS]
        decoded = self.model(self.model.encode(rotations)[0])
        self.log("val_rotation_deg", geodesic_deg(decoded, rotations).mean(), prog_bar=True, batch_size=1)
        self.log("val_mpvpe_mm", 1e3 * self._distance_m(decoded, batch), prog_bar=True, batch_size=1)

    def save(
        self, path: Path, name: str, training: dict[str, Any], rate_hz: float, normalisation: str = NORMALISATION
    ) -> None:
        """Write the decoder to a file that read_pose_prior reads."""
        tensors = {key: tensor.contiguous() for key, tensor in self.model.decoder_state().items()}
        write_atomically(path, save(tensors, {"pose_prior": name}), force=True)

    def _distance_m(self, decoded: Tensor, batch: Batch) -> Tensor:
        """Mean distance between the vertices of the bodies that were and that should be decoded."""
        upright = torch.eye(3, device=decoded.device).expand(len(decoded), 1, 3, 3)
        hands = batch["pose"][:, 1 + POSED_JOINTS :]
        true = self.body(torch.cat([upright, batch["pose"][:, 1:]], dim=1), batch["shape"])
        found = self.body(torch.cat([upright, decoded, hands], dim=1), batch["shape"])
        return (found.vertices_m - true.vertices_m).norm(dim=-1).mean()
