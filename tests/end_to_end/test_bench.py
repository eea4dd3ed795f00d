"""`occpose bench` as a user runs it: that figures are there and make sense, never how fast anything is."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import DEFAULT_MODEL, load, shipped_models
from occpose_ros.adapters import camera_from_msg, keypoints_from_occpose_msg
from occpose_ros.bag import SKELETON_INFO_TYPE, SKELETONS_TYPE, BagError, BagReader, Record
from occpose_ros.bench.crowd import crowd
from occpose_ros.bench.eager import eager_engines, torch_missing
from occpose_ros.bench.picture import bench_picture
from occpose_ros.bench.round_trip import film
from occpose_ros.bench.table import bench_table, sentences
from occpose_ros.cli import main
from occpose_ros.live import NodeProcess, Player, own_domain, ros_missing
from tests.core.tiny_body import tiny_body
from tests.end_to_end.marked_process import MarkedProcess

QUANTILES = ("p50", "p95", "p99")
SHORT = ("bench", "--seconds", "0.1", "--no-torch")
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
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with figures and picture of one short run with everything but torch."""
    folder = tmp_path_factory.mktemp("bench")
    files = ("--json", str(folder / "bench.json"), "--picture", str(folder / "bench.png"))
    numbers = ("--batch", "1", "4", "--people", "12", "--rate", "30", "60")
    image_model = tiny_body(folder / "tiny.onnx")
    assert main([*SHORT, "--model", DEFAULT_MODEL, "--image-model", str(image_model), *numbers, *files]) == 0
    return folder


@pytest.fixture(scope="module")
def figures(written: Path) -> dict[str, Any]:
    """Of that run."""
    return json.loads((written / "bench.json").read_text(encoding="utf-8"))


def check(times: dict[str, Any]) -> None:
    """Percentiles: finite, positive, in order."""
    values = [times[f"{quantile}_ms"] for quantile in QUANTILES]
    assert all(math.isfinite(value) and value > 0 for value in values)
    assert values == sorted(values)


def check_ratios(ratios: dict[str, float], times: dict[str, Any], floor: dict[str, Any]) -> None:
    """They are of the printed times."""
    assert ratios == pytest.approx({name: times[f"{name}_ms"] / floor[f"{name}_ms"] for name in QUANTILES})


@needs_node
def test_models_and_pipeline_have_times_and_the_pipeline_its_ratios(figures: dict[str, Any]) -> None:
    assert {"cpu", "cores", "python", "libraries"} <= set(figures["machine"])
    assert figures["machine"]["libraries"]["onnxruntime"]
    assert [(of["model"], of["people"]) for of in figures["models"]] == [(DEFAULT_MODEL, 1), (DEFAULT_MODEL, 4)]
    for of in figures["models"]:
        assert of["engine"].startswith("onnxruntime")
        check(of)
    assert [of["people"] for of in figures["pipeline"]] == [12]
    for of in figures["pipeline"]:
        check(of["step"])
        check(of["network"])
        check_ratios(of["over_network"], of["step"], of["network"])
        assert of["over_network"]["p50"] > 1


@needs_node
def test_image_models_have_times_of_their_parts(figures: dict[str, Any]) -> None:
    assert [(of["model"], of["people"]) for of in figures["bodies"]] == [("tiny", 12)]
    for of in figures["bodies"]:
        for part in ("crops", "network", "step"):
            check(of[part])
        assert of["step"]["p50_ms"] > of["network"]["p50_ms"], "a step holds the network"


@needs_node
def test_node_and_echo_have_times_jitter_load_and_losses(figures: dict[str, Any]) -> None:
    runs = [(of["people"], of["rate_hz"]) for of in figures["node"]]
    assert runs == [(12, 30), (12, 60)]
    for of in figures["node"]:
        for name in ("node", "echo"):
            check(of[name])
            assert 0 <= of[name]["jitter_ms"]["mean"] <= of[name]["jitter_ms"]["max"] < math.inf
            assert 0 <= of[name]["cpu_percent"] < 100 * figures["machine"]["cores"] + 50  # clock ticks are coarse
            assert 0 <= of[name]["unanswered"] < of[name]["sent"] == 20
        check_ratios(of["over_echo"], of["node"], of["echo"])


