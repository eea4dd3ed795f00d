"""Furniture of boxes and prisms that stands before and behind people. Some kinds are kept for the test split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.rendering.raycast import Mesh

_BOX_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
_BOX_QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
_PRISM_SIDES = 14


def box(x_m: float, y_m: float, z_m: float, size_m: tuple[float, float, float]) -> Mesh:
    """A box of (width, depth, height) that stands at x, y, its bottom at z."""
    vertices = _BOX_CORNERS * size_m + [x_m, y_m, z_m]
    faces = [triangle for a, b, c, d in _BOX_QUADS for triangle in ((a, b, c), (a, c, d))]
    return Mesh(vertices_m=vertices, faces=np.array(faces))


def prism(x_m: float, y_m: float, z_m: float, radius_m: float, height_m: float, top_radius_m: float) -> Mesh:
    """A round column or cone that stands at x, y, its bottom at z."""
    angle = np.arange(_PRISM_SIDES) * 2 * np.pi / _PRISM_SIDES
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(_PRISM_SIDES)], axis=-1)
    ends: list[np.ndarray] = [
        circle * radius_m,
        circle * top_radius_m + [0, 0, height_m],
        np.zeros((1, 3)),
        np.array([[0, 0, height_m]]),
    ]
    here = np.arange(_PRISM_SIDES)
    after = (here + 1) % _PRISM_SIDES
    up, bottom = here + _PRISM_SIDES, np.full(_PRISM_SIDES, 2 * _PRISM_SIDES)
    top = bottom + 1
    faces = np.concatenate(
        [
            np.stack([here, after, up], axis=-1),
            np.stack([after, after + _PRISM_SIDES, up], axis=-1),
            np.stack([bottom, after, here], axis=-1),
            np.stack([top, up, after + _PRISM_SIDES], axis=-1),
        ]
    )
    return Mesh(vertices_m=np.concatenate(ends) + [x_m, y_m, z_m], faces=faces)


def joined(meshes: list[Mesh]) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0, *(len(mesh.vertices_m) for mesh in meshes[:-1])])
    return Mesh(
        vertices_m=np.concatenate([mesh.vertices_m for mesh in meshes]),
        faces=np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
    )


def _legs(width: float, depth: float, height: float, thick: float) -> list[Mesh]:
    inset_x, inset_y = width / 2 - thick, depth / 2 - thick
    return [box(x, y, 0.0, (thick, thick, height)) for x in (-inset_x, inset_x) for y in (-inset_y, inset_y)]


def _table(rng: np.random.Generator) -> list[Mesh]:
    width, depth, height = rng.uniform([0.9, 0.5, 0.6], [1.8, 0.9, 0.85])
    return [box(0, 0, height, (width, depth, 0.05)), *_legs(width, depth, height, 0.06)]


def _counter(rng: np.random.Generator) -> list[Mesh]:
    width, depth, height = rng.uniform([0.8, 0.35, 0.75], [2.2, 0.7, 1.15])
    return [box(0, 0, 0, (width, depth, height)), box(0, 0, height, (width + 0.08, depth + 0.08, 0.04))]


def _chair(rng: np.random.Generator) -> list[Mesh]:
    width, depth, seat = rng.uniform([0.4, 0.4, 0.4], [0.55, 0.5, 0.5])
    back = box(0, depth / 2 - 0.02, seat, (width, 0.05, rng.uniform(0.4, 0.65)))
    return [box(0, 0, seat, (width, depth, 0.05)), back, *_legs(width, depth, seat, 0.05)]


def _pillar(rng: np.random.Generator) -> list[Mesh]:
    radius = rng.uniform(0.08, 0.25)
    return [prism(0, 0, 0, radius, 3.2, radius)]


def _crate(rng: np.random.Generator) -> list[Mesh]:
    width, depth, height = rng.uniform([0.35, 0.35, 0.3], [0.8, 0.7, 0.8])
    above = rng.uniform(0.5, 0.95) * np.array([width, depth, height])
    stack = [box(rng.uniform(-0.1, 0.1), 0, height, (above[0], above[1], above[2]))] if rng.random() < 0.5 else []
    return [box(0, 0, 0, (width, depth, height)), *stack]


def _shelf(rng: np.random.Generator) -> list[Mesh]:
    width, depth, height = rng.uniform([0.6, 0.25, 1.0], [1.4, 0.4, 2.0])
    boards = [box(0, 0, z, (width, depth, 0.03)) for z in np.linspace(0.05, height, int(rng.integers(3, 6)))]
    sides = [box(x, 0, 0, (0.04, depth, height)) for x in (-width / 2, width / 2)]
    things = [
        box(rng.uniform(-0.4, 0.4) * width, 0, z + 0.03, (rng.uniform(0.1, 0.3), depth * 0.8, rng.uniform(0.1, 0.22)))
        for z in np.linspace(0.05, height, 4)
    ]
    return [*boards, *sides, *things]


def _screen(rng: np.random.Generator) -> list[Mesh]:
    width, bottom, height = rng.uniform([0.5, 0.1, 0.6], [1.2, 0.8, 1.0])
    feet = [box(x, 0, 0, (0.05, 0.35, 0.04)) for x in (-width / 2, width / 2)]
    posts = [box(x, 0, 0, (0.04, 0.04, bottom + height)) for x in (-width / 2, width / 2)]
    return [box(0, 0, bottom, (width, 0.04, height)), *feet, *posts]


def _sofa(rng: np.random.Generator) -> list[Mesh]:
    width, depth, back = rng.uniform([1.2, 0.7, 0.7], [2.0, 0.9, 0.95])
    arms = [box(x, 0, 0, (0.2, depth, 0.6)) for x in (-width / 2, width / 2)]
    return [box(0, 0, 0, (width, depth, 0.42)), box(0, depth / 2 - 0.1, 0.42, (width, 0.2, back - 0.42)), *arms]


def _barrels(rng: np.random.Generator) -> list[Mesh]:
    radius, height = rng.uniform([0.25, 0.7], [0.35, 1.0])
    return [prism(x, 0, 0, radius, height, radius * 0.9) for x in (0.0, 2.1 * radius)[: int(rng.integers(1, 3))]]


def _plant(rng: np.random.Generator) -> list[Mesh]:
    height = rng.uniform(0.5, 1.1)
    crowns = [
        prism(x, y, height * share, rng.uniform(0.2, 0.35), rng.uniform(0.3, 0.5), 0.03)
        for share, (x, y) in zip((0.5, 0.75, 1.0), rng.uniform(-0.12, 0.12, size=(3, 2)).tolist(), strict=True)
    ]
    return [prism(0, 0, 0, 0.16, 0.35, 0.2), prism(0, 0, 0.35, 0.03, height, 0.02), *crowns]


def _rail(rng: np.random.Generator) -> list[Mesh]:
    width, height = rng.uniform([1.5, 0.8], [2.6, 1.15])
    posts = [box(x, 0, 0, (0.03, 0.03, height)) for x in np.arange(-width / 2, width / 2, rng.uniform(0.15, 0.3))]
    return [box(0, 0, height, (width, 0.06, 0.05)), box(0, 0, 0.08, (width, 0.05, 0.04)), *posts]


KINDS: dict[str, Callable[[np.random.Generator], list[Mesh]]] = {
    "table": _table,
    "counter": _counter,
    "chair": _chair,
    "pillar": _pillar,
    "crate": _crate,
    "shelf": _shelf,
    "screen": _screen,
    "sofa": _sofa,
    "barrels": _barrels,
    "plant": _plant,
    "rail": _rail,
}
_SEEN = ("table", "counter", "chair", "pillar", "crate", "shelf", "screen")
KINDS_OF_SPLIT = {"train": _SEEN, "val": _SEEN, "test": ("sofa", "barrels", "plant", "rail")}


def draw_furniture(split: str, rng: np.random.Generator) -> Mesh:
    """A piece at the origin, z up, its bottom at 0."""
    return joined(KINDS[str(rng.choice(KINDS_OF_SPLIT[split]))](rng))
