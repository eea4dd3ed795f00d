"""`occpose replay --image-model`: the bag's images reach the model, and its answers the output bag."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the package onnx")

from occpose_core.skeleton import H36M17
from occpose_ros.bag import BagReader, BagWriter, typestore
from occpose_ros.cli import main
from occpose_ros.images import jpeg_from_bgr
from occpose_ros.replay.answer_writer import MARKERS, SKELETONS
from tests.ros.bending_body import bending_body
from tests.ros.rviz_rules import marker_array_faults, shown_after

SECONDS = 1.0
FRAMES = 31
PEOPLE_FROM = 10  # nobody is there before
BRIGHT_FROM = 22  # the first frame of which the camera sees a white wall
IMAGE = "/camera/image_raw"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bending_body(tmp_path_factory.mktemp("models") / "bends.onnx")


def jpeg(header: Any, camera: Any, brightness: int) -> Any:
    """CompressedImage of a wall; half as large as the camera's image, as some drivers have it."""
    wall = np.full((camera.height // 2, camera.width // 2, 3), brightness, np.uint8)
    make = typestore().types["sensor_msgs/msg/CompressedImage"]
    return make(header=header, format="jpeg", data=jpeg_from_bgr(wall, 95).reshape(-1))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Callable[..., Path]:
    """Makes a bag of the beginning of the sample with an image before every message of keypoints, with changes: frame
    and message -> message, bytes or None."""

    def film(change: Callable[[int, Any], Any] = lambda frame, message: message, topic: str = IMAGE) -> Path:
        target = tmp_path_factory.mktemp("film") / "film.mcap"
        frame = 0
        with BagReader(sample) as bag, BagWriter(target) as copy:
            camera = next(bag.messages(bag.topics_of("sensor_msgs/msg/CameraInfo"))).message
            begin_ns = next(bag.messages()).stamp_ns
            for record in takewhile(lambda record: record.stamp_ns - begin_ns <= SECONDS * 1e9, bag.messages()):
                if record.topic == "/keypoints":
                    image = jpeg(record.message.header, camera, 250 if frame >= BRIGHT_FROM else 0)
                    changed = change(frame, image)
                    if isinstance(changed, bytes):
                        copy.append(topic, record.stamp_ns, changed)
                    elif changed is not None:
                        copy.write(topic, changed, record.stamp_ns)
                    frame += 1
                copy.copy(record, bag)
        return target

    return film


def replayed(bag: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    assert main(["replay", str(bag), "--out", str(folder), *arguments]) == 0
    return json.loads((folder / "report.json").read_text())


def test_images_decide_and_surfaces_are_shown(film, model: Path, tmp_path: Path) -> None:
    figures = replayed(film(), tmp_path / "out", "--image-model", str(model))
    assert figures["image_model"] == "bends" and "no_image" not in figures["dropped"]
    with BagReader(tmp_path / "out" / "output.mcap") as output:
        assert IMAGE not in output.topics  # what is large stays where it is
        skeletons = [record.message for record in output.messages([SKELETONS])]
        markers = [record.message for record in output.messages([MARKERS])]
    wrist, pelvis = H36M17.index("right_wrist"), H36M17.index("pelvis")
    joints = np.array([message.people[0].position.reshape(-1, 3) for message in skeletons if message.people])
    reach_m = joints[:, wrist, 2] - joints[:, pelvis, 2]
    assert len(joints) == FRAMES - PEOPLE_FROM
    assert reach_m[-1] - reach_m[BRIGHT_FROM - PEOPLE_FROM - 1] > 0.2
    assert marker_array_faults(markers) == []
    assert {layer for layer, _ in shown_after(markers)} >= {"mesh", "joints", "labels"}


def test_images_that_lack_or_cannot_be_read_are_counted(film, model: Path, tmp_path: Path) -> None:
    def change(frame: int, image: Any) -> Any:
        if frame == 15:
            image.data = image.data[:10]
        if frame in (18, 19):
            whole = bytes(typestore().serialize_cdr(image, image.__msgtype__))
            return whole[:8] if frame == 18 else whole[:-20]
        return None if frame in (16, 17) else image

    figures = replayed(film(change), tmp_path / "out", "--image-model", str(model), "--image", IMAGE)
    assert figures["dropped"]["bad_image"] == 2 and figures["dropped"]["no_image"] == 3
    assert figures["frames"]["answered"] == figures["frames"]["with_people"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--image-model", "{model}"], "has no images, which the image model needs", id="no images"),
        pytest.param(
            ["--image-model", "{model}", "--image", "/other"], "has no images on '/other'", id="no such topic"
        ),
        pytest.param(["--image-model", "no.onnx"], "has no images", id="checked before the model"),
        pytest.param(["--image", "/camera"], "--image has no meaning without --image-model", id="no model"),
    ],
)
def test_a_bag_without_images_is_one_sentence(sample, model, tmp_path, capsys, arguments, words) -> None:
    arguments = [word.format(model=model) for word in arguments]
    assert main(["replay", str(sample), "--out", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_model_that_takes_no_images_is_one_sentence(film, tmp_path, capsys) -> None:
    assert main(["replay", str(film()), "--out", str(tmp_path / "out"), "--image-model", "stream-s"]) == 2
    said = capsys.readouterr().err.strip()
    assert "takes no images" in said and "\n" not in said
