"""What an image model sees of a person: the picture through the person's own view, undistorted, square, of one size.

A crop shows the square [-2.5, 2.5]^2 of the normalised coordinates in which keypoints are given (camera.PersonView), so
that picture and keypoints agree for any camera, lens and distance; a person's joints are 1 from the centre on average.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from occpose_core.camera import PersonView, px_from_rays, rays_from_px
from occpose_core.errors import OccposeError
from occpose_core.types import Camera

CROP_HALF_WIDTH = 2.5  # normalised units
_WIDEST = 20.0  # rays: 87 degrees from the axis; what is farther to the side is black
_LENS_STEP_PX = 4  # of a crop, between which a lens is interpolated: wrong by 0.3 pixels 1 m before a wide lens
_BORDER_POINTS = 9  # a side, by which the field of a distorted view is measured
_FIELD_MARGIN = 1.02
_NOWHERE_PX = -1e4
_TINY = 1e-9


class CropError(OccposeError):
    """An image is none, or not as large as its camera says."""


def crop_px(kpts: np.ndarray, size: int) -> np.ndarray:
    """Pixels (..., 2) in a crop of `size` pixels a side of normalised keypoints (..., 2)."""
    return np.asarray((kpts / CROP_HALF_WIDTH + 1.0) * (size / 2) - 0.5)


def kpts_from_crop_px(px: np.ndarray, size: int) -> np.ndarray:
    """The inverse of crop_px."""
    return np.asarray(((px + 0.5) * (2 / size) - 1.0) * CROP_HALF_WIDTH)


def turned(kpts: np.ndarray, turned_rad: float = 0.0, mirrored: bool = False) -> np.ndarray:
    """Where a mirrored (left to right), then turned (from x to y) crop shows normalised keypoints (..., 2)."""
    return np.asarray(kpts @ _turn(turned_rad, mirrored).T)


def _turn(turned_rad: float, mirrored: bool) -> np.ndarray:
    cos, sin = math.cos(turned_rad), math.sin(turned_rad)
    return np.array([[-cos if mirrored else cos, -sin], [-sin if mirrored else sin, cos]])


def person_crop(
    image: np.ndarray, camera: Camera, view: PersonView, size: int, turned_rad: float = 0.0, mirrored: bool = False
) -> np.ndarray:
    """The picture of one person, (size, size, C) of the image's type, black where the camera does not look.

    image: (H, W, C <= 4) uint8 or float32; of another size than the camera's it is taken as the same, resized. view: of
    one person. turned_rad, mirrored: as in `turned`. Pictures that are more than twice as fine are averaged, so that a
    person looks the same in images of all resolutions. Raises CropError.
    """
    _check(image)
    cam_from_crop = _cam_from_crop(view, size, turned_rad, mirrored)
    corners = cam_from_crop @ np.array([[0, size - 1, 0, size - 1], [0, 0, size - 1, size - 1], [1, 1, 1, 1]])
    if camera.distorted or not _in_field(corners.T, _WIDEST).all():
        return _mapped(image, camera, view, cam_from_crop, size)
    image_from_cam = _image_from_px(image, camera) @ camera.K
    shown = image_from_cam @ corners
    picture, picture_from_image = _reduced(image, (shown[:2] / shown[2]).T, _fineness(image_from_cam, view, size))
    return _warped(picture, picture_from_image @ image_from_cam @ cam_from_crop, size)


def person_crops(image: np.ndarray, camera: Camera, views: PersonView, size: int) -> np.ndarray:
    """The pictures of P people, (P, size, size, C); views: theirs. Raises CropError."""
    people = range(len(views.scale))
    return np.stack([person_crop(image, camera, views.at(person), size) for person in people])


def _check(image: np.ndarray) -> None:
    if image.ndim != 3 or not image.size or image.shape[2] > 4 or image.dtype not in (np.uint8, np.float32):
        raise CropError(f"an image must be (H, W, C) of uint8 or float32, got {image.shape} of {image.dtype}")


def _image_from_px(image: np.ndarray, camera: Camera) -> np.ndarray:
    """(3, 3) pixels of the image from pixels of the camera."""
    x, y = image.shape[1] / camera.width, image.shape[0] / camera.height
    return np.array([[x, 0.0, 0.5 * x - 0.5], [0.0, y, 0.5 * y - 0.5], [0.0, 0.0, 1.0]])


def _cam_from_crop(view: PersonView, size: int, turned_rad: float, mirrored: bool) -> np.ndarray:
    """(3, 3) from homogeneous pixels of the crop to directions in the camera's frame."""
    step = 2 * CROP_HALF_WIDTH / size
    first = step / 2 - CROP_HALF_WIDTH
    view_from_crop = np.eye(3)
    view_from_crop[:2, :2] = _turn(turned_rad, mirrored).T  # orthogonal: its inverse
    in_view = view_from_crop @ np.array([[step, 0.0, first], [0.0, step, first], [0.0, 0.0, 1.0]])
    in_view[:2] *= float(view.scale)
    return np.asarray(view.cam_from_view @ in_view)


