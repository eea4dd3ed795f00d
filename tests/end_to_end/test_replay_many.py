"""`occpose replay` over many bags: as one by one, whatever happens to some of them on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from occpose_ros.bag import BagReader
from occpose_ros.cli import main
from occpose_ros.replay.bags import Bag
from occpose_ros.replay.local import replay_locally
from occpose_ros.replay.progress import Step
from occpose_ros.replay.result_folder import alone_in
from occpose_ros.replay.results import BagResult, Failure
from occpose_ros.replay.settings import ReplaySettings
from occpose_ros.replay.work_list import Task, fingerprint
from tests.end_to_end.cuts import answers, cut, cuts, report
from tests.end_to_end.marked_process import MarkedProcess

OCCLUDED = ("--occlude", "natural")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    return cuts(sample, tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module")
def replayed(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By two processes."""
    folder = tmp_path_factory.mktemp("many") / "out"
    assert main(["replay", str(recordings), "--out", str(folder), "--jobs", "2", *OCCLUDED]) == 0
    return folder


def test_two_processes_say_what_one_says_of_one_bag_after_the_other(
    replayed: Path, recordings: Path, tmp_path: Path
) -> None:
    """The same bytes of every bag of answers, the same figures of every report."""
    bags = sorted(recordings.iterdir())
    for bag in bags:
        assert main(["replay", str(bag), "--out", str(tmp_path / bag.stem), *OCCLUDED]) == 0
        assert report(tmp_path / bag.stem) == report(replayed / bag.stem)
    assert len(bags) == 6
    assert answers(tmp_path) == answers(replayed)
    assert main(["replay", str(recordings), "--out", str(tmp_path / "all"), "--jobs", "1", *OCCLUDED]) == 0
    assert report(tmp_path / "all") == report(replayed)


def test_what_is_pooled_is_over_all_bags(replayed: Path) -> None:
    said = report(replayed)
    assert [(run["pattern"], run["bags"]) for run in said["pooled"]] == [("", 6), ("natural", 6)]
    assert [bag["bag"] for bag in said["bags"]] == [f"part_{number}" for number in range(6)]
    for pooled, *runs in zip(said["pooled"], *(bag["runs"] for bag in said["bags"]), strict=True):
        joints = [run["figures"]["joints"]["hidden"] for run in runs]
        errors = [run["figures"]["mpjpe_mm"]["hidden"] for run in runs]
        mean_mm = sum(error * n for error, n in zip(errors, joints, strict=True) if n) / sum(joints)
        assert pooled["figures"]["joints"]["hidden"] == sum(joints)
        assert pooled["figures"]["mpjpe_mm"]["hidden"] == pytest.approx(mean_mm)
        low, high = pooled["intervals"]["mpjpe_mm.hidden"]
        assert low < mean_mm < high
        assert pooled["figures"]["frames"]["total"] == sum(run["figures"]["frames"]["total"] for run in runs)
    assert said["mpjpe_mm"] == said["pooled"][0]["figures"]["mpjpe_mm"]  # the stable keys, at the top
    assert said["pooled"][1]["figures"]["self_consistency"]["mpjpe_mm"]["hidden"] > 0
    latency_ms = json.loads((replayed / "report.json").read_text())["latency_ms"]
    assert sum(latency_ms["counts"].values()) == said["frames"]["total"]
    assert 0 < latency_ms["p50"] <= latency_ms["p95"] <= latency_ms["p99"]


