"""docs/replay.md has every option of `occpose replay`, and every name that stands in its report.json."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from occpose_ros.bag import BagReader, BagWriter
from occpose_ros.cli import main
from occpose_ros.replay.baseline import JUDGED
from occpose_ros.replay.command import add_arguments

MESSAGES = 600  # of the sample
PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`]+)`", PAGE))))


def section(title: str) -> str:
    """The text below a heading of the second level."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_page_has_every_option_and_no_other() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    assert len(options) > 25
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE.replace("rosbags-convert --src BAG --dst", ""))) == options


@pytest.fixture(scope="module")
def report(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """Of the last command of the page, against itself; the others have run, too."""
    commands = [shlex.split(line, comments=True)[1:] for line in re.findall(r"^    (occpose .*)$", PAGE, re.MULTILINE)]
    assert len(commands) >= 3
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("checkout"))
        for name in ("samples/two_people.mcap", "samples/others.mcap"):
            with BagReader(sample) as bag, BagWriter(name) as short:
                for record in islice(bag.records(), MESSAGES):
                    short.copy(record, bag)
        for words in commands:
            assert main(words) == 0, shlex.join(words)
        folder = words[words.index("--out") + 1]
        assert main([*words, "--out", "again", "--baseline", f"{folder}/report.json"]) == 0
        yield json.loads(Path("again/report.json").read_bytes())


def test_the_page_has_every_key_of_the_report(report: dict) -> None:
    figures = report["pooled"][1]["figures"]  # with joints hidden on top
    notes = {"people", "joints", "interval_mm", "model", "engine", "latency_note"}  # what the page says in words
    assert {*report, *figures} - notes <= WORDS
    assert "self_consistency" in figures
    bag = report["bags"][0]
    for part in (report["pooled"][0], bag, bag["runs"][0], report["comparison"][0], report["baseline"]):
        assert set(part) <= WORDS
    assert set(report["baseline"]["changes"][0]) <= WORDS


def test_what_a_baseline_judges_is_there_and_gets_no_worse_against_itself(report: dict) -> None:
    changes = report["baseline"]["changes"]
    assert {change["figure"] for change in changes} == set(JUDGED)
    assert {change["verdict"] for change in changes} == {"same"}


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_the_page_has_every_exit_code(code: int) -> None:
    assert f"\n| {code} |" in section("Exit codes")
