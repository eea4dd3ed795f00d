"""`occpose bench` as a user runs it: that figures are there and make sense, never how fast anything is."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import DEFAULT_MODEL, load, shipped_models
from occpose_ros.adapters import camera_from_msg, keypoints_from_occpose_msg
from occpose_ros.bag import SKELETON_INFO_TYPE, SKELETONS_TYPE, BagError, BagReader, Record
from occpose_ros.cli import main
from occpose_ros.crowd import crowd
from occpose_ros.live import NodeProcess, Player, own_domain, ros_missing
from occpose_ros.round_trip import film
from tests.end_to_end.marked_process import MarkedProcess

QUANTILES = ("p50", "p95", "p99")
SHORT = ("bench", "--seconds", "0.1")
needs_node = pytest.mark.skipif(bool(ros_missing()), reason=f"no node here: {ros_missing()}")


@pytest.fixture(scope="module")
def messages(sample: Path) -> list[Any]:
    """What the detector says in the sample."""
    with BagReader(sample) as bag:
        return [record.message for record in bag.messages(["/keypoints"])]


@pytest.fixture(scope="module")
def camera_info(sample: Path) -> Record:
    """The first of the sample."""
    with BagReader(sample) as bag:
        return next(iter(bag.messages(["/camera_info"])))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Of one short run with everything."""
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    assert main([*SHORT, "--model", DEFAULT_MODEL, "--json", str(path)]) == 0
    yield json.loads(path.read_text(encoding="utf-8"))


def check(values: list[float]) -> None:
    """Percentiles: finite, positive, in order."""
    assert all(math.isfinite(value) and value > 0 for value in values)
    assert values == sorted(values)


@needs_node
def test_every_key_of_the_protocol_is_there_and_positive(figures: dict[str, Any]) -> None:
    assert {"cpu", "cores", "python", "libraries"} <= set(figures["machine"])
    assert figures["machine"]["libraries"]["onnxruntime"]
    assert [(step["model"], step["people"]) for step in figures["steps"]] == [(DEFAULT_MODEL, 1), (DEFAULT_MODEL, 20)]
    for step in figures["steps"]:
        assert step["engine"].startswith("onnxruntime")
        check([step[f"{quantile}_ms"] for quantile in QUANTILES])
    assert set(figures["ratios"]["pipeline_over_engine"]) == set(figures["ratios"]["node_over_echo"]) == {"1", "20"}
    assert all(1 < ratio < math.inf for ratio in figures["ratios"]["pipeline_over_engine"].values())
    for ratio in figures["ratios"]["node_over_echo"].values():
        assert all(math.isfinite(ratio[quantile]) and ratio[quantile] > 0 for quantile in QUANTILES)
    assert 0 < figures["replay_x_realtime"] < math.inf
    assert 0 <= figures["drops"] < figures["messages"] == 2 * 20


@needs_node
def test_ratios_are_of_the_printed_times(figures: dict[str, Any]) -> None:
    times, ratios = figures["times_ms"], figures["ratios"]
    for people in ("1", "20"):
        for name in ("pipeline", "engine", "node", "echo"):
            check([times[name][people][quantile] for quantile in QUANTILES])
        over_engine = times["pipeline"][people]["p50"] / times["engine"][people]["p50"]
        assert ratios["pipeline_over_engine"][people] == pytest.approx(over_engine)
        for quantile in QUANTILES:
            over_echo = times["node"][people][quantile] / times["echo"][people][quantile]
            assert ratios["node_over_echo"][people][quantile] == pytest.approx(over_echo)


