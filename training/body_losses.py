"""Losses of a body against labels and a fitted body: L1, masked, means over all entries (3DCrowdNet, CVPR 2022).

A batch is that of training.data.images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from occpose_core.body.joints import GRAPH15_IN_SMPL30, SMPL24
from occpose_core.body.rotations import axis_angle_from_matrix
from occpose_core.models.heatmaps import DEPTH_M
from training.data.batch import Batch

# What a unit of the crop counts: the papers' heat maps have 64 cells a side, and an eighth of a cell counts 1.
_CELLS = 64 / 2 / 8
WEIGHTS = {
    "heat": _CELLS,
    "heat_fit": _CELLS,
    "pose": 1.0,
    "shape": 1.0,
    "projected": _CELLS,
    "joints": 1.0,
    "joints_fit": 1.0,
}
# Joints that fits to images know little of.
UNCERTAIN = [f"{side}_{joint}" for joint in ("ankle", "foot", "wrist", "hand") for side in ("left", "right")]
_GRAPH = list(GRAPH15_IN_SMPL30)

FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "axis_angle": axis_angle_from_matrix,
    "matrix": lambda rotations: rotations,
}


def masked_l1(answer: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference over all entries, those of weight 0 (it is broadcast) counting as 0."""
    return ((answer - target).abs() * weight).mean()


def _heat(joints: Tensor, kpts: Tensor, known: Tensor, joints_m: Tensor, located: Tensor) -> Tensor:
    """joints (B, 15, 3) of the volume against kpts (B, 30, 2) in the crop and depth of joints_m (B, 30, 3).

    known: (B, 30), which kpts count. located: (B, 30), which depths.
    """
    xy, depth = kpts[:, _GRAPH], joints_m[:, _GRAPH, 2:] / DEPTH_M
    inside = known[:, _GRAPH, None] * (xy.abs() <= 1).all(dim=-1, keepdim=True)
    deep = inside * located[:, _GRAPH, None] * (depth.abs() <= 1)
    return masked_l1(joints, torch.cat([xy, depth], dim=-1), torch.cat([inside, inside, deep], dim=-1))


def body_losses(
    answer: dict[str, Tensor], batch: Batch, form: str = "axis_angle", left_out: Sequence[str] = UNCERTAIN
) -> dict[str, Tensor]:
    """Each loss by its name in WEIGHTS, unweighted, of an answer of occpose_core.models.sefd.

    form: of rotations that are compared, a key of FORMS. left_out: joints of SMPL24 whose rotations are not.
    """
    labelled, located, has_fit = batch["labelled"], batch["located"], batch["has_fit"]
    fitted = has_fit.expand_as(labelled)
    turned = torch.tensor([name not in left_out for name in SMPL24], device=has_fit.device)
    turn, target = FORMS[form](answer["rotations"]), FORMS[form](batch["pose"])
    weight = (has_fit * turned).reshape(*target.shape[:2], *[1] * (target.ndim - 2))
    joints_m = answer["joints30_m"]
    heat = answer["heat_joints"]
    return {
        "heat": _heat(heat, batch["true_kpts"], labelled, batch["joints"], located),
        "heat_fit": _heat(heat, batch["fit_kpts"], fitted, batch["fit_joints"], fitted * batch["has_3d"]),
        "pose": masked_l1(turn, target, weight),
        "shape": masked_l1(answer["shape"], batch["shape"], has_fit),
        "projected": masked_l1(answer["projected"], batch["true_kpts"], labelled[..., None]),
        "joints": masked_l1(joints_m, batch["joints"], located[..., None]),
        "joints_fit": masked_l1(joints_m, batch["fit_joints"], has_fit[..., None]),
    }