def test_done_bags_are_not_done_again_and_new_ones_are_added(
    replayed: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(replayed, folder)
    shutil.rmtree(folder / "part_3")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert main(["replay", str(recordings), "--out", str(folder), *OCCLUDED]) == 0
    said = capsys.readouterr()
    assert "5 of 6 bags were done already" in said.out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert answers(folder) == answers(replayed)
    assert report(folder) == report(replayed)


def test_results_of_other_settings_or_recordings_are_kept(
    replayed: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, folder = tmp_path / "recordings", tmp_path / "out"
    shutil.copytree(recordings, mine)
    shutil.copytree(replayed, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def refused(*arguments: str) -> str:
        assert main(["replay", str(mine), "--out", str(folder), *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1
        assert {path: path.read_bytes() for path in before} == before
        return err

    assert "exists already and is of other settings (patterns)" in refused()
    assert "exists already and is of other settings (seed)" in refused(*OCCLUDED, "--seed", "1")
    cut(recordings / "part_0.mcap", tmp_path / "part_0.mcap", 0.0, 1.0)
    shutil.move(tmp_path / "part_0.mcap", mine / "part_0.mcap")
    assert "part_0/report.json exists already and is of another recording" in refused(*OCCLUDED)


@pytest.mark.parametrize("name", ["output.mcap", "report.html"])
def test_files_that_are_not_over_several_bags_are_kept(
    name: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("precious")
    assert main(["replay", str(recordings), "--out", str(tmp_path / "out")]) == 2
    assert f"{name} exists already; name another folder" in capsys.readouterr().err
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["precious"]


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_a_bag_that_is_called_as_a_result_is_refused_before_any_work(
    name: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bags = [str(recordings / "part_0.mcap"), str(shutil.copy(recordings / "part_1.mcap", tmp_path / f"{name}.mcap"))]
    assert main(["replay", *bags, "--out", str(tmp_path / "out")]) == 2
    assert f"{name}.mcap is called as a file of the results, {name}: rename it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_results_do_not_go_between_the_files_of_a_bag(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first of two would go into its own folder."""
    bag = tmp_path / "part_0"
    bag.mkdir()
    shutil.copy(recordings / "part_0.mcap", bag)
    (bag / "metadata.yaml").write_text("rosbag2_bagfile_information: {}")
    bags = [str(bag), str(recordings / "part_1.mcap")]
    assert main(["replay", *bags, "--out", str(tmp_path)]) == 2
    assert "would lie between the files of the bag" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["metadata.yaml", "part_0", "part_0.mcap"]


def test_recordings_of_a_single_image_are_replayed(recordings: Path, tmp_path: Path) -> None:
    """Nothing can be said of speed, flicker or errors."""
    for number in range(2):
        cut(recordings / "part_0.mcap", tmp_path / "mine" / f"{number}.mcap", begin_s=6.0, seconds=0.02)
    assert main(["replay", str(tmp_path / "mine"), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0


def test_two_replays_do_not_write_into_one_folder(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["replay", str(recordings / "part_0.mcap"), "--out", str(tmp_path / "out")]
    with alone_in(tmp_path / "out"):
        assert main(words) == 2
        assert f"another replay is writing to {tmp_path / 'out'}: wait until" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(words) == 0


def test_a_bag_whose_name_is_no_text_is_replayed_as_any_other(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"caf\xe9")  # Latin-1
    mine = tmp_path / "recordings"
    mine.mkdir()
    for number, target in enumerate((name, "plain")):
        shutil.copy(recordings / f"part_{number}.mcap", mine / f"{target}.mcap")
    for _ in range(2):  # the second time it is done already
        words = ["replay", str(mine), "--out", str(tmp_path / "out"), "--jobs", "1", *OCCLUDED]
        assert main(words) == 0
    assert "2 of 2 bags were done already" in capsys.readouterr().out
    assert [bag["bag"] for bag in report(tmp_path / "out")["bags"]] == [name, "plain"]
    assert "./caf%E9/report.html" in (tmp_path / "out" / "report.html").read_text()


def test_a_corrupt_bag_is_reported_and_stops_nobody(
    replayed: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "recordings"
    shutil.copytree(recordings, mine)
    whole = (mine / "part_2.mcap").read_bytes()
    (mine / "part_2.mcap").write_bytes(whole[: len(whole) // 2])
    (mine / "part_6.mcap").write_bytes(b"")
    assert main(["replay", str(mine), "--out", str(tmp_path / "out"), "--jobs", "2", *OCCLUDED]) == 1
    said = capsys.readouterr()
    assert "2 of 7 bags failed: part_2, part_6" in said.err and "Traceback" not in said.err
    failed = {each["bag"]: each["reason"] for each in report(tmp_path / "out")["failed"]}
    assert set(failed) == {"part_2", "part_6"}
    assert all("not a readable ROS 2 bag" in reason for reason in failed.values())
    assert not (tmp_path / "out" / "part_2").exists()
    others = answers(replayed)
    del others["part_2/output.mcap"]
    assert answers(tmp_path / "out") == others
    # One that is left to do is reported alike.
    (mine / "part_6.mcap").unlink()
    assert main(["replay", str(mine), "--out", str(tmp_path / "out"), *OCCLUDED]) == 1
    assert "part_2: failed: " in capsys.readouterr().err
    # Mended, it is all that is left to do.
    shutil.copy(recordings / "part_2.mcap", mine / "part_2.mcap")
    assert main(["replay", str(mine), "--out", str(tmp_path / "out"), *OCCLUDED]) == 0
    assert "5 of 6 bags were done already" in capsys.readouterr().out
    assert answers(tmp_path / "out") == answers(replayed)


def test_if_all_bags_fail_the_exit_code_is_2_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.mcap", "b.mcap"):
        (tmp_path / name).write_bytes(b"no bag")
    assert main(["replay", str(tmp_path), "--out", str(tmp_path / "out"), "--jobs", "2"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("not a readable ROS 2 bag") == 2
    assert "none of the 2 bags could be replayed" in said.err
    assert not list(tmp_path.glob("out/*"))


def tasks_of(recordings: Path, folder: Path) -> list[Task]:
    return [
        Task(bag=Bag(name=bag.stem, path=bag), folder=folder / bag.stem, fingerprint=fingerprint(bag))
        for bag in sorted(recordings.iterdir())
    ]


def children() -> list[int]:
    """Processes that this one has started to replay."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def killing(tasks: list[Task], times: int) -> Iterator[BagResult | Failure]:
    """Replays in one process, which is killed when it has begun with a bag; so are those that follow it."""
    before = set(children())
    for event in replay_locally(tasks, ReplaySettings(), jobs=1):
        if not isinstance(event, Step):
            yield event
        elif times:
            times -= 1
            (process,) = set(children()) - before
            os.kill(process, signal.SIGKILL)


@pytest.mark.parametrize("times", [1, 2])
def test_a_process_that_is_killed_costs_its_bag_a_second_try_and_no_more(
    times: int, sample: Path, recordings: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "recordings"
    mine.mkdir()
    shutil.copy(sample, mine / "part_0.mcap")  # long enough to be killed with it
    for name in ("part_1.mcap", "part_2.mcap"):
        shutil.copy(recordings / name, mine)
    tasks = tasks_of(mine, tmp_path / "out")
    ended = {outcome.bag: outcome for outcome in killing(tasks, times)}
    assert set(ended) == {"part_0", "part_1", "part_2"}
    failed = [outcome for outcome in ended.values() if isinstance(outcome, Failure)]
    assert [outcome.bag for outcome in failed] == ([] if times == 1 else ["part_0"])
    assert all("ended with exit code -9, and so did another one" in outcome.reason for outcome in failed)
    done = {task.folder.name for task in tasks} - {outcome.bag for outcome in failed}
    assert {path.parent.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == done
    assert not list((tmp_path / "out").rglob(".unfinished*"))
    for name in done:
        with BagReader(tmp_path / "out" / name / "output.mcap") as bag:
            assert bag.count(["/skeletons"]) == bag.count(["/keypoints"])


def test_interrupted_it_keeps_what_is_done_and_leaves_nothing_else(recordings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command = [sys.executable, "-m", "occpose_ros.cli", "replay", str(recordings), "--out", str(folder), "--jobs", "2"]
    command += ["--occlude", "iid20", "--occlude", "k-missing"]
    process = MarkedProcess(command)
    try:
        process.wait_for("1 of 6 bags")
        os.kill(process.process.pid, signal.SIGINT)
        assert process.process.wait() == 130
        process.wait_until(lambda left: not left)
    finally:
        process.kill()
    done = {path.parent.name for path in folder.glob("*/report.json")}
    assert 1 <= len(done) < 6
    assert {path.parent.name for path in folder.rglob("*") if path.is_file()} == done
    assert not list(folder.rglob(".unfinished*"))