@needs_node
def test_replay_is_measured_on_one_core_and_on_two(figures: dict[str, Any]) -> None:
    cores = [1, 2][: figures["machine"]["cores"]]
    assert [(of["people"], of["cores"]) for of in figures["replay"]] == [(1, count) for count in cores]
    assert all(0 < of["x_realtime"] < math.inf for of in figures["replay"])


@needs_node
def test_the_picture_is_a_png(written: Path) -> None:
    assert (written / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_without_node_and_torch_the_rest_is_measured_for_all_shipped_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bench.json"
    assert main([*SHORT, "--quick", "--no-node", "--people", "3", "--json", str(path)]) == 0
    figures = json.loads(path.read_text(encoding="utf-8"))
    assert list(dict.fromkeys(of["model"] for of in figures["models"])) == shipped_models()
    assert {of["people"] for of in figures["models"]} == {1, 16}
    assert [of["people"] for of in figures["pipeline"]] == [3]
    assert figures["node"] == figures["bodies"] == [] and figures["training"] is None  # not measured is not 0
    assert figures["not_measured"] == {"node": "--no-node", "torch": "--no-torch", "training": "--no-torch"}
    said = capsys.readouterr()
    assert "node: not measured (--no-node)" in said.out
    assert "cores" in said.out.splitlines()[0]
    assert said.err == ""


def test_torch_is_asked_what_the_exported_model_is_asked() -> None:
    """Its answers have the same shapes; the weights are others."""
    pytest.importorskip("torch")
    exported = load("lcn")
    (name, eager), *others = eager_engines({"any name": exported})
    assert (name, eager.info, eager.backend.partition("-")[0], others) == ("any name", exported.info, "torch", [])
    kpts, visible = np.zeros((2, 1, 17, 2), np.float32), np.ones((2, 1, 17), np.float32)
    assert eager.run(kpts, visible).joints_root_m.shape == exported.run(kpts, visible).joints_root_m.shape
    assert torch_missing() == ""


def test_everything_has_a_row_in_the_table_and_a_line_below(figures: dict[str, Any]) -> None:
    over = {"p50": 2.0, "p95": 2.0, "p99": 2.0}
    eager = {**figures["models"][0], "engine": "torch-cpu", "over_exported": over}
    training = {"config": "stream/s", "device": "cpu", "threads": 1, "sequences_per_s": 50.0, "poses_per_s": 3000.0}
    whole = {**figures, "models": [*figures["models"], eager], "training": training, "not_measured": {}}
    table = bench_table(whole)
    assert {len(row) for row in table.rows} == {len(table.columns)}
    twice, thrice = len(whole["pipeline"]) + len(whole["node"]), len(whole["bodies"])
    assert len(table.rows) == len(whole["models"]) + 2 * twice + 3 * thrice
    assert table.rows[2][1] == "torch-cpu" and table.rows[2][-3:] == (2.0, 2.0, 2.0)
    assert sentences(whole)[-1].endswith("50.0 sequences a second, 3000 poses a second")
    assert bench_picture(whole, "any machine").startswith(b"\x89PNG")


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
        pytest.param(["--image-model", "stream-s"], "stream-s.onnx takes no images", id="no image model"),
        pytest.param(["--bag", "nowhere.mcap", "--json", ""], "is a directory", id="output is a folder"),
        pytest.param(["--rate", "0"], "--rate must be between 1 and 1000, got 0", id="no rate"),
        pytest.param(["--batch", "-1"], "--batch must be between 1 and 1000, got -1", id="no batch"),
        pytest.param(["--picture", "bench.jpg"], "must end in .png, got bench.jpg", id="another picture"),
        pytest.param(["--json", __file__], "add --force", id="output exists"),
        pytest.param(["--picture", __file__], "add --force", id="picture exists"),
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
        "bench.echo_node": {"skeletons": SKELETONS_TYPE},
    }.items():
        bare = module == "bench.echo_node"
        with own_domain(), NodeProcess({}, module) as node, Player(node.check, topics, bare=bare) as player:
            player.wait_until_ready(bytes(camera_info.raw))
            recording = player.play(records)
            assert node.stop() == 0
        sizes[module] = {len(raw) for topic, raw, _ in recording.messages if topic == "skeletons"}
    assert len(sizes["pose_node"]) == 1
    assert sizes["pose_node"] == sizes["bench.echo_node"]


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
