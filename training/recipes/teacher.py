"""Recipe `teacher`: learn to lift complete 2D poses without any 3D, by looking at them from random cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.data.batch import Batch
from training.flow import load_flow
from training.poses import complete_poses, figures, newest
from training.recipes.recipe import Recipe
from training.reprojection import (
    Cycle,
    bone_loss,
    deformation_loss,
    go_round,
    mixed,
    pose_distance,
    reprojection_loss,
)

_WEIGHTS = {"lifted": 1.0, "seen": 1.0, "deformation": 1.0, "bones": 50.0, "flow": 1.0, "distilled": 5.0}


class TeacherRecipe(Recipe):
    """Trains the label-free lifter; 3D is read in validation alone.

    flow: how likely a 2D pose is, from recipe `flow` (frozen). poses: "true_kpts", or "kpts" for what the detector
    gives. mix: each batch once more with every pose moved towards its nearest neighbour.
    """

    def __init__(
        self,
        flow: Path,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 2e-4,
        decay: float = 0.95,
        poses: str = "true_kpts",
        mix: bool = True,
        init: Path | None = None,
    ) -> None:
        super().__init__("elepose", config, learning_rate, decay, init)
        self.flow = load_flow(flow).requires_grad_(False)
        self.poses, self.mix = poses, mix

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = self.losses(batch)
        for name, loss in losses.items():
            self.log(f"train_{name}", loss.detach(), batch_size=1)
        weighted = [_WEIGHTS[name] * loss for name, loss in losses.items()]
        return self.checked(torch.stack(weighted).sum(), "train", batch_idx)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Each loss by name, a mean over all poses, mixed ones included."""
        kpts = complete_poses(batch, self.poses)
        if self.mix:
            kpts = torch.cat([kpts, mixed(kpts)])
        return self._round_losses(go_round(self.model, kpts, torch.ones_like(kpts[..., :1])), kpts)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        kpts = newest(batch, self.poses)
        answer = self.model.lift(kpts, torch.ones_like(kpts[..., :1]))
        self._log_figures("val", answer["joints_root_m"], batch)

    def _round_losses(self, cycle: Cycle, kpts: Tensor) -> dict[str, Tensor]:
        return {
            "lifted": pose_distance(cycle.turned, cycle.lifted_again),
            "seen": reprojection_loss(cycle, kpts),
            "deformation": deformation_loss(cycle),
            "bones": bone_loss(cycle.lifted),
            "flow": self.flow.nll(cycle.seen).mean(),
        }

    def _log_figures(self, prefix: str, joints_m: Tensor, batch: Batch) -> None:
        for name, value in figures(joints_m, batch).items():
            self.log(f"{prefix}_{name}", value, prog_bar=True, batch_size=1)
