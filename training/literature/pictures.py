"""What a network is shown of a recording, and how its answer is turned back: one function for each normalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from occpose_core.camera import rays_from_px, view_of
from occpose_core.types import Camera
from training.data.captured import screen


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """N windows in a network's 2D coordinates.

    kpts: (N, T, J, 2) float32. visible: (N, T, J) score or 0. For the answered frame of each window: cam_from_axes
    (N, 3, 3), from the axes of the network's 3D to the camera's; rays in those axes are kpts * ray_scale + ray_offset,
    each (N, 1, 2).
    """

    kpts: np.ndarray
    visible: np.ndarray
    cam_from_axes: np.ndarray
    ray_scale: np.ndarray
    ray_offset: np.ndarray

    def to_cam(self, joints_m: np.ndarray) -> np.ndarray:
        """Turn (N, J, 3) from the network's axes to the camera's."""
        return np.asarray(joints_m @ np.swapaxes(self.cam_from_axes, -1, -2))

    def from_cam(self, joints_m: np.ndarray) -> np.ndarray:
        """Turn (N, J, 3) from the camera's axes to the network's."""
        return np.asarray(joints_m @ self.cam_from_axes)

    def back_projected(self, kpts: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
        """Points (N, J, 3) m in the network's axes, seen at kpts (N, J, 2) of the answered frame, depth_m (N, J)."""
        rays = kpts * self.ray_scale + self.ray_offset
        return np.concatenate([rays * depth_m[..., None], depth_m[..., None]], axis=-1)


def _person_view(rays: np.ndarray, visible: np.ndarray, camera: Camera, answered: int) -> Picture:
    view = view_of(rays, visible > 0)
    at = view.at(answered)
    scale = np.broadcast_to(at.scale[:, None, None], (len(rays), 1, 2))
    return Picture(
        kpts=view.normalise(rays),
        visible=visible,
        cam_from_axes=at.cam_from_view,
        ray_scale=scale,
        ray_offset=np.zeros_like(scale),
    )


def _screen(kpts: np.ndarray, visible: np.ndarray, camera: Camera, answered: int) -> Picture:
    focal_px, centre_px = np.diag(camera.K)[:2], camera.K[:2, 2]
    half_px = np.array([camera.width, camera.height]) / 2
    each = (len(kpts), 1, 2)
    return Picture(
        kpts=kpts.astype(np.float32),
        visible=visible,
        cam_from_axes=np.broadcast_to(np.eye(3), (len(kpts), 3, 3)),
        ray_scale=np.broadcast_to(half_px[0] / focal_px, each),
        ray_offset=np.broadcast_to((half_px - centre_px) / focal_px, each),
    )


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """How 2D is given to a network.

    coordinates: of pixels (..., 2) of a camera. picture: made of windows (N, T, J, 2) of these, their scores (N, T, J),
    the camera, and the index of the answered frame.
    """

    coordinates: Callable[[np.ndarray, Camera], np.ndarray]
    picture: Callable[[np.ndarray, np.ndarray, Camera, int], Picture]


NORMALISATIONS: dict[str, Normalisation] = {
    "person-view": Normalisation(coordinates=rays_from_px, picture=_person_view),
    "screen": Normalisation(coordinates=screen, picture=_screen),
}
