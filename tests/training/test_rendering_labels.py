"""Labels of a picture: who is seen, parameters that make the body again, and contours through everything."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("kornia")

import torch
from scipy.spatial.transform import Rotation

from occpose_core.body.joints import SMPL30
from occpose_core.body.layer import BodyModel
from occpose_core.camera import px_from_cam
from tests.training.stage import scene_of, someone
from training.rendering import furniture
from training.rendering.labels import alone, joints_seen, labels_of
from training.rendering.overlap_edges import canny_magnitude, dilation_px, overlap_edges
from training.rendering.people import Actors
from training.rendering.picture import take_picture
from training.rendering.raycast import NOTHING
from training.rendering.scenes import Scene


@pytest.fixture(scope="module")
def actors() -> Actors:
    return Actors(BodyModel())


def seen_names(scene: Scene, person: int = 0) -> set[str]:
    return {name for name, seen in zip(SMPL30, joints_seen(scene)[person], strict=True) if seen}


def test_a_person_before_the_camera_is_seen_but_for_nothing(actors: Actors) -> None:
    missing = set(SMPL30) - seen_names(scene_of(actors, [someone(actors)], []))
    assert missing <= {"head_top"}


def test_from_behind_the_face_is_hidden_by_the_head(actors: Actors) -> None:
    seen = seen_names(scene_of(actors, [someone(actors)], [], behind=True))
    assert not seen & {"nose", "left_eye", "right_eye"}
    assert {"head", "neck", "pelvis", "left_knee", "right_shoulder", "spine2"} <= seen


@pytest.mark.parametrize(("gap_m", "height_m"), [(0.25, 0.7), (1.5, 0.85)])
def test_a_counter_hides_what_is_behind_it_and_nothing_else(gap_m: float, height_m: float, actors: Actors) -> None:
    counter = furniture.box(0, gap_m + 0.1, 0, (3, 0.2, height_m))
    scene = scene_of(actors, [someone(actors)], [counter])
    seen = seen_names(scene)
    assert not seen & {f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle", "foot")}
    assert {"neck", "nose", "left_shoulder", "right_elbow"} <= seen
    assert {f"{side}_ankle" for side in ("left", "right")} <= seen_names(replace(scene, things=scene.things[:1]))


def test_a_thing_behind_hides_nothing(actors: Actors) -> None:
    wall = furniture.box(0, -0.8, 0, (4, 0.2, 3))
    one = [someone(actors)]
    assert seen_names(scene_of(actors, one, [wall])) == seen_names(scene_of(actors, one, []))


def test_labels_are_those_of_the_picture(actors: Actors) -> None:
    front, back = someone(actors).moved(np.array([0.15, 0.8, 0.0])), someone(actors, 1).moved(np.array([-0.15, 0, 0]))
    scene = scene_of(actors, [front, back], [])
    picture = take_picture(scene, np.random.default_rng(0))
    each = [alone(person, scene) for person in scene.people]
    labels = labels_of(scene, picture.person, each)
    assert labels[0]["visible_share"] == 1.0
    assert 0.3 < labels[1]["visible_share"] < 0.9
    for index, label in enumerate(labels):
        x, y, w, h = label["bbox"]
        shown = np.argwhere(picture.person == index)[:, ::-1]
        assert ((shown >= [x, y]) & (shown < [x + w, y + h])).all()
        keypoints = np.reshape(label["keypoints"], (30, 3))
        joints_cam_m = np.array(label["joints_cam_m"])
        inside = keypoints[:, 2] > 0
        np.testing.assert_allclose(keypoints[inside, :2], px_from_cam(joints_cam_m[inside], scene.camera), atol=0.02)


def test_the_labelled_parameters_make_the_labelled_body(actors: Actors) -> None:
    scene = scene_of(actors, [someone(actors, 5)], [])
    label = labels_of(scene, np.zeros((160, 160), int), [alone(scene.people[0], scene)])[0]
    pose = Rotation.from_rotvec(np.reshape(label["smpl"]["pose"], (24, 3))).as_matrix()
    shape = np.array([label["smpl"]["shape"]])
    posed = BodyModel()(torch.from_numpy(pose[None]).float(), torch.from_numpy(shape).float())
    at = np.array(label["smpl"]["trans"])
    np.testing.assert_allclose(posed.joints30_m[0].numpy() + at, label["joints_cam_m"], atol=1e-4)
    vertices_cam_m = scene.in_camera(scene.people[0].mesh.vertices_m)
    np.testing.assert_allclose(posed.vertices_m[0].numpy() + at, vertices_cam_m, atol=1e-4)


def test_people_of_whom_too_little_is_seen_are_not_labelled(actors: Actors) -> None:
    wall = furniture.box(0, 0.6, 0, (3, 0.2, 1.55))
    scene = scene_of(actors, [someone(actors)], [wall])
    picture = take_picture(scene, np.random.default_rng(0))
    assert labels_of(scene, picture.person, [alone(scene.people[0], scene)]) == []


@pytest.mark.parametrize(
    ("side_px", "dilation"),
    [(10, 1), (16, 1), (17, 3), (64, 3), (65, 5), (128, 5), (129, 7), (256, 7), (257, 9), (900, 9)],
)
def test_contours_are_wider_for_larger_people(side_px: int, dilation: int) -> None:
    assert dilation_px(side_px**2) == dilation


def square(low: int, high: int) -> np.ndarray:
    grey = np.ones((96, 96), dtype=np.float32)
    grey[low:high, low:high] = 0.4
    return grey


def test_contours_of_everybody_are_there_also_where_they_are_hidden() -> None:
    both = overlap_edges(np.stack([square(20, 60), square(40, 80)]), [40.0**2, 40.0**2])
    single = overlap_edges(square(40, 80)[None], [40.0**2])
    assert both.max() <= 1.0
    assert (both >= single - 1e-6).all()
    assert single[40, 50] > 0.3  # inside the other square
    assert single[60, 60] == 0.0
    assert (overlap_edges(np.ones((1, 96, 96)), [0.0]) == 0).all()


def test_contours_do_not_depend_on_the_window_they_are_found_in() -> None:
    grey = square(30, 66)
    whole = cv2.dilate(canny_magnitude(grey), np.ones((3, 3), np.uint8))
    np.testing.assert_allclose(overlap_edges(grey[None], [36.0**2]), np.clip(whole, 0, 1), atol=1e-6)


def test_a_hidden_persons_contour_does_not_see_furniture(actors: Actors) -> None:
    one = someone(actors)
    free, hidden = (
        alone(one, scene_of(actors, [one], things)) for things in ([], [furniture.box(0, 1, 0, (2, 0.2, 1))])
    )
    np.testing.assert_array_equal(free.grey, hidden.grey)
    assert free.silhouette.sum() > 1000
    assert free.grey[~free.silhouette].min() == 1.0


def test_vertices_outside_the_picture_do_no_harm(actors: Actors) -> None:
    scene = scene_of(actors, [someone(actors).moved(np.array([30.0, 0, 0]))], [])
    gone = alone(scene.people[0], scene)
    assert gone.box_px == (0.0, 0.0, 0.0, 0.0)
    assert not gone.silhouette.any()
    assert labels_of(scene, np.full((160, 160), NOTHING), [gone]) == []
