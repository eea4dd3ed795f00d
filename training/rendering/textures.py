"""Procedural textures: colours of points on a surface. Some are kept for the test split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Texture:
    """A pattern of two colours.

    pattern: a key of PATTERNS. colours: (2, 3) in [0, 1], RGB. per_metre: repeats a metre. axes: (3, 3) rows, the
    pattern's own axes. phases: (6,) radians, for the irregular ones.
    """

    pattern: str
    colours: np.ndarray
    per_metre: float
    axes: np.ndarray
    phases: np.ndarray

    def at(self, points_m: np.ndarray, vertex: np.ndarray | None = None) -> np.ndarray:
        """(N, 3) RGB of points (N, 3) m in the object's own frame; to clothes alone it matters which vertex is near."""
        share = PATTERNS[self.pattern](points_m @ self.axes.T * self.per_metre, self.phases)
        return np.asarray(self.colours[0] * (1.0 - share[:, None]) + self.colours[1] * share[:, None])


Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]  # points (N, 3), phases (6,) -> share of the second colour


def _plain(points: np.ndarray, phases: np.ndarray) -> np.ndarray:
    return np.zeros(len(points))


def _stripes(points: np.ndarray, phases: np.ndarray) -> np.ndarray:
    return np.asarray(np.floor(points[:, 2] * 2) % 2)


def _checks(points: np.ndarray, phases: np.ndarray) -> np.ndarray:
    return np.asarray(np.floor(points * 2 + 1e-3).sum(-1) % 2)


def _clouds(points: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Sums of sines of sines: smooth and without a visible period."""
    waves = np.sin(points * 2.1 + phases[:3] + np.sin(points[:, [1, 2, 0]] * 3.3 + phases[3:]) * 1.5).sum(-1)
    fine = np.sin(points[:, [2, 0, 1]] * 7.9 + phases[3:]).sum(-1)
    return np.asarray(np.clip(0.5 + 0.22 * waves + 0.09 * fine, 0.0, 1.0))


def _grain(points: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Wood: rings that wander along one axis."""
    wander = np.sin(points[:, 2] * 0.7 + phases[0]) + np.sin(points[:, 0] * 1.3 + phases[1])
    return np.asarray(0.5 + 0.5 * np.sin(points[:, 1] * 9.0 + 2.0 * wander))


def _dots(points: np.ndarray, phases: np.ndarray) -> np.ndarray:
    return np.asarray((((points * 2 % 1.0) - 0.5) ** 2).sum(-1) < 0.16, dtype=np.float64)


def _bricks(points: np.ndarray, phases: np.ndarray) -> np.ndarray:
    row = np.floor(points[:, 2] * 4)
    along = (points[:, 0] + points[:, 1]) * 2 + 0.5 * (row % 2)
    joint = (points[:, 2] * 4 % 1.0 < 0.12) | (along % 1.0 < 0.06)
    return np.asarray(joint, dtype=np.float64)


PATTERNS: dict[str, Pattern] = {
    "plain": _plain,
    "stripes": _stripes,
    "checks": _checks,
    "clouds": _clouds,
    "grain": _grain,
    "dots": _dots,
    "bricks": _bricks,
}
_SEEN = ("plain", "stripes", "checks", "clouds", "grain")
PATTERNS_OF_SPLIT = {"train": _SEEN, "val": _SEEN, "test": (*_SEEN, "dots", "bricks")}


@dataclass(frozen=True, kw_only=True)
class Style:
    """What a kind of thing looks like.

    plain: share without a pattern. per_metre: range of repeats a metre. value: range of brightness, saturation: largest
    colourfulness, in [0, 1]. contrast: largest difference of the two colours of a pattern.
    """

    plain: float
    per_metre: tuple[float, float]
    value: tuple[float, float]
    saturation: float
    contrast: float


STYLES = {
    "cloth": Style(plain=0.55, per_metre=(3.0, 12.0), value=(0.08, 0.95), saturation=1.0, contrast=0.6),
    "wood": Style(plain=0.6, per_metre=(1.0, 6.0), value=(0.15, 0.95), saturation=0.8, contrast=0.3),
    "wall": Style(plain=0.5, per_metre=(0.4, 3.0), value=(0.4, 1.0), saturation=0.5, contrast=0.25),
    "sky": Style(plain=1.0, per_metre=(1.0, 1.0), value=(0.5, 1.0), saturation=0.5, contrast=0.0),
    "picture": Style(plain=0.2, per_metre=(1.0, 9.0), value=(0.1, 1.0), saturation=1.0, contrast=0.8),
}


def draw_texture(split: str, style: str, rng: np.random.Generator) -> Texture:
    """A texture in a style (a key of STYLES), with random colours."""
    looks = STYLES[style]
    patterned = PATTERNS_OF_SPLIT[split][1:]
    name = PATTERNS_OF_SPLIT[split][0] if rng.random() < looks.plain else str(rng.choice(patterned))
    first = draw_colour(rng, looks.value, looks.saturation)
    second = np.clip(first + rng.uniform(-looks.contrast, looks.contrast, size=3), 0.02, 0.98)
    axes, _ = np.linalg.qr(np.eye(3) + 0.08 * rng.standard_normal((3, 3)))
    return Texture(
        pattern=name,
        colours=np.stack([first, second]),
        per_metre=float(rng.uniform(*looks.per_metre)),
        axes=axes * np.sign(np.diag(axes))[:, None],
        phases=rng.uniform(0, 2 * np.pi, size=6),
    )


def draw_colour(
    rng: np.random.Generator, value: tuple[float, float] = (0.06, 0.95), saturation: float = 1.0
) -> np.ndarray:
    """(3,) RGB: greys and muted colours more often than bright ones."""
    brightness, colourful, hue = rng.uniform(*value), saturation * rng.beta(1.2, 2.0), rng.uniform(0, 6)
    ramp = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0.0, 1.0)
    return np.asarray(brightness * (1.0 - colourful + colourful * ramp))
