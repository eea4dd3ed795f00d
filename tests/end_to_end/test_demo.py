"""The demo as a user runs it: the real node, real DDS, real time; and no process left behind when it is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcap.reader import make_reader

from occpose_core.runtime import DEFAULT_MODEL
from occpose_ros.bag import CAMERA_INFO_TYPE, SKELETONS_TYPE, BagReader
from occpose_ros.demo import SAMPLE, main
from occpose_ros.live import LiveError, NodeProcess, Player, own_domain
from tests.end_to_end.marked_process import MarkedProcess

pytest.importorskip("rclpy", reason="the demo needs ROS 2")
pytest.importorskip("occpose_ros.msg", reason="the demo needs occpose's messages, built by make setup")

COMMAND = [sys.executable, "-m", "occpose_ros.demo"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One whole run of the demo."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    subprocess.run([*COMMAND, "--out", str(folder), "--backend", "onnxruntime"], check=True, timeout=180)
    yield folder


def test_writes_its_three_files_and_nothing_else(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == ["output.mcap", "report.html", "report.json"]


def test_figures_have_the_stable_keys_and_make_sense(out: Path) -> None:
    figures = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert figures["frames"]["total"] == 803
    # a busy machine may lose a few messages: the node takes the newest only
    assert figures["frames"]["answered"] >= 0.9 * figures["frames"]["with_people"] > 0
    assert set(figures["baselines"]) == {"mean_pose", "hold", "constant_velocity"}
    for errors in (figures["mpjpe_mm"], *figures["baselines"].values()):
        assert {"all", "visible", "hidden"} <= set(errors)
        assert 0 < errors["visible"] < errors["hidden"]
    latency = figures["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert 0 < figures["speed_x_realtime"] < 1.1  # played no faster than it was recorded
    assert figures["model"] == DEFAULT_MODEL
    assert figures["engine"].startswith("onnxruntime")


def test_hidden_joints_are_better_than_the_best_baseline(out: Path) -> None:
    figures = json.loads((out / "report.json").read_text(encoding="utf-8"))
    best = min(errors["hidden"] for errors in figures["baselines"].values())
    assert figures["mpjpe_mm"]["hidden"] <= 0.8 * best


def test_the_bag_holds_input_and_answers_in_order(out: Path) -> None:
    with BagReader(out / "output.mcap") as bag:
        assert bag.topics["/skeletons"] == SKELETONS_TYPE
        records = list(bag.messages())
    counts = Counter(record.topic for record in records)
    assert counts["/keypoints"] == counts["/camera_info"] == counts["/ground_truth/skeletons"] == 803
    assert min(counts["/skeletons"], counts["/markers"]) > 600
    assert counts["/skeleton_info"] == 1
    stamps = [record.stamp_ns for record in records]
    assert stamps == sorted(stamps)
    with (out / "output.mcap").open("rb") as stream:  # other tools read it too
        statistics = make_reader(stream).get_summary().statistics
    assert statistics.message_count == len(records)


def test_answers_follow_their_keypoints(out: Path) -> None:
    """In the bag's time a skeleton is received after the keypoints of the same stamp, and soon."""
    with BagReader(out / "output.mcap") as bag:
        records = list(bag.messages(["/keypoints", "/skeletons"]))
    sent = {
        (r.message.header.stamp.sec, r.message.header.stamp.nanosec): r.stamp_ns
        for r in records
        if r.topic == "/keypoints"
    }
    for record in records:
        if record.topic == "/skeletons":
            stamp = record.message.header.stamp
            assert 0 <= record.stamp_ns - sent[stamp.sec, stamp.nanosec] < 5e9


def test_the_page_is_self_contained(out: Path) -> None:
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Worst moments" in page and 'id="player"' in page
    assert "default-src 'none'" in page and " src=" not in page


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(signal.SIGINT, "starting", id="ctrl-c while the node starts"),
        pytest.param(signal.SIGINT, "playing", id="ctrl-c while the bag plays"),
        pytest.param(signal.SIGTERM, "playing", id="terminate while the bag plays"),
    ],
)
def test_interrupting_leaves_no_process_and_no_half_file(tmp_path: Path, number: int, moment: str) -> None:
    demo = MarkedProcess([*COMMAND, "--out", str(tmp_path)])
    try:
        demo.wait_for(moment)
        assert len(demo.processes()) >= 2  # the demo and its node: else this test proves nothing
        os.kill(demo.process.pid, number)
        assert demo.process.wait(timeout=60) == 130
        demo.wait_until(lambda processes: not processes)
        assert list(tmp_path.iterdir()) == []
    finally:
        demo.kill()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--model", "strem-s"], "unknown model 'strem-s'; did you mean 'stream-s'?", id="no such model"),
        pytest.param(["--model", str(SAMPLE.with_suffix(".onnx"))], "no model file at", id="no such file"),
        pytest.param(
            ["--model", "posegraphnet-masked", "--backend", "torch"],
            "model 'posegraphnet-masked' is not shipped as .safetensors; choose another backend",
            id="not for this backend",
        ),
    ],
)
def test_a_bad_model_gets_one_sentence_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["--out", str(tmp_path), *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"demo: {sentence}")
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--bag", "nowhere.mcap"], "nowhere.mcap does not exist", id="missing bag"),
        pytest.param(["--bag", __file__], "ends neither in .mcap nor in .db3", id="not a bag"),
    ],
)
def test_bad_bags_get_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["--out", str(tmp_path), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_results_of_an_earlier_demo_are_kept_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.json").write_text("mine")
    assert main(["--out", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "report.json").read_text() == "mine"


def test_a_node_that_cannot_start_is_reported_with_its_own_words() -> None:
    with BagReader(SAMPLE) as bag:
        camera_info = next(iter(bag.messages([bag.topic_of(CAMERA_INFO_TYPE)]))).raw
    refused = pytest.raises(LiveError, match="exit code 2: pose_node: min_score must .* got 7.0")
    with own_domain(), NodeProcess({"min_score": "7.0"}) as node, Player(node.check) as player, refused:
        player.wait_until_ready(bytes(camera_info))


def test_domains_are_not_shared_and_the_environment_is_restored() -> None:
    before = dict(os.environ)
    with own_domain() as first, own_domain() as second:
        assert first != second
        assert os.environ["ROS_DOMAIN_ID"] == str(second)
        assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert dict(os.environ) == before
