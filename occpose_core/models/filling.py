"""Attention filling of missing 2D joints: learned joint queries attend to the visible joints.

After the generator of "3D_Occluded_HPE" (github.com/XuyangHao123/3D_Occluded_HPE), with 191,330 parameters as there.
Mended: any number of joints may be missing, and another number in each sample; the pose is normalised by the visible
joints instead of a data set's constant; the coordinates of missing joints are never read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from occpose_core.models.pose_model import ModelConfig, PoseModel
from occpose_core.skeleton import H36M17

_MASKED = -1e9  # instead of -inf: with no visible joint at all the weights become uniform, not NaN


@dataclass(frozen=True, kw_only=True)
class FillingConfig(ModelConfig):
    """Sizes of the filling network; the defaults are the published ones."""

    channels: int = 96  # of all tokens, single head
    refinements: int = 2  # blocks over visible and predicted tokens after the first cross-attention
    joints: int = len(H36M17.joints)


def _mlp(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, channels), nn.LeakyReLU(), nn.Linear(channels, channels))


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(Q K^T / sqrt(C) + bias) V: (B, J, C), (B, J, C), (B, J, C), (B, 1, J) -> (B, J, C)."""
    weights = query @ key.transpose(-1, -2) / math.sqrt(key.shape[-1])
    return torch.softmax(weights if bias is None else weights + bias, dim=-1) @ value


class _CrossAttention(nn.Module):
    """First guess: each joint's learned query reads the visible joints."""

    def __init__(self, joints: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(joints, channels))
        self.embed = nn.Linear(2 * channels, channels)
        self.key, self.value = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.out = _mlp(channels)

    def forward(self, feature: Tensor, hidden_bias: Tensor) -> Tensor:
        """feature: (B, J, C), read where hidden_bias (B, 1, J) is 0, not where it is _MASKED. Returns (B, J, C)."""
        embedding = self.embedding.expand_as(feature)
        token = leaky_relu(self.embed(torch.cat([feature, embedding], dim=-1)))
        return leaky_relu(self.out(_attend(embedding, self.key(token), self.value(token), hidden_bias)))


class _Refinement(nn.Module):
    """Missing joints look at all joints, visible and predicted."""

    def __init__(self, joints: int, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(joints, channels))
        self.embed = nn.Linear(2 * channels, channels)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.out = _mlp(channels)

    def forward(self, feature: Tensor, guess: Tensor, seen: Tensor) -> Tensor:
        """feature and guess: (B, J, C), taken where seen (B, J, 1) is true and where not. Returns the better guess."""
        mixed = torch.where(seen, feature, guess)
        token = leaky_relu(self.embed(torch.cat([mixed, self.embedding.expand_as(mixed)], dim=-1)))
        return leaky_relu(self.out(_attend(self.query(token), self.key(token), self.value(token), None)) + guess)


class Filling(PoseModel):
    """Predicts missing 2D joints of one frame; visible joints pass through bit for bit."""

    def __init__(self, config: FillingConfig) -> None:
        super().__init__()
        self.config: FillingConfig = config
        self.up = nn.Linear(2, config.channels)
        self.first = _CrossAttention(config.joints, config.channels)
        self.refine = nn.ModuleList(_Refinement(config.joints, config.channels) for _ in range(config.refinements))
        self.down = nn.Linear(config.channels, 2)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("filled",)

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Fill the newest frame: `filled` (B, J, 2)."""
        seen = visible[:, -1, :, None] > 0  # (B, J, 1)
        kpts = torch.where(seen, kpts[:, -1], torch.zeros_like(kpts[:, -1]))
        feature = self.up(kpts)  # (B, J, C)
        hidden_bias = torch.where(seen, 0.0, _MASKED).transpose(-1, -2)  # (B, 1, J)
        guess = self.first(feature, hidden_bias)
        for block in self.refine:
            guess = block(feature, guess, seen)
        return {"filled": torch.where(seen, kpts, self.down(guess))}

    def fold(self) -> None:
        """Nothing to fold: the graph is as small as it gets."""
