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
from torch.nn.functional import leaky_relu, linear

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
    weights = query @ key.mT / math.sqrt(key.shape[-1])
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


class _StaticAttention(nn.Module):
    """Tokens, attention and the layers after it, for deployment: products of weights are computed once.

    A query's product with a key is one with the key's token, its matrix that of both layers; what all keys add alike to
    it the softmax does not see. Its weights sum to 1, so the next layer's matrix and shift can be the values' own.
    """

    embed: Tensor
    position: Tensor
    value_weight: Tensor
    value_shift: Tensor

    def __init__(self, source: _CrossAttention | _Refinement) -> None:
        super().__init__()
        mlp = source.out
        assert isinstance(mlp[0], nn.Linear)
        feature, embedding = source.embed.weight.chunk(2, dim=1)
        self._keep("embed", feature)
        self._keep("position", linear(source.embedding, embedding, source.embed.bias))  # (J, C)
        self._keep("value_weight", mlp[0].weight @ source.value.weight)
        self._keep("value_shift", linear(source.value.bias, mlp[0].weight, mlp[0].bias))
        self.out = mlp[1:]

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.detach().clone())

    def tokens(self, feature: Tensor) -> Tensor:
        """(B, J, C) -> (B, J, C)."""
        return leaky_relu(linear(feature, self.embed) + self.position)

    def attend(self, query: Tensor, token: Tensor, bias: Tensor | None) -> Tensor:
        """query: ([B,] J, C). token: (B, J, C). bias: (B, 1, J). Returns (B, J, C)."""
        weights = query @ token.mT
        weights = torch.softmax(weights if bias is None else weights + bias, dim=-1)
        answer: Tensor = self.out(weights @ linear(token, self.value_weight, self.value_shift))
        return answer


def _scaled(key: nn.Linear) -> Tensor:
    """The weight of a layer of keys, (C, C), divided by what attention divides its products by."""
    return key.weight / math.sqrt(len(key.weight))


class _StaticCrossAttention(_StaticAttention):
    """The first guess, for deployment."""

    query: Tensor

    def __init__(self, source: _CrossAttention) -> None:
        super().__init__(source)
        self._keep("query", source.embedding @ _scaled(source.key))  # (J, C), of the joints' learned queries

    def forward(self, feature: Tensor, hidden_bias: Tensor) -> Tensor:
        """See _CrossAttention."""
        return leaky_relu(self.attend(self.query, self.tokens(feature), hidden_bias))


class _StaticRefinement(_StaticAttention):
    """A better guess, for deployment."""

    query_weight: Tensor
    query_shift: Tensor

    def __init__(self, source: _Refinement) -> None:
        super().__init__(source)
        key = _scaled(source.key)
        self._keep("query_weight", key.T @ source.query.weight)
        self._keep("query_shift", source.query.bias @ key)

    def forward(self, feature: Tensor, guess: Tensor, seen: Tensor) -> Tensor:
        """See _Refinement."""
        token = self.tokens(torch.where(seen, feature, guess))
        query = linear(token, self.query_weight, self.query_shift)
        return leaky_relu(self.attend(query, token, None) + guess)


class Filling(PoseModel):
    """Predicts missing 2D joints of one frame; visible joints pass through bit for bit."""

    def __init__(self, config: FillingConfig) -> None:
        super().__init__()
        self.config: FillingConfig = config
        self.up = nn.Linear(2, config.channels)
        self.first: nn.Module = _CrossAttention(config.joints, config.channels)
        self.refine = nn.ModuleList(_Refinement(config.joints, config.channels) for _ in range(config.refinements))
        self.down = nn.Linear(config.channels, 2)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("filled",)

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Fill the newest frame: `filled` (B, J, 2)."""
        seen = visible[:, -1, :, None] > 0  # (B, J, 1)
        kpts = torch.where(seen, kpts[:, -1], 0.0)
        feature = self.up(kpts)  # (B, J, C)
        hidden_bias = torch.where(seen, 0.0, _MASKED).transpose(-1, -2)  # (B, 1, J)
        guess = self.first(feature, hidden_bias)
        for block in self.refine:
            guess = block(feature, guess, seen)
        return {"filled": torch.where(seen, kpts, self.down(guess))}

    def fold(self) -> None:
        """Take the products of weights that follow each other, and of weights and embeddings."""
        assert isinstance(self.first, _CrossAttention)
        self.first = _StaticCrossAttention(self.first)
        self.refine = nn.ModuleList(_StaticRefinement(block) for block in self.refine)  # type: ignore[arg-type]
