"""sensor_msgs/CameraInfo to the core's Camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from occpose_core.types import Camera, CameraError

_DISTORTION_MODELS = {
    "": "none",
    "none": "none",
    "plumb_bob": "plumb_bob",
    "rational_polynomial": "rational_polynomial",
    "equidistant": "equidistant",
    "fisheye": "equidistant",
}


def camera_from_msg(msg: Any, rectified: bool = False) -> Camera:
    """Read sensor_msgs/CameraInfo, binning and region of interest included.

    rectified: the keypoints come from a rectified image, so `p` holds and there is no distortion; else `k` and `d`.
    Raises CameraError with the remedy if the camera is not calibrated or its distortion model unknown.
    """
    frame_id = msg.header.frame_id.lstrip("/")
    K = np.array(msg.p if rectified else msg.k, dtype=np.float64).reshape(3, -1)[:, :3].copy()
    if K[0, 0] == 0:
        field_name = "p" if rectified else "k"
        raise CameraError(
            f"CameraInfo of frame {frame_id!r} has {field_name}[0] = 0, so the camera is not calibrated: calibrate it"
            " (camera_calibration) or let its driver load a calibration file"
        )
    distortion_model = "none" if rectified else _DISTORTION_MODELS.get(msg.distortion_model, msg.distortion_model)
    D = np.zeros(0) if distortion_model == "none" else np.array(msg.d, dtype=np.float64)
    full = np.array([msg.width, msg.height], dtype=np.float64)
    if not full.all():
        raise CameraError(
            f"CameraInfo of frame {frame_id!r} has image size {msg.width} x {msg.height}: set width and height"
        )
    roi = msg.roi
    size = np.array([roi.width or msg.width, roi.height or msg.height], dtype=np.float64)
    binning = np.array([max(msg.binning_x, 1), max(msg.binning_y, 1)], dtype=np.float64)
    # as image_geometry does: crop first, then shrink
    K[:2, 2] -= (roi.x_offset, roi.y_offset)
    K[:2] /= binning[:, None]
    width, height = (int(pixels) for pixels in size // binning)
    return Camera(width=width, height=height, K=K, D=D, distortion_model=distortion_model, frame_id=frame_id)
