"""Lifting with a window of frames: PoseGraphNet for each frame, then transformers over time that end in one token.

Banik et al., "Occlusion Robust 3D Human Pose Estimation with StridedPoseGraphFormer and Data Augmentation", IJCNN 2023
(github.com/baniks/StridedPoseGraphFormer), on the strided transformer of Li et al., TMM 2022. The published network
answers for the middle frame of its window. The causal form answers for the newest one: tokens are then ordered by age,
so that the strides keep the newest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from occpose_core.errors import OccposeError
from occpose_core.models.pose_model import (
    ModelConfig,
    PoseModel,
    full_precision,
    joint_inputs,
    joint_outputs,
    start_sigma,
)
from occpose_core.models.posegraphnet import GraphTrunk, PoseGraphNetConfig
from occpose_core.skeleton import H36M17

_JOINTS = len(H36M17.joints)
# frames of the window -> what each strided layer divides them by
STRIDES = {27: (3, 3, 3), 81: (9, 3, 3), 243: (3, 9, 9), 351: (3, 9, 13)}
_NORM_EPS = 1e-6


@dataclass(frozen=True, kw_only=True)
class StridedPoseGraphConfig(ModelConfig):
    """Sizes of the network; the defaults are the published ones. window: a key of STRIDES. causal: no look-ahead."""

    window: int = 81
    causal: bool = False
    channels: int = 256  # per joint, inside the spatial trunk
    blocks: int = 3
    spatial_dropout: float = 0.2
    embedding: int = 16  # per joint, from the spatial trunk
    heads: int = 8
    hidden: int = 512  # of the feed-forward parts
    dropout: float = 0.1

    @property
    def spatial(self) -> PoseGraphNetConfig:
        """The single-frame network whose trunk encodes the frames: what spatial pre-training trains."""
        return PoseGraphNetConfig(
            masked=self.masked,
            channels=self.channels,
            blocks=self.blocks,
            dropout=self.spatial_dropout,
            embedding=self.embedding,
            column_start=True,
        )


class _TokenNorm(nn.Module):
    """Layer norm by the unbiased standard deviation, as published: (x - mean) / (std + eps), scaled and shifted.

    Written as the common layer norm, (x - mean) / sqrt(var + eps'), for which runtimes have a kernel of their own. Both
    are equal where nothing varies and where std is far above eps, 1e-6; the numbers of a token vary by about 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C) in single precision."""
        biased = 1 - 1 / x.shape[-1]  # variance over the unbiased one
        return layer_norm(x.float(), x.shape[-1:], self.weight * biased**0.5, self.bias, eps=biased * _NORM_EPS**2)


class _Attention(nn.Module):
    """Multi-head attention among all tokens."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        heads = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y: Tensor = self.out(self._mix(heads[0], heads[1], heads[2]).transpose(1, 2).flatten(2))
        return y

    def _mix(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """softmax(Q K^T / sqrt(C)) V: (B, heads, L, C) each."""
        if self.training:  # one kernel, which keeps no weights for the way back
            return scaled_dot_product_attention(query, key, value, dropout_p=self.dropout)
        weights = query * query.shape[-1] ** -0.5 @ key.mT  # five nodes instead of fourteen when it is exported
        return torch.softmax(weights, dim=-1).to(value.dtype) @ value


class _Layer(nn.Module):
    """Pre-norm attention, then a convolution over time that keeps every stride-th token."""

    def __init__(self, channels: int, stride: int, config: StridedPoseGraphConfig) -> None:
        super().__init__()
        self.stride = stride
        self.norm_attention, self.norm_feed = _TokenNorm(channels), _TokenNorm(channels)
        self.attention = _Attention(channels, config.heads, config.dropout)
        self.widen = nn.Linear(channels, config.hidden)
        self.narrow = nn.Conv1d(config.hidden, channels, kernel_size=3, stride=stride, padding=1)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, ceil(L / stride), C)."""
        x = x + self.drop(self.attention(self.norm_attention(x)))
        wide = self.drop(torch.relu(self.widen(self.norm_feed(x))))
        fed: Tensor = self.drop(self.narrow(wide.transpose(1, 2)).transpose(1, 2))
        return x[:, :: self.stride] + fed


class _Encoder(nn.Module):
    """Layers, each after the addition of its own learned table of positions."""

    def __init__(self, channels: int, strides: Sequence[int], config: StridedPoseGraphConfig) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(len(strides), config.window, channels))
        self.layers = nn.ModuleList(_Layer(channels, stride, config) for stride in strides)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T / product of strides, C), T up to the window."""
        for index, layer in enumerate(self.layers):
            x = layer(x + self.position[index, : x.shape[1]])
        return x


class _Head(nn.Module):
    """Tokens (..., C) -> joints (..., J, outputs)."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm1d(channels)
        self.out = nn.Linear(channels, _JOINTS * outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., J, outputs), the network's raw answer; see joint_outputs."""
        with full_precision(x):
            y: Tensor = self.out(self.norm(x.float().flatten(0, -2)))
        return y.view(*x.shape[:-1], _JOINTS, -1)

    def fold(self) -> None:
        """Join norm and linear layer."""
        norm, out = self.norm, self.out
        assert isinstance(norm, nn.BatchNorm1d) and norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        with torch.no_grad():
            out.bias.add_(out.weight @ (norm.bias - norm.running_mean * scale))
            out.weight.mul_(scale)
        self.norm = nn.Identity()


