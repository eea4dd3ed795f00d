"""Floors, walls and what hangs on them; or a floor under the open sky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.rendering.furniture import box
from training.rendering.people import Person
from training.rendering.raycast import Mesh
from training.rendering.textures import Texture, draw_texture

_INDOORS = 0.75
_FIELD_M = 40.0


def draw_room(
    split: str, people: Sequence[Person], camera_at_m: np.ndarray, rng: np.random.Generator
) -> list[tuple[Mesh, Texture]]:
    """A floor, and indoors walls that hold the people and the camera, a ceiling, and pictures and doors."""
    joints = np.concatenate([*(person.joints_world_m for person in people), camera_at_m[None]])
    low, high = joints[:, :2].min(axis=0), joints[:, :2].max(axis=0)
    floor = (_slab([-_FIELD_M, -_FIELD_M, -0.1], [_FIELD_M, _FIELD_M, 0.0]), draw_texture(split, "wall", rng))
    if rng.random() > _INDOORS:
        return [floor, (_slab([-90, -90, -0.1], [90, 90, 60]), draw_texture(split, "sky", rng))]
    x0, y0 = low - rng.uniform(0.6, 3.0, size=2)
    x1, y1 = high + rng.uniform(0.6, 3.0, size=2)
    top = max(float(rng.uniform(2.4, 3.5)), float(joints[:, 2].max()) + 0.3)
    walls = _slab([x0, y0, -0.1], [x1, y1, top])
    hung = [(_hung(x0, y0, x1, y1, rng), draw_texture(split, "picture", rng)) for _ in range(int(rng.integers(0, 7)))]
    return [floor, (walls, draw_texture(split, "wall", rng)), *hung]


def _slab(low: Sequence[float], high: Sequence[float]) -> Mesh:
    a, b = np.array(low, dtype=float), np.array(high, dtype=float)
    middle, size = (a + b) / 2, b - a
    return box(middle[0], middle[1], a[2], (size[0], size[1], size[2]))


def _hung(x0: float, y0: float, x1: float, y1: float, rng: np.random.Generator) -> Mesh:
    """A picture, a window or a door on one of the four walls."""
    width, height = rng.uniform(0.4, 1.6), rng.uniform(0.4, 1.9)
    bottom = 0.0 if height > 1.6 else rng.uniform(0.6, 1.4)
    share, thick = rng.uniform(0.1, 0.9), 0.06
    if rng.random() < 0.5:
        return box(x0 + share * (x1 - x0), y0 if rng.random() < 0.5 else y1, bottom, (width, thick, height))
    return box(x0 if rng.random() < 0.5 else x1, y0 + share * (y1 - y0), bottom, (thick, width, height))
