"""The soak test, for seconds: that it counts every message, and that what it would miss in minutes fails it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_ros.bag import BagReader
from occpose_ros.bench.crowd import passers_by
from occpose_ros.live import ros_missing
from occpose_ros.soak import faults_of, main, slope

needs_node = pytest.mark.skipif(bool(ros_missing()), reason=f"no node here: {ros_missing()}")
GOOD: dict[str, Any] = {
    "minutes_after_warm_up": 8.0,
    "lost_in_the_node": 0,
    "lost_on_the_way": 0,
    "memory_slope_mb_per_hour": 3.0,
    "latency_drift": 1.02,
    "threads": {"first": 9, "last": 9},
    "open_files": {"first": 30, "last": 30},
}


@needs_node
def test_seconds_of_it_count_every_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "soak.json"
    code = main(["--minutes", "0.03", "--round", "1", "--rate", "20", "--people", "3", "--json", str(path)])
    figures = json.loads(path.read_text(encoding="utf-8"))
    assert figures["messages"] >= 2 * 20  # rounds; the stamps go back between them
    lost = ("replaced_by_newer", "lost_on_the_way", "lost_in_the_node")
    assert figures["messages"] == figures["answered"] + sum(figures[name] for name in lost)
    assert figures["lost_in_the_node"] == 0
    assert figures["answered"] > 0 and figures["memory_mb"]["last"] > 10
    assert code == bool(faults_of(figures))
    assert "memory slope (MB an hour)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({}, [], id="good"),
        pytest.param({"lost_in_the_node": 1}, ["1 messages were neither answered nor counted"], id="lost in the node"),
        pytest.param({"lost_on_the_way": 2}, ["2 messages were neither answered nor counted"], id="lost on the way"),
        pytest.param({"memory_slope_mb_per_hour": 60.0}, ["memory grows by 60.0 MB an hour"], id="grows"),
        pytest.param({"latency_drift": 2.0}, ["the median latency grew 2.00 times"], id="slows down"),
        pytest.param(
            {"memory_slope_mb_per_hour": 60.0, "latency_drift": 2.0, "minutes_after_warm_up": 1.0}, [], id="too short"
        ),
        pytest.param({"threads": {"first": 9, "last": 10}}, ["more threads"], id="threads"),
        pytest.param({"open_files": {"first": 30, "last": 40}}, ["more files open"], id="files"),
    ],
)
def test_what_is_beyond_its_limit_is_a_fault(changes: dict[str, Any], words: list[str]) -> None:
    faults = faults_of(copy.deepcopy(GOOD) | changes)
    assert len(faults) == len(words)
    assert all(word in fault for word, fault in zip(words, faults, strict=True))


def test_the_slope_does_not_care_for_outliers() -> None:
    points = [(float(x), 100.0 + 0.5 * x) for x in range(50)]
    points[20] = (20.0, 1e6)
    assert slope(points) == pytest.approx(0.5)
    assert slope(points[:1]) == 0.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--minutes", "0"], "--minutes must be between 0.01 and 10000, got 0", id="no time"),
        pytest.param(["--rate", "nan"], "--rate must be between 1 and 1000, got nan", id="no rate"),
        pytest.param(["--people", "2000"], "--people must be between 1 and 1000, got 2000", id="a town"),
        pytest.param(["--json", __file__], "add --force", id="output exists"),
    ],
)
def test_bad_arguments_get_one_sentence(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    if ros_missing() and "--json" in arguments:
        assert "a node is needed" in said
    else:
        assert said.startswith("soak: ") and words in said
    assert said.count("\n") == 1


def test_passers_by_come_go_and_hide(sample: Path) -> None:
    with BagReader(sample) as bag:
        messages = [record.message for record in bag.messages(["/keypoints"])]
    film, again = (list(passers_by(messages, 6, 300, 30.0, seed=3)) for _ in range(2))
    counts = [len(image.people) for image in film]
    assert (counts[0], max(counts)) == (0, 6) and counts[-1] <= 1
    assert counts == [len(image.people) for image in again]
    for image, same in zip(film, again, strict=True):
        ids = [person.id for person in image.people if person.id]
        assert len(ids) == len(set(ids))
        for person, twin in zip(image.people, same.people, strict=True):
            np.testing.assert_array_equal(person.xy, twin.xy)
            np.testing.assert_array_equal(person.score, twin.score)
    seen = [(person.score > 0).mean() for image in film for person in image.people]
    assert min(seen) == 0.0 and max(seen) == 1.0
    ids = {person.id for image in film for person in image.people}
    assert "" in ids and len(ids) > 6
