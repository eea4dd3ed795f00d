"""The streaming network: fills and lifts in one pass, frame by frame, with a memory of fixed size for each person.

It takes undistorted rays as the camera gives them. What it does with a frame:

1. `Gaze`, without weights: where each joint was last seen, carried along with the person; a virtual camera that looks
   at all of them, so that the view does not jump when joints hide.
2. Dense layers that a mirror commutes with (models/mirror.py), in residual blocks.
3. `Memory` in each block: a bank of averages over the past, each with weights and a time constant that the network
   sets. A hidden joint gets no weight, so that its average stays.

Training runs whole sequences at once; a robot steps through them frame by frame, with equal answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, normalize, silu, softplus

from occpose_core.errors import OccposeError
from occpose_core.models.mirror import MirrorHead, MirrorLinear, halves, of_whole, per_joint, plain
from occpose_core.models.pose_model import ModelConfig, PoseModel, full_precision, joint_outputs
from occpose_core.models.scan import scan
from occpose_core.skeleton import H36M17

_JOINTS = len(H36M17.joints)
_MAX_RAY = 8.0  # 83 degrees off the axis: farther out a pinhole's plane holds nothing
_MIN_SCALE = 1e-3
# Of the log of the person's size in rays, 2 to 7 m away: what training shows. Nearer and farther count as that.
_LOG_SCALES = (-2.8, -1.4)
_MAX_KPTS = 6.0  # in units of the person's size
_TIME_CONSTANTS_S = (0.03, 10.0)  # of the averages, at the start of training
_NO_WEIGHT = 1e-6  # averages of less weight in all fade to 0
_INPUTS = per_joint(-1.0) + per_joint() + per_joint() + per_joint() + per_joint() + of_whole()
_OUTPUTS = per_joint(-1.0) + per_joint() + per_joint() + per_joint() + per_joint(-1.0) + per_joint()


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


@dataclass(frozen=True, eq=False)
class View:
    """A virtual camera that looks at a person. axes: (..., 3, 3), rows right, down, forward in camera axes.

    kpts: (..., J, 2) in it, divided by scale (...,); 0 where a joint was never seen.
    """

    axes: Tensor
    scale: Tensor
    kpts: Tensor

    def to_cam(self, joints: Tensor) -> Tensor:
        """(..., J, 3) from the view's axes to the camera's."""
        return joints @ self.axes

    def rays(self, kpts: Tensor) -> Tensor:
        """(..., J, 2) in units of scale -> camera rays."""
        flat = kpts * self.scale[..., None, None]
        cam = self.to_cam(torch.cat([flat, torch.ones_like(flat[..., :1])], dim=-1))
        return (cam[..., :2] / cam[..., 2:].clamp(min=1e-2)).clamp(-_MAX_RAY, _MAX_RAY)


def hold(rays: Tensor, seen: Tensor, dt_s: Tensor, held: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
    """Carry what was last seen of a person into the next frame.

    rays: (B, J, 2), of any value where not seen. seen: (B, J) in {0, 1}. dt_s: (B,) since the last frame. held: (B, J,
    2) rays so far. fresh: (B, J), 1 / (1 + seconds since last seen), 0 = never. Hidden joints move as the others do on
    average. Returns held and fresh after this frame.
    """
    weight = fresh * seen
    apart = torch.where(seen[..., None] > 0, rays - held, torch.zeros_like(rays))
    total = weight.sum(dim=-1)[:, None, None]
    moved = (apart * weight[..., None]).sum(dim=1, keepdim=True) / total.clamp(min=1e-6)
    carried = torch.where(fresh[..., None] > 0, held + moved, torch.zeros_like(held)).clamp(-_MAX_RAY, _MAX_RAY)
    aged = fresh / (1.0 + fresh * dt_s[:, None])
    return torch.where(seen[..., None] > 0, rays, carried), torch.where(seen > 0, torch.ones_like(aged), aged)


def look(held: Tensor, fresh: Tensor) -> View:
    """Turn a virtual camera, panned and tilted but never rolled, at the joints: (..., J, 2) weighted by (..., J)."""
    rays = torch.cat([held, torch.ones_like(held[..., :1])], dim=-1)
    total = fresh.sum(dim=-1)
    toward = (normalize(rays, dim=-1) * fresh[..., None]).sum(dim=-2)
    x, y, z = toward.unbind(-1)
    forward = normalize(torch.stack([x, y, z + 1e-6], dim=-1), dim=-1)
    x, y, z = forward.unbind(-1)
    level = torch.sqrt(x * x + z * z).clamp(min=1e-6)
    right = torch.stack([z / level, torch.zeros_like(x), -x / level], dim=-1)
    down = torch.stack([-x * y / level, level, -z * y / level], dim=-1)
    axes = torch.stack([right, down, forward], dim=-2)
    view = rays @ axes.transpose(-1, -2)
    flat = (view[..., :2] / view[..., 2:].clamp(min=0.1)).clamp(-_MAX_RAY, _MAX_RAY)
    square = (flat.square().sum(dim=-1) * fresh).sum(dim=-1) / total.clamp(min=1e-6)
    scale = torch.sqrt(square.clamp(min=_MIN_SCALE**2))
    kpts = (flat / scale[..., None, None]).clamp(-_MAX_KPTS, _MAX_KPTS)
    return View(axes, scale, torch.where(fresh[..., None] > 0, kpts, torch.zeros_like(kpts)))


class Memory(nn.Module):
    """Weighted averages over the past, (T, B, width) -> (T, B, width).

    Average = sum of weight x value over sum of weights; each frame's weight is the network's, times the time that the
    frame stands for, and fades with a time constant that the network modulates. Hence any frame rate gives the same.
    """

    def __init__(self, width: int, memory: int) -> None:
        super().__init__()
        self.size = memory
        self.into = nn.ModuleList(MirrorLinear(halves(width), memory) for _ in range(3))
        self.out = MirrorLinear(halves(memory), width, gain=0.5)
        shortest, longest = (torch.tensor(each).log() for each in _TIME_CONSTANTS_S)
        rate = torch.exp(-torch.linspace(shortest, longest, memory // 2))
        self.rate = nn.Parameter(torch.log(torch.expm1(rate)))  # of fading, 1/s, before softplus

    def forward(self, x: Tensor, dt_s: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x: (T, B, width). dt_s: (T, B). state: (B, 2, memory). Returns (T, B, width) and the state behind them."""
        value, weight, forget = (each(x) for each in self.into)
        with full_precision(x):
            rate = softplus(self.rate).repeat(2) * 2 * _share(forget.float())
            kept = torch.exp(-dt_s[..., None] * rate)
            weight = (1 - kept) * _share(weight.float())
            total = scan(kept, weight, state[:, 1])
            weighted = scan(kept, weight * value.float(), state[:, 0])
            average = weighted / (total + _NO_WEIGHT)
        return self.out(average.to(x.dtype)), torch.stack([weighted[-1], total[-1]], dim=1)


