"""Locally Connected Network: every pair of joints within K hops of each other has weights of its own.

Ci et al., "Optimizing Network Structure for 3D Human Pose Estimation", ICCV 2019 (github.com/CHUNYUWANG/lcn-pose).
The trunk is the published one. In the `masked` form each joint's input is (x, y, visible) in the person view and its
output is a position in metres relative to the pelvis and a standard deviation, instead of image coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from occpose_core.models.pose_model import ModelConfig, PoseModel
from occpose_core.skeleton import H36M17

# Torso links beside the bones: the spine and thorax see hips and shoulders directly.
_TORSO_LINKS = (
    ("spine", "left_hip"),
    ("spine", "right_hip"),
    ("spine", "left_shoulder"),
    ("spine", "right_shoulder"),
)


@dataclass(frozen=True, kw_only=True)
class LCNConfig(ModelConfig):
    """Sizes of the network; the defaults are the published ones but for inputs and outputs (2 and 3 there)."""

    inputs: int = 3  # x, y, visible
    outputs: int = 4  # x, y, z, log sigma
    channels: int = 64  # per joint
    blocks: int = 3  # residual, of two layers each
    hops: int = 3  # joints further apart than this do not see each other in one layer
    dropout: float = 0.25
    max_norm: float = 1.0  # of each layer's whole weight matrix; 0 = unlimited


def structure_matrix(hops: int) -> np.ndarray:
    """(J, J) bool: pairs of `h36m17` joints at most `hops` links apart, themselves included; 175 of 289 for 3."""
    links = np.eye(len(H36M17.joints), dtype=np.int64)
    pairs = [*H36M17.bones, *(tuple(H36M17.indices(*link)) for link in _TORSO_LINKS)]
    for a, b in pairs:
        links[a, b] = links[b, a] = 1
    return np.asarray(np.linalg.matrix_power(links, hops) > 0)


class LocallyConnected(nn.Module):
    """A linear layer on (B, J * C_in) whose weights exist only between joints that are near each other."""

    support: Tensor

    def __init__(self, inputs: int, outputs: int, structure: np.ndarray, max_norm: float) -> None:
        super().__init__()
        joints, self.max_norm = len(structure), max_norm
        rows = joints * inputs
        self.weight = nn.Parameter(torch.empty(joints * outputs, rows))
        self.bias = nn.Parameter(torch.empty(joints * outputs))
        for parameter in (self.weight, self.bias):
            nn.init.trunc_normal_(parameter, std=(2 / rows) ** 0.5, a=-2, b=2)
        support = np.kron(structure, np.ones((outputs, inputs)))
        self.register_buffer("support", torch.tensor(support, dtype=torch.float32), persistent=False)

    def static_weight(self) -> Tensor:
        """The weight that is applied: norm-clipped as a whole, then masked."""
        clip = torch.clamp(self.max_norm / self.weight.norm(), max=1.0) if self.max_norm else 1.0
        return self.weight * clip * self.support

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.static_weight(), self.bias)

    def static(self, scale: Tensor, shift: Tensor) -> nn.Linear:
        """The plain linear layer that equals this one followed by `y * scale + shift`; both (J * C_out,)."""
        layer = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(self.static_weight() * scale[:, None])
            layer.bias.copy_(self.bias * scale + shift)
        return layer


class _JointNorm(nn.BatchNorm1d):
    """Batch norm of (B, J * C) with statistics shared by all joints."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(-1, self.num_features)).view(x.shape)


class _Layer(nn.Module):
    """Locally connected, normalised, leaky ReLU, dropout."""

    mix: nn.Module
    norm: nn.Module

    def __init__(self, inputs: int, config: LCNConfig, structure: np.ndarray) -> None:
        super().__init__()
        self.mix = LocallyConnected(inputs, config.channels, structure, config.max_norm)
        self.norm = _JointNorm(config.channels, eps=1e-3, momentum=0.01)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.drop(leaky_relu(self.norm(self.mix(x)), 0.2))
        return y

    def fold(self) -> None:
        """Become one linear layer and its activation."""
        mix, norm = self.mix, self.norm
        assert isinstance(mix, LocallyConnected) and isinstance(norm, _JointNorm)
        assert norm.running_var is not None and norm.running_mean is not None
        joints = len(mix.bias) // norm.num_features
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        self.mix, self.norm = mix.static(scale.repeat(joints), shift.repeat(joints)), nn.Identity()


class LCN(PoseModel):
    """Lifts one frame of 2D joints to 3D."""

    window = 1

    def __init__(self, config: LCNConfig) -> None:
        super().__init__()
        self.config: LCNConfig = config
        structure = structure_matrix(config.hops)
        self.head = _Layer(config.inputs, config, structure)
        self.blocks = nn.ModuleList(
            nn.Sequential(_Layer(config.channels, config, structure), _Layer(config.channels, config, structure))
            for _ in range(config.blocks)
        )
        # not clipped, for that would limit how far joints can be from the pelvis; and starts near the mean pose
        self.tail: nn.Module = LocallyConnected(config.channels, config.outputs, structure, 0.0)
        with torch.no_grad():
            self.tail.weight.mul_(0.02)
            self.tail.bias.zero_()

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Lift the newest frame: `joints_root_m` (B, J, 3) in the person view's axes, pelvis at 0, `sigma_m` (B, J)."""
        seen = visible[:, -1, :, None]
        kpts = torch.where(seen > 0, kpts[:, -1], torch.zeros_like(kpts[:, -1]))
        return self.lift(kpts, (seen > 0).to(kpts.dtype))

    def lift(self, kpts: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """As answer, for (B, J, 2) whose hidden joints hold a guess (or 0) and seen (B, J, 1) in {0, 1}."""
        x = self.head(torch.cat([kpts, seen], dim=-1).flatten(1))  # (B, J * C)
        for block in self.blocks:
            x = x + block(x)
        out = self.tail(x).unflatten(-1, (len(H36M17.joints), self.config.outputs))  # (B, J, 4)
        joints = out[..., :3] - out[:, :1, :3]
        return {"joints_root_m": joints, "sigma_m": torch.exp(out[..., 3].clamp(-7.0, 1.0))}

    def fold(self) -> None:
        """Turn masks, clips and batch norms into plain linear layers, for deployment; equal in evaluation mode."""
        for layer in [module for module in self.modules() if isinstance(module, _Layer)]:
            layer.fold()
        assert isinstance(self.tail, LocallyConnected)
        outputs = len(self.tail.bias)
        self.tail = self.tail.static(torch.ones(outputs), torch.zeros(outputs))
