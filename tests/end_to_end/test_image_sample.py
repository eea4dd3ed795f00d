"""The sample with images: every message of keypoints has its image, and people are where the truth says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from occpose_core.types import Origin
from occpose_ros.bag import BagReader
from occpose_ros.message_types import stamp_ns_from_msg
from occpose_ros.replay_images import image_topic

BAG = Path(__file__).parents[2] / "samples" / "people_in_images.mcap"
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
