"""Linear blend skinning (Loper et al., SMPL: A Skinned Multi-Person Linear Model, 2015, equations 2 to 9).

The same as `smplx.lbs.lbs`, whose licence allows no commercial use, not even of networks that were trained through it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from occpose_core.body.joints import SMPL_PARENTS


def _generations(parents: Sequence[int]) -> list[list[int]]:
    """The joints of a tree, by their distance from its root."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [[joint for joint, its in enumerate(depth) if its == level] for level in range(max(depth) + 1)]


_GENERATIONS = _generations(SMPL_PARENTS)
# where each joint stands once the generations are put one after the other
_PLACE = [joint for generation in _GENERATIONS for joint in generation]
_BACK = [_PLACE.index(joint) for joint in range(len(_PLACE))]


def skin(
    shape: Tensor,
    rotations: Tensor,
    vertices_m: Tensor,
    shapes_m: Tensor,
    correctives_m: Tensor,
    joint_regressor: Tensor,
    weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Bend and shape a body: vertices (B, V, 3) and joints (B, 24, 3), in the axes that the root rotation turns to.

    shape: (B, 10). rotations: (B, 24, 3, 3), each relative to its parent. vertices_m: (V, 3) at rest. shapes_m:
    (V, 3, 10). correctives_m: (207, 3 V). joint_regressor: (24, V). weights: (V, 24).
    """
    shaped = vertices_m + torch.einsum("bs,vcs->bvc", shape, shapes_m)
    bent = rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    corrected = shaped + (bent.flatten(1) @ correctives_m).unflatten(1, (-1, 3))  # type: ignore[no-untyped-call]
    rest = joint_regressor @ shaped
    turns, joints = _chained(rotations, rest)
    # a vertex goes where the weighted mean of the joints' motions takes it: turned about each, and carried along
    carried = joints - (turns @ rest[..., None])[..., 0]
    moves = torch.cat([turns, carried[..., None]], dim=-1).transpose(-1, -2).flatten(2)
    x_axis, y_axis, z_axis, place = (weights @ moves).split(3, dim=-1)  # type: ignore[no-untyped-call]
    x, y, z = corrected.split(1, dim=-1)
    return x_axis * x + y_axis * y + z_axis * z + place, joints  # so many products of small matrices would be slow


def _chained(rotations: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (B, 24, 3, 3) in the root's axes and joints (B, 24, 3), of joints (B, 24, 3) at rest."""
    turns, joints = [rotations[:, :1]], [rest[:, :1]]
    for generation, before in zip(_GENERATIONS[1:], _GENERATIONS, strict=False):
        parents = [SMPL_PARENTS[joint] for joint in generation]
        of = torch.tensor([before.index(parent) for parent in parents], device=rest.device)
        these, those = (torch.tensor(each, device=rest.device) for each in (generation, parents))
        carried = turns[-1].index_select(1, of)
        bone = rest.index_select(1, these) - rest.index_select(1, those)
        joints.append(joints[-1].index_select(1, of) + (carried @ bone[..., None])[..., 0])
        turns.append(carried @ rotations.index_select(1, these))
    back = torch.tensor(_BACK, device=rest.device)
    return torch.cat(turns, dim=1).index_select(1, back), torch.cat(joints, dim=1).index_select(1, back)
