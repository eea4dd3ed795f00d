"""What all models of one person share: their inputs and outputs, mirroring, and the two forms.

The `paper` form of a published system is told nothing of missing joints: their coordinates become (0, 0). The `masked`
form of the same network also sees which joints are missing, and says how sure it is of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from occpose_core.skeleton import H36M17

_PELVIS = H36M17.index("pelvis")
_MIRROR = H36M17.mirror.tolist()
_NOT_PELVIS = [float(joint != _PELVIS) for joint in range(len(H36M17.joints))]
_LOG_SIGMA = (-7.0, 1.0)  # 0.9 mm to 2.7 m
_START_LOG_SIGMA = -2.0  # 14 cm


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every family's config has.

    masked: the form. flip_average: answer for the mirrored person too and average, for twice the arithmetic; left and
    right are then treated alike, exactly. The papers do it in their evaluations only.
    """

    masked: bool = False
    flip_average: bool = False


def take(values: Tensor, rows: Sequence[int], dim: int) -> Tensor:
    """The rows of a dimension, in that order; a list for an index is exported as three nodes or more."""
    return values.index_select(dim, torch.tensor(rows, device=values.device))


def mirrored(points: Tensor) -> Tensor:
    """Mirror (..., J, C) points: x is negated, left and right joints change places."""
    sign = points.new_tensor([-1.0] + [1.0] * (points.shape[-1] - 1))
    return take(points, _MIRROR, -2) * sign


def joint_inputs(kpts: Tensor, visible: Tensor, masked: bool) -> Tensor:
    """Network input (..., J, 2), or (..., J, 3) with 1 for visible: hidden coordinates are 0, whatever was given.

    kpts: (..., J, 2). visible: (..., J), 0 = missing.
    """
    seen = (visible > 0)[..., None]
    kpts = torch.where(seen, kpts, 0.0)
    return torch.cat([kpts, seen.to(kpts.dtype)], dim=-1) if masked else kpts


def joint_outputs(raw: Tensor, masked: bool) -> dict[str, Tensor]:
    """Joints (..., J, 3) m of a network's raw answer (..., J, 3); masked (..., J, 4): pelvis at 0, and sigma (..., J).

    In the paper form the root is predicted like any joint (its target is 0); PoseModel.forward sets it to 0.
    """
    if not masked:
        return {"joints_root_m": raw}
    joints, log_sigma = torch.split(raw, [3, 1], dim=-1)
    joints = joints - joints[..., _PELVIS : _PELVIS + 1, :]
    return {"joints_root_m": joints, "sigma_m": torch.exp(log_sigma.squeeze(-1).clamp(*_LOG_SIGMA))}


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """A context without automatic mixed precision, where it is on for the tensor's device."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def start_sigma(weight: Tensor, bias: Tensor) -> None:
    """Let a last layer's every fourth row, the log of sigma, start near 14 cm for all joints, in place.

    A fresh network may be metres off and yet as sure as a millimetre: the likelihood's gradient then drowns all else.
    """
    with torch.no_grad():
        weight[3::4].mul_(0.01)
        bias[3::4].fill_(_START_LOG_SIGMA)


class PoseModel(nn.Module, ABC):
    """Base of all models; subclasses implement `answer` and `fold`.

    window: frames of input. look_ahead: how many of them lie behind the answered one.
    """

    config: ModelConfig
    window: int = 1
    look_ahead: int = 0

    @property
    def outputs(self) -> tuple[str, ...]:
        """Of "joints_root_m", "sigma_m" and "filled", what `forward` gives."""
        return ("joints_root_m", "sigma_m") if self.config.masked else ("joints_root_m",)

    @abstractmethod
    def answer(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """The network's own answer: what `forward` returns, before averaging. Training sees this alone."""

    @abstractmethod
    def fold(self) -> None:
        """Make everything static that can be, in place, for deployment; equal in evaluation mode."""

    def forward(self, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Answer for one frame of the window, the newest unless the model looks ahead.

        kpts: (B, T, J, 2), each frame in its own person view, of any value where hidden. visible: (B, T, J), 0 =
        missing, else the detector's score in (0, 1].
        Returns `joints_root_m` (B, J, 3), `sigma_m` (B, J) and `filled` (B, J, 2), as far as the model has them.
        """
        return self.finished(self.answer(*self.ways(kpts, visible)))

    def ways(self, kpts: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """What `answer` is asked: the people (B, ...) or, to average, also the mirrored ones after them (2 B, ...)."""
        if not self.config.flip_average:
            return kpts, visible
        return torch.cat([kpts, mirrored(kpts)]), torch.cat([visible, take(visible, _MIRROR, -1)])

    def finished(self, answer: dict[str, Tensor]) -> dict[str, Tensor]:
        """What `forward` returns, of the answer for all ways (B or 2 B, ...): averaged, with the pelvis at 0."""
        if self.config.flip_average:
            answer = {name: _averaged(name, answer[name]) for name in self.outputs}
        if not self.config.masked and "joints_root_m" in answer:
            joints = answer["joints_root_m"]
            answer = {**answer, "joints_root_m": joints * joints.new_tensor(_NOT_PELVIS)[:, None]}
        return {name: answer[name] for name in self.outputs}


def _averaged(name: str, both: Tensor) -> Tensor:
    """The mean of an output for the person and, mirrored back, for the mirrored person: (2 B, ...) -> (B, ...)."""
    ways = both.unflatten(0, (2, -1))  # type: ignore[no-untyped-call]
    back = take(ways[1], _MIRROR, -1) if name == "sigma_m" else mirrored(ways[1])
    return (ways[0] + back) / 2  # type: ignore[no-any-return]
