"""`occpose replay` over whole bags: what it writes, that it is repeatable, and what it says of bad input."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.runtime import DEFAULT_MODEL
from occpose_core.types import Origin
from occpose_ros.bag import BagReader, BagWriter
from occpose_ros.cli import main
from occpose_ros.replay.answer_writer import FILLED, INFO, MARKERS, OUTPUTS, SKELETONS
from tests.end_to_end.cuts import cut
from tests.ros.rviz_rules import marker_array_faults


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    folder = tmp_path_factory.mktemp("replay") / "out"
    assert main(["replay", str(sample), "--out", str(folder)]) == 0
    return folder


def edited(source: Path, target: Path, edit: Callable[[str, Any], Any], seconds: float = 1.0) -> Path:
    """A copy of the beginning of a bag with every message passed through `edit`; None leaves it out."""
    with BagReader(source) as bag, BagWriter(target) as copy:
        begin_ns = next(bag.messages()).stamp_ns
        for record in takewhile(lambda record: record.stamp_ns - begin_ns <= seconds * 1e9, bag.messages()):
            message = edit(record.topic, record.message)
            if message is not None:
                copy.write(record.topic, message, record.stamp_ns)
    return target


def test_output_bag_stands_alone(replayed: Path, sample: Path) -> None:
    with BagReader(sample) as bag:
        inputs = {topic: [(r.stamp_ns, r.raw) for r in bag.messages([topic])] for topic in bag.topics}
    with BagReader(replayed / "output.mcap") as bag:
        assert set(bag.topics) == {*inputs, SKELETONS, MARKERS, FILLED, INFO}
        for topic, records in inputs.items():
            assert [(r.stamp_ns, r.raw) for r in bag.messages([topic])] == records
        frames = len(inputs["/keypoints"])
        assert [bag.count([topic]) for topic in (SKELETONS, MARKERS, FILLED, INFO)] == [frames, frames, frames, 1]


def test_skeletons_carry_the_stamps_and_ids_of_the_keypoints(replayed: Path) -> None:
    with BagReader(replayed / "output.mcap") as bag:
        keypoints = [record.message for record in bag.messages(["/keypoints"])]
        skeletons = [record.message for record in bag.messages([SKELETONS])]
    for given, answer in zip(keypoints, skeletons, strict=True):
        assert (given.header.stamp, given.header.frame_id) == (answer.header.stamp, answer.header.frame_id)
        assert {p.id for p in given.people if (p.score >= 0.3).sum() > 8} <= {p.id for p in answer.people}
        assert answer.latency_ms == 0.0  # the wall clock would make every run differ
        for person in answer.people:
            assert all(np.isfinite(values).all() for values in (person.position, person.std_dev, person.xy))
            assert set(person.origin) <= {int(origin) for origin in Origin}


def test_two_runs_give_the_same_bytes(replayed: Path, sample: Path, tmp_path: Path) -> None:
    """Also in another process, whose sets have another order."""
    command = [sys.executable, "-m", "occpose_ros.cli", "replay", str(sample), "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], env=environment, capture_output=True)
    assert (tmp_path / "output.mcap").read_bytes() == (replayed / "output.mcap").read_bytes()


def test_every_marker_array_of_a_whole_replay_keeps_the_rules_of_rviz(replayed: Path) -> None:
    with BagReader(replayed / "output.mcap") as bag:
        arrays = [record.message for record in bag.messages([MARKERS])]
    assert sum(len(array.markers) for array in arrays) > 5 * len(arrays)
    assert list(marker_array_faults(arrays)) == []


def test_report_has_the_figures_of_the_protocol(replayed: Path) -> None:
    figures = json.loads((replayed / "report.json").read_text())
    assert figures["frames"]["total"] == 803
    assert figures["frames"]["answered"] >= 0.99 * figures["frames"]["with_people"] > 600
    groups = {"all", "visible", "hidden", "not_in_layout"}
    assert set(figures["mpjpe_mm"]) == groups
    assert {name: set(of) for name, of in figures["baselines"].items()} == dict.fromkeys(
        ("mean_pose", "hold", "constant_velocity"), groups
    )
    assert figures["latency_ms"]["p50"] <= figures["latency_ms"]["p95"] <= figures["latency_ms"]["p99"]
    assert figures["speed_x_realtime"] > 0
    assert figures["model"] == DEFAULT_MODEL
    assert figures["engine"].startswith("onnxruntime")
    # Holding a visible joint's own last answer is that answer.
    assert figures["baselines"]["hold"]["visible"] == pytest.approx(figures["mpjpe_mm"]["visible"])
    joints = figures["joints"]
    assert joints["visible"] + joints["hidden"] + joints["not_in_layout"] == joints["all"]
    assert joints["not_in_layout"] * 17 == joints["all"] * 2  # spine and head top are not in coco17
    page = (replayed / "report.html").read_text()
    assert f"{figures['mpjpe_mm']['hidden']:.0f} mm" in page and "constant velocity" in page


def test_hidden_joints_are_a_fifth_better_than_the_best_baseline(replayed: Path) -> None:
    figures = json.loads((replayed / "report.json").read_text())
    assert figures["hidden_below_best_baseline"] >= 0.20


def test_without_truth_there_are_no_errors_but_coverage_and_flicker(sample: Path, tmp_path: Path) -> None:
    bag = edited(sample, tmp_path / "x.mcap", lambda topic, m: None if topic.startswith("/ground_truth") else m, 2.0)
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 0
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(figures["mpjpe_mm"].values()) == {None}
    assert figures["root_error_mm"] is None
    assert figures["frames"]["answered"] > 0
    assert figures["flicker_m_s2"]["measured"] > 0
    assert figures["bone_length_drift"] > 0


def test_known_height_sets_the_scale_and_json_may_go_elsewhere_too(sample: Path, tmp_path: Path) -> None:
    bag, figures = edited(sample, tmp_path / "x.mcap", lambda topic, m: m), tmp_path / "figures.json"
    args = ["replay", str(bag), "--out", str(tmp_path / "out"), "--height", "1.9", "--json", str(figures)]
    assert main([*args, "--no-markers"]) == 0
    with BagReader(tmp_path / "out" / "output.mcap") as answers:
        people = [person for record in answers.messages([SKELETONS]) for person in record.message.people]
        assert MARKERS not in answers.topics
    assert people and all(person.metric and person.height == pytest.approx(1.9) for person in people)
    assert figures.read_bytes() == (tmp_path / "out" / "report.json").read_bytes()


def test_a_replayed_bag_can_be_replayed(replayed: Path, tmp_path: Path) -> None:
    """Its completed keypoints and answers are output, not input."""
    bag = edited(replayed / "output.mcap", tmp_path / "x.mcap", lambda topic, m: m)
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 0
    with BagReader(tmp_path / "out" / "output.mcap") as again, BagReader(bag) as first:
        assert again.topics == first.topics
        assert [r.raw for r in again.messages(OUTPUTS)] == [r.raw for r in first.messages(OUTPUTS)]


def test_time_that_goes_back_resets_and_duplicates_are_counted(sample: Path, tmp_path: Path) -> None:
    """A looped recording, in the order received: 1 s, the same again, and its last message twice."""
    with BagReader(sample) as bag, BagWriter(tmp_path / "loop.mcap") as loop:
        begin = next(bag.messages()).stamp_ns
        records = [r for r in bag.messages(["/keypoints", "/camera_info"]) if r.stamp_ns - begin <= 3e9]
        for again in range(2):
            for record in records:
                loop.write(record.topic, record.message, record.stamp_ns + again * 10**10)
        loop.write(records[-1].topic, records[-1].message, records[-1].stamp_ns + 2 * 10**10)
    assert main(["replay", str(tmp_path / "loop.mcap"), "--out", str(tmp_path / "out")]) == 0
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert figures["resets"] == 1
    assert figures["dropped"]["duplicate_stamp"] == 1
    with BagReader(tmp_path / "out" / "output.mcap") as bag:
        arrays = [record.message for record in bag.messages([MARKERS])]
        assert bag.count([SKELETONS]) == bag.count(["/keypoints"]) - 1
    assert list(marker_array_faults(arrays)) == []


def test_a_loop_has_the_errors_of_what_was_played(sample: Path, tmp_path: Path) -> None:
    """Two seconds played twice: the second time is another time, although its stamps are the same."""
    cut(sample, tmp_path / "once.mcap", begin_s=6.0, seconds=2.0)
    with BagReader(tmp_path / "once.mcap") as bag, BagWriter(tmp_path / "twice.mcap") as loop:
        for again in range(2):
            for record in bag.records():
                loop.copy(dataclasses.replace(record, stamp_ns=record.stamp_ns + again * 10**10), bag)
    found = []
    for name in ("once", "twice"):
        words = ["--occlude", "limb-run(both-legs,1)", "--out", str(tmp_path / name)]
        assert main(["replay", str(tmp_path / f"{name}.mcap"), *words]) == 0
        found.append(json.loads((tmp_path / name / "report.json").read_text()))
    (once, hidden_once), (twice, hidden_twice) = ([run["figures"] for run in each["pooled"]] for each in found)
    assert twice["resets"] == 1 and twice["people"] == once["people"]
    assert twice["frames"] == {name: 2 * count for name, count in once["frames"].items()}
    for figure in ("mpjpe_mm", "root_error_mm", "flicker_m_s2"):
        assert twice[figure] == pytest.approx(once[figure], rel=1e-3)
    assert hidden_twice["self_consistency"]["coverage"] == hidden_once["self_consistency"]["coverage"] == 1.0
    assert hidden_twice["self_consistency"]["id_switches"]["count"] == 0


def _with_people(edit: Callable[[Any], None]) -> Callable[[str, Any], Any]:
    def change(topic: str, message: Any) -> Any:
        if topic == "/keypoints":
            edit(message)
        return message

    return change


def _without_topic(name: str) -> Callable[[str, Any], Any]:
    return lambda topic, message: None if topic == name else message


def _set_layout(message: Any) -> None:
    message.layout = "coco71"


def _cut_joints(message: Any) -> None:
    for person in message.people:
        person.xy, person.score = person.xy[:-2], person.score[:-1]


def _uncalibrate(topic: str, message: Any) -> Any:
    if topic == "/camera_info":
        message.k = np.zeros(9)
    return message


def _fill(field: str, value: float) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        for person in message.people:
            setattr(person, field, np.full_like(getattr(person, field), value))

    return change


def _empty(message: Any) -> None:
    message.people = []


BAD_BAGS = [
    pytest.param(
        _with_people(_set_layout), "none of the .* could be used: unknown keypoint layout 'coco71'", id="layout"
    ),
    pytest.param(_with_people(_cut_joints), "joint count than the layout 'coco17' has", id="joint count"),
    pytest.param(_with_people(_fill("score", np.nan)), "could be lifted .*invalid joint", id="NaN scores"),
    pytest.param(_with_people(_fill("xy", np.inf)), "could be lifted .*invalid joint", id="infinite pixels"),
    pytest.param(_with_people(_fill("score", -1.0)), "could be lifted .*score out of range", id="negative scores"),
    pytest.param(_with_people(_fill("score", 0.1)), "could be lifted .*too few joints", id="low scores"),
    pytest.param(_with_people(_empty), "nobody is in the 31 messages on /keypoints", id="nobody"),
    pytest.param(_without_topic("/keypoints"), "no topic of type occpose_ros/msg/Keypoints2DArray", id="no keypoints"),
    pytest.param(_without_topic("/camera_info"), "no topic of type sensor_msgs/msg/CameraInfo", id="no camera"),
    pytest.param(_uncalibrate, r"k\[0\] = 0, so the camera is not calibrated", id="uncalibrated"),
]


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command said: nothing on stdout, one line on stderr."""
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return err


