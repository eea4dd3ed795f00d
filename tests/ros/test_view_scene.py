"""What a viewer shows, as arrays: no browser, no server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.camera import px_from_cam
from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, Origin
from occpose_ros.adapters import skeletons_to_msg
from occpose_ros.bag import typestore
from occpose_ros.message_types import MessageTypes
from occpose_ros.transforms import Transform
from occpose_ros.view.scene import (
    LEVEL_FROM_OPTICAL,
    People,
    SceneError,
    frustum_m,
    people_from_msg,
    person_text,
    scene_of,
)
from tests.ros.people import FRAME_ID, camera, skeleton

ROSBAGS = MessageTypes.from_rosbags(typestore())
JOINTS, BONES = len(H36M17.joints), len(H36M17.bones)


def message(*skeletons: Any, types: MessageTypes = ROSBAGS) -> Any:
    return skeletons_to_msg(skeletons, [], stamp_ns=1, frame_id=FRAME_ID, types=types)


def people(*skeletons: Any) -> People:
    return people_from_msg(message(*skeletons))


def test_messages_of_both_worlds_are_read(types: MessageTypes) -> None:
    person = skeleton("7", hidden=("left_wrist",))
    read = people_from_msg(message(person, skeleton("8", x_m=1.0), types=types))
    assert read.ids == ("7", "8") and read.layout is H36M17
    np.testing.assert_array_equal(read.joints_m[0], person.joints_cam_m)
    np.testing.assert_array_equal(read.sigma_m[0], person.sigma_m)
    np.testing.assert_array_equal(read.origin[0], person.origin)
    assert person_text(read, 0) == "7: 1.75 m"


def test_nobody_is_a_scene_too() -> None:
    scene = scene_of(people(), LEVEL_FROM_OPTICAL)
    assert not scene.labels
    for layer in scene.layers.values():
        assert layer.joints_m.shape == (0, 3) and layer.bones_m.shape == (0, 2, 3)


def test_a_bone_is_as_its_worse_end() -> None:
    """The wrist hangs on the elbow alone; the knee is an end of two bones."""
    scene = scene_of(people(skeleton(hidden=("left_wrist",), unknown=("right_knee",))), Transform.identity())
    measured, filled = scene.layers[Origin.MEASURED], scene.layers[Origin.FILLED]
    assert (len(measured.joints_m), len(filled.joints_m)) == (JOINTS - 2, 1)
    assert (len(measured.bones_m), len(filled.bones_m)) == (BONES - 3, 1)
    np.testing.assert_allclose(filled.sigma_m, [0.15])
    elbow_and_wrist = skeleton().joints_cam_m[H36M17.indices("left_elbow", "left_wrist")]
    np.testing.assert_allclose(filled.bones_m[0], elbow_and_wrist)


def test_a_level_camera_sees_people_upright_in_front() -> None:
    scene = scene_of(people(skeleton(x_m=1.0)), LEVEL_FROM_OPTICAL)
    joints_m = scene.layers[Origin.MEASURED].joints_m
    head_m, ankle_m = joints_m[H36M17.index("head_top")], joints_m[H36M17.index("left_ankle")]
    assert head_m[2] > ankle_m[2] + 1.5  # z is up
    assert (joints_m[:, 0] > 3.5).all()  # x is forward
    assert joints_m[0, 1] == pytest.approx(-1.0)  # y is left
    x, y, z = scene.labels["1"].position_m
    assert (x, y) == pytest.approx(tuple(head_m[:2])) and z > head_m[2]


@given(hidden=st.sets(st.sampled_from("abcde")))
def test_whoever_is_hidden_leaves_nothing(hidden: set[str]) -> None:
    crowd = people(*(skeleton(id, x_m=i) for i, id in enumerate("abcde")))
    scene = scene_of(crowd, LEVEL_FROM_OPTICAL, hidden)
    assert set(scene.labels) == set("abcde") - hidden
    shown = scene.layers[Origin.MEASURED]
    assert (len(shown.joints_m), len(shown.bones_m)) == (JOINTS * (5 - len(hidden)), BONES * (5 - len(hidden)))


def test_what_is_not_finite_is_not_shown() -> None:
    msg = message(skeleton())
    msg.people[0].position[3 * H36M17.index("nose")] = np.nan
    msg.people[0].std_dev[H36M17.index("left_ankle")] = np.inf
    scene = scene_of(people_from_msg(msg), LEVEL_FROM_OPTICAL)
    shown = scene.layers[Origin.MEASURED]
    assert len(shown.joints_m) == JOINTS - 2
    assert np.isfinite(shown.joints_m).all() and np.isfinite(shown.bones_m).all()


def test_somebody_without_a_joint_has_no_label() -> None:
    assert not scene_of(people(skeleton(unknown=H36M17.joints)), LEVEL_FROM_OPTICAL).labels


def test_everybody_is_told_apart() -> None:
    assert len(set(people(*(skeleton(id) for id in ("", "", "3", "3"))).ids)) == 4


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        pytest.param({"layout": "h36m71"}, "did you mean 'h36m17'", id="unknown-layout"),
        pytest.param({"layout": "coco17_and_more"}, "known:", id="nothing-like-it"),
        pytest.param({"layout": "openpose18"}, "openpose18 has 18 joints", id="other-layout"),
    ],
)
def test_messages_that_make_no_sense(fault: dict[str, str], sentence: str) -> None:
    with pytest.raises(OccposeError, match=sentence):
        people_from_msg(replace(message(skeleton("1")), **fault))


def test_a_short_array_is_told_whose_it_is() -> None:
    msg = message(skeleton("17"))
    msg.people[0].std_dev = msg.people[0].std_dev[:-1]
    with pytest.raises(SceneError, match="person '17' has 51 coordinates, 16 deviations"):
        people_from_msg(msg)


@pytest.mark.parametrize(
    ("distortion_model", "D"),
    [
        pytest.param("none", [], id="pinhole"),
        pytest.param("plumb_bob", [-0.05, 0.02, 0.0004, -0.0003, 0.0], id="plumb-bob"),
        pytest.param("equidistant", [0.01, 0.002, 0.0, 0.0], id="fisheye"),
    ],
)
def test_the_frustum_ends_at_the_corners_of_the_image(distortion_model: str, D: list[float]) -> None:
    lens = camera()
    lens = Camera(width=lens.width, height=lens.height, K=lens.K, D=np.array(D), distortion_model=distortion_model)
    lines_m = frustum_m(lens, Transform.identity())
    assert lines_m.shape == (8, 2, 3) and not lines_m[:4, 0].any()  # four begin at the lens
    corners_px = px_from_cam(lines_m[4:, 0], lens)
    assert sorted(map(tuple, corners_px.round(1))) == [(-0.5, -0.5), (-0.5, 719.5), (1279.5, -0.5), (1279.5, 719.5)]
