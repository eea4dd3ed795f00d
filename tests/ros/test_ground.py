"""The ground by TF: the plane in the camera's axes, and how long the newest one stands for those to come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from occpose_ros.ground import Ground, plane_of
from occpose_ros.transforms import Transform, TransformBuffer, TransformError

SECOND = 1_000_000_000
CAMERA, GROUND = "camera_optical_frame", "map"


def looking(height_m: float, pitch: float = 0.2) -> Transform:
    """Of a camera that looks along y of the ground's frame, pitched down."""
    level = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    return Transform(
        rotation=level @ Rotation.from_euler("x", -pitch).as_matrix(), translation_m=np.array([3.0, -2.0, height_m])
    )


@given(
    st.floats(-5, 5),
    st.lists(st.floats(-10, 10), min_size=2, max_size=2),
    st.tuples(*[st.floats(-3.1, 3.1)] * 3),
)
def test_points_on_the_ground_lie_in_the_plane(height_m: float, xy: list[float], angles: tuple[float, ...]) -> None:
    pose = Transform(
        rotation=Rotation.from_euler("xyz", angles).as_matrix(), translation_m=np.array([1.0, 2.0, height_m])
    )
    plane = plane_of(pose)
    on_ground_cam_m = pose.inverse().apply(np.array([*xy, 0.0]))
    above_cam_m = pose.inverse().apply(np.array([*xy, 1.0]))
    assert plane.distance_m == height_m
    assert on_ground_cam_m @ plane.normal_cam == pytest.approx(-height_m, abs=1e-9)
    assert above_cam_m @ plane.normal_cam == pytest.approx(1.0 - height_m, abs=1e-9)


def test_the_plane_is_that_of_the_stamp() -> None:
    buffer = TransformBuffer()
    for k in range(3):
        buffer.add(k * SECOND, GROUND, CAMERA, looking(1.0 + k))
    ground = Ground(GROUND, buffer)
    assert ground.seen_from(CAMERA, SECOND // 2).distance_m == pytest.approx(1.5)
    assert ground.seen_from(CAMERA, 2 * SECOND).distance_m == pytest.approx(3.0)


def test_a_fixed_camera_knows_its_ground_for_ever() -> None:
    buffer = TransformBuffer()
    buffer.add(0, GROUND, CAMERA, looking(1.2), static=True)
    assert Ground(GROUND, buffer).seen_from(CAMERA, 10**18).distance_m == pytest.approx(1.2)


def test_the_newest_plane_stands_in_for_half_a_second_and_no_longer() -> None:
    buffer = TransformBuffer()
    ground = Ground(GROUND, buffer)
    with pytest.raises(TransformError, match="no transform of frame"):
        ground.seen_from(CAMERA, 0)
    buffer.add(0, GROUND, CAMERA, looking(1.2))
    buffer.add(SECOND, GROUND, CAMERA, looking(1.3))
    assert ground.seen_from(CAMERA, 3 * SECOND // 2).distance_m == pytest.approx(1.3)
    with pytest.raises(TransformError, match="older than the stamp"):
        ground.seen_from(CAMERA, 3 * SECOND // 2 + 1)
    with pytest.raises(TransformError):
        ground.seen_from("another_camera", SECOND)


def test_a_robot_whose_transforms_always_come_late_knows_its_ground() -> None:
    buffer = TransformBuffer()
    ground = Ground(GROUND, buffer)
    for k in range(1, 20):
        buffer.add((k - 1) * SECOND // 10, GROUND, CAMERA, looking(1.0 + 0.1 * k))
        assert ground.seen_from(CAMERA, k * SECOND // 10).distance_m == pytest.approx(1.0 + 0.1 * k)
