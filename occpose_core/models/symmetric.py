"""Answers that do not know left from right: the mean of the answers for a pose and for its mirror image.

The network's own errors are not symmetric; the mean of both is, and smaller, for twice the arithmetic in the same call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from occpose_core.skeleton import H36M17


def mirrored(points: Tensor) -> Tensor:
    """Mirror (..., J, C) points: x is negated, left and right joints change places."""
    flipped = points[..., H36M17.mirror.tolist(), :]
    return torch.cat([-flipped[..., :1], flipped[..., 1:]], dim=-1)


class Symmetric(nn.Module, ABC):
    """Base of models of one person; subclasses implement `answer`. Training sees `answer` alone."""

    @abstractmethod
    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """The network's own answer, as `forward` returns it."""

    def forward(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Answer for the newest frame; a mirrored person gets the mirrored answer, exactly.

        kpts: (B, T, J, 2) in the person view, of any value where hidden. visible: (B, T, J), 0 = missing.
        Returns `joints_root_m` (B, J, 3), `sigma_m` (B, J) and `filled` (B, J, 2), as far as the model has them.
        """
        swap = H36M17.mirror.tolist()
        both = self.answer(torch.cat([kpts, mirrored(kpts)]), torch.cat([visible, visible[..., swap]]))
        answer = {}
        for name, value in both.items():
            straight, mirror = value.unflatten(0, (2, -1))  # type: ignore[no-untyped-call]
            back = mirror[..., swap] if name == "sigma_m" else mirrored(mirror)
            answer[name] = (straight + back) / 2
        return answer