@pytest.mark.parametrize(("edit", "sentence"), BAD_BAGS)
def test_bags_without_anything_to_use_get_one_sentence(
    edit: Callable[[str, Any], Any],
    sentence: str,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bag = edited(sample, tmp_path / "bad.mcap", edit)
    assert main(["replay", str(bag), "--out", str(tmp_path / "out")]) == 2
    assert re.search(sentence, one_sentence(capsys))
    assert not list(tmp_path.glob("out/*"))


BAD_ARGUMENTS = [
    pytest.param(["--model", "no-such-model"], "unknown model 'no-such-model'", id="unknown model"),
    pytest.param(["--model", "no_such_file.onnx"], "no model file at no_such_file.onnx", id="missing model"),
    pytest.param(["--topic", "/nothing"], "has no topic '/nothing'; it has ", id="unknown topic"),
    pytest.param(["--topic", "/camera_info"], "is of type sensor_msgs/msg/CameraInfo, not", id="topic of another type"),
    pytest.param(["--truth", "/nothing"], "has no topic '/nothing'; it has ", id="unknown truth"),
    pytest.param(["--height", "nan"], "--height: target_height_m must be between 0.3 and 3 m, got nan", id="height"),
    pytest.param(["--layout", "coco71"], "or empty, got 'coco71'", id="unknown layout"),
    pytest.param(["--layout", "body25"], "another joint count than the layout 'body25'", id="wrong layout"),
]


@pytest.mark.parametrize(("extra", "sentence"), BAD_ARGUMENTS)
def test_bad_arguments_get_one_sentence(
    extra: list[str], sentence: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = edited(sample, tmp_path / "short.mcap", lambda topic, m: m, 0.5)
    assert main(["replay", str(bag), "--out", str(tmp_path / "out"), *extra]) == 2
    assert sentence in one_sentence(capsys)


def test_results_are_not_overwritten_without_force(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither those of other settings, nor files that are no complete results."""
    bag = edited(sample, tmp_path / "short.mcap", lambda topic, m: m)
    args = ["replay", str(bag), "--out", str(tmp_path / "out")]
    assert main(args) == 0
    capsys.readouterr()

    def refused(*more: str) -> str:
        kept = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
        assert main([*args, *more]) == 2
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == kept
        return one_sentence(capsys)

    assert "exists already and is of other settings (config)" in refused("--height", "1.9")
    for name in ("output.mcap", "report.json"):
        (tmp_path / "out" / name).unlink()
        assert "exists already" in refused()
    assert main([*args, "--force"]) == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "does not exist", id="missing"),
        pytest.param(b"", "not a readable ROS 2 bag", id="zero bytes"),
        pytest.param(b"no bag at all" * 50, "not a readable ROS 2 bag", id="foreign"),
    ],
)
def test_the_command_line_itself_ends_with_2_and_no_traceback(
    content: bytes | None, sentence: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "x.mcap").write_bytes(content)
    command = [sys.executable, "-m", "occpose_ros.cli", "replay", str(tmp_path / "x.mcap"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("replay", "import-keypoints"):
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert f"occpose {command} " in capsys.readouterr().out
