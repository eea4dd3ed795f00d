"""The capsule body: a body model of our own in the form of SMPL, made by this code alone and free of any other licence.

Tubes of rings make the limbs, linear blend skinning bends them, ten shape components stretch the bones, and the joints
are weighted means of rings of vertices, so that pose and shape move both alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from occpose_core.body import figure
from occpose_core.body.joints import H36M17_IN_SMPL30, SMPL24, SMPL30, SMPL_PARENTS, smpl30_index
from occpose_core.body.shape_components import BELLY, belly_m, shape_directions
from occpose_core.body.tubes import Mesh, mesh, mirrored

# The model's origin lies in the chest, as SMPL's does, and not in the pelvis.
ORIGIN_M = (0.0, -0.22, 0.03)
_NO_PARENT = np.uint32(2**32 - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Piece:
    """A limb in place. first: number of its first vertex."""

    name: str
    limb: figure.Limb
    mesh: Mesh
    first: int

    @property
    def vertices(self) -> slice:
        return slice(self.first, self.first + len(self.mesh.vertices_m))


def capsule_body() -> dict[str, np.ndarray]:
    """The model in the keys of SMPL's files, float64 and uint32.

    v_template (V, 3) m, shapedirs (V, 3, 10) m, posedirs (V, 3, 207) m, J_regressor (24, V), weights (V, 24),
    kintree_table (2, 24), f (F, 3); and of our own h36m17_regressor (17, V) and smpl30_regressor (30, V). Axes at
    rest: x to the person's left, y up, z forward, arms along x.
    """
    pieces, joints_m = _pieces(), _joints_m()
    vertices_m = np.concatenate([piece.mesh.vertices_m for piece in pieces])
    weights = _weights(pieces, vertices_m)
    regressor = _regressor(pieces, joints_m)
    return {
        "v_template": vertices_m + ORIGIN_M,
        "shapedirs": _shapedirs(pieces, vertices_m, weights, joints_m),
        "posedirs": _posedirs(vertices_m, weights, joints_m),
        "J_regressor": regressor[: len(SMPL24)],
        "weights": weights,
        "kintree_table": np.array([[_NO_PARENT, *SMPL_PARENTS[1:]], range(len(SMPL24))], dtype=np.uint32),
        "f": np.concatenate([piece.mesh.faces + piece.first for piece in pieces]).astype(np.uint32),
        "h36m17_regressor": regressor[H36M17_IN_SMPL30],
        "smpl30_regressor": regressor,
    }


def capsule_parts() -> tuple[np.ndarray, tuple[str, ...]]:
    """Which part a vertex belongs to, (V,) int64, and the parts' names: what clothes and skin are coloured by."""
    labels = [_labels(piece) for piece in _pieces()]
    return np.concatenate(labels), figure.PARTS


@lru_cache(maxsize=1)
def _pieces() -> tuple[_Piece, ...]:
    named = [(name, limb, mesh(limb.tube)) for name, limb in figure.MIDDLE.items()]
    for name, limb in figure.LEFT.items():
        surface = mesh(limb.tube)
        named.append((f"left_{name}", limb, surface))
        named.append((f"right_{name}", replace(limb, chain=_of_the_right(limb.chain)), mirrored(surface)))
    pieces, first = [], 0
    for name, limb, surface in named:
        pieces.append(_Piece(name=name, limb=limb, mesh=surface, first=first))
        first += len(surface.vertices_m)
    return tuple(pieces)


