"""Recipe of StridedPoseGraphFormer's optional last phase: for comparison with the literature, as it needs an oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from occpose_core.files import write_atomically
from occpose_core.skeleton import H36M17
from training.data.batch import Batch
from training.losses import gaussian_nll, mpjpe_loss
from training.recipes.spatiotemporal import SpatioTemporalRecipe

ORACLE = "the refined figures use the true depth of the root and the camera; the model in this file does not refine"
_JOINTS, _PELVIS = len(H36M17.joints), H36M17.index("pelvis")


class Refine(nn.Module):
    """Weighs, for each joint and axis, the predicted x and y against those of the input at the predicted depth."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Linear(6 * _JOINTS, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, 2 * _JOINTS), nn.Sigmoid()
        )

    def forward(self, joints_m: Tensor, projected_m: Tensor) -> Tensor:
        """(B, J, 3) of the network and (B, J, 3) of the input -> (B, J, 3)."""
        weight = self.weigh(torch.cat([joints_m.flatten(1), projected_m.flatten(1)], dim=1)).view(-1, _JOINTS, 2)
        xy = weight * joints_m[..., :2] + (1 - weight) * projected_m[..., :2]
        return torch.cat([xy, joints_m[..., 2:]], dim=-1)


def back_projected(joints_m: Tensor, kpts: Tensor, seen: Tensor, camera: Tensor, depth_m: Tensor) -> Tensor:
    """Root-relative x and y of the input at the predicted depth, z as predicted: (B, J, 3).

    joints_m: (B, J, 3) predicted. kpts: (B, J, 2). seen: (B, J) bool; what is not seen, or has no root that is, stays
    as predicted. camera: (B, 4), focal lengths and principal point in the unit of kpts. depth_m: (B,) of the true root.
    """
    focal, centre = camera[:, None, :2], camera[:, None, 2:]
    depth = joints_m[..., 2:] + depth_m[:, None, None]
    xy = (kpts - centre) / focal * depth
    xy = xy - xy[:, _PELVIS, None]
    known = (seen & seen[:, _PELVIS, None])[..., None]
    return torch.cat([torch.where(known, xy, joints_m[..., :2]), joints_m[..., 2:]], dim=-1)


def camera_of(true_kpts: Tensor, joints_m: Tensor) -> Tensor:
    """The pinhole (B, 4), as in back_projected, that shows joints (B, J, 3), in front of it, at true_kpts (B, J, 2)."""
    rays = joints_m[..., :2] / joints_m[..., 2:]
    mean_ray, mean_kpt = rays.mean(dim=1), true_kpts.mean(dim=1)
    about = rays - mean_ray[:, None]
    focal = (about * true_kpts).sum(dim=1) / about.square().sum(dim=1)
    return torch.cat([focal, mean_kpt - focal * mean_ray], dim=1)


class RefineRecipe(SpatioTemporalRecipe):
    """Trains the network and a refine module on the refined answer alone, and sigma on the network's own.

    The module gets the true depth of the root and the camera. It is written to a file of its own beside the model's,
    which says that an oracle was used; the model answers without it.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-3,
        spatial_learning_rate: float | None = None,
        decay: float = 0.95,
        halve_every: int = 5,
        amsgrad: bool = True,
        init: Path | None = None,
    ) -> None:
        super().__init__(config, learning_rate, spatial_learning_rate, decay, halve_every, amsgrad, init=init)
        self.save_hyperparameters()
        self.refine = Refine()
        self.model.sequence_head.requires_grad_(False)  # this phase has no loss on it

    def refined(self, batch: Batch, joints_m: Tensor) -> Tensor:
        """The oracle's answer (B, J, 3) for the network's."""
        at = -1 - self.model.look_ahead
        root_m = batch["root_m"][:, at]
        camera = camera_of(batch["true_kpts"][:, at], batch["joints_root_m"][:, at] + root_m[:, None])
        seen = batch["visible"][:, at] > 0
        projected_m = back_projected(joints_m, batch["kpts"][:, at], seen, camera, root_m[:, 2])
        refined: Tensor = self.refine(joints_m, projected_m)
        return refined

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        answer, target_m = self.model.answer(batch["kpts"], batch["visible"]), self.target(batch)
        loss = mpjpe_loss(self.refined(batch, answer["joints_root_m"]), target_m)
        if "sigma_m" in answer:  # of the answer that robots get
            loss = loss + self.sigma_weight * gaussian_nll(answer["joints_root_m"], target_m, answer["sigma_m"])
        return self.checked(loss, "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        super().validation_step(batch, batch_idx)
        joints_m = self.model.answer(batch["kpts"], batch["visible"])["joints_root_m"]
        error_mm = 1e3 * mpjpe_loss(self.refined(batch, joints_m), self.target(batch))
        self.log("val_oracle_refined_mpjpe_mm", error_mm, batch_size=1)

    def save(self, path: Path, name: str, training: dict[str, Any], *about: Any) -> None:
        super().save(path, name, {**training, "oracle": ORACLE}, *about)
        weights = safetensors.torch.save(self.refine.state_dict(), {"oracle": ORACLE})
        write_atomically(path.with_name(f"{path.stem}-oracle.safetensors"), weights, force=True)
