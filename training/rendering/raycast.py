"""What rays meet first in a scene of triangle meshes, by Embree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.errors import OccposeError

NOTHING = -1


class RaycastError(OccposeError):
    """Embree is not installed."""


def need_embree() -> tuple[Any, Any]:
    """Embree's scene and triangle mesh. Raises RaycastError with how to install it."""
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError as error:
        raise RaycastError("rendering needs the package embreex: pip install 'occpose[sefd]'") from error
    return EmbreeScene, TriangleMesh


@dataclass(frozen=True, kw_only=True, eq=False)
class Mesh:
    """vertices_m: (V, 3). faces: (F, 3) int, outward by the right hand."""

    vertices_m: np.ndarray
    faces: np.ndarray

    def vertex_normals(self) -> np.ndarray:
        """(V, 3) unit vectors, the means of the faces around, by area."""
        a, b, c = (self.vertices_m[self.faces[:, corner]] for corner in range(3))
        of_face = np.cross(b - a, c - a)
        count = len(self.vertices_m)
        normals = np.stack(
            [np.bincount(self.faces.ravel(), np.repeat(of_face[:, axis], 3), minlength=count) for axis in range(3)],
            axis=-1,
        )
        return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12))


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """What N rays met first.

    mesh: (N,) index into the scene's meshes, NOTHING where a ray met none. triangle: (N,) index into that mesh's faces.
    weights: (N, 3) barycentric, of the triangle's corners. distance: (N,) in lengths of the ray's direction (so it is
    depth for directions (x, y, 1)), infinite where nothing was met. facing: (N, 3) the triangle's normal, unit.
    """

    mesh: np.ndarray
    triangle: np.ndarray
    weights: np.ndarray
    distance: np.ndarray
    facing: np.ndarray


class Raycaster:
    """A scene that rays are sent through. Raises RaycastError."""

    def __init__(self, meshes: Sequence[Mesh]) -> None:
        scene, triangle_mesh = need_embree()
        self._scene = scene()
        for mesh in meshes:
            triangle_mesh(self._scene, mesh.vertices_m.astype(np.float32), mesh.faces.astype(np.int32))

    def cast(self, origins_m: np.ndarray, directions: np.ndarray) -> Hits:
        """origins_m: (3,) or (N, 3). directions: (N, 3), of any length."""
        directions = np.ascontiguousarray(directions, dtype=np.float32)
        origins = np.ascontiguousarray(np.broadcast_to(origins_m, directions.shape), dtype=np.float32)
        found = self._scene.run(origins, directions, output=1)
        u, v = found["u"], found["v"]
        met = found["geomID"] != NOTHING
        normal = found["Ng"]
        return Hits(
            mesh=found["geomID"],
            triangle=found["primID"],
            weights=np.stack([1.0 - u - v, u, v], axis=-1),
            distance=np.where(met, found["tfar"], np.inf),
            facing=normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12),
        )
