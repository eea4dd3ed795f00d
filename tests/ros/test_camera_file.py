"""Cameras of files are those that ROS tools write and print."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occpose_core.types import Camera, CameraError
from occpose_ros.adapters import camera_from_msg
from occpose_ros.bag import BagReader, BagWriter, typestore
from occpose_ros.cli import main
from occpose_ros.message_types import MessageTypes
from occpose_ros.replay.camera_file import camera_info_from_yaml
from occpose_ros.replay.topics import SourceSettings
from tests.ros.bag_files import write_folder
from tests.ros.families import World
from tests.ros.people import FRAME_ID
from tests.ros.test_detections import film, items_of

TYPES = MessageTypes.from_rosbags(typestore())
SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"

CALIBRATED = """
image_width: 1280
image_height: 720
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [1000.5, 0.0, 640, 0.0, 1001.5, 360, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.001, 0.002, 0.0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [990, 0, 650, 0, 0, 991, 370, 0, 0, 0, 1, 0]
"""
ECHOED = """header:
  stamp:
    sec: 5
    nanosec: 0
  frame_id: left_optical
height: 720
width: 1280
distortion_model: plumb_bob
d:
- 0.1
- -0.2
- 0.001
- 0.002
- 0.0
k: [1000.5, 0.0, 640.0, 0.0, 1001.5, 360.0, 0.0, 0.0, 1.0]
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
p: [990.0, 0.0, 650.0, 0.0, 0.0, 991.0, 370.0, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: {binning}
binning_y: {binning}
roi:
  x_offset: {offset}
  y_offset: 0
  height: 0
  width: {width}
  do_rectify: false
---
height: 1
"""
ROS1 = ECHOED.replace("\nd:", "\nD:").replace("\nk:", "\nK:").replace("\nr:", "\nR:").replace("\np:", "\nP:")
PLAIN = {"binning": 0, "offset": 0, "width": 0}
BARE = "{image_width: 640, image_height: 480, camera_matrix: [500, 0, 320, 0, 500, 240, 0, 0, 1]}"


def written(folder: Path, text: str) -> Path:
    path = folder / "camera.yaml"
    path.write_text(text)
    return path


def camera_of(path: Path, rectified: bool = False) -> Camera:
    return camera_from_msg(camera_info_from_yaml(path, TYPES), rectified)


@pytest.mark.parametrize(
    ("text", "frame_id"),
    [
        pytest.param(CALIBRATED, "", id="camera_calibration"),
        pytest.param(ECHOED.format(**PLAIN), "left_optical", id="ros2 topic echo"),
        pytest.param(ROS1.format(**PLAIN), "left_optical", id="rostopic echo"),
    ],
)
def test_all_spellings_are_one_camera(tmp_path: Path, text: str, frame_id: str) -> None:
    camera = camera_of(written(tmp_path, text))
    assert (camera.width, camera.height, camera.distortion_model, camera.frame_id) == (1280, 720, "plumb_bob", frame_id)
    np.testing.assert_array_equal(camera.K, [[1000.5, 0, 640], [0, 1001.5, 360], [0, 0, 1]])
    np.testing.assert_array_equal(camera.D, [0.1, -0.2, 0.001, 0.002, 0.0])
    rectified = camera_of(tmp_path / "camera.yaml", rectified=True)
    np.testing.assert_array_equal(rectified.K, [[990, 0, 650], [0, 991, 370], [0, 0, 1]])
    assert not rectified.distorted


def test_a_cut_and_shrunk_image_is_understood(tmp_path: Path) -> None:
    camera = camera_of(written(tmp_path, ECHOED.format(binning=2, offset=100, width=1000)))
    assert (camera.width, camera.height) == (500, 360)
    np.testing.assert_array_equal(camera.K, [[500.25, 0, 270], [0, 500.75, 180], [0, 0, 1]])


def test_what_is_not_said_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, BARE)
    assert not camera_of(path).distorted
    np.testing.assert_array_equal(camera_of(path).K, camera_of(path, rectified=True).K)


def without(key: str) -> str:
    return "\n".join(line for line in ECHOED.format(**PLAIN).splitlines() if not line.startswith(f"{key}:"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(None, "the camera file .* cannot be read: No such file", id="missing"),
        pytest.param("a: [1, 2", "the camera file .* is no YAML", id="no YAML"),
        pytest.param("\xff\xfe", "the camera file .* has no camera in it", id="text"),
        pytest.param("", "has no camera in it", id="empty"),
        pytest.param("- 1\n- 2\n", "has no camera in it", id="list"),
        pytest.param("!!python/object/apply:os.system ['true']", "is no YAML", id="code"),
        pytest.param(without("width"), "lacks image_width", id="no width"),
        pytest.param(without("k"), "lacks camera_matrix", id="no matrix"),
        pytest.param(BARE.replace("640", "640.5"), "has 640.5 where a whole number of pixels", id="half a pixel"),
        pytest.param(BARE.replace("[500,", "["), "has no 9 numbers as camera_matrix", id="short matrix"),
        pytest.param(BARE.replace("[500,", "[.nan,"), "has no 9 numbers as camera_matrix", id="NaN"),
        pytest.param(BARE.replace("[500,", "[x,"), "has no 9 numbers as camera_matrix", id="words"),
        pytest.param(BARE.replace("[500,", "[0,"), r"k\[0\] = 0, so the camera is not calibrated", id="uncalibrated"),
        pytest.param(
            BARE.replace("}", ", distortion_model: magic, distortion_coefficients: [1]}"),
            "unknown distortion model 'magic'",
            id="unknown model",
        ),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "camera.yaml" if text is None else written(tmp_path, text)
    with pytest.raises(CameraError, match=sentence) as caught:
        camera_of(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [CALIBRATED, ECHOED.format(**PLAIN)], ids=["camera_calibration", "echo"])
@pytest.mark.parametrize("with_own", [True, False], ids=["instead of the bag's", "for a bag without"])
def test_the_camera_of_a_file_is_in_the_frame_of_the_keypoints(tmp_path: Path, text: str, with_own: bool) -> None:
    folder = write_folder(tmp_path / "bag", film(World("rosbags"), "yolo")[0 if with_own else 1 :])
    items = items_of(folder, SourceSettings(camera_file=written(tmp_path, text)))
    (camera,) = (item for item in items if isinstance(item, Camera))
    assert (camera.frame_id, camera.K[0, 0]) == (FRAME_ID, 1000.5)


def test_keypoints_without_a_frame_take_that_of_the_file(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "bag", film(World("rosbags"), "zed38")[1:])
    for text, frame_id in ((CALIBRATED, Camera.frame_id), (ECHOED.format(**PLAIN), "left_optical")):
        items = items_of(folder, SourceSettings(camera_file=written(tmp_path, text)))
        assert next(item for item in items if isinstance(item, Camera)).frame_id == frame_id


def test_the_answers_tell_the_camera_so_that_they_can_be_replayed_again(tmp_path: Path) -> None:
    with BagReader(SAMPLE) as bag, BagWriter(tmp_path / "bare.mcap") as bare:
        for number, record in enumerate(bag.records(["/keypoints"])):
            if number < 60:
                bare.copy(record, bag)
    path = written(tmp_path, CALIBRATED.replace("plumb_bob", "none"))
    assert main(["replay", str(tmp_path / "bare.mcap"), "--camera", str(path), "--out", str(tmp_path / "one")]) == 0
    once = tmp_path / "one" / "output.mcap"
    assert main(["replay", str(once), "--out", str(tmp_path / "two")]) == 0
    assert once.read_bytes() == (tmp_path / "two" / "output.mcap").read_bytes()
