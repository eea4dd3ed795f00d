"""HTNet: joints, limbs and the whole body in turn, each on a third of the channels, against errors that grow outward.

Cai et al., "HTNet: Human Topology Aware Network for 3D Human Pose Estimation", ICASSP 2023, arXiv 2302.09790
(github.com/vefalun/HTNet); 3,048,489 parameters in the paper form. The graph convolution is the modulated one of Zou
and Tang, "Modulated Graph Convolutional Network for 3D Human Pose Estimation", ICCV 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from occpose_core.errors import OccposeError
from occpose_core.models.pose_model import ModelConfig, PoseModel, full_precision, joint_inputs, joint_outputs
from occpose_core.skeleton import H36M17

_JOINTS = len(H36M17.joints)
# From the body outward. The tokens of the limbs keep this order from where they are read to where they are written.
_LIMBS = tuple(
    tuple(int(joint) for joint in H36M17.indices(*(f"{side}_{joint}" for joint in limb)))
    for side, limb in (
        ("right", ("hip", "knee", "ankle")),
        ("left", ("hip", "knee", "ankle")),
        ("left", ("shoulder", "elbow", "wrist")),
        ("right", ("shoulder", "elbow", "wrist")),
    )
)
_HIDDEN = -1e9  # instead of -inf: with no visible joint at all the weights become uniform, not NaN
_XAVIER_GAIN = 1.414
_InnerNorm = partial(nn.LayerNorm, eps=1e-5)
_OuterNorm = partial(nn.LayerNorm, eps=1e-6)


@dataclass(frozen=True, kw_only=True)
class HTNetConfig(ModelConfig):
    """Sizes of the network; the defaults are the published ones.

    OccposeError where channels is no multiple of 3 * heads, or a size is not positive.
    """

    channels: int = 240  # of a joint: a third each for joints, limbs and body
    blocks: int = 3
    hidden: int = 1024  # of the multilayer perceptrons
    graph_channels: int = 384  # between the two graph convolutions of a block
    heads: int = 8
    dropout: float = 0.1
    drop_path: float = 0.3  # share of samples that skip a branch of the last block; of earlier blocks less, linearly

    def __post_init__(self) -> None:
        for name in ("channels", "blocks", "hidden", "graph_channels", "heads"):
            if getattr(self, name) < 1:
                raise OccposeError(f"HTNet needs {name} >= 1, got {getattr(self, name)}")
        if self.channels % (3 * self.heads):
            raise OccposeError(
                f"HTNet shares its channels among 3 levels of {self.heads} heads: {self.channels} is no multiple of"
                f" {3 * self.heads}; take {max(1, round(self.channels / (3 * self.heads))) * 3 * self.heads}"
            )


def skeleton_adjacency() -> np.ndarray:
    """(J, J) float32: each joint's neighbours along bones share a weight of 1, and it has 1 for itself."""
    links = np.zeros((_JOINTS, _JOINTS), dtype=np.float32)
    for a, b in H36M17.bones:
        links[a, b] = links[b, a] = 1
    return np.asarray(links / links.sum(axis=1, keepdims=True) + np.eye(_JOINTS, dtype=np.float32))


class _DropPath(nn.Module):
    """Stochastic depth: in training a share of the samples gets 0, the others are scaled up to keep the mean."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C)."""
        if not self.training or self.share == 0:
            return x
        kept = torch.rand(len(x), 1, 1, device=x.device) >= self.share
        return x * (kept / (1 - self.share)).to(x.dtype)


class ModulatedGraphConv(nn.Module):
    """(A' o I)(M o x W0) + (A' o (1 - I))(M o x W1) + b; A' is the symmetric part of the skeleton and a learned Q."""

    adjacency: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2 * outputs, inputs))  # W0 and W1, transposed
        self.modulation = nn.Parameter(torch.empty(_JOINTS, outputs))
        self.learned = nn.Parameter(torch.full((_JOINTS, _JOINTS), 1e-6))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.register_buffer("adjacency", torch.from_numpy(skeleton_adjacency()), persistent=False)
        for half in (*self.weight.data.chunk(2), self.modulation.data):
            nn.init.xavier_uniform_(half, gain=_XAVIER_GAIN)
        nn.init.uniform_(self.bias, -(outputs**-0.5), outputs**-0.5)

    def mixing(self) -> tuple[Tensor, Tensor]:
        """What the own features are multiplied by, (J, C), and what the neighbours' are mixed by, (J, J)."""
        total = self.adjacency + self.learned
        symmetric = (total + total.T) / 2
        own = symmetric.diagonal()
        return own[:, None] * self.modulation, symmetric - torch.diag(own)

    def forward(self, x: Tensor) -> Tensor:
        """(B, J, C_in) -> (B, J, C_out)."""
        both = nn.functional.linear(x, self.weight)
        mine, others = both.chunk(2, dim=-1)
        own, neighbours, modulation, bias = (each.to(both) for each in (*self.mixing(), self.modulation, self.bias))
        return own * mine + neighbours @ (modulation * others) + bias

    def folded(self) -> _StaticGraphConv:
        """The equal layer that computes no adjacency any more."""
        return _StaticGraphConv(self)


