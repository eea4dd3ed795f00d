"""`occpose replay` over recordings of other people's detectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from occpose_core.skeleton import H36M17
from occpose_ros.bag import BagReader
from occpose_ros.cli import main
from occpose_ros.replay.answer_writer import SKELETONS
from tests.ros.bag_files import INTERFACES, write_folder
from tests.ros.families import World
from tests.ros.test_detections import film

WORLD = World("rosbags")
FRAMES = 20


def answers(bag: Path, folder: Path, *arguments: str) -> list[Any]:
    """The messages of skeletons that a replay leaves."""
    assert main(["replay", str(bag), "--out", str(folder), *arguments]) == 0
    assert json.loads((folder / "report.json").read_text())["bags"]
    with BagReader(folder / "output.mcap") as output:
        return [record.message for record in output.messages([SKELETONS])]


@pytest.mark.parametrize(
    ("name", "storage", "compression", "definitions"),
    [
        pytest.param("yolo", StoragePlugin.SQLITE3, CompressionMode.NONE, False, id="yolo, as Humble records"),
        pytest.param("zed38", StoragePlugin.MCAP, CompressionMode.FILE, True, id="zed, compressed"),
        pytest.param(
            "body25", StoragePlugin.SQLITE3, CompressionMode.MESSAGE, True, id="openpose, compressed messages"
        ),
        pytest.param("hri", StoragePlugin.MCAP, CompressionMode.NONE, False, id="hri, without definitions"),
    ],
)
def test_recordings_of_other_detectors_are_answered(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    storage: StoragePlugin,
    compression: CompressionMode,
    definitions: bool,
) -> None:
    bag = write_folder(tmp_path / "bag", film(WORLD, name, FRAMES), storage, compression, definitions=definitions)
    if not definitions:
        assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 2
        out, err = capsys.readouterr()
        assert "with --messages" in err and (out, err.count("\n")) == ("", 1)
    told = answers(bag, tmp_path / "out", *([] if definitions else ["--messages", str(INTERFACES)]))
    assert len(told) == FRAMES
    pelvis_x_m = sorted(person.position.reshape(-1, 3)[H36M17.index("pelvis"), 0] for person in told[-1].people)
    assert len(pelvis_x_m) == 2
    np.testing.assert_allclose(pelvis_x_m, [-0.5, 0.5], atol=0.15)


def test_the_scale_of_an_assumed_camera_is_never_known(tmp_path: Path) -> None:
    bag = write_folder(tmp_path / "bag", film(WORLD, "yolo", FRAMES))
    parameters = tmp_path / "node.yaml"
    said = {"person_height_m": 1.8, "assumed_fov_deg": 65.0, "image_width": 1280, "image_height": 720}
    parameters.write_text(json.dumps({"/**": {"ros__parameters": said}}))
    calibrated = answers(bag, tmp_path / "known", "--params", str(parameters))
    assert all(person.metric for person in calibrated[-1].people)
    blind = write_folder(tmp_path / "blind", film(WORLD, "yolo", FRAMES)[1:])
    assumed = answers(blind, tmp_path / "assumed", "--params", str(parameters))
    assert len(assumed[-1].people) == 2 and not any(person.metric for person in assumed[-1].people)
    with BagReader(tmp_path / "assumed" / "output.mcap") as output:
        assert "/camera_info" not in output.topics  # an assumption is not passed off as a calibration


def test_a_parameter_file_decides_and_options_win(tmp_path: Path) -> None:
    bag = write_folder(tmp_path / "bag", film(WORLD, "yolo", FRAMES))
    parameters = tmp_path / "node.yaml"
    parameters.write_text(json.dumps({"pose_node": {"ros__parameters": {"min_score": 0.95, "mirror": True}}}))
    mirrored = ["--params", str(parameters)]
    assert main(["replay", str(bag), "--out", str(tmp_path / "strict"), *mirrored]) == 2  # all score less
    parameters.write_text(json.dumps({"pose_node": {"ros__parameters": {"mirror": True}}}))
    for name, extra, side in (("turned", [], 1.0), ("as it is", ["--no-mirror"], -1.0)):
        people = answers(bag, tmp_path / name, *mirrored, *extra)[-1].people
        (first,) = (person.position.reshape(-1, 3) for person in people if person.id == "1")
        assert side * first[H36M17.index("pelvis"), 0] > 0.3