class StridedPoseGraphFormer(PoseModel):
    """Lifts the middle frame of a window, or, if causal, its newest."""

    config: StridedPoseGraphConfig

    def __init__(self, config: StridedPoseGraphConfig) -> None:
        super().__init__()
        if config.window not in STRIDES:
            raise OccposeError(f"no window of {config.window} frames; choose one of {', '.join(map(str, STRIDES))}")
        self.config, self.window = config, config.window
        self.look_ahead = 0 if config.causal else config.window // 2
        inputs, outputs = (3, 4) if config.masked else (2, 3)
        channels = _JOINTS * config.embedding
        self.spatial = GraphTrunk(inputs, config.embedding, config.spatial)
        self.full = _Encoder(channels, (1,), config)
        self.strided = _Encoder(channels, STRIDES[config.window], config)
        self.sequence_head, self.head = _Head(channels, outputs), _Head(channels, outputs)
        if config.masked:
            for head in (self.sequence_head, self.head):
                start_sigma(head.out.weight, head.out.bias)
        # The published network has two more tables of positions and two norms, which it never applies. Its weights are
        # counted with them; they are not trained, and deployment drops them.
        self.unused = None if config.masked else _unused(config.window, channels)

    def tokens(self, kpts: Tensor, visible: Tensor) -> Tensor:
        """Encode each frame on its own: (B, T, J, 2) and (B, T, J) -> (B, T, C)."""
        x = joint_inputs(kpts, visible, self.config.masked)
        embedded: Tensor = self.spatial(x.flatten(0, 1))
        return embedded.flatten(1).unflatten(0, x.shape[:2])  # type: ignore[no-untyped-call, no-any-return]

    def _exchange(self, tokens: Tensor) -> Tensor:
        """Full-length encoder: tokens (B, T, C), oldest first -> (B, T, C), newest first if causal."""
        full: Tensor = self.full(tokens.flip(1) if self.config.causal else tokens)
        return full

    def lift_tokens(self, tokens: Tensor) -> dict[str, Tensor]:
        """The answer for tokens (B, T, C), oldest first."""
        return joint_outputs(self.head(self.strided(self._exchange(tokens))[:, 0]), self.config.masked)

    def lift_both(self, tokens: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The answer, and the one for every frame (B, T, J, ...), oldest first, which helps in training."""
        full = self._exchange(tokens)
        target = self.head(self.strided(full)[:, 0])
        sequence = self.sequence_head(full)
        if self.config.causal:
            sequence = sequence.flip(1)
        return joint_outputs(target, self.config.masked), joint_outputs(sequence, self.config.masked)

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Lift one frame: `joints_root_m` (B, J, 3) in its person view's axes and, if masked, `sigma_m` (B, J)."""
        return self.lift_tokens(self.tokens(kpts, visible))

    def streaming(self) -> StreamingPoseGraphFormer:
        """The same network, asked frame by frame."""
        return StreamingPoseGraphFormer(self)

    def fold(self) -> None:
        """Make the spatial trunk static, join the head's norm, drop what only training needs."""
        self.spatial.fold()
        self.head.fold()
        del self.sequence_head, self.unused


class StreamingPoseGraphFormer(nn.Module):
    """Encodes no frame but the newest and remembers those before it; answers as the model does for the whole window.

    state (B, state_size): 1 for a person who has been seen before (else the first frame is taken for all before it),
    then the tokens of the frames before, oldest first. The model and its weights are shared, not copied.
    """

    def __init__(self, model: StridedPoseGraphFormer) -> None:
        super().__init__()
        self.model = model
        ways = 2 if model.config.flip_average else 1
        self.past_shape = (ways, model.window - 1, _JOINTS * model.config.embedding)
        self.state_size = 1 + math.prod(self.past_shape)

    def forward(self, kpts: Tensor, visible: Tensor, state: Tensor) -> dict[str, Tensor]:
        """kpts (B, 1, J, 2), visible (B, 1, J), state (B, state_size), 0 at first -> as PoseModel, and `new_state`."""
        ways, frames, channels = self.past_shape
        newest = self.model.tokens(*self.model.ways(kpts, visible))  # (ways * B, 1, C)
        newest = newest.view(ways, -1, 1, channels).transpose(0, 1)  # (B, ways, 1, C)
        past = state[:, 1:].view(-1, ways, frames, channels)
        past = torch.where(state[:, :1, None, None] > 0, past, newest)
        tokens = torch.cat([past, newest], dim=2)
        answer = self.model.finished(self.model.lift_tokens(tokens.transpose(0, 1).flatten(0, 1)))
        seen_before = state[:, :1].clamp(min=1.0)  # 0 or 1 before, 1 from now on
        new_state = torch.cat([seen_before, tokens[:, :, 1:].flatten(1)], dim=1)
        return {**answer, "new_state": new_state}


def _unused(frames: int, channels: int) -> nn.ParameterDict:
    tensors = {"position": torch.zeros(2, frames, channels), "norms": torch.zeros(2, 2, channels)}
    return nn.ParameterDict({name: nn.Parameter(each, requires_grad=False) for name, each in tensors.items()})
