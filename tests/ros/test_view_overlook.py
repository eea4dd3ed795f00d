"""From where people are looked at at first: whatever the camera's place and the window, what it sees is in sight."""

from __future__ import annotations

import numpy as np
import pytest

from occpose_core.types import Camera
from occpose_ros.transforms import Transform
from occpose_ros.view.scene import FIELD_OF_VIEW_RAD, LEVEL_FROM_OPTICAL, overlook

K = np.array([[600.0, 0.0, 320.0], [0.0, 600.0, 240.0], [0.0, 0.0, 1.0]])
CAMERA = Camera(width=640, height=480, K=K, D=np.zeros(5), distortion_model="plumb_bob", frame_id="camera")


def placed(tilt_rad: float, height_m: float) -> Transform:
    """A camera that looks along x, and down by an angle."""
    s, c = np.sin(tilt_rad), np.cos(tilt_rad)
    tilt = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return Transform(rotation=tilt @ LEVEL_FROM_OPTICAL.rotation, translation_m=np.array([1.0, 2.0, height_m]))


def in_window(points_m: np.ndarray, eye_m: np.ndarray, focus_m: np.ndarray, aspect: float) -> np.ndarray:
    """(N, 2) where points are in the window, whose edges are at -1 and 1; NaN behind the eye."""
    forward = (focus_m - eye_m) / np.linalg.norm(focus_m - eye_m)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    seen_m = (points_m - eye_m) @ np.stack([right, np.cross(right, forward), forward]).T
    reach = np.tan(FIELD_OF_VIEW_RAD / 2) * np.array([aspect, 1.0])
    return np.where(seen_m[:, 2:] > 0, seen_m[:, :2] / seen_m[:, 2:] / reach, np.nan)


@pytest.mark.parametrize("aspect", [pytest.param(390 / 844, id="phone"), pytest.param(1.6, id="desktop")])
@pytest.mark.parametrize("side", [-0.8, 0.0, 0.8])
@pytest.mark.parametrize(
    ("shown_from_camera", "distance_m"),
    [
        pytest.param(LEVEL_FROM_OPTICAL, 4.0, id="level"),
        pytest.param(placed(0.4, 2.0), 4.0, id="tilted"),
        pytest.param(placed(0.2, 3.0), 12.0, id="far away"),
        pytest.param(placed(np.pi / 2, 3.5), 2.5, id="under the ceiling"),
    ],
)
def test_people_at_either_side_of_the_image_are_in_the_window(
    shown_from_camera: Transform, distance_m: float, side: float, aspect: float
) -> None:
    """The first person comes from one side; then others are anywhere in the inner part of the image."""
    half_width_m = distance_m * CAMERA.width / 2 / K[0, 0]
    first_cam_m = np.array([side * half_width_m, 0.0, distance_m])
    eye_m, focus_m = overlook(shown_from_camera.apply(first_cam_m), shown_from_camera, CAMERA, aspect)
    others_m = shown_from_camera.apply(np.array([[x * half_width_m, 0.0, distance_m] for x in (-0.5, 0.0, 0.5)]))
    assert np.abs(in_window(others_m, eye_m, focus_m, aspect)).max() < 1.0
    assert eye_m[2] > focus_m[2]


def test_in_a_frame_that_is_no_camera_people_are_looked_at_from_its_origin() -> None:
    """Skeletons in `map`, z up, whose camera nobody knows."""
    here = Transform(rotation=np.eye(3), translation_m=np.zeros(3))
    eye_m, focus_m = overlook(np.array([3.0, 4.0, 0.9]), here, None, 1.6)
    np.testing.assert_allclose(focus_m, [3.0, 4.0, 0.9], atol=1e-6)
    assert eye_m[2] > 0.9 and eye_m[:2] @ [3.0, 4.0] < 0.0