def _warped(picture: np.ndarray, picture_from_crop: np.ndarray, size: int) -> np.ndarray:
    import cv2

    crop = cv2.warpPerspective(picture, picture_from_crop, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(crop.reshape(size, size, -1))


def _mapped(image: np.ndarray, camera: Camera, view: PersonView, cam_from_crop: np.ndarray, size: int) -> np.ndarray:
    """The crop through a lens, or of somebody at the side of the camera, pixel by pixel."""
    import cv2

    nodes, weights = _nodes(size)
    field, directions = _field(camera), _grid(nodes) @ cam_from_crop.T
    image_from_px = _image_from_px(image, camera)
    px = _moved(px_from_rays(_rays_within(directions, field), camera), image_from_px)
    picture, picture_from_image = _reduced(image, px.reshape(-1, 2), _fineness(image_from_px @ camera.K, view, size))
    px = np.moveaxis(_moved(px, picture_from_image), -1, 0)
    x, y = weights @ np.ascontiguousarray(px, dtype=np.float32) @ weights.T
    if not _in_field(directions, field).all():
        x[~_in_field(_grid(np.arange(size)) @ cam_from_crop.T, field)] = _NOWHERE_PX
    crop = cv2.remap(picture, x, y, cv2.INTER_LINEAR)
    return np.asarray(crop.reshape(size, size, -1))


def _grid(across: np.ndarray) -> np.ndarray:
    """(N, N, 3) homogeneous pixels in rows and columns `across` (N,)."""
    return np.stack([*np.meshgrid(across, across), np.ones((len(across), len(across)))], axis=-1)


@cache
def _nodes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Some N rows of a crop, and how all rows are interpolated from them, (size, N): a lens is slow, but smooth."""
    nodes = np.linspace(0.0, size - 1.0, -(-size // _LENS_STEP_PX) + 1)
    weights = [np.interp(np.arange(size), nodes, one) for one in np.eye(len(nodes))]
    return nodes, np.stack(weights, axis=-1).astype(np.float32)


def _in_field(directions: np.ndarray, field: float) -> np.ndarray:
    """Whether directions (..., 3) are ahead of the camera, and in its field if that ends."""
    return np.asarray(np.hypot(directions[..., 0], directions[..., 1]) <= field * directions[..., 2])


def _rays_within(directions: np.ndarray, field: float) -> np.ndarray:
    """Rays (..., 2) of directions (..., 3), moved to the edge of the field if they are outside."""
    least = np.hypot(directions[..., 0], directions[..., 1]) / field
    return np.asarray(directions[..., :2] / np.maximum(np.maximum(directions[..., 2], least), _TINY)[..., None])


def _field(camera: Camera) -> float:
    """Distance from the axis, in rays, beyond which a camera shows nothing: there a lens' polynomials turn back."""
    if not camera.distorted:
        return _WIDEST
    x, y = (np.linspace(-0.5, side - 0.5, _BORDER_POINTS) for side in (camera.width, camera.height))
    border = [np.stack(np.meshgrid(x, y[[0, -1]]), axis=-1), np.stack(np.meshgrid(x[[0, -1]], y), axis=-1)]
    rays = rays_from_px(np.concatenate([side.reshape(-1, 2) for side in border]), camera)
    return _FIELD_MARGIN * float(np.linalg.norm(rays, axis=-1).max())


def _fineness(image_from_cam: np.ndarray, view: PersonView, size: int) -> int:
    """Whole pixels of the image a pixel of the crop, on the camera's axis."""
    focal_px = math.sqrt(image_from_cam[0, 0] * image_from_cam[1, 1])
    return max(1, int(focal_px * float(view.scale) * 2 * CROP_HALF_WIDTH / size))


def _moved(px: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return np.asarray(px @ affine[:2, :2].T + affine[:2, 2])


def _reduced(image: np.ndarray, px: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of the image that a crop needs, averaged over squares of `by` pixels.

    px: (N, 2) of the image that the crop shows, its outermost at least. Also (3, 3), pixels of the part from those of
    the image.
    """
    import cv2

    if by == 1:
        return image, np.eye(3)
    low, high = px.min(axis=0), px.max(axis=0)
    height, width = image.shape[:2]
    left, top = (np.clip(low, 0, (width - 1, height - 1)) // by).astype(int) * by
    right, bottom = np.clip(np.ceil(high).astype(int) + 2 * by, (left + by, top + by), (width, height))
    columns, rows = max(1, (right - left) // by), max(1, (bottom - top) // by)
    part = image[top : top + rows * by, left : left + columns * by]
    part = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, -1)
    shift_x, shift_y = ((0.5 - first) / by - 0.5 for first in (left, top))
    return part, np.array([[1 / by, 0.0, shift_x], [0.0, 1 / by, shift_y], [0.0, 0.0, 1.0]])
