"""Figures over bags: made of sums and counts, whatever the order, and the same after they were in a file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.report import write_json
from occpose_ros.replay.pooling import comparison, latency_counts, make_report, pooled_figures, pooled_latency
from occpose_ros.replay.results import AS_RECORDED, BagResult, Failure, RunResult, read_report
from occpose_ros.replay.tables import report_tables
from occpose_ros.scoring.sums import figures_of_sums

KEY = ("m", AS_RECORDED)
LATENCIES = st.lists(st.floats(1e-5, 10.0), min_size=1, max_size=200)


def result(name: str, sums: dict[str, tuple[float, float]], latencies_s: list[float], **more: Any) -> BagResult:
    """A bag that took as long as all its steps."""
    speed = 2.0 / sum(latencies_s)
    clock = {**pooled_latency([latency_counts(latencies_s)]), "speed_x_realtime": speed}
    figures = {**figures_of_sums(dict(sums)), **clock, "dropped": {}, "resets": 0, "model": "m", **more}
    run = RunResult(model="m", pattern=AS_RECORDED, figures=figures, intervals={}, sums=sums)
    recording = {"bytes": 1, "mtime_ns": 1, "digest": name}
    return BagResult(bag=name, path=f"/{name}.mcap", fingerprint=recording, seconds=2.0, runs=(run,))


@given(st.lists(LATENCIES, min_size=1, max_size=4))
def test_percentiles_over_bags_are_those_of_all_latencies(of_bags: list[list[float]]) -> None:
    """To the two digits that each is counted with."""
    pooled = pooled_latency([latency_counts(latencies_s) for latencies_s in of_bags])["latency_ms"]
    every_ms = 1000.0 * np.concatenate(of_bags)
    assert sum(pooled["counts"].values()) == len(every_ms)
    for p in (50, 95, 99):
        assert pooled[f"p{p}"] == pytest.approx(np.percentile(every_ms, p, method="inverted_cdf"), rel=0.051)


def test_without_a_latency_there_is_no_percentile() -> None:
    assert math.isnan(pooled_latency([])["latency_ms"]["p95"])


@given(st.permutations(range(4)))
def test_the_order_of_the_bags_decides_nothing(order: list[int]) -> None:
    rng = np.random.Generator(np.random.Philox(key=3))
    bags = [
        result(f"b{i}", {"root_error_mm": (float(rng.random()) / 3, 7.0)}, rng.random(5).tolist()) for i in range(4)
    ]
    failures = [Failure(bag=f"f{i}", path="", reason="") for i in order]
    said = make_report({}, [bags[i] for i in order], failures)
    in_order = make_report({}, bags, sorted(failures, key=lambda failure: failure.bag))
    assert json.dumps(said) == json.dumps(in_order)
    assert said["speed_x_realtime"] == pytest.approx(
        8.0 / sum(2.0 / bag.runs[0].figures["speed_x_realtime"] for bag in bags)
    )


def test_what_is_counted_is_added_and_what_is_measured_averaged_over_all() -> None:
    one = result("a", {"root_error_mm": (100.0, 10.0), "people": (2.0, 1.0)}, [0.001], dropped={"late": 2}, resets=1)
    other = result("b", {"root_error_mm": (900.0, 30.0), "people": (1.0, 1.0)}, [0.003], dropped={"late": 1, "bad": 4})
    figures = pooled_figures([one, other], KEY)
    assert figures["root_error_mm"] == 25.0 and figures["people"] == 3
    assert figures["dropped"] == {"bad": 4, "late": 3} and figures["resets"] == 1
    assert figures["latency_ms"]["counts"] == {"1": 1, "3": 1} and figures["model"] == "m"


def test_a_report_reads_back_as_it_was(tmp_path: Path) -> None:
    bags = [
        result(name, {"flicker_m_s2.filled": (0.1, 3.0), "flicker_m_s2.truth": (0.0, 0.0)}, [0.002]) for name in "ab"
    ]
    write_json(tmp_path / "report.json", make_report({"seed": 1}, bags))
    saved = read_report(tmp_path / "report.json")
    assert saved.settings == {"seed": 1} and [bag.bag for bag in saved.bags] == ["a", "b"]
    assert math.isnan(saved.bags[0].runs[0].figures["flicker_m_s2"]["truth"])
    again = json.dumps(make_report({"seed": 1}, saved.bags))
    assert again == json.dumps(make_report({"seed": 1}, bags))


def test_only_what_two_models_share_is_compared() -> None:
    sums = {name: {"root_error_mm": (value, 1.0)} for name, value in (("a", 10.0), ("b", 20.0), ("c", 60.0))}
    parts = {("m", ""): {"a": sums["a"], "b": sums["b"]}, ("n", ""): {"b": sums["a"], "c": sums["c"]}, ("n", "x"): sums}
    (found,) = comparison(parts)
    assert (found["model"], found["against"], found["pattern"]) == ("n", "m", "")
    assert found["differences"]["root_error_mm"]["difference"] == -10.0


def test_of_many_bags_the_worst_are_printed_and_those_without_a_figure_last() -> None:
    bags = [result(f"b{i:02}", {"root_error_mm": (float(i), 1.0 if i else 0.0)}, [0.002]) for i in range(30)]
    _, table = report_tables(make_report({}, bags))
    assert [row[0] for row in table.rows] == [f"b{i:02}" for i in range(29, 9, -1)]
    assert table.note.startswith("The worst 20 of 30")
