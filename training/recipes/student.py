"""Recipe `student`: learn to lift guessed 2D joints as the teacher lifts true ones, without any 3D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from occpose_core.models.elepose import ElePose, normalise
from occpose_core.models.filling import Filling
from training.data.batch import Batch
from training.poses import complete_poses, newest
from training.recipes.recipe import frozen
from training.recipes.teacher import TeacherRecipe
from training.reprojection import centred, go_round, pose_distance


class StudentRecipe(TeacherRecipe):
    """As the teacher, on poses whose missing joints are guessed, and taught by it. 3D is read in validation alone.

    flow, teacher, filling: of the recipes of these names (frozen). hold_epochs: before the learning rate falls. poses:
    what the student sees, with gaps. teacher_poses: what the teacher sees of the same people, complete.
    """

    teacher: Any  # ElePose
    filling: Any  # Filling

    def __init__(
        self,
        flow: Path,
        teacher: Path,
        filling: Path,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 2e-4,
        decay: float = 0.95,
        hold_epochs: int = 50,
        poses: str = "true_kpts",
        teacher_poses: str = "true_kpts",
        init: Path | None = None,
    ) -> None:
        super().__init__(flow, config, learning_rate, decay, poses, mix=False, init=init)
        self.hold_epochs, self.teacher_poses = hold_epochs, teacher_poses
        self.teacher = frozen("teacher", teacher, ElePose)
        self.filling = frozen("filling", filling, Filling)

    def learning_rate_factor(self, epoch: int) -> float:
        return super().learning_rate_factor(max(0, epoch - self.hold_epochs))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        filled, seen = self._fill(batch)
        kpts = normalise(filled)
        cycle = go_round(self.model, kpts, seen)
        with torch.no_grad():
            complete = complete_poses(batch, self.teacher_poses)
            taught = centred(self.teacher.points(complete, torch.ones_like(seen)))
        return {**self._round_losses(cycle, kpts), "distilled": pose_distance(cycle.lifted, taught)}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        filled, seen = self._fill(batch)
        for prefix, lifter in (("val", self.model), ("val_teacher", self.teacher)):
            self._log_figures(prefix, lifter.lift(filled, seen)["joints_root_m"], batch)

    def _fill(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Keypoints (B, J, 2) in the person view with guesses where they are missing, and which are none (B, J, 1)."""
        kpts, visible = newest(batch, self.poses), batch["visible"][:, -1]
        with torch.no_grad():
            filled = self.filling.answer(kpts[:, None], visible[:, None])["filled"]
        return filled, (visible > 0).to(kpts.dtype)[..., None]
