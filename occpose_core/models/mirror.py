"""Linear layers that treat left and right alike by construction: a mirrored person gives exactly the mirrored answer.

A hidden vector has two halves that a mirror exchanges. Keypoints and joints are mirrored by exchanging left and right
joints and negating x. Both are signed permutations of numbers, and weights that commute with them are made of half as
many free ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from occpose_core.skeleton import H36M17


@dataclass(frozen=True)
class Mirror:
    """A signed permutation: number i of a mirrored vector is `sign[i]` times number `order[i]` of the vector."""

    order: tuple[int, ...]
    sign: tuple[float, ...]

    def __add__(self, other: Mirror) -> Mirror:
        """Of two vectors one behind the other."""
        shifted = tuple(index + len(self.order) for index in other.order)
        return Mirror(self.order + shifted, self.sign + other.sign)

    def __len__(self) -> int:
        return len(self.order)


def per_joint(sign: float = 1.0) -> Mirror:
    """Of one number for each joint; sign -1 for x."""
    return Mirror(tuple(H36M17.mirror.tolist()), (sign,) * len(H36M17.joints))


def of_whole() -> Mirror:
    """Of one number that a mirror does not change."""
    return Mirror((0,), (1.0,))


def halves(width: int) -> Mirror:
    """Of a hidden vector: its halves change places."""
    half = width // 2
    return Mirror((*range(half, width), *range(half)), (1.0,) * width)


class MirrorLinear(nn.Module):
    """A linear layer (..., inputs) -> (..., width), whose output is hidden: its halves change places in a mirror."""

    order: Tensor
    sign: Tensor

    def __init__(self, inputs: Mirror, width: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width // 2, len(inputs)) * gain * len(inputs) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(width // 2))
        self.register_buffer("order", torch.tensor(inputs.order), persistent=False)
        self.register_buffer("sign", torch.tensor(inputs.sign), persistent=False)

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weight (width, inputs) and bias (width,)."""
        mirrored = self.weight[:, self.order] * self.sign
        return torch.cat([self.weight, mirrored]), torch.cat([self.bias, self.bias])

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, *self.whole())


class MirrorLinears(nn.ModuleList):
    """Linear layers on one input (..., inputs), their outputs one behind the other."""

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weight (sum of widths, inputs) and bias (sum of widths,)."""
        weights, biases = zip(*(layer.whole() for layer in self), strict=True)  # type: ignore[operator]
        return torch.cat(weights), torch.cat(biases)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, *self.whole())


class MirrorHead(nn.Module):
    """A linear layer (..., width) hidden -> (..., outputs) of joints."""

    order: Tensor
    sign: Tensor

    def __init__(self, width: int, outputs: Mirror, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(outputs), width) * gain * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(outputs)))
        self.register_buffer("order", torch.tensor(outputs.order), persistent=False)
        self.register_buffer("sign", torch.tensor(outputs.sign), persistent=False)

    def whole(self) -> tuple[Tensor, Tensor]:
        """Weight (outputs, width) and bias (outputs,): the mean of the free ones and of their mirror image."""
        swapped = self.weight.roll(self.weight.shape[1] // 2, dims=1)
        weight = self.weight + swapped[self.order] * self.sign[:, None]
        return weight / 2, (self.bias + self.bias[self.order] * self.sign) / 2

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, *self.whole())


def plain(layer: MirrorLinear | MirrorLinears | MirrorHead) -> nn.Linear:
    """The plain linear layer that is equal to it, for deployment."""
    with torch.no_grad():
        weight, bias = layer.whole()
        equal = nn.Linear(weight.shape[1], weight.shape[0])
        equal.weight.copy_(weight)
        equal.bias.copy_(bias)
    return equal