def test_without_node_the_rest_is_measured_for_all_shipped_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    assert main([*SHORT, "--no-node", "--people", "3", "--json", str(path)]) == 0
    figures = json.loads(path.read_text(encoding="utf-8"))
    assert [step["model"] for step in figures["steps"]] == shipped_models()
    assert set(figures["ratios"]["pipeline_over_engine"]) == {"3"}
    assert figures["ratios"]["node_over_echo"] == {}
    assert figures["drops"] is None  # not measured is not 0
    said = capsys.readouterr()
    assert "node: not measured (--no-node)" in said.out
    assert "cores" in said.out.splitlines()[0]
    assert said.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--people", "0"], "--people must be between 1 and 1000, got 0", id="nobody"),
        pytest.param(["--people", "1", "2000"], "got 2000", id="too many people"),
        pytest.param(["--seconds", "0"], "--seconds must be above 0", id="no time"),
        pytest.param(["--seconds", "nan"], "got nan", id="not a number"),
        pytest.param(["--seconds", "inf"], "at most 600, got inf", id="for ever"),
        pytest.param(["--model", "strem-s"], "did you mean 'stream-s'?", id="unknown model"),
        pytest.param(["--model", "filling"], "filling gives no 3D joints", id="no lifter"),
        pytest.param(["--bag", "nowhere.mcap", "--json", ""], "is a directory", id="output is a folder"),
        pytest.param(["--json", __file__], "add --force", id="output exists"),
        pytest.param(["--json", "no/such/folder/x.json"], "does not exist; make it", id="no folder"),
    ],
)
def test_bad_arguments_get_one_sentence_before_any_measurement(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SHORT, *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("occpose bench: ") and message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_missing_bag_gets_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--bag", "nowhere.mcap"]) == 2
    said = capsys.readouterr().err
    assert "nowhere.mcap does not exist" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("people", [1, 5])
def test_a_crowd_is_lifted_whole_and_never_jumps_also_where_it_begins_again(
    people: int, messages: list[Any], camera_info: Record
) -> None:
    pipeline, camera = PosePipeline(load()), camera_from_msg(camera_info.message)
    images = crowd(messages, people)
    for number, image in enumerate(itertools.islice(itertools.cycle(images), len(images) + 30)):
        output = pipeline.step(keypoints_from_occpose_msg(image).people, number * 33_333_333, camera)
        assert output.dropped == {}
        assert [skeleton.id for skeleton in output.skeletons] == [str(person + 1) for person in range(people)]


@pytest.mark.parametrize(
    "unusable",
    [
        pytest.param(lambda messages: [], id="no message"),
        pytest.param(lambda messages: [message for message in messages if not message.people], id="nobody"),
        pytest.param(lambda messages: [messages[100]], id="one image"),
    ],
)
def test_without_anybody_to_copy_there_is_no_crowd(
    unusable: Callable[[list[Any]], list[Any]], messages: list[Any]
) -> None:
    with pytest.raises(BagError, match="nobody who has an id"):
        crowd(unusable(messages), 2)


@needs_node
def test_the_echo_answers_with_as_many_bytes_as_the_node(messages: list[Any], camera_info: Record) -> None:
    """Else the comparison would not be fair."""
    records = list(itertools.islice(film(crowd(messages, 12)), 30))  # the first ones may be lost before discovery
    sizes = {}
    for module, topics in {
        "pose_node": {"skeletons": SKELETONS_TYPE, "skeleton_info": SKELETON_INFO_TYPE},
        "echo_node": {"skeletons": SKELETONS_TYPE},
    }.items():
        bare = module == "echo_node"
        with own_domain(), NodeProcess({}, module) as node, Player(node.check, topics, bare=bare) as player:
            player.wait_until_ready(bytes(camera_info.raw))
            recording = player.play(records)
            assert node.stop() == 0
        sizes[module] = {len(raw) for topic, raw, _ in recording.messages if topic == "skeletons"}
    assert len(sizes["pose_node"]) == 1
    assert sizes["pose_node"] == sizes["echo_node"]


@needs_node
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_leaves_no_process(number: int) -> None:
    command = [sys.executable, "-m", "occpose_ros.cli", *SHORT, "--model", DEFAULT_MODEL, "--people", "1"]
    bench = MarkedProcess(command)
    try:
        bench.wait_for("cores")
        bench.wait_until(lambda processes: len(processes) > 1)  # it has just begun to start its first node
        os.kill(bench.process.pid, number)
        assert bench.process.wait(timeout=60) == 130
        bench.wait_until(lambda processes: not processes)
    finally:
        bench.kill()
