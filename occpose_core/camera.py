"""Cameras and the person-centred view. The conventions of all of occpose are written here, once.

    pixels      u right, v down; (0, 0) is the centre of the top-left pixel (as OpenCV and ROS have it)
    camera      optical frame (REP-103): x right, y down, z forward, metres
    rays        undistorted (x / z, y / z) in the camera frame: pixels without the camera
    view        a virtual camera at the same place, panned and tilted (never rolled) to look at the person, so that a
                person looks the same wherever in the image; its ray coordinates are divided by the visible joints'
                RMS distance from the axis, so that a person looks the same at any distance and with any lens
    root        joints relative to the pelvis, axes of the frame that the name gives
    dst_from_src   a rotation that takes column vectors from frame src to frame dst: `p_dst = dst_from_src @ p_src`

"Masked" values are of no meaning and never change a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from occpose_core.types import Camera

# Ray coordinates beyond this (83 degrees off the axis) are clipped: a pinhole's plane cannot hold them.
_MAX_TAN = 8.0
_MIN_SCALE = 1e-3
_UNMOVED = np.eye(3)
_UNDISTORTED = (50, 1e-10)  # most iterations, and pixels by which the last may change


def load_lens_models() -> None:
    """Load OpenCV, which distorted cameras need, so that their first image does not wait 0.15 s for it."""
    import cv2  # noqa: F401


def rays_from_px(kpts_px: np.ndarray, camera: Camera) -> np.ndarray:
    """Undistort pixels to rays.

    kpts_px: (..., 2) finite pixels. Returns (..., 2) float64, x / z and y / z in the camera frame; finite but of no use
    so far outside the image that the lens model has no answer.
    """
    px = np.asarray(kpts_px, dtype=np.float64)
    if not camera.distorted or px.size == 0:
        return _pinhole_rays(px, camera)
    undistort = _fisheye_lens() if camera.distortion_model == "equidistant" else _lens()
    rays = undistort(px.reshape(-1, 1, 2), camera.K, camera.D).reshape(px.shape)
    if rays.min() >= -_MAX_TAN and rays.max() <= _MAX_TAN:  # false if any is not a number
        return rays
    return _clipped(np.where(np.isfinite(rays), rays, _pinhole_rays(px, camera)))


@cache
def _lens() -> Callable[..., np.ndarray]:
    """OpenCV's function from pixels (N, 1, 2), K and D to rays (N, 1, 2)."""
    import cv2

    # OpenCV 4 has the criteria in a function of its own
    undistort = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, *_UNDISTORTED)
    return partial(undistort, R=_UNMOVED, P=_UNMOVED, criteria=criteria)


@cache
def _fisheye_lens() -> Callable[..., np.ndarray]:
    """As _lens, for fisheyes."""
    import cv2

    # OpenCV 4.5 has its own criteria
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, *_UNDISTORTED)
    known = "criteria" in (cv2.fisheye.undistortPoints.__doc__ or "")
    return partial(cv2.fisheye.undistortPoints, **({"criteria": criteria} if known else {}))


def _pinhole_rays(px: np.ndarray, camera: Camera) -> np.ndarray:
    rays = np.asarray((px - camera.K[:2, 2]) / camera.K.diagonal()[:2])
    if skew := camera.K[0, 1]:
        rays[..., 0] -= skew / camera.K[0, 0] * rays[..., 1]
    return rays


def _clipped(rays: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(np.maximum(rays, -_MAX_TAN), _MAX_TAN))


def px_from_rays(rays: np.ndarray, camera: Camera) -> np.ndarray:
    """Project rays (..., 2) to distorted, finite pixels (..., 2) float64; the inverse of rays_from_px."""
    rays = np.asarray(rays, dtype=np.float64)
    if not camera.distorted or rays.size == 0:
        return _pinhole_px(rays, camera)
    import cv2

    zero = np.zeros(3)
    if camera.distortion_model == "equidistant":
        px = cv2.fisheye.distortPoints(rays.reshape(-1, 1, 2), camera.K, camera.D)
    else:
        px, _ = cv2.projectPoints(_homogeneous(rays).reshape(-1, 1, 3), zero, zero, camera.K, camera.D)
    px = px.reshape(rays.shape)
    if math.isfinite(px.sum()):  # then all are
        return px
    return np.where(np.isfinite(px), px, _pinhole_px(rays, camera))


def _pinhole_px(rays: np.ndarray, camera: Camera) -> np.ndarray:
    return np.asarray(rays @ camera.K[:2, :2].T + camera.K[:2, 2])


def px_from_cam(points_cam_m: np.ndarray, camera: Camera) -> np.ndarray:
    """Project points in front of the camera: (..., 3) m -> (..., 2) float64 pixels."""
    return px_from_rays(rays_from_cam(points_cam_m), camera)


