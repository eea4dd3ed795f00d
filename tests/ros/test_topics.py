"""Topics are found by type, and where that does not decide users are told how to."""

from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from occpose_ros.bag import BagError, BagReader, BagWriter
from occpose_ros.parameter_fields import ParameterError
from occpose_ros.parameters import NodeParameters
from occpose_ros.replay.topics import (
    SourceSettings,
    Topics,
    add_source_arguments,
    find_topics,
    source_settings,
)
from occpose_ros.scoring.truth import TruthSettings, truth_described
from tests.ros.bag_files import Sent, write_folder
from tests.ros.families import World, standing
from tests.ros.test_detections import BEGIN_NS, TOPICS, body, camera_info, film, listed, spoken

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"
WORLD = World("rosbags")


def renamed(sent: list[Sent], topic: str) -> list[Sent]:
    return [Sent(topic, one.msgtype, one.stamp_ns, one.message) for one in sent]


def topics_of(path: Path, settings: SourceSettings | None = None, truth: TruthSettings | None = None) -> Topics:
    with BagReader(path) as bag:
        return find_topics(bag, settings, truth)


def settings_of(*arguments: str) -> SourceSettings:
    parser = argparse.ArgumentParser()
    add_source_arguments(parser)
    return source_settings(parser.parse_args(arguments))


def test_the_sample_needs_no_words() -> None:
    topics = topics_of(SAMPLE)
    assert topics == Topics(
        keypoints="/keypoints", family="occpose", camera_info="/camera_info", truth="/ground_truth/skeletons"
    )
    assert topics.detections == ("/keypoints",)
    said = topics.described(SourceSettings())
    assert said == "keypoints of /keypoints, camera of /camera_info"


@pytest.mark.parametrize(
    ("truth", "topic", "described"),
    [
        pytest.param(TruthSettings(), "/ground_truth/skeletons", "/ground_truth/skeletons", id="by itself"),
        pytest.param(TruthSettings(npz=Path("a/b.npz")), None, "b.npz", id="file"),
        pytest.param(TruthSettings(tf="m/{joint}"), None, "TF frames m/{joint}", id="TF"),
    ],
)
def test_true_skeletons_come_from_one_place(truth: TruthSettings, topic: str | None, described: str) -> None:
    """A topic that is there as well is then no truth."""
    assert topics_of(SAMPLE, truth=truth).truth == topic
    assert truth_described(truth, topic) == described
    assert truth_described(TruthSettings(), None) == "nobody"


def test_one_of_several_topics_of_true_skeletons_must_be_named(tmp_path: Path) -> None:
    with BagReader(SAMPLE) as bag, BagWriter(tmp_path / "two.mcap") as two:
        for record in bag.messages(["/keypoints", "/camera_info", "/ground_truth/skeletons"]):
            two.copy(record, bag)
            if record.topic == "/ground_truth/skeletons":
                two.write("/ground_truth/others", record.message, record.stamp_ns)
    with pytest.raises(BagError, match="2 topics of true skeletons: /ground_truth/others, .* with --truth"):
        topics_of(tmp_path / "two.mcap")
    named = TruthSettings(topic="/ground_truth/others")
    assert topics_of(tmp_path / "two.mcap", truth=named).truth == "/ground_truth/others"


def test_bodies_are_a_family_of_topics(tmp_path: Path) -> None:
    topics = topics_of(write_folder(tmp_path / "bag", film(WORLD, "hri")))
    bodies = ("/humans/bodies/b1/skeleton2d", "/humans/bodies/b2/skeleton2d")
    assert topics.detections == (TOPICS["hri"], *bodies)
    assert topics.bodies == tuple(zip(bodies, ("b1", "b2"), strict=True))


def test_answers_of_a_node_that_was_recorded_too_are_no_input(tmp_path: Path) -> None:
    with BagReader(SAMPLE) as bag:
        record = next(bag.messages(["/keypoints"]))
    filled = [
        Sent(name, record.msgtype, BEGIN_NS, record.message) for name in ("/filled_keypoints", "/pose/filled_keypoints")
    ]
    own_people = [
        listed(WORLD, BEGIN_NS, ["p"], "/occpose/humans"),
        body(WORLD, standing("p"), BEGIN_NS, "/occpose/humans"),
    ]
    with pytest.raises(BagError, match="has no keypoints"):
        topics_of(write_folder(tmp_path / "alone", [camera_info(), *filled, *own_people]))
    for name in ("yolo", "hri"):
        bag = write_folder(tmp_path / name, [*film(WORLD, name), *filled, *own_people])
        assert topics_of(bag).keypoints == TOPICS[name]


def two_detectors(folder: Path) -> Path:
    return write_folder(folder / "bag", [*film(WORLD, "yolo"), *spoken(WORLD, "zed38", [standing()], BEGIN_NS)])


def two_cameras(folder: Path) -> Path:
    return write_folder(folder / "bag", [*film(WORLD, "yolo"), *renamed([camera_info()], "/right/camera_info")])


