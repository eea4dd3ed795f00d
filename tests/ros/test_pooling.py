"""Figures over several bags: what is added is the same in any order, and differences are paired."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_ros.scoring.intervals import FEWEST_PARTS, difference, interval_over_bags, intervals_over
from occpose_ros.scoring.score import score
from occpose_ros.scoring.sums import Sums, add_sums, figures_of_sums, means
from tests.ros.recordings import answered, seen_by_detector, true_people, walk_cam_m
from tests.tolerances import EXACT

KEYS = ("mpjpe_mm.all", "mpjpe_mm.hidden", "baselines.hold.hidden", "baselines.hold.all", "frames.total", "people")
TERM = st.tuples(st.floats(0, 1e6), st.integers(0, 10_000).map(float))
BAGS = st.lists(st.fixed_dictionaries(dict.fromkeys(KEYS, TERM)), min_size=1, max_size=9)


def recording_sums(seed: int) -> Sums:
    """Of a short recording with random errors."""
    rng = np.random.default_rng(seed)
    true = {name: walk_cam_m(20, x_m) for name, x_m in (("a", -1.0), ("b", 1.0))}
    answers = {name: pose + rng.normal(0, 0.03, pose.shape) for name, pose in true.items()}
    return score(seen_by_detector(true), answered(answers), true_people(true)).sums


@given(BAGS, st.randoms(use_true_random=False))
def test_the_order_of_bags_changes_nothing(bags: list[Sums], rng: random.Random) -> None:
    shuffled = list(bags)
    rng.shuffle(shuffled)
    assert add_sums(shuffled) == add_sums(bags)
    one, other = (json.dumps(figures_of_sums(add_sums(each)), sort_keys=True) for each in (shuffled, bags))
    assert one == other
    assert intervals_over(shuffled) == intervals_over(bags)


@settings(max_examples=10)
@given(st.lists(st.integers(0, 2**31), min_size=2, max_size=7, unique=True))
def test_bags_done_one_by_one_and_written_down_pool_to_the_same_figures(seeds: list[int]) -> None:
    at_once = {str(seed): recording_sums(seed) for seed in seeds}
    written = {str(seed): json.dumps(recording_sums(seed)) for seed in reversed(seeds)}
    read = {name: {key: tuple(term) for key, term in json.loads(text).items()} for name, text in written.items()}
    assert add_sums(at_once.values()) == add_sums(read.values())
    assert interval_over_bags(list(at_once.values())) == interval_over_bags(list(read.values()))


def test_pooled_figures_are_means_over_everything_not_of_means() -> None:
    short, long = {"mpjpe_mm.hidden": (100.0, 1.0)}, {"mpjpe_mm.hidden": (0.0, 99.0)}
    assert means(add_sums([short, long])) == {"mpjpe_mm.hidden": 1.0}


def test_counts_are_added_and_rates_are_over_all_the_time() -> None:
    bag = {"frames.total": (30.0, 1.0), "people": (2.0, 1.0), "id_switches.per_minute": (3.0, 0.5)}
    figures = figures_of_sums(add_sums([bag, bag]))
    assert figures["frames"] == {"total": 60} and figures["people"] == 4
    assert figures["id_switches"] == {"count": 6, "per_minute": 6.0}
    nobody = figures_of_sums({"id_switches.per_minute": (0.0, 0.0)})["id_switches"]
    assert math.isnan(nobody["count"]) and math.isnan(nobody["per_minute"])


def test_pieces_of_a_recording_add_up_to_it() -> None:
    true = {"a": walk_cam_m(1600)}  # more than five pieces of ten seconds
    rng = np.random.default_rng(0)
    scored = score(
        seen_by_detector(true), answered({"a": true["a"] + rng.normal(0, 0.02, true["a"].shape)}), true_people(true)
    )
    assert len(scored.pieces) >= FEWEST_PARTS
    pooled = means(add_sums(scored.pieces.values()))
    assert {key: scored.figures["mpjpe_mm"][key] for key in ("all", "visible")} == {
        key: pooled[f"mpjpe_mm.{key}"] for key in ("all", "visible")
    }
    low, high = scored.intervals["mpjpe_mm.all"]
    assert low <= scored.figures["mpjpe_mm"]["all"] <= high
    assert scored.figures["interval_mm"]["all"] == [low, high]


def test_the_interval_is_as_wide_as_pieces_differ() -> None:
    alike = [{"x": (10.0, 1.0)}] * 20
    wide = [{"x": (value, 1.0)} for value in np.linspace(0.0, 20.0, 20)]
    assert intervals_over(alike)["x"] == (10.0, 10.0)
    low, high = intervals_over(wide)["x"]
    sd = np.std(np.linspace(0.0, 20.0, 20)) / math.sqrt(20)
    assert (10.0 - low, high - 10.0) == pytest.approx((1.96 * sd, 1.96 * sd), rel=0.15)


def test_what_few_pieces_tell_has_no_interval() -> None:
    """Joints were hidden for long in some pieces only: too few to say how that is in others."""
    few = FEWEST_PARTS - 1
    pieces = {
        f"a/{k}": {"all": (float(k), 1.0), "long": (210.0 * (k < few), float(k < few))} for k in range(FEWEST_PARTS)
    }
    assert intervals_over(list(pieces.values())[:few]) == {}
    intervals = intervals_over(list(pieces.values()))
    assert intervals.keys() == {"all"}
    found = difference(pieces, {name: {**of, "long": (100.0, 1.0)} for name, of in pieces.items()})
    assert found["long"]["difference"] == pytest.approx(110.0) and np.isnan(found["long"]["interval"]).all()
    assert found["all"]["interval"] == [0.0, 0.0]


def test_difference_is_paired() -> None:
    """Both models find some pieces much harder than others; one is always 1 mm worse."""
    hard = [float(value) for value in np.random.default_rng(0).uniform(10, 500, 12)]
    a = {f"bag{i:02}": {"mpjpe_mm.all": (100 * (value + 1.0), 100.0)} for i, value in enumerate(hard)}
    b = {f"bag{i:02}": {"mpjpe_mm.all": (100 * value, 100.0)} for i, value in enumerate(hard)}
    found = difference(a, b)["mpjpe_mm.all"]
    assert found["difference"] == pytest.approx(1.0, abs=EXACT)
    assert found["interval"] == pytest.approx([1.0, 1.0], abs=1e-6)
    same = difference(a, a)["mpjpe_mm.all"]
    assert same == {"difference": 0.0, "interval": [0.0, 0.0]}
    one = {"bag00": a["bag00"]}
    assert np.isnan(difference(one, {"bag00": b["bag00"]})["mpjpe_mm.all"]["interval"]).all()


def test_totals_have_no_difference_and_what_one_lacks_neither() -> None:
    assert difference({"x": {"people": (2.0, 1.0), "y": (1.0, 1.0)}}, {"x": {"people": (3.0, 1.0)}}) == {}
