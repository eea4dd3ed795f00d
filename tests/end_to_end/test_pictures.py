"""The pictures of the documentation show what the bag and the markers say: each thing at its place, what hides before
what is hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.skeleton import H36M17
from occpose_core.types import Origin
from occpose_ros.appearance import FILLED_RGB, MEASURED_RGB
from occpose_ros.bag import BagReader, typestore
from occpose_ros.markers import skeleton_markers
from occpose_ros.message_types import MessageTypes, header_to_msg
from tests.ros.people import skeleton

ROOT = Path(__file__).parents[2]
LAYOUT = ROOT / "rviz" / "occpose.rviz"
FRAME = 93  # one person is behind the counter, one behind the shelf
SHARE = 4  # of the camera's size


@pytest.fixture
def samples(monkeypatch):
    """The scripts of samples/ can be imported."""
    monkeypatch.syspath_prepend(str(ROOT / "samples"))


def test_the_drawn_room_hides_what_the_bag_calls_hidden(samples):
    import scene
    from camera_image import camera_image

    with BagReader(ROOT / "samples" / "two_people.mcap") as bag:
        truth = [record.message for record in bag.messages() if record.topic == "/ground_truth/skeletons"][FRAME]
    joints_cam_m = np.array([np.reshape(person.position, (-1, 3)) for person in truth.people], dtype=np.float64)
    in_sight = np.array([person.origin for person in truth.people]) == Origin.MEASURED
    size = (scene.CAMERA.width // SHARE, scene.CAMERA.height // SHARE)
    empty, full = (camera_image(people, size) for people in ([], scene.world_from_cam(joints_cam_m)))
    x, y = np.moveaxis(np.floor((px_from_cam(joints_cam_m, scene.CAMERA) + 0.5) / SHARE).astype(int), -1, 0)
    painted = (empty[y, x] != full[y, x]).any(axis=-1)
    assert in_sight.sum() > 10 and painted[in_sight].all()
    # behind the counter there is the counter; other joints are out of sight behind people, who are painted
    ankles = H36M17.indices("left_ankle", "right_ankle")
    assert not in_sight[0, ankles].any() and not painted[0, ankles].any()


def test_markers_are_drawn_where_rviz_would_show_them(samples):
    from marker_view import OCCPOSE_VIEW, OrbitView, marker_view, pixels_of

    types = MessageTypes.from_rosbags(typestore())
    header = header_to_msg(0, "camera_optical_frame", types)
    person = skeleton("7", hidden=("left_wrist", "left_elbow"))
    array, _ = skeleton_markers([person], header, {}, types)
    size, view = (640, 480), OrbitView(distance_m=3.0, focal_point_m=(4.0, 0.0, 0.0), pitch=0.0, yaw=np.pi)
    empty, full = (marker_view(markers, LAYOUT, size, view) for markers in ([], array.markers))
    middle = pixels_of(np.array([[0.0, 0.0, 4.0]]), size, view, OCCPOSE_VIEW)
    assert np.allclose(middle, (320, 240))  # RViz looks at the focal point
    for name, rgb in (("right_wrist", MEASURED_RGB), ("left_wrist", FILLED_RGB)):
        joint_cam_m = person.joints_cam_m[[H36M17.index(name)]]
        x, y = np.rint(pixels_of(joint_cam_m, size, view, OCCPOSE_VIEW)[0]).astype(int)
        gain = full[y, x, ::-1] / 255.0 - empty[y, x, ::-1] / 255.0
        assert np.corrcoef(gain, np.array(rgb) - empty[y, x, ::-1] / 255.0)[0, 1] > 0.9
    # seen from behind the camera, the person's right hand is on the left: they face each other
    right, left = (person.joints_cam_m[[H36M17.index(f"{side}_wrist")]] for side in ("right", "left"))
    assert pixels_of(right, size, view, OCCPOSE_VIEW)[0, 0] < 320 < pixels_of(left, size, view, OCCPOSE_VIEW)[0, 0]
