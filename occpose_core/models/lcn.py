"""Locally Connected Network: every pair of joints within K hops of each other has weights of its own.

Ci et al., "Optimizing Network Structure for 3D Human Pose Estimation", ICCV 2019 (github.com/CHUNYUWANG/lcn-pose).
With `target` "image", as published, the network corrects the 2D joints and adds depths in the same unit: a pose in the
picture. The published evaluation makes metres of it with the true depth and box of the person. Here, where nobody
knows them, the picture is taken as a scaled one (weak perspective) of a person 1.70 m tall. With "metric" the same
trunk gives metres itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear

from occpose_core.errors import OccposeError
from occpose_core.models.pose_model import ModelConfig, PoseModel, full_precision, joint_inputs, joint_outputs
from occpose_core.models.stature import stature
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M
from occpose_core.skeleton import H36M17

TARGETS = ("image", "metric")

_JOINTS = len(H36M17.joints)
_PELVIS = H36M17.index("pelvis")
# Torso links beside the bones: the spine and thorax see hips and shoulders directly.
_TORSO_LINKS = (
    ("spine", "left_hip"),
    ("spine", "right_hip"),
    ("spine", "left_shoulder"),
    ("spine", "right_shoulder"),
)
# Image poses smaller than this are not made larger: in the person view, people are some 3 units tall.
_MIN_STATURE = 0.1
_MOMENTUM = 0.01  # of the batch norms: what a batch adds to the moving averages


@dataclass(frozen=True, kw_only=True)
class LCNConfig(ModelConfig):
    """Form and sizes of the network; the defaults are the published ones. Raises OccposeError.

    score: the paper's optional third input, the detector's score; without it the masked form's is 1 for visible.
    learned_mask: weigh the pairs of joints by a softmax over each joint's sources, which the paper tries too.
    target: what the network gives, of TARGETS.
    """

    score: bool = False
    target: str = "image"
    channels: int = 64  # per joint
    blocks: int = 3  # residual, of two layers each
    hops: int = 3  # joints further apart than this do not see each other in one layer
    learned_mask: bool = False
    dropout: float = 0.25
    max_norm: float = 1.0  # of each layer's whole weight matrix; 0 = unlimited

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise OccposeError(f"unknown LCN target {self.target!r}; known: {', '.join(TARGETS)}")
        if self.hops < 1:
            raise OccposeError(f"LCN needs at least 1 hop, got {self.hops}")


def structure_matrix(hops: int) -> np.ndarray:
    """(J, J) bool: pairs of `h36m17` joints at most `hops` links apart, themselves included; 175 of 289 for 3."""
    links = np.eye(_JOINTS, dtype=np.int64)
    pairs = [*H36M17.bones, *(tuple(H36M17.indices(*link)) for link in _TORSO_LINKS)]
    for a, b in pairs:
        links[a, b] = links[b, a] = 1
    return np.asarray(np.linalg.matrix_power(links, hops) > 0)


class LocallyConnected(nn.Module):
    """A linear layer on (B, J * C_in) whose weights exist only between joints that are near each other."""

    support: Tensor

    def __init__(self, inputs: int, outputs: int, config: LCNConfig) -> None:
        super().__init__()
        structure = structure_matrix(config.hops)
        self.inputs, self.outputs, self.max_norm = inputs, outputs, config.max_norm
        rows = _JOINTS * inputs
        self.weight = nn.Parameter(torch.empty(_JOINTS * outputs, rows))
        self.bias = nn.Parameter(torch.empty(_JOINTS * outputs))
        self.mask = nn.Parameter(torch.zeros(_JOINTS, _JOINTS)) if config.learned_mask else None
        sd = (2 / rows) ** 0.5
        for parameter in (self.weight, self.bias):
            nn.init.trunc_normal_(parameter, std=sd, a=-2 * sd, b=2 * sd)
        support = np.kron(structure, np.ones((outputs, inputs)))
        self.register_buffer("support", torch.tensor(support, dtype=torch.float32), persistent=False)

    def static_weight(self) -> Tensor:
        """The weight that is applied: norm-clipped as a whole, then masked."""
        weight = self.weight * self.support
        if self.max_norm:
            weight = weight * torch.clamp(self.max_norm / self.weight.norm(), max=1.0)
        if self.mask is not None:
            share = _JOINTS * torch.softmax(self.mask, dim=1)  # of each joint's sources; 1 at the start
            weight = weight * share.repeat_interleave(self.outputs, 0).repeat_interleave(self.inputs, 1)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, J * C_in) -> (B, J * C_out)."""
        return linear(x, self.static_weight(), self.bias)

    def static(self, scale: Tensor, shift: Tensor) -> nn.Linear:
        """The plain linear layer that equals this one followed by `y * scale + shift`; both (J * C_out,)."""
        layer = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        with torch.no_grad():
            layer.weight.copy_(self.static_weight() * scale[:, None])
            layer.bias.copy_(self.bias * scale + shift)
        return layer


