"""The streaming network: fills and lifts in one pass, frame by frame, with a memory of fixed size for each person.

It takes undistorted rays as the camera gives them. What it does with a frame:

1. The gaze (models/gaze.py), without weights: where each joint was last seen, carried along with the person; a virtual
   camera that looks at all of them, so that the view does not jump when joints hide.
2. Dense layers that a mirror commutes with (models/mirror.py), in residual blocks.
3. `Memory` in each block: a bank of averages over the past, each with weights and a time constant that the network
   sets. A frame that shows nothing of what is averaged can be given no weight: then the average stays.

Training runs whole sequences at once; a robot steps through them frame by frame, with equal answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, silu, softplus

from occpose_core.errors import OccposeError
from occpose_core.models.gaze import View, follow, hold, look
from occpose_core.models.mirror import MirrorHead, MirrorLinear, MirrorLinears, halves, of_whole, per_joint, plain
from occpose_core.models.pose_model import ModelConfig, PoseModel, full_precision, joint_outputs
from occpose_core.models.scan import scan
from occpose_core.skeleton import H36M17

_JOINTS = len(H36M17.joints)
# Of the log of the person's size in rays, 2 to 7 m away: what training shows. Nearer and farther count as that.
_LOG_SCALES = (-2.8, -1.4)
_TIME_CONSTANTS_S = (0.03, 10.0)  # of the averages, at the start of training
_NO_WEIGHT = 1e-6  # averages of less weight in all fade to 0
_INPUTS = per_joint(-1.0) + per_joint() + per_joint() + per_joint() + per_joint() + of_whole()
_OUTPUTS = per_joint(-1.0) + per_joint() + per_joint() + per_joint() + per_joint(-1.0) + per_joint()

Sums = tuple[Tensor, Tensor]  # of weight x value, and of weight: (B, memory) or (T, B, memory) each


@dataclass(frozen=True, kw_only=True)
class StreamConfig(ModelConfig):
    """Sizes of the network. width: hidden numbers, even. memory: averages a block. Raises OccposeError."""

    masked: bool = True
    width: int = 320
    memory: int = 256
    blocks: int = 2

    def __post_init__(self) -> None:
        if self.width % 2 or self.memory % 2 or min(self.width, self.memory, self.blocks) < 1:
            raise OccposeError(
                f"stream needs an even width and memory and at least 1 block, got {self.width}, {self.memory},"
                f" {self.blocks}"
            )
        if self.flip_average or not self.masked:
            raise OccposeError("stream is masked and treats left and right alike: leave masked and flip_average")


class Memory(nn.Module):
    """Weighted averages over the past, for frames ([T,] B, width): T of them, or just one.

    Average = sum of weight x value over sum of weights; each frame's weight is the network's, times the time that the
    frame stands for, and fades with a time constant that the network modulates. Hence any frame rate gives the same.
    """

    def __init__(self, width: int, memory: int) -> None:
        super().__init__()
        self.size = memory
        self.into = MirrorLinears(MirrorLinear(halves(width), memory) for _ in range(3))
        self.out = MirrorLinear(halves(memory), width, gain=0.5)
        shortest, longest = (torch.tensor(each).log() for each in _TIME_CONSTANTS_S)
        rate = torch.exp(-torch.linspace(shortest, longest, memory // 2))
        self.rate = nn.Parameter(torch.log(torch.expm1(rate)))  # of fading, 1/s, before softplus

    def forward(self, x: Tensor, dt_s: Tensor, before: Sums) -> tuple[Tensor, Sums]:
        """x: ([T,] B, width). dt_s: ([T,] B). before: the sums so far. Returns the like of x, and all frames' sums."""
        value, gates = torch.split(self.into(x), [self.size, 2 * self.size], dim=-1)
        with full_precision(x):
            weight, forget = _share(gates.float()).chunk(2, dim=-1)
            half = dt_s[..., None] * softplus(self.rate).repeat(2) * forget
            kept = torch.exp(-2 * half)
            weight = torch.tanh(half) * (1 + kept) * weight  # tanh(x / 2) (1 + exp(-x)) = 1 - exp(-x), not rounded to 0
            weighted = scan(kept, weight * value.float(), before[0])
            total = scan(kept, weight, before[1])
            average = weighted / (total + _NO_WEIGHT)
        return self.out(average.to(x.dtype)), (weighted, total)


def _share(x: Tensor) -> Tensor:
    """The logistic function. Runtimes approximate their own to 1e-7: for weights as small as that, to nothing."""
    odds = torch.exp(x.clamp(-60.0, 60.0))
    return odds / (1 + odds)


