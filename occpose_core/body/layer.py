"""A body model as a layer of a network: rotations and shape in, vertices and joints out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from occpose_core.body.files import CAPSULES, missing_smplx, read_body
from occpose_core.body.joints import SMPL24, SMPL_PARENTS
from occpose_core.body.skinning import skin

_PARENTS = np.array(SMPL_PARENTS)


class BodyPose(NamedTuple):
    """A posed body relative to its pelvis, in the axes that the root rotation turns to.

    vertices_m (B, V, 3), joints30_m (B, 30, 3) of joints.SMPL30, joints17_m (B, 17, 3) of h36m17, float32.
    """

    vertices_m: Tensor
    joints30_m: Tensor
    joints17_m: Tensor


class BodyModel(nn.Module):
    """Linear blend skinning (Loper et al., SMPL: A Skinned Multi-Person Linear Model, 2015).

    source, gender: what files.read_body takes. SMPL's own files are bent by smplx, the capsules by skinning.skin: it is
    the same arithmetic, but the licence of smplx forbids networks for commercial use that are trained through it.
    Nothing in it is learned or goes into checkpoints. faces: (F, 3) int64 numpy. Raises BodyFileError if the model's
    file is missing, or smplx where it is needed.
    """

    vertices_m: Tensor
    shapes_m: Tensor
    correctives_m: Tensor
    joint_regressor: Tensor
    weights: Tensor
    head_regressor: Tensor
    h36m17_regressor: Tensor

    def __init__(self, source: str | Path = CAPSULES, gender: str = "neutral") -> None:
        super().__init__()
        body = read_body(source, gender)
        self._skin = skin if str(source) == CAPSULES else _smplx_skin()
        self.faces: np.ndarray = body.faces
        arrays = {
            "vertices_m": body.vertices_m,
            "shapes_m": body.shapes_m,
            # (207, 3 V), as smplx wants them
            "correctives_m": np.ascontiguousarray(body.correctives_m.reshape(-1, 9 * (len(SMPL24) - 1)).T),
            "joint_regressor": body.joint_regressor,
            "weights": body.weights,
            "head_regressor": body.head_regressor,
            "h36m17_regressor": body.h36m17_regressor,
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array.copy()), persistent=False)

    def forward(self, rotations: Tensor, shape: Tensor) -> BodyPose:
        """rotations: (B, 24, 3, 3), each relative to its parent, the root's to the wanted axes. shape: (B, 10)."""
        if torch.is_autocast_enabled(rotations.device.type):
            # skinning sums tens of numbers of metres: half precision would cost centimetres
            with torch.autocast(rotations.device.type, enabled=False):
                return self._posed(rotations.float(), shape.float())
        return self._posed(rotations, shape)

    def _posed(self, rotations: Tensor, shape: Tensor) -> BodyPose:
        vertices, joints = self._skin(
            shape.expand(rotations.shape[0], -1),  # tells the exporter that there are as many of both
            rotations.contiguous(),
            self.vertices_m,
            self.shapes_m,
            self.correctives_m,
            self.joint_regressor,
            self.weights,
        )
        head = self.head_regressor @ vertices
        pelvis = joints[:, :1]
        return BodyPose(
            vertices_m=vertices - pelvis,
            joints30_m=torch.cat([joints, head], dim=1) - pelvis,
            joints17_m=self.h36m17_regressor @ vertices - pelvis,
        )


def _smplx_skin() -> Callable[..., tuple[Tensor, Tensor]]:
    """smplx's skinning, with the arguments of skinning.skin."""
    try:
        from smplx.lbs import lbs
    except ImportError as error:
        raise missing_smplx(error) from error

    def bend(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        vertices_m, joints_m = lbs(*arguments[:-1], _PARENTS, arguments[-1], pose2rot=False)
        return vertices_m, joints_m

    return bend
