"""Recipe `sefd`: from an image and 2D joints to a body mesh: a baseline, a teacher, or a student without one."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from occpose_core.body.joints import SMPL24
from occpose_core.body.layer import BodyPose
from occpose_core.body.rotations import geodesic_deg
from occpose_core.errors import OccposeError
from occpose_core.models.edges import edge_source
from occpose_core.models.pose_prior import POSED_JOINTS, read_pose_prior
from occpose_core.models.resnet import load_backbone
from occpose_core.skeleton import H36M17
from training.body_losses import FORMS, UNCERTAIN, WEIGHTS, body_losses
from training.data.batch import Batch
from training.recipes.recipe import Recipe

_WARM_UP = 0.02  # of a run whose rate falls as a cosine
_FALL = 0.1  # of the learning rate at each milestone
_OCCLUDED = 0.3  # share of a person's labelled joints that are hidden, from which on we call the person occluded
_TURNED = slice(0, 1 + POSED_JOINTS)  # all but the hands
_EVALUATED = [index for index, name in enumerate(H36M17.joints) if name not in ("pelvis", "spine", "nose")]
_FIGURES = ("mpjpe_mm", "mpvpe_mm", "rotation_deg")
_GROUPS = ("", "occluded_")


class SefdRecipe(Recipe):
    """Trains by the losses of training.body_losses; what the edge map is, and whether there is one, config says.

    backbone_rate: learning rate of the ResNet where it differs. milestones: epochs after which the rate falls to a
    tenth; cosine: it falls to 0 in the whole run instead, step by step. weights: of losses that differ from WEIGHTS.
    rotations: in what form they are compared, of FORMS; left_out: joints of which they are not. prior: file of the pose
    prior, which stays as it is; without one it is trained with the rest. backbone: file of a ResNet to start from.
    edge_network: ONNX file of the network that makes the edges, for kinds that need one. Raises OccposeError.
    """

    def __init__(
        self,
        config: dict[str, Any] = {},  # noqa: B006  never changed
        learning_rate: float = 1e-4,
        backbone_rate: float | None = None,
        milestones: list[int] = [10],  # noqa: B006  never changed
        cosine: bool = False,
        weights: dict[str, float] = {},  # noqa: B006  never changed
        rotations: str = "axis_angle",
        left_out: list[str] = UNCERTAIN,
        prior: Path | None = None,
        backbone: Path | None = None,
        edge_network: Path | None = None,
        init: Path | None = None,
    ) -> None:
        _check("weights", weights, WEIGHTS)
        _check("rotations", [rotations], FORMS)
        _check("left_out", left_out, SMPL24)
        super().__init__("sefd", {"prior_frozen": bool(prior or init), **config}, learning_rate, init=init)
        if backbone:
            load_backbone(self.model.backbone, backbone)
        if prior:
            self.model.prior.load_state_dict(read_pose_prior(prior))
        self.backbone_rate, self.milestones, self.cosine = backbone_rate or learning_rate, milestones, cosine
        self.weights, self.rotations, self.left_out = {**WEIGHTS, **weights}, rotations, left_out
        if edge_network:
            self.model.edges = edge_source(self.model.config.edge, edge_network)
        self.model.to(memory_format=torch.channels_last)  # convolutions take half the time
        self.val_figures = torch.nn.ModuleDict(
            {f"val_{group}{name}": MeanMetric() for group in _GROUPS for name in _FIGURES}
        )

    def seen(self, batch: Batch) -> tuple[Tensor, ...]:
        """What a network is told of the people of a batch: image, keypoints, which are visible, privileged edges."""
        image, edge = (batch[name].to(torch.float32) / 255 for name in ("image", "edge"))
        return image, batch["kpts"], batch["visible"], edge

    def answer(self, batch: Batch) -> dict[str, Any]:
        """What the network says of the people of a batch."""
        image, kpts, visible, privileged = self.seen(batch)
        edge = batch.get("made_edge")
        if edge is None or self.model.config.edge in ("none", "given"):
            edge = self.model.edge_map(image, privileged)
        answer: dict[str, Any] = self.model.answer(image, kpts, visible, edge)
        return answer

    def losses(self, answer: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Each loss by name, weighted."""
        losses = body_losses(answer, batch, self.rotations, self.left_out)
        return {name: self.weights[name] * loss for name, loss in losses.items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.summed(self.losses(self.answer(batch), batch), batch_idx)

    def summed(self, losses: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The sum of weighted losses, which are logged by name."""
        for name, loss in losses.items():
            self.log(f"train_{name}", loss.detach(), batch_size=1)
        return self.checked(torch.stack(list(losses.values())).sum(), "train", batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        answer = self.answer(batch)
        errors = figures(answer, self.model.body(batch["pose"], batch["shape"]), batch["pose"])
        fitted = batch["has_fit"][:, 0] > 0
        occluded = fitted & is_occluded(batch)
        for group, chosen in zip(_GROUPS, (fitted, occluded), strict=True):
            for name, error in errors.items():
                metric: Any = self.val_figures[f"val_{group}{name}"]
                if chosen.any():
                    metric.update(error[chosen])
                if metric.update_called:
                    self.log(f"val_{group}{name}", metric, prog_bar=True)

    def learning_rate_factor(self, epoch: int) -> float:
        return float(_FALL ** sum(epoch >= milestone for milestone in self.milestones))

    def parameter_groups(self) -> list[dict[str, Any]]:
        backbone = list(self.model.backbone.parameters())
        known = set(backbone)
        heads = [each for each in self.model.parameters() if each.requires_grad and each not in known]
        return [{"params": heads}, {"params": backbone, "lr": self.backbone_rate}]

    def configure_optimizers(self) -> Any:
        optimizers, schedulers = super().configure_optimizers()
        if not self.cosine:
            return optimizers, schedulers
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizers[0], lambda step: _cosine(step / steps))
        return {"optimizer": optimizers[0], "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _cosine(done: float) -> float:
    """Factor of the learning rate when so much of the run is done: up within a few steps, then down to 0."""
    return min(1.0, (done + 1e-3) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _check(option: str, given: Iterable[str], known: Collection[str]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise OccposeError(f"model.{option} has no {', '.join(unknown)}; known: {', '.join(known)}")


def is_occluded(batch: Batch) -> Tensor:
    """(B,) bool: people who are hidden in good part."""
    hidden = (batch["hidden"] * batch["labelled"]).sum(dim=1)
    return hidden >= _OCCLUDED * batch["labelled"].sum(dim=1).clamp(min=1)


def figures(answer: dict[str, Tensor], truth: BodyPose, rotations: Tensor) -> dict[str, Tensor]:
    """MPJPE of 14 joints, MPVPE and mean error of rotations of each person (B,), from the pelvis, not aligned."""
    joints = answer["joints17_m"] - answer["joints17_m"][:, :1]
    true_joints = truth.joints17_m - truth.joints17_m[:, :1]
    away = (joints - true_joints)[:, _EVALUATED].norm(dim=-1).mean(dim=1)
    turned = geodesic_deg(answer["rotations"][:, _TURNED], rotations[:, _TURNED]).mean(dim=1)
    vertices = (answer["vertices_m"] - truth.vertices_m).norm(dim=-1).mean(dim=1)
    return {"mpjpe_mm": 1e3 * away, "mpvpe_mm": 1e3 * vertices, "rotation_deg": turned}
