"""A pinhole camera from joints whose places in the image and before the camera are both known.

For data sets that come without calibration but with 2D and 3D in the camera's frame: u = fx X / Z + cx is linear in the
lens. What the fit leaves over says whether the 3D really is in that camera's frame.
"""

from __future__ import annotations

import numpy as np

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.types import Camera

_MAX_POINTS = 20_000
# Lens distortion leaves a few pixels, another frame of reference hundreds.
_TOLERANCE = 0.05  # of the extent of the joints in the image


def fit_camera(
    kpts_px: np.ndarray,
    joints_cam_m: np.ndarray,
    visible: np.ndarray,
    where: str,
    size: tuple[int, int] | None = None,
) -> Camera:
    """The pinhole that projects joints (T, J, 3) m to pixels (T, J, 2), by least squares over the visible (T, J).

    size: of the image, px; without it the principal point is taken for the centre. where: names the recording in
    messages. Raises DatasetError if no pinhole does, because the 3D is in another frame.
    """
    chosen = visible & (joints_cam_m[..., 2] > 0) & np.isfinite(kpts_px).all(axis=-1)
    px, points = kpts_px[chosen].astype(np.float64), joints_cam_m[chosen].astype(np.float64)
    step = 1 + len(px) // _MAX_POINTS
    px, points = px[::step], points[::step]
    if len(px) < 4 or chosen.mean() < 0.5 * visible.mean():
        raise DatasetError(f"{where}: the 3D joints are not before a camera; expected them absolute, in its frame")
    (fx, cx), (fy, cy) = (_line(points[:, axis] / points[:, 2], px[:, axis]) for axis in range(2))
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    error = float(np.sqrt((((points / points[:, 2:] @ K.T)[:, :2] - px) ** 2).sum(axis=-1).mean()))
    if not (min(fx, fy, cx, cy) > 0 and error < _TOLERANCE * np.ptp(px, axis=0).max()):
        raise DatasetError(
            f"{where}: no camera projects the 3D joints onto the 2D ones (error {error:.0f} px); expected 3D absolute,"
            " in the camera's frame"
        )
    width, height = size or (round(2 * cx), round(2 * cy))
    return Camera(width=width, height=height, K=K)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the best line."""
    slope, offset = np.linalg.lstsq(np.stack([x, np.ones(len(x))], axis=1), y, rcond=None)[0].tolist()
    return slope, offset


def fits(kpts_px: np.ndarray, joints_cam_m: np.ndarray, visible: np.ndarray, camera: Camera) -> bool:
    """Whether a known camera projects the joints onto the visible keypoints."""
    if not visible.any() or (joints_cam_m[visible][:, 2] <= 0).any():
        return False
    error = np.linalg.norm(px_from_cam(joints_cam_m, camera) - kpts_px, axis=-1)[visible]
    extent = np.ptp(kpts_px[visible], axis=0).max()
    return bool(np.sqrt((error**2).mean()) < _TOLERANCE * extent)