def no_list(folder: Path) -> Path:
    return write_folder(folder / "bag", [camera_info(), body(WORLD, standing("a"), BEGIN_NS)])


def other_list(folder: Path) -> Path:
    return write_folder(
        folder / "bag", [camera_info(), listed(WORLD, BEGIN_NS, ["a"], "/other"), body(WORLD, standing("a"), BEGIN_NS)]
    )


def camera_alone(folder: Path) -> Path:
    return write_folder(folder / "bag", [camera_info()])


def many_topics(folder: Path) -> Path:
    return write_folder(folder / "bag", [Sent(f"/t{i:03}", *_of(camera_info())) for i in range(200)])


def _of(sent: Sent) -> tuple[Any, ...]:
    return sent.msgtype, sent.stamp_ns, sent.message


UNCLEAR = [
    pytest.param(
        two_detectors,
        [],
        r"has keypoints on 2 topics: /yolo/tracking \(yolo_msgs/msg/DetectionArray\), /zed/body_trk \(zed_msgs/msg/"
        r"ObjectsStamped\); name one of them with --topic",
        id="two detectors",
    ),
    pytest.param(
        two_cameras,
        [],
        "CameraInfo: /camera_info, /right/camera_info; name one of them with --camera-info",
        id="two cameras",
    ),
    pytest.param(two_cameras, ["--camera-info", "/left"], "has no topic '/left'", id="unknown camera"),
    pytest.param(
        two_detectors, ["--topic", "/nothing"], "has no topic '/nothing'; it has /camera_info", id="unknown topic"
    ),
    pytest.param(
        two_detectors,
        ["--topic", "/camera_info"],
        "is of type sensor_msgs/msg/CameraInfo, not occpose_ros/msg/Key",
        id="another type",
    ),
    pytest.param(
        no_list,
        [],
        r"has bodies \(hri_msgs/msg/Skeleton2D\), but not the list .* record .*/bodies/tracked \(hri_msgs",
        id="no list",
    ),
    pytest.param(no_list, ["--topic", "/humans/bodies/a/skeleton2d"], "but not the list of them", id="a body"),
    pytest.param(other_list, [], "name it with --topic: /other/bodies/tracked", id="a list of others"),
    pytest.param(
        camera_alone,
        [],
        "has no keypoints: no topic of type occpose_ros/msg/Keypoints2DArray or yolo_msgs/",
        id="no keypoints",
    ),
    pytest.param(many_topics, [], r"/t029 \(sensor_msgs/msg/CameraInfo\) and 170 more$", id="many topics"),
]


@pytest.mark.parametrize(("make", "arguments", "sentence"), UNCLEAR)
def test_what_is_unclear_is_asked_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], Path], arguments: list[str], sentence: str
) -> None:
    bag = make(tmp_path)
    with pytest.raises(BagError, match=sentence) as caught:
        topics_of(bag, settings_of(*arguments))
    assert "\n" not in str(caught.value) and str(bag) in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param(["--topic", "/zed/body_trk"], ("zed", "/zed/body_trk"), id="topic"),
        pytest.param(["--params", "{file}"], ("yolo", "/yolo/tracking"), id="input of the node"),
        pytest.param(["--params", "{file}", "--topic", "/zed/body_trk"], ("zed", "/zed/body_trk"), id="topic wins"),
    ],
)
def test_one_of_two_detectors_is_chosen(tmp_path: Path, arguments: list[str], found: tuple[str, str]) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("/**: {ros__parameters: {input: yolo}}\n")
    topics = topics_of(two_detectors(tmp_path), settings_of(*(word.format(file=file) for word in arguments)))
    assert (topics.family, topics.keypoints) == found


def test_settings_survive_another_process_and_know_what_was_said(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    said = {"input": "hri", "humans_namespace": "/robot/humans", "mirror": True, "rectified": True, "min_score": 0.5}
    file.write_text(json.dumps({"/**": {"ros__parameters": {**said, "image_width": 640}}}))
    settings = settings_of(
        "--params",
        str(file),
        "--no-rectified",
        "--image-width",
        "320",
        "--camera",
        "c.yaml",
        *("--messages", "a"),
        *("--messages", "b"),
    )
    assert settings.keypoints == "/robot/humans/bodies/tracked" and settings.family == "hri"
    assert settings.camera_file == Path("c.yaml").absolute()
    assert settings.message_files == (Path("a").absolute(), Path("b").absolute())
    expected = NodeParameters(**{**said, "rectified": False, "image_width": 320})
    assert settings.parameters == expected and pickle.dumps(settings)
    assert settings_of() == SourceSettings()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--layout", "coco71"], "layout must be one of .* or empty, got 'coco71'", id="layout"),
        pytest.param(["--first-joint-id", "2"], "first_joint_id must lie in 0 to 1, got 2", id="first joint"),
        pytest.param(["--image-width", "-1"], "image_width must lie in 0 to 65535, got -1", id="width"),
        pytest.param(["--camera", "c.yaml", "--camera-info", "/c"], "leave one out", id="two cameras"),
    ],
)
def test_settings_out_of_range_get_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        settings_of(*arguments)
