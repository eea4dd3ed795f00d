"""The pose in the picture that LCN is trained on: x and y as seen, and depth in the same unit at the pelvis' distance.

Nothing is needed but what a window has: 2D and 3D of the same person say how many image units a metre is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from occpose_core.skeleton import H36M17

_PELVIS = H36M17.index("pelvis")
_RIDGE = 1e-9  # relative: a person all of whose joints are equally far says nothing of perspective


def units_per_m(true_kpts: Tensor, joints_root_m: Tensor) -> Tensor:
    """Image units (B,) that a metre across the line of sight is, at the pelvis' distance.

    true_kpts: (B, J, 2) without noise, in the person view or of any other pinhole camera. joints_root_m: (B, J, 3)
    in the same camera's axes.

    With k = f (X + root_x) / (Z + root_z) + c, and with the pelvis' own k taken away,
    (k - k_pelvis) (root_z / f) + k Z (1 / f) - Z (c / f) = X, for x and y alike: linear in what is in brackets, and
    true for the true pose exactly. The first of them is the answer's inverse.
    """
    kpts, joints = true_kpts.double(), joints_root_m.double()
    relative, depth = kpts - kpts[:, _PELVIS, None], joints[..., 2:]
    axes = torch.eye(2, dtype=kpts.dtype, device=kpts.device)
    columns = [relative, kpts * depth, *(depth * axis for axis in axes)]  # (B, J, 2) each
    matrix = torch.stack([column.flatten(1) for column in columns], dim=-1)
    size = matrix.norm(dim=1, keepdim=True).clamp(min=1e-9)
    matrix = matrix / size
    normal = matrix.mT @ matrix + _RIDGE * torch.eye(len(columns), dtype=kpts.dtype, device=kpts.device)
    solution = torch.linalg.solve(normal, matrix.mT @ joints[..., :2].flatten(1)[..., None])
    m_per_unit = solution[:, 0, 0] / size[:, 0, 0]
    return (1 / m_per_unit.clamp(min=1e-3)).to(true_kpts.dtype)


def image_pose(true_kpts: Tensor, joints_root_m: Tensor) -> Tensor:
    """(B, J, 3): x, y of true_kpts, and Z - Z_pelvis in the unit of these at the pelvis; inputs as for units_per_m."""
    depth = joints_root_m[..., 2:] * units_per_m(true_kpts, joints_root_m)[:, None, None]
    return torch.cat([true_kpts, depth], dim=-1)
