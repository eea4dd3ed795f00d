"""From a scene to a picture: colours, light, shadows, and what a camera adds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from occpose_core.camera import rays_from_px
from occpose_core.types import Camera
from training.rendering.raycast import NOTHING, Hits, Raycaster
from training.rendering.scenes import Scene, Thing

_SHADOW_BIAS_M = 0.01
_SAMPLES = 2  # a side, of a pixel on a contour
_CONTOUR_DEPTH = 0.03  # relative step of depth between neighbours that makes a contour
_BLUR_PX, _NOISE = (0.25, 0.7), (0.004, 0.02)
_GAMMA, _BRIGHTNESS = (0.75, 1.1), (0.3, 0.55)  # the mean of a picture
_LARGEST_GAIN = 4.0


def pixel_rays(camera: Camera, kpts_px: np.ndarray) -> np.ndarray:
    """(..., 3) directions (x, y, 1) in the camera's frame, through pixels (..., 2)."""
    rays = rays_from_px(kpts_px, camera)
    return np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], axis=-1)


def pixel_grid(camera: Camera) -> np.ndarray:
    """(H, W, 2) the pixels' own coordinates."""
    return np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1).astype(np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """rgb: (H, W, 3) uint8. person: (H, W) int, which of the scene's people is seen there, NOTHING for none."""

    rgb: np.ndarray
    person: np.ndarray


class Painter:
    """Sends rays through a scene and gives what they meet its colour."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._things = (*scene.things, *scene.room)
        self._surfaces = [_Surface(thing, smooth=index < len(scene.people)) for index, thing in enumerate(self._things)]
        self._caster = Raycaster([thing.mesh for thing in self._things])
        self._shadows = Raycaster([thing.mesh for thing in scene.things])

    def cast(self, kpts_px: np.ndarray) -> tuple[np.ndarray, Hits]:
        """World directions (N, 3) through pixels (N, 2) and what they meet."""
        directions = pixel_rays(self._scene.camera, kpts_px) @ self._scene.cam_from_world
        return directions, self._caster.cast(self._scene.position_world_m, directions)

    def colours(self, directions: np.ndarray, hits: Hits) -> np.ndarray:
        """(N, 3) linear RGB."""
        albedo, normals = np.zeros((len(directions), 3)), np.zeros((len(directions), 3))
        for index, surface in enumerate(self._surfaces):
            where = np.flatnonzero(hits.mesh == index)
            if len(where):
                albedo[where] = surface.colours(hits.triangle[where], hits.weights[where])
                normals[where] = surface.normals(hits.triangle[where], hits.weights[where], hits.facing[where])
        away = (normals * directions).sum(-1) > 0
        normals[away] *= -1.0
        return albedo * self._lit(directions, hits, normals)[:, None] * self._scene.light.tint

    def _lit(self, directions: np.ndarray, hits: Hits, normals: np.ndarray) -> np.ndarray:
        """(N,) share of the light that comes from a point: ambient, more from above, and direct where no shadow is."""
        light = self._scene.light
        slope = np.maximum(normals @ light.toward, 0.0)
        met = np.flatnonzero((hits.mesh != NOTHING) & (slope > 0))
        points = self._scene.position_world_m + directions[met] * hits.distance[met, None]
        blocked = self._shadows.cast(
            points + normals[met] * _SHADOW_BIAS_M, np.broadcast_to(light.toward, points.shape)
        )
        slope[met[blocked.mesh != NOTHING]] = 0.0
        return np.asarray(light.ambient * (0.8 + 0.2 * normals[:, 2]) + (1.0 - light.ambient) * slope)


class _Surface:
    """A thing's colours and normals at points of its triangles."""

    def __init__(self, thing: Thing, smooth: bool) -> None:
        self._thing = thing
        self._normals = thing.mesh.vertex_normals() if smooth else None

    def colours(self, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
        corners = self._thing.mesh.faces[triangle]
        points_m = (self._thing.local_m[corners] * weights[..., None]).sum(axis=1)
        vertex = np.take_along_axis(corners, weights.argmax(-1)[:, None], axis=1)[:, 0]
        return self._thing.paint.at(points_m, vertex)

    def normals(self, triangle: np.ndarray, weights: np.ndarray, facing: np.ndarray) -> np.ndarray:
        if self._normals is None:
            return facing
        smooth = (self._normals[self._thing.mesh.faces[triangle]] * weights[..., None]).sum(axis=1)
        return np.asarray(smooth / np.maximum(np.linalg.norm(smooth, axis=-1, keepdims=True), 1e-9))


def take_picture(scene: Scene, rng: np.random.Generator) -> Picture:
    """One picture, sampled more finely along contours."""
    camera = scene.camera
    painter = Painter(scene)
    pixels = pixel_grid(camera)
    directions, hits = painter.cast(pixels.reshape(-1, 2))
    shape = (camera.height, camera.width)
    linear = painter.colours(directions, hits).reshape(*shape, 3)
    mesh = hits.mesh.reshape(shape)
    of_thing = (mesh != NOTHING) & (mesh < len(scene.things))
    contour = _contours(mesh, np.where(of_thing, hits.distance.reshape(shape), 0.0))
    linear[contour] = _finer(painter, pixels[contour])
    people = np.where(mesh < len(scene.people), mesh, NOTHING)
    return Picture(rgb=_develop(linear, rng), person=people)


def _contours(mesh: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: where a neighbour shows another thing, or the same at quite another depth."""
    contour = np.zeros(mesh.shape, dtype=bool)
    for here, there in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    ):
        step = (mesh[here] != mesh[there]) | (np.abs(depth[here] - depth[there]) > _CONTOUR_DEPTH * depth[here])
        contour[here] |= step
        contour[there] |= step
    return contour


def _finer(painter: Painter, pixels: np.ndarray) -> np.ndarray:
    """(N, 3) means of several rays a pixel."""
    offset = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
    offsets = np.stack(np.meshgrid(offset, offset), axis=-1).reshape(-1, 2)
    samples = (pixels[:, None] + offsets).reshape(-1, 2)
    return painter.colours(*painter.cast(samples)).reshape(len(pixels), -1, 3).mean(axis=1)


def _develop(linear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, a soft lens and sensor noise."""
    gain = min(rng.uniform(*_BRIGHTNESS) / max(float(linear.mean()), 1e-3), _LARGEST_GAIN)
    exposed = np.clip(linear * gain, 0.0, 1.0) ** rng.uniform(*_GAMMA)
    soft = cv2.GaussianBlur(exposed.astype(np.float32), (0, 0), rng.uniform(*_BLUR_PX))
    noisy = soft + np.float32(rng.uniform(*_NOISE)) * rng.standard_normal(soft.shape, dtype=np.float32)
    return np.asarray(np.clip(noisy, 0.0, 1.0) * 255.0 + 0.5, dtype=np.uint8)
