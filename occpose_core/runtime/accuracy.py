"""Whether an engine gives the answers of the model: compared with ONNX Runtime before it serves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from occpose_core.checkpoint import ModelInfo
from occpose_core.runtime.buckets import BUCKETS
from occpose_core.runtime.engine import Engine
from occpose_core.skeleton import H36M17

TOLERANCE_M = {False: 1e-3, True: 5e-3}  # by whether the engine computes in half precision
_PEOPLE = (*BUCKETS, 3, 32)  # every size, one that is filled up, one that takes two calls
_STEPS = 8  # of a streaming model
_STEP_S = (1 / 120, 1 / 5)


def largest_difference(engine: Engine, reference: Engine, seed: int = 0) -> float:
    """Largest difference of any number of the answers, in metres for joints; infinite where one is not finite.

    People are random, from wholly visible to wholly hidden; those of streaming models are followed for some frames,
    each engine with its own memory.
    """
    worst, outputs = 0.0, reference.info.outputs
    for people in _PEOPLE:
        states: list[np.ndarray | None] = [None, None]
        for kpts, visible, dt_s in _frames(reference.info, people, np.random.default_rng((seed, people))):
            answers = [
                each.run(kpts, visible, state, dt_s=dt_s)
                for each, state in zip((engine, reference), states, strict=True)
            ]
            states = [answer.state for answer in answers]
            for name in outputs:
                given, expected = (getattr(answer, name) for answer in answers)
                difference = float(np.abs(given - expected).max())
                worst = max(worst, difference if np.isfinite(difference) else np.inf)
    return worst


def refusal(engine: Engine, reference: Engine, half: bool) -> str:
    """Why an engine must not serve, in half a sentence; empty if it may."""
    difference, tolerance = largest_difference(engine, reference), TOLERANCE_M[half]
    if difference <= tolerance:
        return ""
    return f"its answers differ from ONNX Runtime's by {difference * 1e3:.3g} mm, more than {tolerance * 1e3:g} mm"


def _frames(
    info: ModelInfo, people: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What Engine.run takes: kpts, visible, dt_s."""
    shape = (people, info.frames, len(H36M17.joints))
    hidden = np.linspace(0, 1, people)[:, None, None] if people > 1 else 0.3
    for _ in range(_STEPS if info.streaming else 1):
        kpts = rng.normal(size=(*shape, 2)).astype(np.float32)
        score = (rng.uniform(0.1, 1, shape) * (rng.random(shape) >= hidden)).astype(np.float32)
        yield kpts, score, rng.uniform(*_STEP_S, people).astype(np.float32)