def _of_the_right(joints: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(joint.replace("left_", "right_") for joint in joints)


def _joints_m() -> np.ndarray:
    """(24, 3) from the pelvis."""
    both = dict(figure.JOINTS_M)
    for joint, (x, y, z) in figure.JOINTS_M.items():
        both[joint.replace("left_", "right_")] = (-x if joint.startswith("left_") else x, y, z)
    return np.array([both[joint] for joint in SMPL24])


def _labels(piece: _Piece) -> np.ndarray:
    along = piece.mesh.along_m
    outward = np.sign(along[-1] - along[0])
    label = np.zeros(len(along), dtype=np.int64)
    for number, (part, begin) in enumerate(piece.limb.parts):
        label[(outward * (along - begin) >= 0) | (number == 0)] = figure.PARTS.index(part)
    return label


def _rise(x: np.ndarray, begin: float, end: float) -> np.ndarray:
    """From 0 at begin to 1 at end, smoothly."""
    t = np.clip((x - begin) / (end - begin), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _weights(pieces: tuple[_Piece, ...], vertices_m: np.ndarray) -> np.ndarray:
    """(V, 24) blend weights, each row sums to 1."""
    weights = np.zeros((len(vertices_m), len(SMPL24)))
    for piece in pieces:
        along, chain = piece.mesh.along_m, [SMPL24.index(joint) for joint in piece.limb.chain]
        begun = [np.ones(len(along)), *(_rise(along, *onset) for onset in piece.limb.onset_m), np.zeros(len(along))]
        for joint, own, following in zip(chain, begun[:-1], begun[1:], strict=True):
            weights[piece.vertices, joint] = own - following
    _share(weights[pieces[0].vertices], vertices_m[pieces[0].vertices])
    return weights


def _share(weights: np.ndarray, vertices_m: np.ndarray) -> None:
    """Let the trunk's shoulders and hips follow the limbs; in place."""
    for joint, share in figure.SHARES.items():
        for side, x in (("left", vertices_m[:, 0]), ("right", -vertices_m[:, 0])):
            part = share.part * _rise(x, *share.x_m) * _rise(vertices_m[:, 1], *share.y_m)
            giver = SMPL24.index(share.giver)
            weights[:, SMPL24.index(f"{side}_{joint}")] += part * weights[:, giver]
            weights[:, giver] *= 1.0 - part


def _regressor(pieces: tuple[_Piece, ...], joints_m: np.ndarray) -> np.ndarray:
    """(30, V): the least weights on a ring that sum to 1 and have the joint as their mean."""
    by_name = {piece.name: piece for piece in pieces}
    last = pieces[-1].vertices.stop
    regressor = np.zeros((len(SMPL30), last))
    for joint, joint_m in zip(SMPL24, joints_m, strict=True):
        ring, vertices_m = _ring_at(joint, joint_m, pieces)
        system = np.concatenate([vertices_m.T, np.ones((1, len(ring)))])
        regressor[smpl30_index(joint), ring] = np.linalg.pinv(system) @ [*joint_m, 1.0]
    for side in ("left", "right"):
        for organ in ("eye", "ear"):
            piece = by_name[f"{side}_{organ}"]
            regressor[smpl30_index(piece.name), piece.vertices] = 1.0 / len(piece.mesh.vertices_m)
    for joint, piece, axis in (("nose", by_name["nose"], 2), ("head_top", by_name["trunk"], 1)):
        regressor[smpl30_index(joint), piece.first + np.argmax(piece.mesh.vertices_m[:, axis])] = 1.0
    return regressor


def _ring_at(joint: str, joint_m: np.ndarray, pieces: tuple[_Piece, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and places of the vertices of a ring in the joint: of its own limb, or of its side of the trunk."""
    own = [piece for piece in pieces if joint in piece.limb.chain]
    for piece in (*own, pieces[0]):
        vertices_m = piece.mesh.vertices_m
        its_side = vertices_m[:, 0] * joint_m[0] > -1e-9
        ring = np.flatnonzero(np.isclose(piece.mesh.along_m, _place_along(joint_m, piece)) & its_side)
        if len(ring):
            return ring + piece.first, vertices_m[ring]
    raise AssertionError(f"no ring lies in {joint}")


def _place_along(joint_m: np.ndarray, piece: _Piece) -> float:
    axis = piece.limb.tube.along
    return float(abs(joint_m[0]) if axis == 0 else joint_m[axis])


def _shapedirs(
    pieces: tuple[_Piece, ...], vertices_m: np.ndarray, weights: np.ndarray, joints_m: np.ndarray
) -> np.ndarray:
    directions = shape_directions(vertices_m, weights, joints_m)
    trunk = pieces[0].vertices
    directions[trunk, 2, BELLY] += belly_m(vertices_m[trunk])
    return directions


def _posedirs(vertices_m: np.ndarray, weights: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
    """(V, 3, 207): hinges keep their depth as they bend, by 1 - cos of the angle between the bones."""
    directions = np.zeros((len(vertices_m), 3, 9 * (len(SMPL24) - 1)))
    for index, joint in enumerate(SMPL24):
        axis = figure.HINGES.get(joint.split("_")[-1])
        if axis is not None:
            shared = 4.0 * weights[:, index] * weights[:, SMPL_PARENTS[index]]
            depth_m = vertices_m[:, 2] - joints_m[index, 2]
            directions[:, 2, 9 * (index - 1) + 4 * axis] = -figure.HINGE_GAIN * shared * depth_m
    return directions
