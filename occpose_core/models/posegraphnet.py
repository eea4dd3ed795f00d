"""PoseGraphNet: graph convolutions over the skeleton whose edges, sorted into three groups, are learned as well.

Banik et al., "3D Human Pose Regression using Graph Convolutional Network", ICIP 2021 (github.com/baniks/PoseGraphNet).
Mended: the published normalisation scales receivers and senders of a directed group by its column sums, which cuts off
the leaves of the skeleton from their parents and the pelvis from its children, without a gradient that could ever bring
them back, and switches a joint off when its sum turns negative. Here a receiver is scaled by its row, a sender by its
column, both of absolute values and with a small constant added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from occpose_core.models.pose_model import (
    ModelConfig,
    PoseModel,
    full_precision,
    joint_inputs,
    joint_outputs,
    start_sigma,
)
from occpose_core.skeleton import H36M17

_JOINTS = len(H36M17.joints)
_GROUPS = 3  # self, from the parent, from the children
# Added to every degree: small beside those of joints with neighbours, and large enough that a joint's first edge grows
# no faster than ten times an edge of an unnormalised graph.
_EXTRA_DEGREE = 0.1


@dataclass(frozen=True, kw_only=True)
class PoseGraphNetConfig(ModelConfig):
    """Sizes of the network; the defaults are the published ones.

    embedding: channels a joint has before the last layer, when the trunk is trained for use in another network; 0 =
    the published single-frame lifter. column_start: the edges start divided by their columns' sums, as in that use.
    """

    channels: int = 256  # per joint
    blocks: int = 3  # residual, of two layers each
    dropout: float = 0.2
    embedding: int = 0
    column_start: bool = False


def edge_groups(column_start: bool = False) -> np.ndarray:
    """(3, J, J) weight at the start of each edge (receiver, sender): self, from the parent, from the children.

    column_start divides the edges of all groups by the number of edges of their sender.
    """
    groups = np.zeros((_GROUPS, _JOINTS, _JOINTS), dtype=np.float32)
    groups[0] = np.eye(_JOINTS)
    parents, children = np.array(H36M17.bones).T
    groups[1, children, parents] = groups[2, parents, children] = 1
    return groups / groups.sum(axis=(0, 1)) if column_start else groups


class SkeletonEdges(nn.Module):
    """The learned edges of all three groups, shared by all layers of a trunk."""

    mixing: Tensor | None

    def __init__(self, column_start: bool) -> None:
        super().__init__()
        self.edges = nn.Parameter(torch.from_numpy(edge_groups(column_start)))
        self.register_buffer("mixing", None)

    def normalised(self) -> Tensor:
        """(3, J, J) edges divided by the square roots of their receiver's and their sender's degree in the group."""
        size = self.edges.abs()
        receiver = size.sum(dim=2, keepdim=True) + _EXTRA_DEGREE
        sender = size.sum(dim=1, keepdim=True) + _EXTRA_DEGREE
        return self.edges * torch.rsqrt(receiver * sender)

    def forward(self) -> Tensor:
        """(J, J * 3): what each joint takes of each joint's three features."""
        if self.mixing is not None:
            return self.mixing
        return self.normalised().permute(1, 2, 0).flatten(1)

    def fold(self) -> None:
        """Keep the normalised edges instead of the learned ones."""
        self.mixing = self.forward().detach().clone()
        del self.edges


class GraphConv(nn.Module):
    """A linear layer with weights for each group, then the sum over the edges; for all joints at once."""

    bias: nn.Parameter | None

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Linear(inputs, _GROUPS * outputs, bias=False)
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-1, 1) / inputs**0.5)
        nn.init.xavier_uniform_(self.weight.weight)

    def forward(self, x: Tensor, mixing: Tensor) -> Tensor:
        """x: (N, J, C_in). mixing: (J, J * 3). Returns (N, J, C_out)."""
        features = self.weight(x).view(x.shape[0], mixing.shape[1], -1)  # (N, J * 3, C_out)
        y: Tensor = mixing.to(features.dtype) @ features
        return y if self.bias is None else y + self.bias


class _JointNorm(nn.BatchNorm1d):
    """Batch norm of (N, J, C) with statistics of their own for each joint and channel."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, J, C) -> (N, J, C)."""
        return super().forward(x.flatten(1)).view(x.shape)


