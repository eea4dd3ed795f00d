"""A graph of 15 joints, each of whose layers has weights of its own for every joint. 3DCrowdNet, CVPR 2022."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from occpose_core.body.joints import GRAPH15

_BLOCKS = 4  # residual, of two layers each
# What is linked beside the same joint of the other side.
_BONES = (
    ("pelvis", "left_hip"),
    ("pelvis", "right_hip"),
    ("pelvis", "neck"),
    ("neck", "head_top"),
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (("hip", "knee"), ("knee", "ankle"))),
    *(("neck", f"{side}_shoulder") for side in ("left", "right")),
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"))
    ),
)


def adjacency() -> np.ndarray:
    """(15, 15) float32: bones, pairs of left and right, and each joint itself; D^-1/2 A D^-1/2."""
    links = np.eye(len(GRAPH15), dtype=np.float32)
    pairs = [(name, name.replace("left_", "right_")) for name in GRAPH15 if name.startswith("left_")]
    for a, b in (*_BONES, *pairs):
        i, j = GRAPH15.index(a), GRAPH15.index(b)
        links[i, j] = links[j, i] = 1
    scale = links.sum(axis=1) ** -0.5
    return np.asarray(scale[:, None] * links * scale, dtype=np.float32)


class _Layer(nn.Module):
    """A linear layer and batch norm for every joint, its neighbours' mean, ReLU."""

    links: Tensor
    norm: nn.Module

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        joints = len(GRAPH15)
        self.weight = nn.Parameter(torch.empty(joints, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(joints, 1, outputs))
        self.norm = nn.BatchNorm1d(joints * outputs)
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5)
        self.register_buffer("links", torch.from_numpy(adjacency()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 15, C_in) -> (B, 15, C)."""
        y = torch.baddbmm(self.bias.to(x.dtype), x.transpose(0, 1), self.weight.to(x.dtype)).transpose(0, 1)
        y = self.norm(y.flatten(1)).unflatten(1, (len(GRAPH15), -1))
        return relu(self.links.to(y.dtype) @ y)

    def fold(self) -> None:
        """Let the linear layers do what the batch norm does, in place; equal in evaluation mode."""
        norm = self.norm
        assert isinstance(norm, nn.BatchNorm1d) and norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = (norm.bias - norm.running_mean * scale).view_as(self.bias)
        with torch.no_grad():
            self.weight.mul_(scale.view_as(self.bias))
            self.bias.mul_(scale.view_as(self.bias)).add_(shift)
        self.norm = nn.Identity()


class JointGraph(nn.Module):
    """Features (B, 15, C_in) of the joints -> (B, 15 C) of the whole body."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.head = _Layer(inputs, channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(_Layer(channels, channels), _Layer(channels, channels)) for _ in range(_BLOCKS)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 15, C_in) -> (B, 15 C)."""
        x = self.head(x)
        for block in self.blocks:
            x = x + block(x)
        return x.flatten(1)

    def fold(self) -> None:
        """Leave no batch norm, for deployment; equal in evaluation mode."""
        for layer in [module for module in self.modules() if isinstance(module, _Layer)]:
            layer.fold()