class _Mlp(nn.Module):
    """Two layers on (..., width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = MirrorLinear(halves(width), width)
        self.down = MirrorLinear(halves(width), width, gain=0.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(silu(self.up(x)))
        return y


def _norm(x: Tensor) -> Tensor:
    return layer_norm(x, x.shape[-1:])


class Stream(PoseModel):
    """Fills and lifts people frame by frame; `window` 0: an answer depends on all frames so far."""

    window = 0
    sigma_scale: Tensor

    def __init__(self, config: StreamConfig) -> None:
        super().__init__()
        self.config: StreamConfig = config
        width = config.width
        self.head: nn.Module = MirrorLinear(_INPUTS, width)
        self.mlps = nn.ModuleList(_Mlp(width) for _ in range(config.blocks + 1))
        self.memories = nn.ModuleList(Memory(width, config.memory) for _ in range(config.blocks))
        self.tail: nn.Module = MirrorHead(width, _OUTPUTS, gain=0.2)
        self.register_buffer("sigma_scale", torch.ones(2))  # of hidden and of visible joints, fitted after training

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("joints_root_m", "sigma_m", "filled")

    @property
    def state_size(self) -> int:
        """Numbers that a person's memory holds."""
        return 3 * _JOINTS + 2 * self.config.memory * self.config.blocks

    def answer(self, kpts: Tensor, visible: Tensor, dt_s: Tensor | None = None) -> dict[str, Tensor]:
        """Answers for all frames of sequences that begin without a past.

        kpts: (B, T, J, 2) undistorted rays in the camera frame, of any value where hidden. visible: (B, T, J), 0 =
        missing, else the score in (0, 1]. dt_s: (B, T) seconds since the frame before, > 0; 1 / 30 if not given.
        Returns joints_root_m (B, T, J, 3) in camera axes, sigma_m (B, T, J), filled (B, T, J, 2) rays, visible ones as
        given.
        """
        dt_s = torch.full_like(visible[..., 0], 1 / 30) if dt_s is None else dt_s
        kpts, visible, dt_s = kpts.transpose(0, 1), visible.transpose(0, 1), dt_s.transpose(0, 1)
        nothing = kpts.new_zeros((kpts.shape[1], self.config.memory))
        with full_precision(kpts):
            held, fresh = follow(kpts, visible, dt_s)
        answer, _ = self.lift(kpts, visible, dt_s, held, fresh, [(nothing, nothing)] * self.config.blocks)
        return {name: each.transpose(0, 1) for name, each in answer.items()}

    def forward(self, kpts: Tensor, visible: Tensor, dt_s: Tensor | None = None) -> dict[str, Tensor]:
        """The answer for the newest frame of (B, T, J, 2), (B, T, J) and (B, T); see `answer`."""
        answer = self.answer(kpts, visible, dt_s)
        return {name: answer[name][:, -1] for name in self.outputs}

    def lift(
        self, kpts: Tensor, visible: Tensor, dt_s: Tensor, held: Tensor, fresh: Tensor, before: list[Sums]
    ) -> tuple[dict[str, Tensor], list[Sums]]:
        """Answers for frames ([T,] B, ...) of people whose joints are held, and all frames' sums of each memory."""
        seen = visible > 0
        with full_precision(kpts):
            view = look(held, fresh)
            features = _features(view, seen, visible, fresh)
        x, sums = self._hidden(features, dt_s, before)
        with full_precision(kpts):
            raw = self.tail(_norm(x.float())).unflatten(-1, (6, _JOINTS)).mT
            lifting, change = torch.split(raw, [4, 2], dim=-1)
            lifted = joint_outputs(lifting, masked=True)
            answer = {
                "joints_root_m": view.to_cam(lifted["joints_root_m"]),
                "sigma_m": lifted["sigma_m"] * torch.where(seen, self.sigma_scale[1], self.sigma_scale[0]),
                "filled": torch.where(seen[..., None], kpts, view.rays(view.kpts + change)),
            }
        return answer, sums

    def _hidden(self, features: Tensor, dt_s: Tensor, before: list[Sums]) -> tuple[Tensor, list[Sums]]:
        """The hidden vectors ([T,] B, width) before the last layer, and all frames' sums of each memory."""
        x = self.head(features)
        sums = []
        *mlps, last = self.mlps
        for mlp, memory, past in zip(mlps, self.memories, before, strict=True):
            x = x + mlp(_norm(x))
            change, now = memory(_norm(x), dt_s, past)
            x = x + change
            sums.append(now)
        return x + last(_norm(x)), sums

    def fold(self) -> None:
        """Make plain linear layers of the mirrored ones, in place."""
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, (MirrorLinear, MirrorLinears, MirrorHead)):
                    setattr(parent, name, plain(child))

    def streaming(self) -> StreamStep:
        """The same network for one frame at a time."""
        return StreamStep(self)


class StreamStep(nn.Module):
    """Stream for one frame: kpts (B, 1, J, 2), visible (B, 1, J), dt_s (B,), state (B, S), 0 without a past."""

    def __init__(self, model: Stream) -> None:
        super().__init__()
        self.model, self.state_size = model, model.state_size
        self._sizes = [2 * _JOINTS, _JOINTS] + 2 * model.config.blocks * [model.config.memory]

    def forward(self, kpts: Tensor, visible: Tensor, dt_s: Tensor, state: Tensor) -> dict[str, Tensor]:
        """Outputs (B, J, ...) as of Stream.forward, and new_state (B, S)."""
        kpts, visible = kpts.squeeze(1), visible.squeeze(1)
        held, fresh, *sums = torch.split(state, self._sizes, dim=-1)
        held, fresh = hold(kpts, visible, dt_s, held.reshape(-1, _JOINTS, 2), fresh)
        before = list(zip(sums[::2], sums[1::2], strict=True))
        answer, now = self.model.lift(kpts, visible, dt_s, held, fresh, before)
        return {**answer, "new_state": torch.cat([held.reshape(-1, 2 * _JOINTS), fresh, *chain(*now)], dim=-1)}


def _features(view: View, seen: Tensor, score: Tensor, fresh: Tensor) -> Tensor:
    """([T,] B, inputs) in the order of _INPUTS."""
    size = view.scale[..., 0].log().clamp(*_LOG_SCALES) - sum(_LOG_SCALES) / 2
    return torch.cat([view.kpts.mT.flatten(-2), seen.to(score.dtype), score.clamp(0, 1), fresh, size], dim=-1)
