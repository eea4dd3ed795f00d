"""Where a person was last seen, and a virtual camera that looks there; without weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

_MAX_RAY = 8.0  # 83 degrees off the axis: farther out a pinhole's plane holds nothing
_MIN_SCALE = 1e-3
_MAX_KPTS = 6.0  # in units of the person's size
_NO_WEIGHT = 1e-6  # less than joints have that were seen in the last days


@dataclass(frozen=True, eq=False)
class View:
    """A virtual camera that looks at a person. axes: (..., 3, 3), rows right, down, forward in camera axes.

    kpts: (..., J, 2) in it, divided by scale (..., 1, 1); 0 where a joint was never seen.
    """

    axes: Tensor
    scale: Tensor
    kpts: Tensor

    def to_cam(self, joints: Tensor) -> Tensor:
        """(..., J, 3) from the view's axes to the camera's."""
        return joints @ self.axes

    def rays(self, kpts: Tensor) -> Tensor:
        """(..., J, 2) in units of scale -> camera rays."""
        flat, depth = torch.split(self.to_cam(_points(kpts * self.scale)), [2, 1], dim=-1)
        return (flat / depth.clamp(min=1e-2)).clamp(-_MAX_RAY, _MAX_RAY)


def hold(rays: Tensor, visible: Tensor, dt_s: Tensor, held: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
    """Carry what was last seen of people into the next frame. Hidden joints move as the others do on average.

    rays: (B, J, 2), of any value where hidden. visible: (B, J), 0 = hidden. dt_s: (B,) since the last frame. held: (B,
    J, 2) rays so far. fresh: (B, J), 1 / (1 + seconds since last seen); 0 = never, and held means nothing.
    Returns held and fresh after this frame.
    """
    seen = visible > 0
    weight = (fresh * seen.to(fresh.dtype))[:, None]
    found = torch.where(seen[..., None], rays.clamp(-_MAX_RAY, _MAX_RAY), held)
    moved = weight @ (found - held) / weight.sum(dim=-1, keepdim=True).clamp(min=_NO_WEIGHT)
    aged = fresh / (1 + fresh * dt_s[:, None])
    held = torch.where(seen[..., None], found, held + moved).clamp(-_MAX_RAY, _MAX_RAY)
    return held, torch.where(seen, 1.0, aged)


@torch.no_grad()
def follow(rays: Tensor, visible: Tensor, dt_s: Tensor) -> tuple[Tensor, Tensor]:
    """Hold people from their first frame on: (T, B, J, 2), (T, B, J) and (T, B) -> held and fresh at all frames."""
    last = torch.zeros_like(rays[0]), torch.zeros_like(rays[0, ..., 0])
    frames = [last := hold(*frame, *last) for frame in zip(rays, visible, dt_s, strict=True)]
    held, fresh = zip(*frames, strict=True)
    return torch.stack(held), torch.stack(fresh)


def look(held: Tensor, fresh: Tensor) -> View:
    """Turn a virtual camera, panned and tilted but never rolled, at the joints: (..., J, 2) weighted by (..., J)."""
    rays, weight = _points(held), fresh[..., None, :]
    toward = weight @ (rays / rays.norm(dim=-1, keepdim=True)) + rays.new_tensor([0.0, 0.0, _NO_WEIGHT])
    axes = _axes(toward / toward.norm(dim=-1, keepdim=True))
    flat, depth = torch.split(rays @ axes.mT, [2, 1], dim=-1)
    flat = (flat / depth.clamp(min=0.1)).clamp(-_MAX_RAY, _MAX_RAY)
    square = (weight @ (flat * flat)).sum(dim=-1, keepdim=True) / weight.sum(dim=-1, keepdim=True).clamp(min=_NO_WEIGHT)
    scale = square.clamp(min=_MIN_SCALE**2).sqrt()
    kpts = (flat / scale).clamp(-_MAX_KPTS, _MAX_KPTS)
    return View(axes, scale, kpts * fresh.sign()[..., None])


def _axes(forward: Tensor) -> Tensor:
    """(..., 3, 3), rows right, down, forward: of a camera that does not roll. forward: (..., 1, 3), never upright."""
    vertical = forward.new_tensor([0.0, 1.0, 0.0])
    turn = forward.new_tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    right = forward @ turn  # vertical x forward
    down = vertical - forward[..., 1:2] * forward
    across = torch.cat([right, down], dim=-2) / right.norm(dim=-1, keepdim=True)  # both are as long
    return torch.cat([across, forward], dim=-2)


def _points(flat: Tensor) -> Tensor:
    """(..., J, 2) -> (..., J, 3) with z = 1."""
    return pad(flat, (0, 1), value=1.0)
