"""Messages of other people's detectors, as their generated classes and as rosbags reads them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from occpose_core.skeleton import H36M17, convert_keypoints
from occpose_ros.adapters import INPUTS, Bodies, RejectedMessageError, keypoints_from_yolo_msg, match_camera
from tests.ros import families
from tests.ros.families import COCO17, WRITERS, Person, World
from tests.ros.people import FRAME_ID, WIDTH, camera, keypoints

NAN = float("nan")
# hips and shoulders tell left from right; all families have these
SHARED = COCO17.indices(
    *(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "hip", "knee"))
)


@pytest.fixture(scope="session", params=["rclpy", "rosbags"])
def world(request: pytest.FixtureRequest) -> World:
    """Both kinds of messages."""
    if request.param == "rclpy":
        request.getfixturevalue("interfaces")
    return World(request.param)


def standing(id: str = "7", x_m: float = 0.0, score: float = 0.9) -> Person:
    """A standing person, all of whose joints have one score."""
    xy_px, scores = keypoints(x_m)
    return Person(id, xy_px, np.where(scores > 0, np.float32(score), np.float32(0)))


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    """Up to three people with random joints, each with one score (ZED has no more) of two digits."""
    found = []
    for i in range(draw(st.integers(0, 3))):
        xy_px = draw(hnp.arrays(np.float32, (17, 2), elements=st.floats(1, 700, width=32)))
        visible = draw(hnp.arrays(bool, 17))
        score = np.float32(draw(st.integers(1, 99)) / 100)
        found.append(Person(str(i), xy_px, np.where(visible, score, np.float32(0))))
    return found


def read(world: World, name: str, people: list[Person], **options):
    """What the family's adapter reads of people, in the camera's pixels."""
    family, write = WRITERS[name]
    return match_camera(INPUTS[family].read(write(world, people), ""), camera(), **options)


def expected(person: Person) -> tuple[np.ndarray, np.ndarray]:
    return convert_keypoints(person.xy_px, person.score, COCO17, H36M17)


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=15)
@given(people=people())
def test_what_is_written_is_read(world, name, people):
    read_back = read(world, name, people)
    seen = [person for person in people if person.score.any() or name != "yolo"]  # who has no joints is not there
    assert (read_back.frame_id, read_back.stamp_ns) == (FRAME_ID, families.STAMP_NS)
    assert set(read_back.dropped) <= {"no_keypoints"}
    assert len(read_back.people) == len(seen)
    for got, person in zip(read_back.people, seen, strict=True):
        xy_px, score = expected(person)
        np.testing.assert_allclose(got.score, score, atol=1e-6)
        np.testing.assert_allclose(got.xy_px[got.visible], xy_px[score > 0], atol=1e-3)


@pytest.mark.parametrize("name", WRITERS)
def test_a_mirrored_image_is_turned_back(world, name):
    """The detector calls the left hand of a mirrored person right, and sees it on the other side."""
    person = standing(x_m=0.4)
    mirrored_px = person.xy_px[COCO17.mirror]
    mirrored_px[:, 0] = (WIDTH - 1) - mirrored_px[:, 0]
    mirrored = Person(person.id, mirrored_px, person.score[COCO17.mirror])
    (straight,) = read(world, name, [person]).people
    (turned,) = read(world, name, [mirrored], mirror=True).people
    np.testing.assert_allclose(turned.xy_px[turned.visible], straight.xy_px[straight.visible], atol=1e-3)
    np.testing.assert_array_equal(turned.score, straight.score)


@pytest.mark.parametrize("name", WRITERS)
def test_left_is_left(world, name):
    """A person who faces the camera has the left hand on the right side of the image."""
    (person,) = read(world, name, [standing()]).people
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        left, right = person.xy_px[H36M17.indices(f"left_{joint}", f"right_{joint}")]
        assert left[0] > WIDTH / 2 > right[0]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        pytest.param("yolo", ["7", "", "cat"], id="strings, empty without a tracker"),
        pytest.param("hri", ["abcde", "x1"], id="part of the topic"),
        pytest.param("zed38", ["7", "", "-32768"], id="numbers, none without tracking, wrapped"),
    ],
)
def test_ids_of_the_detector_are_kept(world, name, ids):
    assert [person.id for person in read(world, name, [standing(id) for id in ids]).people] == ids


def test_openpose_gives_no_ids(world):
    assert [person.id for person in read(world, "body25", [standing("7"), standing("8")]).people] == ["", ""]


@pytest.mark.parametrize("name", WRITERS)
def test_scores_of_joints_are_kept_but_zed_has_none(world, name):
    person = standing()
    person.score[SHARED] = np.linspace(0.3, 0.8, len(SHARED))
    (got,) = read(world, name, [person]).people
    joints = H36M17.indices(*(COCO17.joints[i] for i in SHARED))
    own = np.full(len(SHARED), person.score.max()) if name.startswith("zed") else person.score[SHARED]
    np.testing.assert_allclose(got.score[joints], own, atol=1e-6)


# yolo


def point(world: World, number: int, score: float = 0.9, x: float = 100.0):
    return world.make(
        "yolo_msgs/KeyPoint2D", id=number, point=world.make("yolo_msgs/Point2D", x=x, y=50.0), score=score
    )


def yolo(world: World, *detections, first_joint_id: int = 1):
    msg = world.make("yolo_msgs/DetectionArray", header=world.header(), detections=list(detections))
    return keypoints_from_yolo_msg(world.sent("yolo_msgs/DetectionArray", msg), first_joint_id=first_joint_id)


@pytest.mark.parametrize(
    ("numbers", "first_joint_id", "people", "dropped"),
    [
        pytest.param([6, 7, 12, 13], 1, 1, {}, id="sparse"),
        pytest.param([1, 17], 1, 1, {}, id="first and last"),
        pytest.param([5, 18, -1, 99], 1, 1, {"unknown_joint_id": 3}, id="unknown"),
        pytest.param([0, 5, 16], 1, 0, {"zero_based_ids": 1, "unknown_joint_id": 1}, id="counted from 0"),
        pytest.param([0, 5, 16], 0, 1, {}, id="counted from 0 as said"),
        pytest.param([0, 17], 0, 1, {"unknown_joint_id": 1}, id="counted from 1 though 0 was said"),
        pytest.param([3, 3, 3], 1, 1, {"duplicate_joint": 2}, id="duplicates"),
        pytest.param([1] * 35, 1, 0, {"wrong_joint_count": 1}, id="far too many"),
        pytest.param([], 1, 0, {"no_keypoints": 1}, id="a person without joints"),
    ],
)
def test_yolo_joint_numbers(world, numbers, first_joint_id, people, dropped):
    detection = families.yolo_detection(world, [point(world, number) for number in numbers])
    found = yolo(world, detection, first_joint_id=first_joint_id)
    assert (len(found.people), found.dropped) == (people, dropped)


def test_yolo_numbers_are_those_of_coco_from_1(world):
    joints = [point(world, number, x=10.0 * number) for number in range(1, 18)]
    (person,) = yolo(world, families.yolo_detection(world, joints)).people
    for name in ("nose", "left_shoulder", "right_wrist", "left_hip", "right_ankle"):
        assert person.xy_px[H36M17.index(name), 0] == 10.0 * (COCO17.index(name) + 1)


@pytest.mark.parametrize("scores", [(0.2, 0.9, 0.5), (0.9, NAN, 0.2), (0.9, 0.9, 0.1)])
def test_of_equal_yolo_numbers_the_highest_score_holds(world, scores):
    joints = [point(world, 1, score, x=100.0 * score if score == score else 0.0) for score in scores]
    (person,) = yolo(world, families.yolo_detection(world, joints)).people
    nose = H36M17.index("nose")
    np.testing.assert_allclose((person.score[nose], person.xy_px[nose, 0]), (0.9, 90.0), rtol=1e-6)


def test_yolo_things_are_no_people(world):
    chair = families.yolo_detection(world, [], class_name="chair")
    found = yolo(world, chair, families.yolo_detection(world, [point(world, 1)]), chair)
    assert (len(found.people), found.dropped) == (1, {})


def test_yolo_values_beyond_float32_cost_the_joint(world):
    joints = [point(world, 1, score=1e300), point(world, 2, x=-1e300), point(world, 3, x=NAN), point(world, 4)]
    found = yolo(world, families.yolo_detection(world, joints))
    assert found.dropped == {"invalid_joint": 3}


# hri


def test_hri_numbers_eyes_and_ears_left_first(world):
    """Where OpenPose, from which the order is taken, begins with the right ones."""
    numbers = world.kind("hri_msgs/Skeleton2D")
    found = {joint: getattr(numbers, joint) for joint in ("LEFT_EYE", "RIGHT_EYE", "LEFT_EAR", "RIGHT_EAR")}
    assert found == {"LEFT_EYE": 14, "RIGHT_EYE": 15, "LEFT_EAR": 16, "RIGHT_EAR": 17}
    layout = INPUTS["hri"].read(WRITERS["hri"][1](world, [standing()]), "").layout
    for number, joint in enumerate(families.get_skeleton(layout).joints):
        assert getattr(numbers, joint.upper()) == number


def test_hri_keeps_what_lies_beyond_the_border(world):
    person = standing(x_m=-3.0)
    assert (person.xy_px[person.score > 0, 0] < 0).any()
    (got,) = read(world, "hri", [person]).people
    np.testing.assert_allclose(got.xy_px[got.visible], expected(person)[0][got.visible], atol=1e-3)


def test_hri_shares_of_the_image_are_pixels_of_the_camera(world):
    middle = Person("a", np.full((17, 2), ((1280 - 1) / 2, (720 - 1) / 2), np.float32), np.ones(17, np.float32))
    skeleton = families.hri_skeleton(world, middle)
    assert {(point.x, point.y) for point in skeleton.skeleton if point.c > 0} == {(0.5, 0.5)}
    (got,) = read(world, "hri", [middle]).people
    np.testing.assert_array_equal(got.xy_px[got.visible], np.tile(middle.xy_px[0], (got.visible.sum(), 1)))


def test_hri_bodies_of_another_camera_are_left_out(world):
    bodies = {
        "a": families.hri_skeleton(world, standing("a")),
        "b": families.hri_skeleton(world, standing("b"), frame_id="other_camera"),
    }
    found = INPUTS["hri"].read(Bodies(header=bodies["a"].header, bodies=bodies), "")
    assert ([person.id for person in found.people], found.dropped) == (["a"], {"frame_id": 1})


# zed


def zed(world: World, *objects):
    msg = world.make("zed_msgs/ObjectsStamped", header=world.header(), objects=list(objects))
    return INPUTS["zed"].read(world.sent("zed_msgs/ObjectsStamped", msg), "")


@pytest.mark.parametrize(
    ("fields", "people", "dropped"),
    [
        pytest.param({"skeleton_available": False}, 0, {"no_skeleton": 1}, id="no skeleton"),
        pytest.param({"tracking_state": 0}, 1, {}, id="tracking off"),
        pytest.param({"tracking_state": 2}, 0, {"predicted": 1}, id="searching"),
        pytest.param({"tracking_state": 3}, 0, {"predicted": 1}, id="about to end"),
        pytest.param({"body_format": 3}, 0, {"unknown_body_format": 1}, id="format 70"),
        pytest.param({"confidence": 140.0}, 1, {"score_out_of_range": 13}, id="confidence above 100"),
        pytest.param({"confidence": NAN}, 1, {"invalid_joint": 13}, id="confidence NaN"),
    ],
)
def test_zed_people_that_are_no_measurement(world, fields, people, dropped):
    found = zed(world, families.zed_object(world, standing(), **fields), families.zed_object(world, standing("8")))
    assert (len(found.people), set(found.dropped)) == (people + 1, set(dropped))


@pytest.mark.parametrize("hidden", [NAN, -1.0, 0.0, float("inf")])
def test_zed_joints_that_are_hidden(world, hidden):
    person = standing()
    person.score[COCO17.index("left_wrist")] = 0.0
    found = zed(world, families.zed_object(world, person, hidden=hidden))
    assert found.dropped == {}
    visible = found.people[0].visible
    assert not visible[H36M17.index("left_wrist")] and visible[H36M17.index("left_elbow")]


def test_zed_formats_may_be_mixed(world):
    objects = [
        families.zed_object(world, standing(str(i)), layout) for i, layout in enumerate(("zed18", "zed38", "zed34"))
    ]
    found = zed(world, *objects)
    assert sorted(person.id for person in found.people) == ["0", "1", "2"] and not found.dropped
    for person in found.people:
        np.testing.assert_allclose(
            person.xy_px[H36M17.indices("left_knee")], standing().xy_px[COCO17.indices("left_knee")]
        )


def test_the_zed_frame_is_not_that_of_the_image(world):
    """The header names the frame of the 3D skeletons, which the optical frame is a child of."""
    assert read(world, "zed38", [standing()]).frame_id == FRAME_ID


def test_zed_pixels_of_the_full_image_fit_a_camera_info_of_half_the_size(world):
    big = standing()
    msg = WRITERS["zed38"][1](world, [Person(big.id, big.xy_px * 2 + 0.5, big.score)])
    (person,) = match_camera(INPUTS["zed"].read(msg, ""), camera(), image_width=2 * WIDTH).people
    np.testing.assert_allclose(person.xy_px[person.visible], expected(big)[0][person.visible], atol=1e-3)


# openpose


def test_openpose_people_of_another_length_are_left_out(world):
    short = world.make("openpose_ros2_msgs/PoseKeyPoints", pose_key_points=[])
    msg = families.openpose_msg(world, [standing()])
    msg.pose_key_points_list.append(short)
    found = INPUTS["openpose"].read(msg, "")
    assert (len(found.people), found.layout, found.dropped) == (1, "body25", {"wrong_joint_count": 1})


# all


@pytest.mark.parametrize(
    ("name", "layout"), [("yolo", "halpe26"), ("zed38", "zed34"), ("body25", "openpose18"), ("hri", "openpose18")]
)
def test_the_parameter_layout_replaces_that_of_the_family(world, name, layout):
    family, write = WRITERS[name]
    assert INPUTS[family].read(write(world, [standing()]), layout).layout == layout


def test_absurdly_many_people_are_refused(world):
    nobody = families.yolo_detection(world, [])
    msg = world.make("yolo_msgs/DetectionArray", header=world.header(), detections=[nobody] * 1001)
    with pytest.raises(RejectedMessageError, match="1001 people"):
        keypoints_from_yolo_msg(msg)


@pytest.mark.parametrize("name", WRITERS)
def test_nobody_is_an_empty_image(world, name):
    found = read(world, name, [])
    assert (found.people, found.dropped) == ((), {})
