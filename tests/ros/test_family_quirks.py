"""What is peculiar to the messages of each detector family."""

from __future__ import annotations

import numpy as np
import pytest

from occpose_core.skeleton import H36M17
from occpose_ros.adapters import INPUTS, Bodies, keypoints_from_yolo_msg, match_camera
from tests.ros import families
from tests.ros.families import COCO17, WRITERS, Person, World, expected, read, standing
from tests.ros.people import FRAME_ID, WIDTH, camera

NAN, INF = float("nan"), float("inf")

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


@pytest.mark.parametrize("scores", [(0.2, 0.9, 0.5), (0.9, NAN, 0.2), (0.9, 0.9, 0.1), (INF, 0.9)])
def test_of_equal_yolo_numbers_the_highest_score_holds(world, scores):
    joints = [point(world, 1, score, x=100.0 * score if np.isfinite(score) else 0.0) for score in scores]
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
