"""How long a model takes for some people, and how much the pipeline adds to it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np

from occpose_core.camera import load_lens_models
from occpose_core.pipeline import PosePipeline
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import Engine, Lifted
from occpose_core.skeleton import H36M17
from occpose_core.tracking import load_solver
from occpose_core.types import Camera, Keypoints2D

WARM_UPS = 20
_LEAST = 20  # timings, however short the time
FRAME_NS = 33_333_333
_VISIBLE_SHARE = 0.75


def timings(
    once: Callable[[], tuple[float, ...]], seconds: float, warm_ups: int = WARM_UPS, least: int = _LEAST
) -> list[tuple[float, ...]]:
    """What `once` returns, again and again for so long, after some that do not count."""
    for _ in range(warm_ups):
        once()
    found: list[tuple[float, ...]] = []
    end_s = time.perf_counter() + seconds
    while len(found) < least or time.perf_counter() < end_s:
        found.append(once())
    return found


def model_ms(engine: Engine, people: int, seconds: float, seed: int = 0) -> list[float]:
    """Milliseconds of single calls of a model with one batch of people, a quarter of their joints hidden."""
    rng = np.random.default_rng(seed)
    shape = (people, engine.info.frames, len(H36M17.joints))
    kpts = rng.standard_normal((*shape, 2)).astype(np.float32)
    visible = (rng.random(shape) < _VISIBLE_SHARE).astype(np.float32)

    def once() -> tuple[float, ...]:
        begin_s = time.perf_counter()
        engine.run(kpts, visible)
        return (1e3 * (time.perf_counter() - begin_s),)

    return [milliseconds for (milliseconds,) in timings(once, seconds)]


class _Tapped:
    """An engine that keeps its last input."""

    def __init__(self, engine: Engine) -> None:
        self.info, self.backend, self.reason = engine.info, engine.backend, engine.reason
        self._engine = engine

    def run(
        self,
        kpts: np.ndarray,
        visible: np.ndarray,
        state: np.ndarray | None = None,
        only_state: bool = False,
        dt_s: np.ndarray | None = None,
    ) -> Lifted:
        """See Engine.run."""
        self.batch = (kpts, visible, state, only_state, dt_s)
        return self._engine.run(*self.batch)


def pipeline_ms(
    engine: Engine, images: Sequence[Sequence[Keypoints2D]], camera: Camera, seconds: float
) -> tuple[list[float], list[float]]:
    """Milliseconds of steps of the pipeline, and of bare calls of its engine with the same batches.

    Both take turns, image by image, so that a busy moment of the machine hits both. images: people by image, who must
    be lifted in each; repeated at 30 Hz.
    """
    load_lens_models()  # as the node does before the first image
    load_solver()
    tapped = _Tapped(engine)
    pipeline = PosePipeline(tapped, PipelineConfig(max_persons=max(map(len, images))))
    film = zip(itertools.count(0, FRAME_NS), itertools.cycle(images))

    def once() -> tuple[float, ...]:
        stamp_ns, people = next(film)
        begin_s = time.perf_counter()
        pipeline.step(people, stamp_ns, camera)
        stepped_s = time.perf_counter()
        engine.run(*tapped.batch)
        return 1e3 * (stepped_s - begin_s), 1e3 * (time.perf_counter() - stepped_s)

    steps, calls = zip(*timings(once, seconds), strict=True)
    return list(steps), list(calls)
