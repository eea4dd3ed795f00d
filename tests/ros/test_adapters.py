"""Messages in and out: what is kept, what is dropped and why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from occpose_core.skeleton import H36M17, SKELETONS, get_skeleton
from occpose_core.types import CameraError, People2D
from occpose_ros.adapters import (
    INPUTS,
    MAX_PEOPLE_IN_MESSAGE,
    KeypointsArray,
    RejectedMessageError,
    camera_from_msg,
    confidence_of_sigma,
    filled_keypoints_to_msg,
    finite_skeletons,
    keypoints_from_occpose_msg,
    match_camera,
    skeleton_info_to_msg,
    skeletons_to_msg,
)
from occpose_ros.bag import typestore
from occpose_ros.message_types import MessageTypes, stamp_ns_from_msg, stamp_to_msg
from tests.ros.people import FRAME_ID, HEIGHT, WIDTH, camera, camera_info_msg, keypoints, keypoints_msg, person_msg
from tests.ros.people import skeleton as standing

ROSBAGS = MessageTypes.from_rosbags(typestore())
COCO17 = get_skeleton("coco17")
NAN, INF = float("nan"), float("inf")


def coco17_with(joint: str, xy: tuple[float, float] | None = None, score: float | None = None):
    """A good coco17 person with one joint changed."""
    xy_px, scores = keypoints()
    if xy is not None:
        xy_px[COCO17.index(joint)] = xy
    if score is not None:
        scores[COCO17.index(joint)] = score
    return xy_px, scores


@pytest.mark.parametrize("layout", list(SKELETONS))
def test_every_layout_is_read_by_joint_name(types, layout):
    xy_px, score = keypoints(layout=layout)
    expected_px, _ = keypoints(layout="h36m17")
    read = keypoints_from_occpose_msg(keypoints_msg(types, [person_msg(types, "4", xy_px, score)], layout=layout))
    (person,) = read.people
    assert (read.layout, read.frame_id, read.width, read.height) == (layout, FRAME_ID, WIDTH, HEIGHT)
    assert (person.id, read.dropped) == ("4", {})
    joints = H36M17.indices("left_wrist", "right_wrist", "left_knee", "right_shoulder")
    assert person.visible[joints].all()
    np.testing.assert_array_equal(person.xy_px[joints], expected_px[joints])


def test_the_layout_can_be_overridden(types):
    msg = keypoints_msg(types, [person_msg(types, "", *keypoints())], layout="my detector's")
    assert keypoints_from_occpose_msg(msg, layout="coco17").layout == "coco17"


@pytest.mark.parametrize(
    ("xy", "score", "visible", "dropped"),
    [
        pytest.param((NAN, 300.0), None, False, {"invalid_joint": 1}, id="NaN coordinate"),
        pytest.param((300.0, INF), None, False, {"invalid_joint": 1}, id="infinite coordinate"),
        pytest.param((3e38, 300.0), None, False, {"invalid_joint": 1}, id="absurd coordinate"),
        pytest.param(None, NAN, False, {"invalid_joint": 1}, id="NaN score"),
        pytest.param(None, INF, False, {"invalid_joint": 1}, id="infinite score"),
        pytest.param(None, -INF, False, {"invalid_joint": 1}, id="negative infinite score"),
        pytest.param((NAN, NAN), 0.0, False, {}, id="NaN where the joint is missing anyway"),
        pytest.param((0.0, 0.0), 0.0, False, {}, id="missing"),
        pytest.param(None, -0.5, False, {"score_out_of_range": 1}, id="negative score"),
        pytest.param(None, 87.0, True, {"score_out_of_range": 1}, id="score in percent"),
    ],
)
def test_a_bad_joint_costs_that_joint(types, xy, score, visible, dropped):
    person = person_msg(types, "1", *coco17_with("left_wrist", xy, score))
    read = keypoints_from_occpose_msg(keypoints_msg(types, [person]))
    wrist = H36M17.index("left_wrist")
    assert bool(read.people[0].visible[wrist]) is visible
    assert read.people[0].score[wrist] <= 1.0
    assert read.people[0].visible[H36M17.index("right_wrist")]
    assert read.dropped == dropped


def test_who_is_sound_is_read_alike_beside_somebody_who_is_not(types):
    sound = person_msg(types, "sound", *coco17_with("left_wrist", None, 0.0))
    broken = person_msg(types, "broken", *coco17_with("left_wrist", (NAN, 300.0), None))
    (alone,) = keypoints_from_occpose_msg(keypoints_msg(types, [sound])).people
    beside, _ = keypoints_from_occpose_msg(keypoints_msg(types, [sound, broken])).people
    np.testing.assert_array_equal(alone.xy_px, beside.xy_px)
    np.testing.assert_array_equal(alone.score, beside.score)
    assert alone.score.dtype == beside.score.dtype


@pytest.mark.parametrize(
    ("xy_values", "scores"),
    [
        pytest.param(2 * 16, 16, id="a joint too few"),
        pytest.param(2 * 18, 18, id="a joint too many"),
        pytest.param(2 * 17, 0, id="no scores"),
        pytest.param(33, 17, id="half a coordinate"),
        pytest.param(0, 0, id="nothing"),
    ],
)
def test_a_wrong_joint_count_costs_that_person(types, xy_values, scores):
    bad = person_msg(types, "bad", np.ones(xy_values), np.ones(scores))
    read = keypoints_from_occpose_msg(keypoints_msg(types, [bad, person_msg(types, "good", *keypoints())]))
    assert [person.id for person in read.people] == ["good"]
    assert read.dropped == {"wrong_joint_count": 1}


def test_nobody_is_fine(types):
    read = keypoints_from_occpose_msg(keypoints_msg(types, []))
    assert (len(read.people), read.dropped) == (0, {})


@pytest.mark.parametrize(
    ("layout", "people", "reason", "words"),
    [
        pytest.param("coco71", 1, "unknown_layout", "'coco71'; did you mean 'coco17'", id="unknown layout"),
        pytest.param("", 0, "unknown_layout", "known: h36m17", id="no layout"),
        pytest.param("coco17", MAX_PEOPLE_IN_MESSAGE + 1, "too_many_people", "1001 people", id="too many people"),
        pytest.param("coco17", 100_000, "too_many_people", "100000 people", id="far too many people"),
    ],
)
def test_a_bad_message_is_rejected(types, layout, people, reason, words):
    person = person_msg(types, "", *keypoints())
    with pytest.raises(RejectedMessageError, match=words) as raised:
        keypoints_from_occpose_msg(keypoints_msg(types, [person] * people, layout=layout))
    assert raised.value.reason == reason


FLOATS = st.floats(width=32)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 3), st.just(17), st.just(3)), elements=FLOATS),
    st.lists(st.sampled_from(["", "a", "b"]), min_size=3, max_size=3),
    st.sampled_from([(0, 0), (WIDTH, HEIGHT), (WIDTH // 2, HEIGHT // 2)]),
)
def test_nothing_that_is_not_finite_gets_in(values, ids, size):
    people = [person_msg(ROSBAGS, id, value[:, :2], value[:, 2]) for id, value in zip(ids, values, strict=False)]
    read = match_camera(keypoints_from_occpose_msg(keypoints_msg(ROSBAGS, people, size=size)), camera())
    for person in read.people:
        assert np.isfinite(person.xy_px).all()
        assert ((person.score >= 0) & (person.score <= 1)).all()


def array_of(xy_px, *, size=(WIDTH, HEIGHT), frame_id=FRAME_ID):
    people = People2D(ids=("",), xy_px=np.full((1, 17, 2), xy_px, np.float32), score=np.full((1, 17), 0.8, np.float32))
    return KeypointsArray(stamp_ns=0, frame_id=frame_id, layout="h36m17", width=size[0], height=size[1], people=people)


@pytest.mark.parametrize(
    ("size", "xy_px"),
    [
        pytest.param((WIDTH, HEIGHT), (100, 50), id="same image"),
        pytest.param((0, 0), (100, 50), id="size not given"),
        pytest.param((WIDTH // 2, HEIGHT // 2), (200.5, 100.5), id="half the size"),
    ],
)
def test_pixels_of_a_resized_image_are_scaled(size, xy_px):
    matched = match_camera(array_of((100, 50), size=size), camera())
    np.testing.assert_allclose(matched.people[0].xy_px[0], xy_px)
    assert (matched.width, matched.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"size": (640, 640)}, "image_size", id="another aspect ratio"),
        pytest.param({"frame_id": "left_optical_frame"}, "frame_id", id="another camera"),
    ],
)
def test_keypoints_of_another_image_are_rejected(change, reason):
    with pytest.raises(RejectedMessageError) as raised:
        match_camera(array_of((100, 50), **change), camera())
    assert raised.value.reason == reason


@pytest.mark.parametrize("frame_id", [pytest.param("", id="none"), pytest.param(f"/{FRAME_ID}", id="with a slash")])
def test_a_missing_frame_is_the_cameras(frame_id):
    assert match_camera(array_of((100, 50), frame_id=frame_id), camera()).frame_id == FRAME_ID


K = (1000.0, 0.0, 640.0, 0.0, 1100.0, 360.0, 0.0, 0.0, 1.0)
P = (900.0, 0.0, 630.0, 0.0, 0.0, 910.0, 350.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("fields", "rectified", "focal_px", "centre_px", "size", "model"),
    [
        pytest.param({}, False, (1000, 1100), (640, 360), (1280, 720), "none", id="no distortion"),
        pytest.param({"d": [0.1, 0, 0, 0, 0], "distortion_model": "plumb_bob"}, False, (1000, 1100), (640, 360),
                     (1280, 720), "plumb_bob", id="raw image"),
        pytest.param({"d": [0.1, 0, 0, 0, 0], "distortion_model": "plumb_bob"}, True, (900, 910), (630, 350),
                     (1280, 720), "none", id="rectified image"),
        pytest.param({"d": [0.1] * 8, "distortion_model": "rational_polynomial"}, False, (1000, 1100), (640, 360),
                     (1280, 720), "rational_polynomial", id="rational"),
        pytest.param({"d": [0.1] * 4, "distortion_model": "fisheye"}, False, (1000, 1100), (640, 360),
                     (1280, 720), "equidistant", id="fisheye"),
        pytest.param({"binning": (2, 2)}, False, (500, 550), (320, 180), (640, 360), "none", id="binning"),
        pytest.param({"roi": (100, 50, 640, 480)}, False, (1000, 1100), (540, 310), (640, 480), "none", id="region"),
        pytest.param({"roi": (100, 50, 640, 480), "binning": (2, 4)}, False, (500, 275), (270, 77.5), (320, 120),
                     "none", id="region, then binning"),
    ],
)  # fmt: skip
def test_camera_info_is_read(types, fields, rectified, focal_px, centre_px, size, model):
    read = camera_from_msg(camera_info_msg(types, k=K, p=P, **fields), rectified=rectified)
    assert (read.K[0, 0], read.K[1, 1]) == focal_px
    assert (read.K[0, 2], read.K[1, 2]) == centre_px
    assert (read.width, read.height) == size
    assert (read.distortion_model, read.frame_id) == (model, FRAME_ID)


@pytest.mark.parametrize(
    ("fields", "rectified", "words"),
    [
        pytest.param({"k": (0.0,) * 9}, False, r"k\[0\] = 0.*not calibrated: calibrate", id="not calibrated"),
        pytest.param({"p": (0.0,) * 12}, True, r"p\[0\] = 0", id="no projection matrix"),
        pytest.param({"k": (NAN, *K[1:])}, False, "finite", id="NaN"),
        pytest.param({"size": (0, 0)}, False, "set width and height", id="no size"),
        pytest.param({"distortion_model": "magic"}, False, "'magic'; known: ", id="unknown distortion model"),
        pytest.param({"distortion_model": "plumb_bob", "d": [0.1] * 3}, False, "takes 0 or 4 or 5", id="coefficients"),
        pytest.param({"distortion_model": "fisheye"}, False, r"equidistant takes 4 .*, got \[\]", id="no lens"),
    ],
)
def test_a_bad_camera_info_is_refused(types, fields, rectified, words):
    with pytest.raises(CameraError, match=words):
        camera_from_msg(camera_info_msg(types, **{"k": K, "p": P, **fields}), rectified=rectified)


def test_skeletons_go_out_exactly(types):
    person = standing("5", hidden=("left_knee", "left_ankle"))
    msg = skeletons_to_msg([person], ["3"], stamp_ns=7_000_000_123, frame_id=FRAME_ID, types=types, latency_ms=12.5)
    assert (stamp_ns_from_msg(msg.header.stamp), msg.header.frame_id, msg.layout) == (7_000_000_123, FRAME_ID, "h36m17")
    assert (list(msg.lost_ids), msg.latency_ms) == (["3"], 12.5)
    (out,) = msg.people
    assert (out.id, out.state, out.metric, out.height) == ("5", int(person.state), True, np.float32(person.height_m))
    np.testing.assert_array_equal(np.asarray(out.position, np.float32).reshape(-1, 3), person.joints_cam_m)
    np.testing.assert_array_equal(np.asarray(out.std_dev, np.float32), person.sigma_m)
    np.testing.assert_array_equal(np.asarray(out.origin), person.origin)
    np.testing.assert_array_equal(np.asarray(out.xy, np.float32).reshape(-1, 2), person.kpts_px)


def test_skeletons_that_are_not_finite_are_held_back():
    good, bad = standing("good"), standing("bad")
    bad.joints_cam_m[3, 1] = NAN
    assert [person.id for person in finite_skeletons([good, bad])] == ["good"]


def test_filled_keypoints_can_be_read_again(types):
    person = standing("5", hidden=("left_ankle",), unknown=("right_ankle",))
    read = keypoints_from_occpose_msg(filled_keypoints_to_msg([person], camera(), stamp_ns=9, types=types))
    (out,) = read.people
    assert (read.stamp_ns, read.frame_id, read.layout, out.id) == (9, FRAME_ID, "h36m17", "5")
    left, right, knee = (H36M17.index(name) for name in ("left_ankle", "right_ankle", "left_knee"))
    assert out.score[right] == 0 < out.score[left] < out.score[knee]
    np.testing.assert_array_equal(out.xy_px[out.visible], person.kpts_px[out.visible])


def test_skeleton_info_names_the_joints(types):
    msg = skeleton_info_to_msg(H36M17, types)
    assert (msg.layout, tuple(msg.names), tuple(msg.parents)) == ("h36m17", H36M17.joints, H36M17.parents)
    np.testing.assert_array_equal(np.asarray(msg.side), H36M17.sides)


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_are_exact(stamp_ns):
    assert stamp_ns_from_msg(stamp_to_msg(stamp_ns, ROSBAGS)) == stamp_ns


@given(st.lists(st.floats(0, 10), min_size=2))
def test_confidence_falls_with_sigma(sigma_m):
    confidence = confidence_of_sigma(np.sort(np.array(sigma_m)))
    assert ((confidence > 0) & (confidence <= 1)).all()
    assert (np.diff(confidence) <= 0).all()


def test_the_table_of_inputs_is_complete():
    assert all(msgtype.count("/") == 2 and callable(adapter) for msgtype, adapter in INPUTS.values())
