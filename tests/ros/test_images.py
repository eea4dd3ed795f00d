"""Raw images of every encoding, byte order and padding, and compressed ones, become the same picture. No ROS needed."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from occpose_ros.adapters import RejectedMessageError
from occpose_ros.images import bgr_from_compressed, bgr_from_image, bytes_for_msg, jpeg_from_bgr, rgb_for_camera
from tests.ros.people import camera

HEIGHT, WIDTH = 48, 64


def picture():
    """Smooth and full of colour, so that formats that share colour between pixels lose little of it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    channels = [60 + 2.5 * x, 40 + 4 * y, 230 - x - 2 * y]
    return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


def image_msg(pixels, encoding, *, padding=0, big=False, **changes):
    """sensor_msgs/Image, as rclpy would hold it; padding: bytes after each row."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    stored = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = np.frombuffer(stored.tobytes(), np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    fields = {"height": height, "width": width, "encoding": encoding, "is_bigendian": int(big)}
    return SimpleNamespace(**fields | {"step": rows.shape[1], "data": rows.tobytes()} | changes)


def packed(order):
    """4:2:2, two bytes a pixel. order: "uyvy" or "yuyv"."""
    blue, green, red = np.moveaxis(picture().astype(float), -1, 0)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    # ITU-R BT.601, video range, as cameras send it
    y, u, v = 16 + luminance * 219 / 255, 128 + (blue - luminance) * 112 / 225.9, 128 + (red - luminance) * 112 / 178.8
    out = np.empty((HEIGHT, WIDTH, 2))
    luma, chroma = (1, 0) if order == "uyvy" else (0, 1)
    out[..., luma] = y
    out[:, 0::2, chroma], out[:, 1::2, chroma] = u[:, 0::2], v[:, 0::2]
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def bayer(pattern):
    """One colour a pixel; pattern: the colours of the upper left 2 x 2 pixels, row by row."""
    out = np.empty((HEIGHT, WIDTH), np.uint8)
    for number, colour in enumerate(pattern):
        row, column = divmod(number, 2)
        out[row::2, column::2] = picture()[row::2, column::2, "bgr".index(colour)]
    return out


def grey():
    return cv2.cvtColor(picture(), cv2.COLOR_BGR2GRAY)


def alpha(pixels):
    return np.concatenate([pixels, np.full((HEIGHT, WIDTH, 1), 9, np.uint8)], axis=-1)


BGR, RGB = picture(), picture()[..., ::-1]


@pytest.mark.parametrize(
    ("pixels", "encoding", "error"),
    [
        pytest.param(BGR, "bgr8", 0, id="bgr8"),
        pytest.param(RGB, "rgb8", 0, id="rgb8"),
        pytest.param(alpha(BGR), "bgra8", 0, id="bgra8"),
        pytest.param(alpha(RGB), "rgba8", 0, id="rgba8"),
        pytest.param(BGR.astype(np.uint16) * 257, "bgr16", 0, id="bgr16"),
        pytest.param(RGB.astype(np.uint16) * 257, "rgb16", 0, id="rgb16"),
        pytest.param(BGR, "8UC3", 0, id="8UC3"),
        pytest.param(packed("uyvy"), "yuv422", 6, id="yuv422"),
        pytest.param(packed("uyvy"), "uyvy", 6, id="uyvy"),
        pytest.param(packed("yuyv"), "yuv422_yuy2", 6, id="yuv422_yuy2"),
        pytest.param(packed("yuyv"), "yuyv", 6, id="yuyv"),
        *(
            pytest.param(bayer(pattern), f"bayer_{pattern}8", 6, id=f"bayer_{pattern}8")
            for pattern in ("rggb", "bggr", "gbrg", "grbg")
        ),
    ],
)
@pytest.mark.parametrize("big", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("padding", [0, 10])
def test_colour_images(pixels, encoding, error, padding, big):
    image = bgr_from_image(image_msg(pixels, encoding, padding=padding, big=big))
    inner = np.abs(image.astype(int) - picture())[2:-2, 2:-2]
    assert image.dtype == np.uint8 and image.flags.writeable
    assert np.percentile(inner, 99) <= error


@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16", "16UC1", "32FC1"])
def test_grey_images(encoding):
    dtype = {"mono16": np.uint16, "16UC1": np.uint16, "32FC1": np.float32}.get(encoding, np.uint8)
    pixels = grey().astype(dtype) * (256 if encoding == "mono16" else 1)
    image = bgr_from_image(image_msg(pixels, encoding, padding=4))
    assert (image[..., 0] == image[..., 1]).all()
    assert np.corrcoef(image[..., 0].ravel(), grey().ravel())[0, 1] > 0.99


def test_depth_without_a_value_is_black():
    depth_m = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    depth_m[:, : WIDTH // 2] = 1.0
    depth_m[0, 0], depth_m[0, 1], depth_m[0, 2] = np.nan, np.inf, 0.0
    image = bgr_from_image(image_msg(depth_m, "32FC1"))
    assert (image[0, :3] == 0).all() and (image[:, WIDTH // 2 :] == 255).all()


@pytest.mark.parametrize(
    ("msg", "words"),
    [
        pytest.param(image_msg(BGR, "h264"), "images come as 'h264'; use one of bgr8", id="unknown encoding"),
        pytest.param(image_msg(BGR, "bgr8", step=3 * WIDTH - 1), "needs rows of 192 bytes, but has a step", id="step"),
        pytest.param(image_msg(BGR, "bgr8", data=b"12"), "and 2 bytes", id="too little data"),
        pytest.param(image_msg(BGR, "bgr8", data=b""), "and 0 bytes", id="no data"),
        pytest.param(image_msg(BGR, "bgr8", width=0), "0 x 48 pixels", id="no width"),
        pytest.param(image_msg(BGR, "mono8", height=2**31, width=2**31), "pixels: look at", id="absurdly large"),
        pytest.param(image_msg(BGR[:, :63, :2], "yuv422"), "cannot be read as yuv422", id="odd width"),
    ],
)
def test_bad_raw_images_get_a_sentence(msg, words):
    with pytest.raises(RejectedMessageError, match=words) as caught:
        bgr_from_image(msg)
    assert caught.value.reason == "bad_image"


def test_compressed_images():
    png = cv2.imencode(".png", picture())[1].tobytes()
    assert (bgr_from_compressed(SimpleNamespace(format="png", data=png)) == picture()).all()
    jpeg = jpeg_from_bgr(picture(), 95).tobytes()
    read = bgr_from_compressed(SimpleNamespace(format="rgb8; jpeg compressed bgr8", data=jpeg))
    assert np.abs(read.astype(int) - picture()).mean() < 3


@pytest.mark.parametrize(
    ("format", "data", "words"),
    [
        pytest.param("jpeg", b"", "of 0 bytes", id="empty"),
        pytest.param("jpeg", b"no image at all", "neither JPEG nor PNG, or damaged", id="garbage"),
        pytest.param("png", cv2.imencode(".png", picture())[1].tobytes()[:20], "or damaged", id="cut off"),
        pytest.param("16UC1; compressedDepth png", b"x", "compressedDepth: give the topic of the colour", id="depth"),
    ],
)
def test_bad_compressed_images_get_a_sentence(format, data, words):
    with pytest.raises(RejectedMessageError, match=words):
        bgr_from_compressed(SimpleNamespace(format=format, data=data))


@pytest.mark.parametrize("share", [1, 2, 0.5], ids=["as it is", "enlarged", "reduced"])
@pytest.mark.parametrize("transport", ["raw", "compressed"])
def test_an_image_becomes_that_of_the_camera(transport, share):
    width, height = round(camera().width / share), round(camera().height / share)
    bgr = np.full((height, width, 3), (10, 120, 240), np.uint8)
    bgr[: height // 2] = (200, 30, 60)
    jpeg = SimpleNamespace(format="jpeg", data=bytes_for_msg(jpeg_from_bgr(bgr, 95)))
    msg = {"raw": image_msg(bgr, "bgr8"), "compressed": jpeg}[transport]
    rgb = rgb_for_camera(msg, camera(), transport)
    assert rgb.shape == (camera().height, camera().width, 3) and rgb.dtype == np.uint8
    for row, colour in ((5, (60, 30, 200)), (-5, (240, 120, 10))):
        assert np.abs(rgb[row].astype(int) - colour).max() < 8


def test_an_image_of_another_aspect_ratio_is_refused():
    with pytest.raises(RejectedMessageError, match="another aspect ratio: remap image and camera_info") as error:
        rgb_for_camera(image_msg(picture(), "bgr8"), camera(), "raw")
    assert error.value.reason == "image_size"
