"""How long image models take: crops of people, the network alone, a whole step of the pipeline with an image."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np

from occpose_core.camera import rays_from_px, view_of
from occpose_core.crops import person_crops
from occpose_core.pipeline import PosePipeline
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import Engine
from occpose_core.runtime.image_engine import BodyAnswer, ImageEngine, network_images
from occpose_core.types import Camera, Keypoints2D
from occpose_ros.bench.stopwatch import FRAME_NS, timings

_WARM_UPS, _LEAST = 2, 5  # calls: these networks are a hundred times slower than those of keypoints


class _Tapped:
    """An image engine that keeps its last input."""

    def __init__(self, engine: ImageEngine) -> None:
        self.info, self.faces, self.takes_edges = engine.info, engine.faces, engine.takes_edges
        self.backend, self.reason = engine.backend, engine.reason
        self._engine = engine

    def run(
        self, images: np.ndarray, kpts: np.ndarray, visible: np.ndarray, edges: np.ndarray | None = None
    ) -> BodyAnswer:
        """See ImageEngine.run."""
        self.batch = (images, kpts, visible, edges)
        return self._engine.run(*self.batch)


def image_model_ms(
    engine: ImageEngine,
    lifter: Engine,
    images: Sequence[Sequence[Keypoints2D]],
    camera: Camera,
    seconds: float,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Milliseconds of crops, bare calls of the network with these crops, and steps of the pipeline that hold both.

    They take turns. images: people by image, as in pipeline_ms; the pictures are noise, for no time depends on them.
    """
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
    tapped = _Tapped(engine)
    config = PipelineConfig(max_persons=max(map(len, images)))
    pipeline = PosePipeline(lifter, config, body_engine=tapped)
    film = zip(itertools.count(0, FRAME_NS), itertools.cycle(images))

    def once() -> tuple[float, ...]:
        stamp_ns, people = next(film)
        rays = rays_from_px(np.stack([person.xy_px for person in people]), camera)
        views = view_of(rays, np.stack([person.visible for person in people]))
        times_s = [time.perf_counter()]
        network_images(person_crops(picture, camera, views, engine.info.image_size))
        times_s.append(time.perf_counter())
        pipeline.step(people, stamp_ns, camera, image_rgb=picture)
        times_s.append(time.perf_counter())
        engine.run(*tapped.batch)
        times_s.append(time.perf_counter())
        return tuple(1e3 * np.diff(times_s))

    crops, steps, calls = zip(*timings(once, seconds, _WARM_UPS, _LEAST), strict=True)
    return {"crops": list(crops), "network": list(calls), "step": list(steps)}