class _JointNorm(nn.BatchNorm1d):
    """Batch norm of (B, J * C) with statistics shared by all joints.

    Clipped layers give variances of 0.001, and a moving average that starts at 1 needs a thousand steps to get there;
    until it has seen 100 batches the statistics are the mean of all of them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, J * C) -> (B, J * C)."""
        if self.training:
            self.momentum = max(_MOMENTUM, 1 / (int(self.num_batches_tracked or 0) + 1))
        return super().forward(x.view(-1, self.num_features)).view(x.shape)


class _Layer(nn.Module):
    """Locally connected, normalised, leaky ReLU, dropout."""

    mix: nn.Module
    norm: nn.Module

    def __init__(self, inputs: int, config: LCNConfig) -> None:
        super().__init__()
        self.mix = LocallyConnected(inputs, config.channels, config)
        self.norm = _JointNorm(config.channels, eps=1e-3, momentum=_MOMENTUM)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, J * C_in) -> (B, J * C)."""
        y: Tensor = self.drop(leaky_relu(self.norm(self.mix(x)), 0.2))
        return y

    def fold(self) -> None:
        """Become one linear layer and its activation."""
        mix, norm = self.mix, self.norm
        assert isinstance(mix, LocallyConnected) and isinstance(norm, _JointNorm)
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        self.mix, self.norm = mix.static(scale.repeat(_JOINTS), shift.repeat(_JOINTS)), nn.Identity()


class LCN(PoseModel):
    """Lifts one frame of 2D joints to 3D."""

    def __init__(self, config: LCNConfig) -> None:
        super().__init__()
        self.config: LCNConfig = config
        inputs, outputs = 3 if config.masked or config.score else 2, 4 if config.masked else 3
        self.head = _Layer(inputs, config)
        self.blocks = nn.ModuleList(
            nn.Sequential(_Layer(config.channels, config), _Layer(config.channels, config))
            for _ in range(config.blocks)
        )
        self.tail: nn.Module = _tail(outputs, config)

    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Lift the newest frame: `joints_root_m` (B, J, 3) in the person view's axes, masked also `sigma_m` (B, J).

        With the target "image" also `joints_image` (B, J, 3): x, y in the unit of kpts, and depth behind the pelvis in
        that unit at the pelvis.
        """
        visible = visible[:, -1]
        return self.lift(joint_inputs(kpts[:, -1], visible, masked=False), visible[..., None])

    def lift(self, kpts: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """As answer, for (B, J, 2) whose hidden joints hold a guess (or 0), and seen (B, J, 1): the score, 0 = not."""
        raw = self._raw(kpts, seen)
        if self.config.target == "metric":
            return joint_outputs(raw, self.config.masked)
        joints_image = torch.cat([kpts + raw[..., :2], raw[..., 2:3]], dim=-1)
        joints = metric_pose(joints_image)
        lifted = joint_outputs(torch.cat([joints, raw[..., 3:]], dim=-1), self.config.masked)
        return {**lifted, "joints_image": joints_image}

    def fold(self) -> None:
        """Turn masks, clips and batch norms into plain linear layers, for deployment; equal in evaluation mode."""
        for layer in [module for module in self.modules() if isinstance(module, _Layer)]:
            layer.fold()
        assert isinstance(self.tail, LocallyConnected)
        outputs = len(self.tail.bias)
        self.tail = self.tail.static(torch.ones(outputs), torch.zeros(outputs))

    def _raw(self, kpts: Tensor, seen: Tensor) -> Tensor:
        """The last layer's (B, J, 3 or 4)."""
        channel = seen if self.config.score else (seen > 0).to(kpts.dtype)
        given = torch.cat([kpts, channel], dim=-1) if self.config.masked or self.config.score else kpts
        x = self.head(given.flatten(1))  # (B, J * C)
        for block in self.blocks:
            x = x + block(x)
        with full_precision(kpts):
            raw: Tensor = self.tail(x.to(kpts.dtype))
        return raw.unflatten(-1, (_JOINTS, -1))  # type: ignore[no-any-return, no-untyped-call]


def metric_pose(joints_image: Tensor) -> Tensor:
    """The pose (B, J, 3), metres from the pelvis, of a 1.70 m tall person of whom this is a scaled picture."""
    joints = joints_image - joints_image[:, _PELVIS : _PELVIS + 1]
    scale = ASSUMED_HEIGHT_M / stature(joints).clamp(min=_MIN_STATURE)
    return joints * scale[:, None, None]


def _tail(outputs: int, config: LCNConfig) -> LocallyConnected:
    """The last layer.

    Its norm is clipped as published where it corrects an image pose. Where it gives metres a clip would limit how far
    joints can be from the pelvis, so there is none, and it starts near 0.
    """
    tail = LocallyConnected(config.channels, outputs, config)
    if config.target == "metric":
        tail.max_norm = 0.0
        with torch.no_grad():
            tail.weight.mul_(0.02)
            tail.bias.zero_()
    return tail
