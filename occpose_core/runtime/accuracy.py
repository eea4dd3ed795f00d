"""Whether an engine gives the answers of the model: compared with ONNX Runtime before it serves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from occpose_core.checkpoint import ModelInfo
from occpose_core.golden import FRAMES, golden
from occpose_core.runtime.engine import FRAME_S, Engine, views_for
from occpose_core.skeleton import H36M17

TOLERANCES_M = {"fp32": 1e-3, "fp16": 5e-3}  # by the precision of the model
_STEPS = 8  # of random people, for a streaming model
_STEP_S = (1 / 120, 1 / 5)

_Frames = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]  # kpts, visible and dt_s, as Engine.run takes them


def largest_differences(engine: Engine, reference: Engine) -> dict[str, float]:
    """Largest difference of any number of the answers, in metres for joints; infinite where one is not finite.

    By input: "golden", detected people; "random", all visible; "masked", from wholly visible to wholly hidden, in every
    batch size, and in numbers that are filled up or divided. Those of streaming models are followed, each engine with
    its own memory.
    """
    info = reference.info
    most = max(info.batches)
    masked = (_random(info, people, masked=True) for people in (*info.batches, most + 3))
    inputs = {"golden": [_golden(info)], "random": [_random(info, most, masked=False)], "masked": masked}
    return {
        name: max(_largest_difference(engine, reference, frames) for frames in each) for name, each in inputs.items()
    }


def _largest_difference(engine: Engine, reference: Engine, frames: _Frames) -> float:
    worst = 0.0
    states: tuple[np.ndarray | None, ...] = (None, None)
    for kpts, visible, dt_s in frames:
        answer = engine.run(kpts, visible, states[0], dt_s=dt_s)
        expected = reference.run(kpts, visible, states[1], dt_s=dt_s)
        states = answer.state, expected.state
        for name in reference.info.outputs:
            difference = float(np.abs(getattr(answer, name) - getattr(expected, name)).max())
            worst = max(worst, difference if np.isfinite(difference) else np.inf)
    return worst


def refusal(engine: Engine, reference: Engine) -> str:
    """Why an engine must not serve, in half a sentence; empty if it may."""
    difference, tolerance = max(largest_differences(engine, reference).values()), TOLERANCES_M[reference.info.precision]
    if difference <= tolerance:
        return ""
    return f"its answers differ from ONNX Runtime's by {difference * 1e3:.3g} mm, more than {tolerance * 1e3:g} mm"


def _golden(info: ModelInfo) -> _Frames:
    """Detected people, who stood still before they were seen first."""
    rays, score = golden()
    for newest in range(FRAMES) if info.streaming else [FRAMES - 1]:
        past = np.arange(newest - info.frames + 1, newest + 1).clip(min=0)
        views = views_for(info, rays[:, past], score[:, past] > 0)
        yield views.normalise(rays[:, past]).astype(np.float32), score[:, past], np.full(len(rays), FRAME_S)


def _random(info: ModelInfo, people: int, masked: bool) -> _Frames:
    rng = np.random.default_rng(people)
    shape = (people, info.frames, len(H36M17.joints))
    share = np.linspace(0, 1, people)[:, None, None] if people > 1 else 0.3
    hidden = share if masked else 0.0
    for _ in range(_STEPS if info.streaming else 1):
        score = (rng.uniform(0.1, 1, shape) * (rng.random(shape) >= hidden)).astype(np.float32)
        yield rng.normal(size=(*shape, 2)).astype(np.float32), score, rng.uniform(*_STEP_S, people)
