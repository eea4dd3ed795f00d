"""Joints as maps and maps as joints, in single precision whatever the layers compute in.

Places are those of the crop: x right and y down, -1 and 1 at its borders. A map of N cells a side covers the crop, the
centre of cell i lying at (2 i + 1) / N - 1. Depth is behind the pelvis, in units of which 1 is DEPTH_M.
"""

from __future__ import annotations

import torch
from torch import Tensor

DEPTH_M = 1.25  # behind the pelvis, at 1: limbs of grown people reach no further but stretched along the view


def gaussian_maps(kpts: Tensor, seen: Tensor, cells: int, sigma: float) -> Tensor:
    """A map (B, J, cells, cells) for each joint, 1 at its place and 0 everywhere for a joint that is not seen.

    kpts: (B, J, 2). seen: (B, J) bool. sigma: in cells.
    """
    kpts = torch.where(seen[..., None], kpts.float(), 0.0)
    offset = _centres(cells, kpts) - kpts[..., None]  # (B, J, 2, cells)
    along = torch.exp(offset.square() * (-0.5 * (cells / 2 / sigma) ** 2))
    along_x, along_y = along.unbind(2)
    return along_y[..., :, None] * along_x[..., None, :] * seen[..., None, None]


def soft_argmax(volumes: Tensor) -> tuple[Tensor, Tensor]:
    """Places (B, J, 3) of x, y and depth, and how sure each is (B, J) in 0 to 1, of volumes (B, J, D, H, W) of logits.

    The place is the mean of the cells' under the softmax, the score the softmax there, between its cells linearly.
    """
    share = torch.softmax(volumes.float().flatten(2), dim=-1).unflatten(2, volumes.shape[2:])  # type: ignore[no-untyped-call]
    along = (share.sum((2, 3)), share.sum((2, 4)), share.sum((3, 4)))  # x, y, depth
    places = torch.stack([(each * _centres(each.shape[-1], each)).sum(-1) for each in along], dim=-1)
    x, y, z = (tent(places[..., axis], each.shape[-1]) for axis, each in enumerate(along))
    at = (share * x[..., None, None, :]).sum(-1)  # (B, J, D, H)
    score = ((at * y[..., None, :]).sum(-1) * z).sum(-1)
    return places, score


def sample(features: Tensor, kpts: Tensor) -> Tensor:
    """Features (B, J, C) of maps (B, C, H, W) at kpts (B, J, 2), between their cells linearly, 0 outside."""
    height, width = features.shape[-2:]
    weights = tent(kpts[..., 1], height)[..., :, None] * tent(kpts[..., 0], width)[..., None, :]  # (B, J, H, W)
    at: Tensor = weights.flatten(2).to(features.dtype) @ features.flatten(2).mT
    return at


def tent(place: Tensor, cells: int) -> Tensor:
    """Weights (..., cells) of linear interpolation at places (...): at most two are not 0."""
    distance = (_centres(cells, place) - place[..., None]).abs() * (cells / 2)
    return (1 - distance).clamp(min=0)


def _centres(cells: int, like: Tensor) -> Tensor:
    return (torch.arange(cells, dtype=torch.float32, device=like.device) * 2 + 1) / cells - 1