class _StaticGraphConv(nn.Module):
    """A graph convolution whose adjacency is a constant: both transforms of all joints are mixed at once.

    scale: (2 J, C), of each joint's transforms. mixing: (J, 2 J), 1 for the own one, and what is taken of the others'.
    """

    scale: Tensor
    mixing: Tensor

    def __init__(self, source: ModulatedGraphConv) -> None:
        super().__init__()
        self.weight, self.bias = source.weight, source.bias
        own, neighbours = source.mixing()
        scale = torch.stack([own, source.modulation], dim=1).flatten(0, 1)
        mixing = torch.stack([torch.eye(_JOINTS), neighbours], dim=2).flatten(1)
        for name, value in (("scale", scale), ("mixing", mixing)):
            self.register_buffer(name, value.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(B, J, C_in) -> (B, J, C_out)."""
        both = nn.functional.linear(x, self.weight).view(-1, *self.scale.shape)
        return self.mixing @ (self.scale * both) + self.bias


def _mlp(channels: int, hidden: int, dropout: float = 0.0) -> nn.Sequential:
    layers = [nn.Linear(channels, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, channels)]
    return nn.Sequential(*layers, nn.Dropout(dropout))


class _JointLevel(nn.Module):
    """Local joint context: two graph convolutions."""

    def __init__(self, channels: int, config: HTNetConfig, drop_path: float) -> None:
        super().__init__()
        self.norm, self.inner_norm = _OuterNorm(channels), _InnerNorm(channels)
        self.up: nn.Module = ModulatedGraphConv(channels, config.graph_channels)
        self.down: nn.Module = ModulatedGraphConv(config.graph_channels, channels)
        self.drop_path = _DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, J, C) -> (B, J, C)."""
        y: Tensor = x + self.drop_path(self.inner_norm(self.down(gelu(self.up(self.norm(x))))))
        return y

    def fold(self) -> None:
        """Make both convolutions static."""
        assert isinstance(self.up, ModulatedGraphConv) and isinstance(self.down, ModulatedGraphConv)
        self.up, self.down = self.up.folded(), self.down.folded()


class LimbBranch(nn.Module):
    """One token per limb, read from its outermost joints, overwrites all of these but the innermost.

    joints: how many of each limb are read.
    """

    read: Tensor
    write: Tensor

    def __init__(self, joints: int, channels: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.norm, self.token_norm = _InnerNorm(channels), _InnerNorm(channels)
        self.convolve = nn.Linear(joints * channels, channels)  # = a convolution along each limb, as long as it
        self.mlp = _mlp(channels, hidden)
        self.drop_path = _DropPath(drop_path)
        ends = [limb[-joints:] for limb in _LIMBS]
        write = list(range(_JOINTS))
        for token, end in enumerate(ends):
            for joint in end[1:]:
                write[joint] = _JOINTS + token
        self.register_buffer("read", torch.tensor(ends).flatten(), persistent=False)
        self.register_buffer("write", torch.tensor(write), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, J, C) -> (B, J, C), normalised, limb ends overwritten."""
        x = self.norm(x)
        limbs = x.index_select(1, self.read).view(-1, len(_LIMBS), self.convolve.in_features)  # (B, limbs, joints * C)
        token = self.drop_path(gelu(self.convolve(limbs)))
        token = token + self.drop_path(self.mlp(self.token_norm(token)))
        return torch.cat([x, token.to(x.dtype)], dim=1).index_select(1, self.write)


class _LimbLevel(nn.Module):
    """Intra-part constraints: tokens of whole limbs and of their outer two joints."""

    def __init__(self, channels: int, config: HTNetConfig, drop_path: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(LimbBranch(n, channels, config.hidden, drop_path) for n in (3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, J, C) -> (B, J, C)."""
        for branch in [branch(x) for branch in self.branches]:
            x = x + branch
        return x


class _BodyLevel(nn.Module):
    """Global body interaction: every joint attends to all joints, or to all visible ones."""

    def __init__(self, channels: int, config: HTNetConfig, drop_path: float) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm = _OuterNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.drop, self.drop_path = nn.Dropout(config.dropout), _DropPath(drop_path)

    def forward(self, x: Tensor, hidden_bias: Tensor | None) -> Tensor:
        """x: (B, J, C). hidden_bias: (B, 1, 1, J), 0 where visible and _HIDDEN where not."""
        heads = self.qkv(self.norm(x)).reshape(-1, _JOINTS, 3, self.heads, x.shape[-1] // self.heads)
        heads = heads.permute(2, 0, 3, 1, 4)
        query, key, value = heads[0], heads[1], heads[2]
        weights = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
        weights = torch.softmax(weights if hidden_bias is None else weights + hidden_bias, dim=-1)
        mixed = (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        y: Tensor = x + self.drop_path(self.drop(self.out(mixed)))
        return y


class _Block(nn.Module):
    """Joints, then limbs, then the body, each on its third of the channels and what the one before found; then all."""

    def __init__(self, config: HTNetConfig, drop_path: float) -> None:
        super().__init__()
        third = config.channels // 3
        self.joints = _JointLevel(third, config, drop_path)
        self.limbs = _LimbLevel(third, config, drop_path)
        self.body = _BodyLevel(third, config, drop_path)
        self.norm, self.mlp = _OuterNorm(config.channels), _mlp(config.channels, config.hidden, config.dropout)
        self.drop_path = _DropPath(drop_path)

    def forward(self, x: Tensor, hidden_bias: Tensor | None) -> Tensor:
        """(B, J, 3 C) -> (B, J, 3 C). hidden_bias: see _BodyLevel."""
        joints, limbs, body = x.chunk(3, dim=-1)
        joints = self.joints(joints)
        limbs = self.limbs(limbs + joints)
        body = self.body(body + limbs, hidden_bias)
        merged = torch.cat([joints, limbs, body], dim=-1)
        y: Tensor = merged + self.drop_path(self.mlp(self.norm(merged)))
        return y


class HTNet(PoseModel):
    """Lifts one frame of 2D joints to 3D; in the masked form no joint attends to a hidden one."""

    def __init__(self, config: HTNetConfig) -> None:
        super().__init__()
        self.config: HTNetConfig = config
        self.embed = nn.Linear(2 + config.masked, config.channels)
        self.position = nn.Parameter(torch.zeros(_JOINTS, config.channels))
        self.blocks = nn.ModuleList(
            _Block(config, config.drop_path * (index + 1) / config.blocks) for index in range(config.blocks)
        )
        self.norm = _OuterNorm(config.channels)
        self.head = nn.Linear(config.channels, 3 + config.masked)

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Lift the newest frame: `joints_root_m` (B, J, 3) in the person view's axes; masked: `sigma_m` (B, J)."""
        return self._lift(joint_inputs(kpts[:, -1], visible[:, -1], self.config.masked))

    def lift(self, kpts: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """As answer, for (B, J, 2) whose hidden joints hold a guess (or 0) and seen (B, J, 1) in {0, 1}."""
        return self._lift(torch.cat([kpts, seen], dim=-1) if self.config.masked else kpts)

    def _lift(self, inputs: Tensor) -> dict[str, Tensor]:
        """inputs: (B, J, 2), or (B, J, 3) with 1 for visible."""
        hidden_bias = (1 - inputs[:, None, None, :, 2]) * _HIDDEN if self.config.masked else None
        x = self.embed(inputs) + self.position
        for block in self.blocks:
            x = block(x, hidden_bias)
        with full_precision(x):
            raw = self.head(self.norm(x.to(inputs.dtype)))
        return joint_outputs(raw, self.config.masked)

    def fold(self) -> None:
        """Compute each graph convolution's adjacency once and for all; equal in evaluation mode."""
        for level in [module for module in self.modules() if isinstance(module, _JointLevel)]:
            level.fold()
