"""Closed tubes of rings: what the capsule body is made of.

A tube runs along one axis of the body. A row of its table is one ring: (position along the axis, centre on the other
two axes in the order x, y, z, half width on the first of them, and on the second half depth towards plus and towards
minus). A row of no width is a pole, one vertex; the first and the last row are poles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Row = tuple[float, float, float, float, float, float]


def pole(along: float, first: float, second: float) -> Row:
    """The row that closes a tube."""
    return (along, first, second, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Tube:
    """along: the axis, 0 to 2. sides: vertices a ring. squareness: exponent of the rings, superellipses; 2 is round."""

    along: int
    sides: int
    rows: tuple[Row, ...]
    squareness: float = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Mesh:
    """vertices_m: (V, 3) float64. faces: (F, 3) int64, counter-clockwise from outside. along_m: (V,) of the row."""

    vertices_m: np.ndarray
    faces: np.ndarray
    along_m: np.ndarray


def mesh(tube: Tube) -> Mesh:
    """The closed surface of a tube."""
    rings = [_ring(row, tube) for row in tube.rows]
    vertices_m = np.concatenate(rings)
    return Mesh(
        vertices_m=vertices_m,
        faces=_outward(vertices_m, _faces([len(ring) for ring in rings])),
        along_m=np.repeat([row[0] for row in tube.rows], [len(ring) for ring in rings]),
    )


def mirrored(mesh: Mesh) -> Mesh:
    """The same on the other side of the body, x negated."""
    return Mesh(vertices_m=mesh.vertices_m * [-1.0, 1.0, 1.0], faces=mesh.faces[:, ::-1], along_m=mesh.along_m)


def signed_volume(vertices_m: np.ndarray, faces: np.ndarray) -> float:
    """Volume that a closed surface encloses, in the cube of its unit; negative if its faces look inwards."""
    corners = vertices_m[faces]
    return float(np.sum(np.cross(corners[:, 0], corners[:, 1]) * corners[:, 2]) / 6.0)


def _ring(row: Row, tube: Tube) -> np.ndarray:
    along, first, second, half, plus, minus = row
    if half == plus == minus == 0.0:
        offsets = np.zeros((1, 2))
    else:
        angle = np.arange(tube.sides) * (2 * np.pi / tube.sides)
        round_ = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        offsets = np.sign(round_) * np.abs(round_) ** (2.0 / tube.squareness)
        offsets *= np.stack([np.full(tube.sides, half), np.where(offsets[:, 1] > 0, plus, minus)], axis=1)
    return np.insert(offsets + [first, second], tube.along, along, axis=1)


def _faces(counts: list[int]) -> np.ndarray:
    """Triangles between neighbouring rings of so many vertices; a pole has one."""
    faces = []
    starts = np.cumsum([0, *counts])
    for start, count, following in zip(starts[:-2], counts[:-1], counts[1:], strict=True):
        step = np.arange(max(count, following))
        near, near_next = start + step % count, start + (step + 1) % count
        far, far_next = start + count + step % following, start + count + (step + 1) % following
        if count > 1:
            faces.append(np.stack([near, near_next, far], axis=1))
        if following > 1:
            faces.append(np.stack([near_next, far_next, far], axis=1))
    return np.concatenate(faces).astype(np.int64)


def _outward(vertices_m: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return faces if signed_volume(vertices_m, faces) > 0 else faces[:, ::-1]
