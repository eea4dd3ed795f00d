"""What engines are compared on: people who move, from wholly visible to wholly hidden, and some who were detected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from occpose_core.checkpoint import RAYS, ModelInfo
from occpose_core.golden import golden
from occpose_core.runtime.engine import FRAME_S, Engine, Lifted, views_for
from occpose_core.skeleton import H36M17

_FRAMES_BEYOND = 8  # that a streaming model is compared for after its memory is full
_FRAMES_REMEMBERED = 40  # that one is compared for that remembers everything
_STEP_S = (1 / 120, 1 / 5)  # between frames of a timed model
_ROWS = 256  # people times frames, about
_MOST_PEOPLE = 32
_RAYS_SPREAD = 0.2  # of a person, in rays
_GARBAGE = 1e4  # where joints are hidden


@dataclass(frozen=True, kw_only=True, eq=False)
class Film:
    """B people over F frames: kpts (B, F, J, 2), visible (B, F, J) and seconds since the frame before, dt_s (B, F).

    compared: the frames whose answers count; those of the others cost time and say no more.
    """

    kpts: Tensor
    visible: Tensor
    dt_s: Tensor
    compared: frozenset[int]


def probes(window: int, batch: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random inputs to compare runtimes on: (B, T, J, 2) and (B, T, J), from nothing to everything hidden."""
    generator = torch.Generator().manual_seed(seed)
    joints = len(H36M17.joints)
    kpts = torch.randn((batch, window, joints, 2), generator=generator)
    share = torch.linspace(0, 1, batch)[:, None, None]
    visible = (torch.rand((batch, window, joints), generator=generator) >= share).float()
    return kpts, visible


def films(info: ModelInfo) -> dict[str, Film]:
    """By name: random numbers that are all visible, such of which more and more are masked, and detected people."""
    return {"random": _random(info, masked=False), "masked": _random(info, masked=True), "golden": _golden(info)}


def answers(engine: Engine, film: Film) -> Iterator[tuple[Lifted, tuple[Tensor, ...]]]:
    """An engine's answers, and what the windowed model is asked for each: kpts, visible, times if it is timed.

    A streaming engine is stepped through. What is hidden is garbage.
    """
    info, state = engine.info, None
    given = torch.where(film.visible[..., None] > 0, film.kpts, _GARBAGE)
    for newest in range(film.kpts.shape[1]):
        if not info.streaming and newest not in film.compared:
            continue
        past = torch.arange(newest - (info.window or newest + 1) + 1, newest + 1).clamp(min=0)
        now = past[-info.frames :]
        dt_s = film.dt_s[:, newest].numpy()
        answer = engine.run(given[:, now].numpy(), film.visible[:, now].numpy(), state, dt_s=dt_s)
        state = answer.state
        if newest in film.compared:
            times = (film.dt_s[:, past],) if info.timed else ()
            yield answer, (film.kpts[:, past], film.visible[:, past], *times)


def _random(info: ModelInfo, masked: bool) -> Film:
    """People of random numbers, each somewhere else in the image; masked: some are not seen at all for a while."""
    full = info.window or _FRAMES_REMEMBERED
    frames = full + _FRAMES_BEYOND if info.streaming and info.window else full
    kpts, visible = probes(frames, _people(frames), seed=int(masked))
    if info.normalisation == RAYS:
        kpts = _RAYS_SPREAD * kpts + torch.linspace(-1, 1, len(kpts))[:, None, None, None]
    compared = {0, frames - 1} if info.streaming else {frames - 1}
    if not masked:
        visible = torch.ones_like(visible)
    elif info.streaming:
        visible[::2, full // 2 : full // 2 + 3] = 0.0
        compared |= {1, 2, full // 2 + 1, full - 2, full - 1, min(full, frames - 1)}
    shortest, longest = _STEP_S
    share = torch.rand((len(kpts), frames), generator=torch.Generator().manual_seed(0))
    dt_s = shortest * (longest / shortest) ** share
    return Film(kpts=kpts, visible=visible, dt_s=dt_s, compared=frozenset(compared))


def _golden(info: ModelInfo) -> Film:
    """The people of golden.npz, in the views that the model takes them in."""
    rays, score = (each[: _people(info.frames)] for each in golden())
    kpts = views_for(info, rays, score > 0).normalise(rays)
    frames = rays.shape[1]
    return Film(
        kpts=torch.from_numpy(np.where(score[..., None] > 0, kpts, 0).astype(np.float32)),
        visible=torch.from_numpy(score.copy()),
        dt_s=torch.full(score.shape[:2], FRAME_S),
        compared=frozenset({0, frames // 2, frames - 1}),
    )


def _people(frames: int) -> int:
    return min(_MOST_PEOPLE, max(2, _ROWS // frames))
