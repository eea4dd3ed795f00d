"""Rows 21 to 24 of the failure table: cameras. test_failures.py is the index of all rows."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus

from occpose_core.types import State
from tests.ros.people import FRAME_ID, HEIGHT, WIDTH, camera, keypoints, person_msg

NAN = float("nan")
FOV_DEG = float(np.degrees(2 * np.arctan(WIDTH / 2 / camera().K[0, 0])))


def positions(answer) -> np.ndarray:
    """(J, 3) metres, of the only person."""
    (person,) = answer.people
    return np.asarray(person.position).reshape(-1, 3)


@pytest.fixture
def guessing(graph):
    """A node without CameraInfo that assumes the field of view that the camera has."""
    node = graph.make_node(assumed_fov_deg=FOV_DEG, person_height_m=1.75)
    node.start()
    graph.connect(node)
    return node


def test_row_21_a_camera_is_assumed_until_its_info_comes(graph, guessing):
    guessed = graph.ask()
    assert (guessed.header.frame_id, guessed.people[0].metric) == (FRAME_ID, False)
    status = graph.diagnosis(lambda values: values["answered"] == "1")
    assert status.level == DiagnosticStatus.WARN and "a field of view of 65.2385 degrees is assumed" in status.message
    graph.send_camera()
    graph.wait("camera", lambda: guessing.camera)
    known = graph.ask()
    assert [(person.id, person.state, person.metric) for person in known.people] == [("7", State.TRACKED, True)]
    np.testing.assert_allclose(positions(known), positions(guessed), atol=0.1)


def test_row_21_without_an_image_size_nothing_can_be_assumed(graph, guessing):
    graph.send(size=(0, 0))
    graph.diagnosis(lambda values: values.get("dropped.no_camera_info") == "1")
    assert graph.ask().people


def test_row_21_the_size_of_the_image_can_be_told(graph):
    node = graph.make_node(assumed_fov_deg=FOV_DEG, image_width=WIDTH, image_height=HEIGHT)
    node.start()
    graph.connect(node)
    told = graph.ask(size=(0, 0))
    graph.ask([], ahead_ns=5 * 10**9)
    np.testing.assert_allclose(positions(told), positions(graph.ask()), atol=1e-5)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"k": (0.0,) * 9}, id="not calibrated"),
        pytest.param({"k": (NAN,) * 9}, id="NaN"),
        pytest.param({"size": (0, HEIGHT)}, id="no width"),
        pytest.param({"size": (WIDTH, 0)}, id="no height"),
        pytest.param({"distortion_model": "pixie_dust"}, id="unknown distortion"),
        pytest.param({"distortion_model": "plumb_bob", "d": (NAN,) * 5}, id="NaN distortion"),
    ],
)
def test_row_22_a_bad_camera_info_is_counted_and_the_good_one_kept(graph, node, bad):
    before = node.camera
    graph.send_camera(**bad)
    status = graph.diagnosis(lambda values: values.get("dropped.bad_camera_info") == "1")
    assert status.level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)
    assert graph.ask().people and node.camera is before


def test_row_22_keypoints_of_the_shrunken_image_mean_the_same(graph, node):
    whole = graph.ask()
    graph.ask([], ahead_ns=5 * 10**9)
    xy_px, score = keypoints()
    half = graph.ask(
        [person_msg(graph.types, "7", (xy_px + 0.5) / 2 - 0.5, score)], size=(WIDTH // 2, HEIGHT // 2)
    )  # pixel centres are at integer coordinates
    np.testing.assert_allclose(positions(half), positions(whole), atol=1e-4)


def seen(graph, zoom: float) -> list:
    """The person of `good_people`, through a lens of another focal length."""
    xy_px, score = keypoints()
    centre = camera().K[:2, 2]
    return [person_msg(graph.types, "7", (xy_px - centre) * zoom + centre, score)]


def zoom_in(graph, node, zoom: float) -> None:
    K = camera().K.copy()
    K[[0, 1], [0, 1]] *= zoom
    before = node.camera
    graph.send_camera(k=K.ravel())
    graph.wait("camera", lambda: node.camera is not before)


def test_row_23_a_zoom_moves_nobody(graph, node):
    for _ in range(5):
        wide = graph.ask()
    zoom_in(graph, node, 1.5)
    close = graph.ask(seen(graph, 1.5))
    assert [(person.id, person.state) for person in close.people] == [("7", State.TRACKED)]
    np.testing.assert_allclose(positions(close), positions(wide), atol=0.02)


@pytest.mark.parametrize("zoom", [0.6, 0.9, 1.1, 2.0], ids="{:g}".format)
def test_row_23_other_intrinsics_hold_at_once_and_ids_stay(graph, node, zoom):
    people = [person_msg(graph.types, "7", *keypoints(1.2))]
    for _ in range(5):
        graph.ask(people)
    zoom_in(graph, node, zoom)
    after = graph.ask(people)  # the same pixels mean a person elsewhere
    assert [(person.id, list(after.lost_ids)) for person in after.people] == [("7", [])]
    fresh = graph.ask(people, ahead_ns=5 * 10**9)
    np.testing.assert_allclose(positions(after), positions(fresh), atol=0.05)
