"""`occpose replay --ground-frame`: the scale comes from the ground that the bag's TF knows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from occpose_ros.bag import TF_TYPE, BagReader, BagWriter
from occpose_ros.cli import main
from occpose_ros.replay.answer_writer import SKELETONS

SECONDS = 6


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """The first seconds of the sample bag."""
    target = tmp_path_factory.mktemp("ground") / "beginning.mcap"
    with BagReader(sample) as bag, BagWriter(target) as copy:
        records = list(bag.messages())
        for record in records:
            if record.stamp_ns - records[0].stamp_ns < SECONDS * 1e9:
                copy.copy(record, bag)
    return target


def figures_of(bag: Path, folder: Path, *arguments: str) -> dict:
    assert main(["replay", str(bag), "--out", str(folder), *arguments]) == 0
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def grounded(beginning: Path) -> Path:
    """The folder of a replay with the ground."""
    figures_of(beginning, beginning.parent / "out", "--ground-frame", "map")
    return beginning.parent / "out"


def test_the_ground_makes_people_metric_and_puts_them_where_they_are(
    beginning: Path, grounded: Path, tmp_path: Path
) -> None:
    assumed = figures_of(beginning, tmp_path / "assumed")
    ground = json.loads((grounded / "report.json").read_text())
    assert assumed["metric"] == 0.0
    assert ground["metric"] > 0.9
    assert ground["root_error_mm"] < 0.7 * assumed["root_error_mm"]
    assert abs(ground["depth_bias"]) < 0.5 * abs(assumed["depth_bias"])
    assert ground["mpjpe_mm"]["all"] < assumed["mpjpe_mm"]["all"]
    with BagReader(grounded / "output.mcap") as bag:
        assert bag.topics["/tf_static"] == TF_TYPE and bag.latched("/tf_static") and not bag.latched("/keypoints")
        last = list(bag.messages([SKELETONS]))[-1].message
    assert all(person.metric and 1.55 < person.height < 1.75 for person in last.people)


def test_ground_that_moves_is_taken_as_it_was_at_the_stamp(beginning: Path, grounded: Path, tmp_path: Path) -> None:
    """The same recording, with a `map` that sinks: who stands there seems to be taller and taller."""
    moving = tmp_path / "moving.mcap"
    with BagReader(beginning) as bag, BagWriter(moving) as copy:
        records = list(bag.messages())
        begin_ns = records[0].stamp_ns
        mount = next(record.message for record in records if record.msgtype == TF_TYPE)
        for record in records:
            if record.topic == "/keypoints":
                stamped = mount.transforms[0]
                stamped.header.stamp = record.message.header.stamp
                stamped.transform.translation.z = 1.9 * (1.0 + 0.03 * (record.stamp_ns - begin_ns) * 1e-9)
                copy.write("/tf", mount, record.stamp_ns)
            if record.msgtype != TF_TYPE:
                copy.copy(record, bag)
        mount.transforms[0].transform.rotation.w = 7.0
        copy.write("/tf", mount, records[-1].stamp_ns)
    figures = figures_of(moving, tmp_path / "out", "--ground-frame", "map")
    assert figures["dropped"]["bad_transform"] == 1
    heights = []
    for folder in (grounded, tmp_path / "out"):
        with BagReader(folder / "output.mcap") as bag:
            heights.append([p.height for r in bag.messages([SKELETONS]) for p in r.message.people])
    assert len(heights[0]) == len(heights[1])
    taller = np.array(heights[1]) / np.array(heights[0])
    assert 1.02 < taller[-1] < 1.0 + 0.03 * SECONDS


@pytest.mark.parametrize(
    ("keep_tf", "frame", "words"),
    [
        (False, "map", "has no topic of type tf2_msgs/msg/TFMessage"),
        (True, "floor", "the ground was never known: no transform of frame 'floor'"),
    ],
)
def test_a_ground_that_is_not_there_is_one_sentence(beginning, tmp_path, capsys, keep_tf, frame, words):
    short = tmp_path / "short.mcap"
    with BagReader(beginning) as bag, BagWriter(short) as copy:
        for record in list(bag.messages())[:300]:
            if keep_tf or record.msgtype != TF_TYPE:
                copy.copy(record, bag)
    assert main(["replay", str(short), "--out", str(tmp_path / "out"), "--ground-frame", frame]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "output.mcap").exists()
