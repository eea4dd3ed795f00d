"""Clothes, skin, hair and faces of the capsule body, painted by its parts and by where a point is at rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from occpose_core.body.capsules import capsule_parts
from training.rendering.textures import Texture, draw_colour, draw_texture

_ARMS, _LEGS = ("sleeves", "forearms"), ("trousers", "shanks")
# Ranges of metres at rest, from the pelvis: how far sleeves reach along the arm, trousers and shirts down the body.
_SLEEVES_M = ((0.25, 0.42), (0.66, 0.70))
_TROUSERS_M = ((-0.42, -0.22), (-0.88, -0.80))
_SHIRTS_M = ((-0.04, 0.06), (-0.35, -0.12))
_LONG = (0.5, 0.7, 0.12)  # shares of long sleeves, long trousers, and shirts that are coats or dresses
_BALD = 0.08


@dataclass(frozen=True, kw_only=True, eq=False)
class Clothes:
    """part: (V,) of the body's vertices, an index into names. Lengths as above, in metres at rest; colours RGB."""

    part: np.ndarray
    names: tuple[str, ...]
    shirt: Texture
    trousers: Texture
    shoes: Texture
    skin: np.ndarray
    hair: np.ndarray
    sleeves_end_m: float
    trousers_end_m: float
    shirt_end_m: float

    def at(self, points_m: np.ndarray, vertex: np.ndarray) -> np.ndarray:
        """(N, 3) RGB of surface points (N, 3) m where they are at rest, each with its nearest vertex (N,)."""
        part = self.part[vertex]
        worn = self._worn(points_m, part)
        colours = np.empty((len(points_m), 3))
        for where, paint in self._paints(points_m, part, worn):
            colours[where] = paint(points_m[where]) if callable(paint) else paint
        return colours

    def _paints(
        self, points_m: np.ndarray, part: np.ndarray, worn: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray | Callable[[np.ndarray], np.ndarray]]]:
        """What covers which points, the later over the earlier."""
        face = part == self.names.index("face")
        return [
            (np.ones(len(part), dtype=bool), self.skin),
            (worn["trousers"], self.trousers.at),
            (worn["shirt"], self.shirt.at),
            (part == self.names.index("shoes"), self.shoes.at),
            (part == self.names.index("hair"), self.hair),
            (part == self.names.index("eyes"), np.array([0.93, 0.93, 0.92])),
            (_near_eye(points_m, 0.006) & ~worn["shirt"], np.array([0.08, 0.06, 0.05])),
            (face & _brow(points_m), self.hair * 0.6),
            (face & _mouth(points_m), self.skin * [0.75, 0.4, 0.4]),
        ]

    def _worn(self, points_m: np.ndarray, part: np.ndarray) -> dict[str, np.ndarray]:
        arm, leg = (np.isin(part, [self.names.index(name) for name in names]) for names in (_ARMS, _LEGS))
        height = points_m[:, 1]
        shirt = (part == self.names.index("shirt")) | leg & (height > self.shirt_end_m)
        shirt &= height > self.shirt_end_m
        sleeves = arm & (np.abs(points_m[:, 0]) < self.sleeves_end_m)
        trousers = (leg | (part == self.names.index("shirt"))) & ~shirt & (height > self.trousers_end_m)
        return {"shirt": shirt | sleeves, "trousers": trousers}


def _near_eye(points_m: np.ndarray, radius_m: float) -> np.ndarray:
    x, y, z = np.abs(points_m[:, 0]), points_m[:, 1], points_m[:, 2]
    return np.asarray(((x - 0.032) ** 2 + (y - 0.685) ** 2 < radius_m**2) & (z > 0.07))


def _brow(points_m: np.ndarray) -> np.ndarray:
    x, y, z = np.abs(points_m[:, 0]), points_m[:, 1], points_m[:, 2]
    return np.asarray((np.abs(x - 0.034) < 0.018) & (np.abs(y - 0.705) < 0.005) & (z > 0.05))


def _mouth(points_m: np.ndarray) -> np.ndarray:
    x, y, z = points_m.T
    return np.asarray((np.abs(x) < 0.026) & (np.abs(y - 0.617) < 0.007) & (z > 0.05))


def draw_clothes(split: str, rng: np.random.Generator) -> Clothes:
    """Random clothes; textures are those of the split."""
    part, names = capsule_parts()
    sleeves, trousers, shirt = (
        float(rng.uniform(*ranges[int(rng.random() < share)]))
        for ranges, share in zip((_SLEEVES_M, _TROUSERS_M, _SHIRTS_M), _LONG, strict=True)
    )
    skin = _skin(rng)
    return Clothes(
        part=part,
        names=tuple(names),
        shirt=draw_texture(split, "cloth", rng),
        trousers=draw_texture(split, "cloth", rng),
        shoes=draw_texture(split, "cloth", rng),
        skin=skin,
        hair=skin if rng.random() < _BALD else _hair(rng),
        sleeves_end_m=sleeves,
        trousers_end_m=trousers,
        shirt_end_m=shirt,
    )


def _skin(rng: np.random.Generator) -> np.ndarray:
    """Between dark and light, with a little of each person's own."""
    dark, light = np.array([0.24, 0.14, 0.09]), np.array([0.93, 0.77, 0.66])
    return np.asarray(np.clip(dark + rng.random() * (light - dark) + 0.02 * rng.standard_normal(3), 0.02, 0.98))


def _hair(rng: np.random.Generator) -> np.ndarray:
    """Black to blond and red, grey, and now and then dyed."""
    if rng.random() < 0.1:
        return draw_colour(rng)
    natural = np.array([[0.05, 0.04, 0.04], [0.22, 0.13, 0.07], [0.45, 0.2, 0.08], [0.8, 0.65, 0.4], [0.6, 0.6, 0.6]])
    return np.asarray(np.clip(natural[int(rng.integers(len(natural)))] * rng.uniform(0.8, 1.2), 0.02, 0.98))
