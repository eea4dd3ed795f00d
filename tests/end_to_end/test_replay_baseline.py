"""`occpose replay --baseline`: what got better or worse than in another run, for a check that shall stop then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from occpose_ros.cli import main
from occpose_ros.replay.baseline import JUDGED, LEAST_MM, compare
from occpose_ros.replay.results import BagResult, ReportError, RunResult, SavedReport, read_report
from occpose_ros.scoring.sums import figures_of_sums
from tests.end_to_end.cuts import cut, cuts


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    return cuts(sample, tmp_path_factory.mktemp("recordings"), 2)


@pytest.fixture(scope="module")
def before(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run over them."""
    folder = tmp_path_factory.mktemp("before") / "out"
    assert main(["replay", str(recordings), "--out", str(folder), "--jobs", "1"]) == 0
    return folder / "report.json"


def worsened(factor: float, key: str = "mpjpe_mm.hidden") -> Callable[[dict[str, Any]], None]:
    """Makes a figure of every bag of a report so many times as large."""

    def change(report: dict[str, Any]) -> None:
        for bag in report["bags"]:
            for run in bag["runs"]:
                total, count = run["sums"][key]
                run["sums"][key] = [total * factor, count]

    return change


def changed(report: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    said = json.loads(report.read_text())
    change(said)
    target.write_text(json.dumps(said))
    return target


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param(lambda said: None, 0, "of {judged} figures 0 worse, 0 better, {judged} same", id="same"),
        pytest.param(worsened(1.5), 0, "0 worse, 1 better", id="better"),
        pytest.param(worsened(0.5), 1, "1 worse, 0 better", id="worse"),
    ],
)
def test_what_got_worse_is_told_by_the_exit_code(
    change: Callable[[dict[str, Any]], None],
    code: int,
    words: str,
    recordings: Path,
    before: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is done already is compared as well."""
    shutil.copytree(before.parent, tmp_path / "out")
    baseline = changed(before, tmp_path / "before.json", change)
    args = ["replay", str(recordings), "--out", str(tmp_path / "out"), "--baseline", str(baseline)]
    assert main(args) == code
    said = capsys.readouterr().out
    assert "2 of 2 bags were done already" in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())["baseline"]
    assert words.format(judged=len(report["changes"])) in said
    verdicts = {change["figure"]: change["verdict"] for change in report["changes"]}
    assert verdicts["mpjpe_mm.visible"] == "same" and len(verdicts) > 5
    assert verdicts["coverage"] == "same"


def test_only_what_both_have_is_compared(
    recordings: Path, before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "recordings"
    shutil.copytree(recordings, mine)
    (mine / "part_0.mcap").rename(mine / "other.mcap")
    args = ["replay", str(mine), "--out", str(tmp_path / "out"), "--jobs", "1", "--occlude", "iid20"]
    assert main([*args, "--baseline", str(before)]) == 0
    said = capsys.readouterr().out
    assert "1 bag: of" in said and "0 worse, 0 better" in said
    assert (
        "Only now, so not compared: other, stream-s, as recorded; other, stream-s, iid20; part_1, stream-s, iid20"
        in said
    )
    assert "Only in the baseline, so not compared: part_0, stream-s, as recorded" in said


def other_recording(recordings: Path, folder: Path, sample: Path) -> None:
    cut(sample, folder / "part_1.mcap", 20.0, 1.0)


def other_names(recordings: Path, folder: Path, sample: Path) -> None:
    shutil.copy(recordings / "part_1.mcap", folder / "mine.mcap")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        pytest.param(other_recording, "was made with another recording of the name part_1", id="other recording"),
        pytest.param(other_names, "has no bag with model and pattern in common with this run", id="nothing shared"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    make: Callable[[Path, Path, Path], None],
    sentence: str,
    recordings: Path,
    before: Path,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = tmp_path / "recordings"
    mine.mkdir()
    make(recordings, mine, sample)
    assert main(["replay", str(mine), "--out", str(tmp_path / "out"), "--baseline", str(before)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and sentence in err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "cannot be read: No such file or directory", id="missing"),
        pytest.param("no json", "is no report of `occpose replay`", id="no JSON"),
        pytest.param("[]", "is no report of `occpose replay`", id="a list"),
        pytest.param('{"schema": 1}', "is no report of `occpose replay`", id="empty"),
        pytest.param('{"schema": 99, "bags": []}', "has the form of another version of occpose (99", id="schema"),
    ],
)
def test_a_baseline_that_is_none_is_refused_before_any_work(
    content: str | None, sentence: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "before.json"
    if content is not None:
        baseline.write_text(content)
    assert main(["replay", str(sample), "--out", str(tmp_path / "out"), "--baseline", str(baseline)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and sentence in err
    assert not (tmp_path / "out").exists()


def in_first_run(**parts: Any) -> Callable[[dict[str, Any]], None]:
    """Puts something into parts of the first run of a report."""

    def change(report: dict[str, Any]) -> None:
        run = report["bags"][0]["runs"][0]
        for name, said in parts.items():
            run[name] = {**run[name], **said}

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(in_first_run(sums={"mpjpe_mm.all": ["x", "y"]}), id="text as a sum"),
        pytest.param(in_first_run(sums={"mpjpe_mm.all": [None, None]}), id="nothing as a sum"),
        pytest.param(in_first_run(sums={"mpjpe_mm.all.x": [1, 2]}), id="a figure in a figure"),
        pytest.param(in_first_run(sums={"by_occlusion_s.99.hold_mm": [1, 2]}), id="unknown span"),
        pytest.param(in_first_run(figures={"dropped": 3}), id="dropped"),
        pytest.param(in_first_run(figures={"latency_ms": {}}), id="latency"),
        pytest.param(in_first_run(figures={"resets": "x"}), id="resets"),
        pytest.param(lambda report: report["bags"][0].update(fingerprint=5), id="fingerprint"),
        pytest.param(lambda report: report.update(bags=5), id="bags"),
    ],
)
def test_a_report_that_somebody_changed_is_one_sentence(
    change: Callable[[dict[str, Any]], None], before: Path, tmp_path: Path
) -> None:
    with pytest.raises(ReportError, match="is no report of `occpose replay`"):
        read_report(changed(before, tmp_path / "changed.json", change))


def result(figure: str, value: float) -> BagResult:
    """A bag of which one figure is known."""
    sums = {figure: (10 * value, 10.0)}
    clock = {"latency_ms": {"counts": {}}, "speed_x_realtime": 1.0, "dropped": {}, "resets": 0}
    figures = {**figures_of_sums(dict(sums)), **clock}
    run = RunResult(model="m", pattern="", figures=figures, intervals={}, sums=sums)
    recording = {"bytes": 1, "mtime_ns": 1, "digest": "d"}
    return BagResult(bag="b", path="b.mcap", fingerprint=recording, seconds=1.0, runs=(run,))


@pytest.mark.parametrize(
    ("figure", "before", "now", "verdict"),
    [
        pytest.param("root_error_mm", 100.0, 101.9, "same", id="within the tolerance"),
        pytest.param("root_error_mm", 100.0, 102.1, "worse", id="beyond it"),
        pytest.param("root_error_mm", 100.0, 97.9, "better", id="less of an error"),
        pytest.param("root_error_mm", 10.0, 10.0 + 0.9 * LEAST_MM, "same", id="less than a millimetre"),
        pytest.param("root_error_mm", 10.0, 10.0 + 1.1 * LEAST_MM, "worse", id="more than a millimetre"),
        pytest.param("self_consistency.coverage", 0.9, 0.95, "better", id="more of what is good"),
        pytest.param("self_consistency.coverage", 0.9, 0.85, "worse", id="less of it"),
        pytest.param("bone_length_drift", 0.0, 0.001, "worse", id="from nothing"),
    ],
)
def test_a_figure_is_judged_by_its_own_measure(figure: str, before: float, now: float, verdict: str) -> None:
    assert figure in JUDGED
    saved = SavedReport(version="", settings={}, bags=(result(figure, before),))
    changes = compare([result(figure, now)], saved, Path("before.json")).changes
    assert [(change.figure, change.verdict) for change in changes] == [(figure, verdict)]
    assert (changes[0].before, changes[0].now) == pytest.approx((before, now))
