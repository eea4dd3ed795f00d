"""The sample with images: each message of keypoints has its image, people are where the truth says, bodies fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from occpose_core.types import Origin
from occpose_ros.bag import BagReader
from occpose_ros.cli import main
from occpose_ros.message_types import stamp_ns_from_msg
from occpose_ros.replay.images import image_topic

SAMPLES = Path(__file__).parents[2] / "samples"
BAG, MODEL = SAMPLES / "people_in_images.mcap", SAMPLES / "sefd-small.onnx"
KEYPOINTS, TRUTH = "/keypoints", "/ground_truth/skeletons"


@pytest.fixture(scope="module")
def messages() -> dict[str, list[Any]]:
    """Of each topic, in order."""
    found: dict[str, list[Any]] = {}
    with BagReader(BAG) as bag:
        for record in bag.messages():
            found.setdefault(record.topic, []).append(record.message)
        found["images"] = found.pop(image_topic(bag))
    return found


def pixels(message: Any) -> np.ndarray:
    return np.asarray(cv2.imdecode(message.data, cv2.IMREAD_COLOR)).astype(np.float32)


def test_every_message_of_keypoints_has_its_image(messages: dict[str, list[Any]]) -> None:
    stamps = [
        [stamp_ns_from_msg(message.header.stamp) for message in messages[name]]
        for name in ("images", KEYPOINTS, TRUTH, "/camera_info")
    ]
    assert len(stamps[0]) >= 120 and all(each == stamps[0] for each in stamps)
    camera = messages["/camera_info"][0]
    assert pixels(messages["images"][0]).shape == (camera.height, camera.width, 3)


def test_joints_in_sight_are_on_people_and_others_are_mostly_not(messages: dict[str, list[Any]]) -> None:
    frames = range(0, len(messages["images"]), 6)
    images = np.stack([pixels(messages["images"][frame]) for frame in frames])
    moved = np.abs(images - np.median(images, axis=0)).max(axis=-1) > 12
    on_people: dict[bool, list[bool]] = {True: [], False: []}
    height, width = moved.shape[1:]
    for frame, changed in zip(frames, moved, strict=True):
        for person in messages[TRUTH][frame].people:
            for (x, y), origin in zip(person.xy.reshape(-1, 2).round().astype(int), person.origin, strict=True):
                if 2 <= x < width - 2 and 2 <= y < height - 2:
                    on_people[origin == Origin.MEASURED].append(bool(changed[y - 1 : y + 2, x - 1 : x + 2].any()))
    seen, hidden = (np.mean(on_people[sight]) for sight in (True, False))
    assert len(on_people[True]) > 200 and len(on_people[False]) > 100
    assert seen > 0.95
    assert hidden < seen - 0.2


def test_the_model_beside_it_shows_bodies_and_errs_less_than_keypoints_alone(tmp_path: Path) -> None:
    errors_mm = {}
    for name, options in {"alone": [], "images": ["--image-model", str(MODEL)]}.items():
        assert main(["replay", str(BAG), "--out", str(tmp_path / name), *options]) == 0
        report = json.loads((tmp_path / name / "report.json").read_text("utf-8"))
        errors_mm[name] = report["mpjpe_mm"]["all"]
    assert errors_mm["images"] < errors_mm["alone"]
    with BagReader(tmp_path / "images" / "output.mcap") as bag:
        markers = [
            marker for record in bag.messages() if record.topic == "/markers" for marker in record.message.markers
        ]
    surfaces = [marker for marker in markers if marker.ns.endswith("mesh") and marker.action == marker.ADD]
    assert len(surfaces) > 100
    assert all(len(surface.points) % 3 == 0 and len(surface.points) > 1000 for surface in surfaces)