class _Affine(nn.Module):
    """What a batch norm after a bias is in evaluation mode."""

    def __init__(self, norm: _JointNorm, bias: Tensor) -> None:
        super().__init__()
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias + (bias.repeat(_JOINTS) - norm.running_mean) * scale
        self.scale, self.shift = (nn.Parameter(each.detach().view(_JOINTS, -1)) for each in (scale, shift))

    def forward(self, x: Tensor) -> Tensor:
        """(N, J, C) -> (N, J, C)."""
        return x * self.scale + self.shift


class _Layer(nn.Module):
    """Graph convolution, normalised, ReLU, dropout."""

    norm: nn.Module

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.conv = GraphConv(inputs, outputs)
        self.norm = _JointNorm(_JOINTS * outputs)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mixing: Tensor) -> Tensor:
        """(N, J, C_in) -> (N, J, C_out). mixing: see GraphConv."""
        y: Tensor = self.drop(torch.relu(self.norm(self.conv(x, mixing))))
        return y

    def fold(self) -> None:
        """Join bias and norm."""
        assert isinstance(self.norm, _JointNorm) and self.conv.bias is not None
        self.norm, self.conv.bias = _Affine(self.norm, self.conv.bias), None


class _Block(nn.Module):
    """Two layers and a way around them."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = (_Layer(channels, channels, dropout) for _ in range(2))

    def forward(self, x: Tensor, mixing: Tensor) -> Tensor:
        """(N, J, C) -> (N, J, C). mixing: see GraphConv."""
        y: Tensor = self.second(self.first(x, mixing), mixing)
        return x + y


class GraphTrunk(nn.Module):
    """All layers: (N, J, C_in) -> (N, J, C_out) features of joints."""

    def __init__(self, inputs: int, outputs: int, config: PoseGraphNetConfig) -> None:
        super().__init__()
        channels, dropout = config.channels, config.dropout
        self.edges = SkeletonEdges(config.column_start)
        self.head = _Layer(inputs, channels, dropout)
        self.blocks = nn.ModuleList(_Block(channels, dropout) for _ in range(config.blocks))
        self.tail = GraphConv(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, J, C_in) -> (N, J, C_out) in single precision."""
        mixing = self.edges()
        x = self.head(x, mixing)
        for block in self.blocks:
            x = block(x, mixing)
        with full_precision(x):
            y: Tensor = self.tail(x.float(), mixing)
        return y

    def fold(self) -> None:
        """Normalise the edges once; turn batch norms into a scale and a shift."""
        self.edges.fold()
        for layer in [module for module in self.modules() if isinstance(module, _Layer)]:
            layer.fold()


class PoseGraphNet(PoseModel):
    """Lifts one frame of 2D joints to 3D."""

    config: PoseGraphNetConfig

    def __init__(self, config: PoseGraphNetConfig) -> None:
        super().__init__()
        self.config = config
        inputs, outputs = (3, 4) if config.masked else (2, 3)
        self.trunk = GraphTrunk(inputs, config.embedding or outputs, config)
        self.tail = GraphConv(config.embedding, outputs) if config.embedding else None
        last = self.tail or self.trunk.tail
        if config.masked and last.bias is not None:
            start_sigma(last.weight.weight, last.bias)

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Lift the newest frame: `joints_root_m` (B, J, 3) in its person view's axes; if masked, `sigma_m` (B, J)."""
        return self._lift(joint_inputs(kpts[:, -1], visible[:, -1], self.config.masked))

    def lift(self, kpts: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """As answer, for (B, J, 2) whose hidden joints hold a guess (or 0) and seen (B, J, 1) in {0, 1}."""
        return self._lift(torch.cat([kpts, seen], dim=-1) if self.config.masked else kpts)

    def _lift(self, x: Tensor) -> dict[str, Tensor]:
        raw = self.trunk(x)
        if self.tail is not None:
            with full_precision(x):
                raw = self.tail(raw, self.trunk.edges())
        return joint_outputs(raw, self.config.masked)

    def fold(self) -> None:
        """See GraphTrunk.fold."""
        self.trunk.fold()
