"""sensor_msgs/Image and CompressedImage to OpenCV's images and back; no rclpy.

Raw images are read by a table of encodings (sensor_msgs/image_encodings). Rows may be padded and numbers may have
either byte order. Depth and other images without a range of brightness are stretched to what they contain.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from occpose_core.types import Camera
from occpose_ros.adapters import RejectedMessageError
from occpose_ros.adapters.keypoints import resizing

# More pixels than this is a fault of the sender.
_MAX_PIXELS = 100_000_000
_ToBgr = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class _Encoding:
    """How a raw image becomes BGR: type and channels of its pixels, and what is done with (H, W) or (H, W, C)."""

    dtype: str
    channels: int
    to_bgr: _ToBgr


def _converted(code: int) -> _ToBgr:
    return lambda pixels: np.asarray(cv2.cvtColor(pixels, code))


def _halved(then: _ToBgr) -> _ToBgr:
    """The upper 8 bits of 16."""
    return lambda pixels: then((pixels >> 8).astype(np.uint8))


def _stretched(pixels: np.ndarray) -> np.ndarray:
    """Black to white over the values that are there; 0, NaN and infinity mean "nothing" and are black."""
    there = np.isfinite(pixels) & (pixels != 0)
    low, high = np.percentile(pixels[there][::16], (1, 99)) if there.any() else (0.0, 1.0)
    grey = np.clip((np.where(there, pixels, low) - low) / max(float(high - low), 1e-9), 0.0, 1.0)
    return _GREY(np.rint(255 * grey * there).astype(np.uint8))


_GREY = _converted(cv2.COLOR_GRAY2BGR)
_BGR: _ToBgr = np.array  # a copy that may be drawn on
_RGB = _converted(cv2.COLOR_RGB2BGR)
_ENCODINGS = {
    "bgr8": _Encoding("u1", 3, _BGR),
    "rgb8": _Encoding("u1", 3, _RGB),
    "bgra8": _Encoding("u1", 4, _converted(cv2.COLOR_BGRA2BGR)),
    "rgba8": _Encoding("u1", 4, _converted(cv2.COLOR_RGBA2BGR)),
    "bgr16": _Encoding("u2", 3, _halved(_BGR)),
    "rgb16": _Encoding("u2", 3, _halved(_RGB)),
    "mono8": _Encoding("u1", 1, _GREY),
    "mono16": _Encoding("u2", 1, _halved(_GREY)),
    "8UC1": _Encoding("u1", 1, _GREY),
    "8UC3": _Encoding("u1", 3, _BGR),
    "16UC1": _Encoding("u2", 1, _stretched),
    "32FC1": _Encoding("f4", 1, _stretched),
    "yuv422": _Encoding("u1", 2, _converted(cv2.COLOR_YUV2BGR_UYVY)),
    "uyvy": _Encoding("u1", 2, _converted(cv2.COLOR_YUV2BGR_UYVY)),
    "yuv422_yuy2": _Encoding("u1", 2, _converted(cv2.COLOR_YUV2BGR_YUY2)),
    "yuyv": _Encoding("u1", 2, _converted(cv2.COLOR_YUV2BGR_YUY2)),
    # OpenCV names a Bayer pattern by the second row: its BG is what ROS calls RGGB
    "bayer_rggb8": _Encoding("u1", 1, _converted(cv2.COLOR_BayerBG2BGR)),
    "bayer_bggr8": _Encoding("u1", 1, _converted(cv2.COLOR_BayerRG2BGR)),
    "bayer_gbrg8": _Encoding("u1", 1, _converted(cv2.COLOR_BayerGR2BGR)),
    "bayer_grbg8": _Encoding("u1", 1, _converted(cv2.COLOR_BayerGB2BGR)),
}


def _bad(sentence: str) -> RejectedMessageError:
    return RejectedMessageError("bad_image", sentence)


def bgr_from_image(msg: Any) -> np.ndarray:
    """Read sensor_msgs/Image: (H, W, 3) uint8, blue first, a copy. Raises RejectedMessageError."""
    encoding = _ENCODINGS.get(msg.encoding)
    if encoding is None:
        raise _bad(
            f"images come as {msg.encoding!r}; use one of {', '.join(_ENCODINGS)}, or image_transport:=compressed"
        )
    dtype = np.dtype(encoding.dtype).newbyteorder(">" if msg.is_bigendian else "<")
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    row = width * encoding.channels * dtype.itemsize
    if not 0 < height * width <= _MAX_PIXELS:
        raise _bad(f"an image has {width} x {height} pixels: look at its publisher")
    if encoding.channels == 2 and width % 2:  # OpenCV 4.6 reads it all the same
        raise _bad(f"an image of {width} x {height} cannot be read as {msg.encoding}: two pixels share a colour")
    data = np.frombuffer(msg.data, dtype=np.uint8)
    if step < row or len(data) < step * height:
        raise _bad(
            f"an image of {width} x {height} {msg.encoding} needs rows of {row} bytes, but has a step of {step} and"
            f" {len(data)} bytes: look at its publisher"
        )
    rows = data[: step * height].reshape(height, step)[:, :row]
    pixels = np.ascontiguousarray(rows).view(dtype).reshape(height, width, encoding.channels)
    pixels = pixels[..., 0] if encoding.channels == 1 else pixels
    try:
        return encoding.to_bgr(pixels.astype(dtype.newbyteorder("="), copy=False))
    except cv2.error as error:
        raise _bad(f"an image of {width} x {height} cannot be read as {msg.encoding}: {error.err}") from None


def bgr_from_compressed(msg: Any) -> np.ndarray:
    """Read sensor_msgs/CompressedImage, JPEG or PNG: (H, W, 3) uint8, blue first. Raises RejectedMessageError."""
    if "compressedDepth" in msg.format:
        raise _bad("images come as compressedDepth: give the topic of the colour image, or image_transport:=raw")
    data = np.frombuffer(msg.data, dtype=np.uint8)
    # turning the image as its EXIF data wish would part it from CameraInfo
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image_bgr = cv2.imdecode(data, flags) if len(data) else None
    except cv2.error:  # larger than OpenCV allows
        image_bgr = None
    if image_bgr is None:
        raise _bad(
            f"a compressed image of {len(data)} bytes, format {msg.format!r}, is neither JPEG nor PNG, or damaged"
        )
    return np.asarray(image_bgr)


# image_transport -> how its messages are read
READERS: dict[str, Callable[[Any], np.ndarray]] = {"raw": bgr_from_image, "compressed": bgr_from_compressed}


def image_scale(image_size: tuple[int, int], camera_size: tuple[int, int] | None) -> np.ndarray:
    """(2,) image pixels per camera pixel; 1 if the camera is not known. Sizes: width, height.

    Raises RejectedMessageError if the aspect ratios differ.
    """
    camera_size = camera_size or image_size
    scale = resizing(camera_size, image_size)
    if scale is None:
        raise RejectedMessageError(
            "image_size",
            f"the image has {image_size[0]} x {image_size[1]} pixels, but CameraInfo says {camera_size[0]} x"
            f" {camera_size[1]}, another aspect ratio: remap image and camera_info to the same camera",
        )
    return scale


def rgb_for_camera(msg: Any, camera: Camera, transport: str) -> np.ndarray:
    """Read an image as the camera's: (H, W, 3) uint8 RGB of the size of CameraInfo, resized if it has another.

    transport: one of READERS. Raises RejectedMessageError.
    """
    image_bgr = READERS[transport](msg)
    height, width = image_bgr.shape[:2]
    size = (camera.width, camera.height)
    image_scale((width, height), size)
    if (width, height) != size:
        smoothly = cv2.INTER_AREA if width > camera.width else cv2.INTER_LINEAR
        image_bgr = cv2.resize(image_bgr, size, interpolation=smoothly)
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB))


def bytes_for_msg(image: np.ndarray) -> array.array[int]:
    """The value of a uint8[] field: the one type that rclpy takes without looking at each element."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(image).reshape(-1).data)
    return data


def jpeg_from_bgr(image_bgr: np.ndarray, quality: int) -> np.ndarray:
    """(N,) uint8, with colour in every pixel where OpenCV can: thin lines live by it. quality: 1..100."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if hasattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR"):  # since 4.7; Humble's is older
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, data = cv2.imencode(".jpg", image_bgr, settings)
    return np.asarray(data)
