"""What the border types refuse, and what they keep."""

import dataclasses
import re

import numpy as np
import pytest

from occpose_core.errors import OccposeError
from occpose_core.types import (
    DISTORTION_COEFFICIENTS,
    Camera,
    CameraError,
    GroundError,
    GroundPlane,
    Keypoints2D,
    KeypointsError,
    People2D,
    Skeleton3D,
    SkeletonError,
    State,
)

K = np.array([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]])


def camera(**changes):
    return Camera(**{"width": 640, "height": 480, "K": K, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"K": np.zeros((3, 3))}, "not calibrated", id="uncalibrated"),
        pytest.param({"K": np.eye(4)}, "(4, 4)", id="K shape"),
        pytest.param({"K": K * np.nan}, "finite", id="K not finite"),
        pytest.param({"width": 0}, "0 x 480", id="no width"),
        pytest.param({"height": -3}, "640 x -3", id="negative height"),
        pytest.param({"distortion_model": "fancy"}, "'fancy'", id="model"),
        pytest.param({"distortion_model": "plumb_bob", "D": np.zeros(3)}, "4 or 5", id="coefficient count"),
        pytest.param({"distortion_model": "plumb_bob", "D": [np.inf] * 5}, "finite", id="coefficient not finite"),
        pytest.param({"D": np.ones(5)}, "none takes 0", id="coefficients without a model"),
    ],
)
def test_camera_refuses(changes, words):
    with pytest.raises(CameraError, match=r"(?s).+") as error:
        camera(**changes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "count"), [(model, count) for model, counts in DISTORTION_COEFFICIENTS.items() for count in counts]
)
def test_camera_takes_every_allowed_count(model, count):
    assert camera(distortion_model=model, D=np.full(count, 0.01)).distorted == (count > 0)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({}, True, id="equal"),
        pytest.param({"K": K.astype(int).tolist()}, True, id="other container"),
        pytest.param({"K": K + [[0, 0, 1], [0, 0, 0], [0, 0, 0]]}, False, id="K"),
        pytest.param({"width": 641}, False, id="size"),
        pytest.param({"frame_id": "other"}, False, id="frame"),
        pytest.param({"distortion_model": "plumb_bob", "D": np.zeros(5)}, False, id="model"),
    ],
)
def test_same_camera(changes, same):
    assert camera().same_as(camera(**changes)) is same


@pytest.mark.parametrize(
    ("xy_px", "score", "words"),
    [
        pytest.param(np.zeros((17, 3)), np.zeros(17), "(17, 3)", id="three coordinates"),
        pytest.param(np.zeros((17, 2)), np.zeros(16), "(16,)", id="score count"),
        pytest.param(np.zeros(34), np.zeros(17), "(34,)", id="flat"),
        pytest.param(np.zeros((17, 2)), np.full(17, 1.5), "1.5", id="score above 1"),
        pytest.param(np.zeros((17, 2)), np.full(17, -0.1), "-0.1", id="negative score"),
        pytest.param(np.zeros((17, 2)), np.full(17, np.nan), "nan", id="score nan"),
        pytest.param(np.full((17, 2), np.nan), np.ones(17), "not finite", id="visible nan"),
    ],
)
def test_keypoints_refuse(xy_px, score, words):
    with pytest.raises(KeypointsError) as error:
        Keypoints2D(xy_px=xy_px, score=score)
    assert words in str(error.value)
    assert isinstance(error.value, OccposeError)


@pytest.mark.parametrize(
    ("ids", "xy_px", "score", "words"),
    [
        pytest.param(["a"], np.zeros((2, 17, 2)), np.zeros((2, 17)), "(1, J, 2)", id="ids"),
        pytest.param(["a"], np.zeros((1, 17, 2)), np.zeros((1, 16)), "(1, 16)", id="scores"),
        pytest.param(["a"], np.zeros((1, 17, 2)), np.full((1, 17), 1.5), "1.5", id="a score above 1"),
        pytest.param(["a"], np.full((1, 17, 2), np.inf), np.ones((1, 17)), "not finite", id="a visible joint nowhere"),
    ],
)
def test_people_refuse(ids, xy_px, score, words):
    with pytest.raises(KeypointsError) as error:
        People2D(ids=ids, xy_px=xy_px, score=score)
    assert words in str(error.value)


def test_people_are_a_sequence_of_keypoints():
    xy_px, score = np.random.default_rng(1).random((3, 17, 2), np.float32), np.full((3, 17), 0.5, np.float32)
    people = People2D(ids=("a", "b", "c"), xy_px=xy_px, score=score)
    assert [person.id for person in people] == ["a", "b", "c"]
    np.testing.assert_array_equal(people[-1].xy_px, xy_px[2])
    assert [person.id for person in people[1:]] == ["b", "c"]
    assert not People2D(ids=(), xy_px=xy_px[:0], score=score[:0])


def test_keypoints_take_anything_where_the_score_is_zero():
    score = np.array([0, 0.5])
    keypoints = Keypoints2D(xy_px=np.array([[np.nan, np.inf], [1, 2]]), score=score)
    assert keypoints.visible.tolist() == [False, True]
    assert keypoints.xy_px.dtype == keypoints.score.dtype == np.float32


@pytest.mark.parametrize(
    ("field", "shape"),
    [("joints_cam_m", (16, 3)), ("sigma_m", (17, 1)), ("origin", (1,)), ("kpts_px", (17, 3))],
    ids=lambda value: str(value),
)
def test_skeletons_refuse_arrays_that_do_not_fit(field, shape):
    arrays = {"joints_cam_m": (17, 3), "sigma_m": (17,), "origin": (17,), "kpts_px": (17, 2)}
    fields = {"id": "a", "state": State.TRACKED, "height_m": 1.7, "metric": False}
    assert Skeleton3D(**fields, **{name: np.zeros(size) for name, size in arrays.items()}).id == "a"
    with pytest.raises(SkeletonError, match=re.escape(str(shape))):
        Skeleton3D(**fields, **{name: np.zeros(size) for name, size in (arrays | {field: shape}).items()})


def test_border_types_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera().width = 3


def test_a_ground_plane_has_a_normal_of_length_one():
    plane = GroundPlane(normal_cam=[0, -3, 4], distance_m=1.2)
    assert plane.normal_cam == pytest.approx([0, -0.6, 0.8])
    assert plane.normal_cam.dtype == np.float64


@pytest.mark.parametrize(
    ("normal", "distance_m"),
    [((0, 0, 0), 1.0), ((0, 1), 1.0), ((0, np.nan, 1), 1.0), ((0, np.inf, 1), 1.0), ((0, -1, 0), np.nan)],
)
def test_what_is_no_plane_is_refused(normal, distance_m):
    with pytest.raises(GroundError, match="a ground plane needs a normal of three numbers"):
        GroundPlane(normal_cam=normal, distance_m=distance_m)
