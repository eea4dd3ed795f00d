"""People drawn alone on white, with nothing in front: what their contours are found in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occpose_core.camera import px_from_cam
from occpose_core.types import Camera
from training.rendering.picture import pixel_grid, pixel_rays
from training.rendering.raycast import NOTHING, Mesh, Raycaster

_DARK, _BRIGHT = 0.25, 0.85  # seen edge on and face on
_MARGIN_PX = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Alone:
    """A person with nothing in front. grey: (H, W) in [0, 1], on white. silhouette: (H, W) bool. box_px: x, y, w, h."""

    grey: np.ndarray
    silhouette: np.ndarray
    box_px: tuple[float, float, float, float]


def draw_alone(mesh: Mesh, camera: Camera, cam_from_mesh: np.ndarray, position_m: np.ndarray) -> Alone:
    """A mesh alone, lit from the camera.

    cam_from_mesh: (3, 3), the camera's axes from the mesh's. position_m: (3,) of the camera, in the mesh's axes.
    """
    grey = np.ones((camera.height, camera.width), dtype=np.float32)
    silhouette = np.zeros(grey.shape, dtype=bool)
    vertices_px = px_from_cam((mesh.vertices_m - position_m) @ cam_from_mesh.T, camera)
    low = np.clip(np.floor(vertices_px.min(axis=0)) - _MARGIN_PX, 0, grey.shape[::-1]).astype(int)
    high = np.clip(np.ceil(vertices_px.max(axis=0)) + _MARGIN_PX, 0, grey.shape[::-1]).astype(int)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    pixels = pixel_grid(camera)[window]
    if not pixels.size:
        return Alone(grey=grey, silhouette=silhouette, box_px=(0.0, 0.0, 0.0, 0.0))
    directions = pixel_rays(camera, pixels.reshape(-1, 2)) @ cam_from_mesh
    hits = Raycaster([mesh]).cast(position_m, directions)
    corners = mesh.vertex_normals()[mesh.faces[hits.triangle]]
    normals = (corners * hits.weights[..., None]).sum(axis=1)
    facing = np.abs((normals * directions).sum(-1)) / np.linalg.norm(directions, axis=-1)
    met = hits.mesh != NOTHING
    grey[window] = np.where(met, _DARK + (_BRIGHT - _DARK) * np.sqrt(facing), 1.0).reshape(pixels.shape[:2])
    silhouette[window] = met.reshape(pixels.shape[:2])
    return Alone(grey=grey, silhouette=silhouette, box_px=_box(silhouette))


def _box(silhouette: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(silhouette.any(axis=1)), np.flatnonzero(silhouette.any(axis=0))
    if not len(rows):
        return (0.0, 0.0, 0.0, 0.0)
    x, y = int(columns[0]), int(rows[0])
    return (float(x), float(y), float(columns[-1] - x + 1), float(rows[-1] - y + 1))
