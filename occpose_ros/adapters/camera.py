"""The core's Camera, from sensor_msgs/CameraInfo or, without it, from an assumption."""

from __future__ import annotations

from typing import Any

import numpy as np

from occpose_core.types import Camera, CameraError
from occpose_ros.adapters.keypoints import KeypointsArray, RejectedMessageError

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


def read_camera(msg: Any, rectified: bool = False) -> Camera:
    """As camera_from_msg, but raises RejectedMessageError: at the door of a node."""
    try:
        return camera_from_msg(msg, rectified)
    except CameraError as error:
        raise RejectedMessageError("bad_camera_info", str(error)) from None


def assumed_camera(keypoints: KeypointsArray, fov_deg: float, size: tuple[int, int] = (0, 0)) -> Camera:
    """A pinhole camera for keypoints without CameraInfo: square pixels, horizontal field of view fov_deg.

    size: width and height of the image, if the keypoints do not tell. Raises RejectedMessageError if nobody does.
    """
    told = (keypoints.width, keypoints.height)
    width, height = told if all(told) else size
    if width <= 0 or height <= 0:
        raise RejectedMessageError(
            "no_camera_info",
            "there is no CameraInfo and the keypoints do not say how large their image is, so assumed_fov_deg cannot"
            " help: publish CameraInfo, or set image_width and image_height",
        )
    focal_px = width / 2 / np.tan(np.radians(fov_deg) / 2)
    # pixel centres are at integer coordinates
    K = np.array([[focal_px, 0.0, (width - 1) / 2], [0.0, focal_px, (height - 1) / 2], [0.0, 0.0, 1.0]])
    return Camera(width=width, height=height, K=K, frame_id=keypoints.frame_id.lstrip("/") or Camera.frame_id)
