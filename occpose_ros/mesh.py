"""A body's surface with fewer triangles, for a viewer: a message costs time for every point in it.

Vertices are gathered into regions around as many seeds, along the edges and not through the air, so that a hand on a
hip stays apart from it. The seeds are the vertices that are kept, and three regions that meet make a triangle: the
dual of a geodesic Voronoi diagram (Peyre and Cohen, 2006: Geodesic remeshing using front propagation). Which vertices
and triangles these are is found once; a mesh of the same body in another pose has the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17

if TYPE_CHECKING:
    from occpose_core.runtime.image_engine import ImageEngine

_FEWEST = 4  # triangles that can enclose something: less is what remains of a part that has become too small


class MeshError(OccposeError):
    """Triangles and vertices do not belong together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CoarseMesh:
    """vertices: (K,) int64, those of the full mesh that are kept. faces: (F, 3) int64, indices into these K."""

    vertices: np.ndarray
    faces: np.ndarray

    @classmethod
    def of(cls, vertices_m: np.ndarray, faces: np.ndarray, triangles: int) -> CoarseMesh:
        """At most so many triangles of a mesh; all of them, if they are no more.

        vertices_m: (V, 3) in any pose. faces: (F, 3) indices of vertices; their sense of rotation is kept. Raises
        MeshError if a number is not finite or an index is out of range.
        """
        faces = np.asarray(faces, dtype=np.int64)
        if not np.isfinite(vertices_m).all() or (len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices_m)):
            raise MeshError(f"{len(vertices_m)} vertices and {len(faces)} triangles make no mesh: get the model again")
        if len(faces) <= triangles:
            return cls(vertices=np.arange(len(vertices_m)), faces=faces)
        seeds = triangles // 2 + 2 * len(np.unique(_parts(faces)))  # a closed surface has 2 K - 4 triangles
        while len(coarse := _meeting(regions := _regions(vertices_m, faces, seeds), faces)) > triangles:
            seeds -= max(1, (len(coarse) - triangles) // 2)
        kept, numbers = np.unique(coarse, return_inverse=True)
        return cls(vertices=regions.seeds[kept], faces=numbers.reshape(coarse.shape))


def shown_mesh(engine: ImageEngine, triangles: int = 1000) -> CoarseMesh:
    """What a viewer is shown of an image model's bodies, by the surface of one of them: its pose does not matter."""
    joints, size = len(H36M17.joints), engine.info.image_size
    image, kpts = np.zeros((1, 3, size, size), dtype=np.float32), np.zeros((1, joints, 2), dtype=np.float32)
    body = engine.run(image, kpts, np.zeros((1, joints), dtype=np.float32))
    return CoarseMesh.of(body.vertices_root_m[0], engine.faces, triangles)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Regions:
    """seeds: (K,) vertices. of_vertex: (V,) the number of the seed that is nearest along the edges."""

    seeds: np.ndarray
    of_vertex: np.ndarray


def _regions(vertices_m: np.ndarray, faces: np.ndarray, count: int) -> _Regions:
    """Regions of equal size: the next seed is always the vertex that is farthest from all seeds so far."""
    graph = _edges(vertices_m, faces)
    used = np.unique(faces)
    distance_m = np.full(len(vertices_m), -np.inf)
    distance_m[used] = np.inf
    of_vertex = np.zeros(len(vertices_m), dtype=np.int64)
    seeds = np.zeros(min(count, len(used)), dtype=np.int64)
    for number in range(len(seeds)):
        seeds[number] = seed = np.argmax(distance_m)
        from_seed_m = dijkstra(graph, indices=seed, limit=distance_m[seed])
        nearer = from_seed_m < distance_m
        distance_m[nearer] = from_seed_m[nearer]
        of_vertex[nearer] = number
    return _Regions(seeds=seeds, of_vertex=of_vertex)


def _edges(vertices_m: np.ndarray, faces: np.ndarray) -> csr_matrix:
    """The lengths of the edges in metres, (V, V) and symmetric."""
    ends = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    lengths_m = np.linalg.norm(vertices_m[ends[:, 0]] - vertices_m[ends[:, 1]], axis=-1)
    rows, columns = np.concatenate([ends, ends[:, ::-1]]).T
    lengths_m = np.maximum(lengths_m, 1e-6)  # 0 would be no edge
    return csr_matrix((np.tile(lengths_m, 2), (rows, columns)), shape=(len(vertices_m),) * 2)


def _meeting(regions: _Regions, faces: np.ndarray) -> np.ndarray:
    """(N, 3) numbers of regions, each three of which meet in a triangle, once."""
    triples = regions.of_vertex[faces]
    first, second, third = triples.T
    triples = triples[(first != second) & (second != third) & (third != first)]
    _, once = np.unique(np.sort(triples, axis=1), axis=0, return_index=True)
    triples = triples[np.sort(once)]
    parts = _parts(triples)
    return triples[np.bincount(parts)[parts] >= _FEWEST] if len(triples) else triples


def _parts(faces: np.ndarray) -> np.ndarray:
    """(F,) the number of the connected part of the surface that each triangle belongs to."""
    size = faces.max(initial=-1) + 1
    ends = np.concatenate([faces[:, :2], faces[:, 1:]]).T
    _, parts = connected_components(csr_matrix((np.ones(ends.shape[1]), ends), shape=(size, size)), directed=False)
    return np.asarray(parts[faces[:, 0]])