def _share(x: Tensor) -> Tensor:
    """The logistic function. Runtimes approximate their own to 1e-7: for weights as small as that, to nothing."""
    return 1 / (1 + torch.exp(-x.clamp(min=-60.0)))


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
        """Answers (B, T, J, ...) for all frames of sequences that begin without a past; see `run`.

        kpts: (B, T, J, 2) rays. visible: (B, T, J). dt_s: (B, T), 1 / 30 if not given.
        """
        state = kpts.new_zeros((len(kpts), self.state_size))
        dt_s = torch.full_like(visible[..., 0], 1 / 30) if dt_s is None else dt_s
        return self.run(kpts, visible, dt_s, state)[0]

    def forward(self, kpts: Tensor, visible: Tensor, dt_s: Tensor | None = None) -> dict[str, Tensor]:
        """The answer for the newest frame of (B, T, J, 2), (B, T, J) and (B, T); see `answer`."""
        answer = self.answer(kpts, visible, dt_s)
        return {name: answer[name][:, -1] for name in self.outputs}

    def run(self, kpts: Tensor, visible: Tensor, dt_s: Tensor, state: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Take the next T frames of B people.

        kpts: (B, T, J, 2) undistorted rays in the camera frame, of any value where hidden. visible: (B, T, J), 0 =
        missing, else the score in (0, 1]. dt_s: (B, T) seconds since the frame before, > 0; of no effect for a person
        without a past. state: (B, state_size), zeros without a past.
        Returns joints_root_m (B, T, J, 3) in camera axes, sigma_m (B, T, J), filled (B, T, J, 2) rays, visible ones as
        given; and the new state.
        """
        kpts, visible, dt_s = kpts.transpose(0, 1), visible.transpose(0, 1), dt_s.transpose(0, 1)
        with full_precision(kpts):
            held, fresh = self._gaze(kpts, visible, dt_s, state)
            view = look(held, fresh)
            features = _features(view, visible, fresh)
        x, memories = self._hidden(features, dt_s, state[:, 3 * _JOINTS :])
        with full_precision(kpts):
            answer = self._answers(self.tail(_norm(x.float())), view, kpts, visible)
        new_state = torch.cat([held[-1].flatten(1), fresh[-1], *memories], dim=-1)
        return {name: each.transpose(0, 1) for name, each in answer.items()}, new_state

    @torch.no_grad()
    def _gaze(self, kpts: Tensor, visible: Tensor, dt_s: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Where joints were last seen (T, B, J, 2), and how fresh that is (T, B, J)."""
        held = state[:, : 2 * _JOINTS].unflatten(-1, (_JOINTS, 2))  # type: ignore[no-untyped-call]
        fresh = state[:, 2 * _JOINTS : 3 * _JOINTS]
        kpts, seen = kpts.clamp(-_MAX_RAY, _MAX_RAY), (visible > 0).to(kpts.dtype)
        frames = []
        for frame in range(len(kpts)):
            held, fresh = hold(kpts[frame], seen[frame], dt_s[frame], held, fresh)
            frames.append((held, fresh))
        return torch.stack([each for each, _ in frames]), torch.stack([each for _, each in frames])

    def _hidden(self, features: Tensor, dt_s: Tensor, state: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The hidden vectors (T, B, width) before the last layer, and the memories' states (B, 2 memory) behind."""
        x = self.head(features)
        states = state.unflatten(-1, (self.config.blocks, 2, self.config.memory))  # type: ignore[no-untyped-call]
        behind = []
        for block, memory in enumerate(self.memories):
            x = x + self.mlps[block](_norm(x))
            change, after = memory(_norm(x), dt_s, states[:, block])
            x = x + change
            behind.append(after.flatten(1))
        return x + self.mlps[-1](_norm(x)), behind

    def _answers(self, raw: Tensor, view: View, kpts: Tensor, visible: Tensor) -> dict[str, Tensor]:
        channels = raw.unflatten(-1, (6, _JOINTS)).transpose(-1, -2)  # type: ignore[no-untyped-call]
        lifted = joint_outputs(channels[..., :4], masked=True)
        seen = visible > 0
        view_kpts = view.kpts + channels[..., 4:]
        return {
            "joints_root_m": view.to_cam(lifted["joints_root_m"]),
            "sigma_m": lifted["sigma_m"] * self.sigma_scale[seen.long()],
            "filled": torch.where(seen[..., None], kpts, view.rays(view_kpts)),
        }

    def fold(self) -> None:
        """Make plain linear layers of the mirrored ones, in place."""
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, (MirrorLinear, MirrorHead)):
                    setattr(parent, name, plain(child))

    def streaming(self) -> StreamStep:
        """The same network for one frame at a time."""
        return StreamStep(self)


class StreamStep(nn.Module):
    """Stream for one frame: kpts (B, 1, J, 2), visible (B, 1, J), dt_s (B,), state (B, S)."""

    def __init__(self, model: Stream) -> None:
        super().__init__()
        self.model, self.state_size = model, model.state_size

    def forward(self, kpts: Tensor, visible: Tensor, dt_s: Tensor, state: Tensor) -> dict[str, Tensor]:
        answer, new_state = self.model.run(kpts, visible, dt_s[:, None], state)
        return {**{name: each[:, 0] for name, each in answer.items()}, "new_state": new_state}


def _features(view: View, visible: Tensor, fresh: Tensor) -> Tensor:
    """(T, B, inputs) in the order of _INPUTS."""
    seen = (visible > 0).to(visible.dtype)
    size = view.scale.log().clamp(*_LOG_SCALES)[..., None] - sum(_LOG_SCALES) / 2
    return torch.cat([view.kpts[..., 0], view.kpts[..., 1], seen, visible.clamp(0, 1), fresh, size], dim=-1)
