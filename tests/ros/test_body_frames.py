"""Frames of people: their axes, their names, and who has none."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from occpose_core.skeleton import H36M17
from occpose_core.types import Skeleton3D
from occpose_ros.body_frames import JOINT_FRAMES, cam_from_body, joints_in_body, name_of
from tests.ros.people import skeleton

# of a person who stands before the camera and looks at it, in the camera's axes (x right, y down, z forward)
FACING = np.array([[0, 1, 0], [0, 0, -1], [-1, 0, 0]])


def moved(person: Skeleton3D, rotation: Rotation) -> Skeleton3D:
    return replace(person, joints_cam_m=rotation.apply(person.joints_cam_m))


def test_x_points_at_the_camera_y_to_the_left_hand_and_z_up() -> None:
    body = cam_from_body(skeleton())
    assert body is not None
    np.testing.assert_allclose(body.rotation, FACING, atol=1e-6)
    hips = skeleton().joints_cam_m[H36M17.indices("left_hip", "right_hip")]
    np.testing.assert_allclose(body.translation_m, hips.mean(axis=0), atol=1e-6)


def test_of_a_mirrored_person_x_points_away() -> None:
    person = skeleton()
    body = cam_from_body(replace(person, joints_cam_m=person.joints_cam_m[H36M17.mirror]))
    assert body is not None
    np.testing.assert_allclose(body.rotation[:, 0], (0, 0, 1), atol=1e-6)
    np.testing.assert_allclose(body.rotation[:, 2], (0, -1, 0), atol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_the_frame_turns_with_the_person_and_stays_right_handed(seed: int) -> None:
    turn = Rotation.random(random_state=np.random.default_rng(seed))
    body = cam_from_body(moved(skeleton(), turn))
    assert body is not None
    np.testing.assert_allclose(body.rotation, turn.as_matrix() @ FACING, atol=1e-5)
    assert np.linalg.det(body.rotation) == pytest.approx(1.0)


def test_joints_lie_where_the_skeleton_has_them() -> None:
    person = moved(skeleton(unknown=("left_wrist", "nose")), Rotation.from_rotvec((0.3, 0.9, -0.2)))
    body = cam_from_body(person)
    assert body is not None
    positions = joints_in_body(person, body)
    assert set(positions) == set(JOINT_FRAMES) - {"l_wrist", "nose"}
    for joint, frame in zip(range(len(JOINT_FRAMES)), JOINT_FRAMES, strict=True):
        if frame in positions:
            np.testing.assert_allclose(body.apply(positions[frame]), person.joints_cam_m[joint], atol=1e-6)
    assert positions["l_knee"][1] > 0 > positions["r_knee"][1]
    assert positions["head_top"][2] > positions["thorax"][2] > 0 > positions["l_ankle"][2]


def hips_at(left: tuple[float, float, float], right: tuple[float, float, float]) -> Skeleton3D:
    """Hips at offsets from the pelvis."""
    person = skeleton()
    joints_cam_m = person.joints_cam_m.copy()
    pelvis = joints_cam_m[H36M17.index("pelvis")]
    joints_cam_m[H36M17.indices("left_hip", "right_hip")] = pelvis + np.array([left, right])
    return replace(person, joints_cam_m=joints_cam_m)


@pytest.mark.parametrize(
    "person",
    [
        pytest.param(hips_at((0, 0.1, 0), (0, -0.1, 0)), id="hips-in-line-with-the-trunk"),
        pytest.param(hips_at((0.01, 0.1, 0), (-0.01, -0.1, 0)), id="nearly-in-line"),
        pytest.param(hips_at((0, 0, 0), (0, 0, 0)), id="hips-in-one-place"),
        pytest.param(skeleton(unknown=("left_hip",)), id="unknown-hip"),
        pytest.param(skeleton(unknown=("thorax",)), id="unknown-thorax"),
        pytest.param(replace(skeleton(), joints_cam_m=np.zeros((17, 3))), id="collapsed"),
    ],
)
def test_who_cannot_be_told_front_from_back_has_no_frame(person: Skeleton3D) -> None:
    assert cam_from_body(person) is None


@pytest.mark.parametrize(
    ("id", "name"),
    [
        pytest.param("7", "p7", id="number"),
        pytest.param("anna", "anna", id="name"),
        pytest.param("t3", "t3", id="own"),
        pytest.param("p7", "pp7_d65bce06", id="taken-by-a-number"),
        pytest.param("7#2", "p7_2_a81b0ce6", id="shared"),
        pytest.param("", "p_00000000", id="empty"),
    ],
)
def test_names_of_ids(id: str, name: str) -> None:
    assert name_of(id) == name


def test_names_of_two_cameras_differ() -> None:
    assert name_of("7", "/") == "p7"
    assert name_of("7", "/robot/front") == "robot_front_p7"


@given(st.sets(st.text(max_size=60), min_size=2, max_size=20))
def test_different_ids_have_different_valid_names(ids: set[str]) -> None:
    names = {name_of(id) for id in ids}
    assert len(names) == len(ids)
    for name in names:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,60}", name)
