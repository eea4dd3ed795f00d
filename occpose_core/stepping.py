"""Asking a streaming model about chosen frames of recordings: all are stepped through side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from occpose_core.runtime.engine import FRAME_S, Lifted

if TYPE_CHECKING:
    from occpose_core.runtime import Engine

BATCH = 256


def step_through(
    engine: Engine,
    kpts: np.ndarray,
    score: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    frames: np.ndarray,
    look_ahead: int = 0,
    rate_hz: float = 1 / FRAME_S,
) -> Iterator[tuple[np.ndarray, Lifted]]:
    """Step a streaming model so that it answers some frames as if it had run since their recording began.

    kpts: (F, J, 2) and score: (F, J), recordings one after the other. start, stop: (F,) first frame of the own
    recording and the one behind its last, which is repeated for models that look ahead. frames: (M,) sorted. rate_hz:
    frames a second. The model is started as many frames before as it remembers. Yields frames (B,) and their answers,
    each of `frames` once.
    """
    asked = np.zeros(len(kpts), dtype=bool)
    asked[frames] = True
    all_runs = _runs(engine.info.window, start[frames], frames, look_ahead)
    for batch in range(0, len(all_runs[0]), BATCH):
        own, first, length = (each[batch : batch + BATCH] for each in all_runs)
        state = np.zeros((len(own), engine.info.state_size), dtype=np.float32)
        for step in range(length[0]):
            running = int((length > step).sum())  # longest first
            now = first[:running] + step
            answered = now - look_ahead
            wanted = (answered >= start[own[:running]]) & asked[np.maximum(answered, 0)]
            now = np.minimum(now, stop[own[:running]] - 1)
            for rows, only_state in ((np.flatnonzero(wanted), False), (np.flatnonzero(~wanted), True)):
                if not len(rows):
                    continue
                given = kpts[now[rows], None], score[now[rows], None], state[rows]
                lifted = engine.run(*given, only_state, np.full(len(rows), 1 / rate_hz, dtype=np.float32))
                state[rows] = lifted.state
                if not only_state:
                    yield answered[rows], lifted


def _runs(window: int, start: np.ndarray, frames: np.ndarray, look_ahead: int) -> tuple[np.ndarray, ...]:
    """An asked frame, first frame and length of each stretch to step through, longest first. start, frames: (M,)."""
    end = frames + look_ahead
    begin = np.maximum(start, end - (window - 1)) if window else start
    fresh = np.ones(len(frames), dtype=bool)
    fresh[1:] = (begin[1:] > end[:-1]) | (start[1:] != start[:-1])
    first, last = begin[fresh], end[np.roll(fresh, -1)]
    order = np.argsort(first - last, kind="stable")
    return frames[fresh][order], first[order], (last - first + 1)[order]
