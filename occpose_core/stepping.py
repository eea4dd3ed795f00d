"""Asking a streaming model about chosen frames of recordings: all are stepped through side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from occpose_core.runtime.engine import Lifted

if TYPE_CHECKING:
    from occpose_core.runtime import Engine

BATCH = 256


def step_through(
    engine: Engine, kpts: np.ndarray, score: np.ndarray, start: np.ndarray, frames: np.ndarray
) -> Iterator[tuple[np.ndarray, Lifted]]:
    """Step a streaming model so that it answers some frames as if it had run since their recording began.

    kpts: (F, J, 2) and score: (F, J), recordings one after the other. start: (F,) first frame of the own recording.
    frames: (M,) sorted. The model is started as many frames before as it remembers. Yields frames (B,) and their
    answers, each of `frames` once.
    """
    asked = np.zeros(len(kpts), dtype=bool)
    asked[frames] = True
    first, length = _runs(engine.info.window, start, frames)
    for begin in range(0, len(first), BATCH):
        at, left = first[begin : begin + BATCH], length[begin : begin + BATCH]
        state = np.zeros((len(at), engine.info.state_size), dtype=np.float32)
        for step in range(left[0]):
            running = int((left > step).sum())  # longest first
            now = at[:running] + step
            lifted = engine.run(kpts[now, None], score[now, None], state[:running])
            assert lifted.state is not None  # the model streams
            state = lifted.state
            wanted = asked[now]
            if wanted.any():
                yield now[wanted], _only(lifted, wanted)


def _runs(window: int, start: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First frame and length of each stretch to step through, longest first; they do not overlap."""
    if not len(frames):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    begin = np.maximum(start[frames], frames - (window - 1)) if window else start[frames]
    fresh = np.append(True, begin[1:] > frames[:-1])
    last = frames[np.append(np.flatnonzero(fresh)[1:], len(frames)) - 1]
    first = begin[fresh]
    order = np.argsort(first - last, kind="stable")
    return first[order], (last - first + 1)[order]


def _only(lifted: Lifted, rows: np.ndarray) -> Lifted:
    """The answers of some rows, without states."""
    parts = {name: getattr(lifted, name) for name in ("joints_root_m", "sigma_m", "filled")}
    return Lifted(**{name: None if value is None else value[rows] for name, value in parts.items()})