def rays_from_cam(points_cam_m: np.ndarray) -> np.ndarray:
    """Rays of points in front of the camera: (..., 3) m -> (..., 2); points at or behind it are clipped to the side."""
    return _clipped(points_cam_m[..., :2] / np.maximum(points_cam_m[..., 2:], 1e-6))


def _homogeneous(rays: np.ndarray) -> np.ndarray:
    """(..., 2) rays -> (..., 3) points at a depth of 1."""
    points = np.ones((*rays.shape[:-1], 3), dtype=rays.dtype)
    points[..., :2] = rays
    return points


def _directions(rays: np.ndarray) -> np.ndarray:
    """(..., 2) rays -> (..., 3) unit vectors."""
    points = _homogeneous(rays)
    return np.asarray(points / np.linalg.norm(points, axis=-1, keepdims=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class PersonView:
    """The virtual camera that looks at one person in one image; leading axes are people, frames.

    cam_from_view: (..., 3, 3) rotation. scale: (...) ray units per normalised unit.
    """

    cam_from_view: np.ndarray
    scale: np.ndarray

    def normalise(self, rays: np.ndarray) -> np.ndarray:
        """Camera rays (..., J, 2) -> normalised keypoints (..., J, 2) float32."""
        in_view = _homogeneous(rays) @ self.cam_from_view
        return np.asarray(rays_from_cam(in_view) / self.scale[..., None, None], dtype=np.float32)

    def rays(self, kpts: np.ndarray) -> np.ndarray:
        """Normalised keypoints (..., J, 2) -> camera rays (..., J, 2); the inverse of normalise."""
        in_view = _homogeneous(kpts * self.scale[..., None, None])
        return rays_from_cam(in_view @ np.swapaxes(self.cam_from_view, -1, -2))

    def to_cam(self, joints_view_m: np.ndarray) -> np.ndarray:
        """Rotate (..., J, 3) vectors from the view's axes to the camera's."""
        return np.asarray(joints_view_m @ np.swapaxes(self.cam_from_view, -1, -2))

    def from_cam(self, joints_cam_m: np.ndarray) -> np.ndarray:
        """Rotate (..., J, 3) vectors from the camera's axes to the view's."""
        return np.asarray(joints_cam_m @ self.cam_from_view)

    def at(self, frame: int | np.ndarray) -> PersonView:
        """The views of one frame, or of some: indices into the last leading axis."""
        return PersonView(cam_from_view=self.cam_from_view[..., frame, :, :], scale=self.scale[..., frame])


class CameraView:
    """The camera itself, for models that take rays as they are. Methods as in PersonView, without the arithmetic."""

    def normalise(self, rays: np.ndarray) -> np.ndarray:
        """Camera rays (..., J, 2) -> float32."""
        return _clipped(rays).astype(np.float32)

    def rays(self, kpts: np.ndarray) -> np.ndarray:
        """The inverse of normalise."""
        return _clipped(np.asarray(kpts, dtype=np.float64))

    def to_cam(self, joints_view_m: np.ndarray) -> np.ndarray:
        """Vectors (..., J, 3) as they are, float64."""
        return np.asarray(joints_view_m, dtype=np.float64)

    def at(self, frame: int | np.ndarray) -> CameraView:
        """All frames have this view."""
        return self


def view_of(rays: np.ndarray, visible: np.ndarray) -> PersonView:
    """Point a virtual camera at the visible joints.

    rays: (..., J, 2) in the camera frame. visible: (..., J) bool. Each frame of a window has a view of its own, so that
    what a network makes of a frame never changes with later ones. With no visible joint the view is the camera itself.
    """
    seen = visible[..., None].astype(np.float64)
    rays = np.where(visible[..., None], rays, 0.0)
    forward = (_directions(rays) * seen).sum(axis=-2)
    forward[..., 2] += 1e-9  # the camera's own axis when nothing is visible
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.stack([forward[..., 2], np.zeros_like(forward[..., 0]), -forward[..., 0]], axis=-1)  # y_cam x forward
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    cam_from_view = np.stack([right, np.cross(forward, right), forward], axis=-1)
    unit = PersonView(cam_from_view=cam_from_view, scale=np.ones(forward.shape[:-1]))
    square = (unit.normalise(rays).astype(np.float64) ** 2 * seen).sum(axis=(-2, -1))
    scale = np.sqrt(square / np.maximum(seen.sum(axis=(-2, -1)), 1.0))
    return PersonView(cam_from_view=cam_from_view, scale=np.where(scale < _MIN_SCALE, _MIN_SCALE, scale))
