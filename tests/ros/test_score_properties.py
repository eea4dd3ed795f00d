"""What must not change figures: who is called what, what nobody sees, and what the truth does not say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_core.skeleton import H36M17
from occpose_core.types import People2D
from occpose_ros.scoring.score import Score, score
from tests.ros.recordings import J, answered, seen_by_detector, true_people, walk_cam_m

FEW = settings(max_examples=25)  # each scores two recordings
FRAMES = 45
PELVIS, WRIST = H36M17.index("pelvis"), H36M17.index("left_wrist")
TRUE = {"1": walk_cam_m(FRAMES, -1.2), "2": walk_cam_m(FRAMES, 0.0, -0.2), "3": walk_cam_m(FRAMES, 1.2, 0.1)}


def visible_joints(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Of each person runs of hidden joints; some joint is always seen."""
    visible = {}
    for name in TRUE:
        mask = np.ones((FRAMES, J), dtype=bool)
        for joint in rng.integers(1, J, 5):
            begin = int(rng.integers(0, FRAMES))
            mask[begin : begin + int(rng.integers(2, 30)), joint] = False
        visible[name] = mask
    return visible


def scored(seed: int, names: dict[str, str] | None = None, **truth: Any) -> Score:
    """names: what people are called instead."""
    rng = np.random.default_rng(seed)
    visible = visible_joints(rng)
    answers = {name: pose + rng.normal(0, 0.03, pose.shape) for name, pose in TRUE.items()}
    called = names or {name: name for name in TRUE}
    true, seen, said = ({called[k]: v for k, v in of.items()} for of in (TRUE, visible, answers))
    return score(seen_by_detector(true, seen), answered(said, seen), true_people(true, **truth))


@FEW
@given(st.integers(0, 2**31), st.permutations(["1", "2", "3", "zoe", "a b", "10"]))
def test_ids_are_only_names(seed: int, names: list[str]) -> None:
    plain, renamed = scored(seed), scored(seed, dict(zip(TRUE, names, strict=False)))
    assert renamed.sums == plain.sums
    assert renamed.intervals == plain.intervals


@FEW
@given(st.integers(0, 2**31))
def test_truth_without_the_detectors_ids_is_matched_by_place(seed: int) -> None:
    assert scored(seed, named=False).sums == scored(seed).sums


def test_ids_of_another_system_mean_nothing_even_if_they_are_the_same() -> None:
    """Motion capture calls the second person 1, as the detector the first."""
    mixed = {"1": TRUE["2"], "2": TRUE["3"], "3": TRUE["1"]}
    detected, answers = seen_by_detector(TRUE), answered(TRUE)
    assert score(detected, answers, true_people(mixed, named=False)).figures["mpjpe_mm"]["all"] < 1e-3
    assert score(detected, answers, true_people(mixed)).figures["root_error_mm"] > 500.0


@FEW
@given(st.integers(0, 2**31), st.floats(-1e4, 1e4))
def test_pixels_of_joints_that_are_not_seen_have_no_influence(seed: int, garbage: float) -> None:
    rng = np.random.default_rng(seed)
    visible = visible_joints(rng)
    detected = seen_by_detector(TRUE, visible)
    wrong = [
        dataclasses.replace(
            each,
            people=People2D(
                ids=each.people.ids,
                xy_px=np.where((each.people.score > 0)[..., None], each.people.xy_px, np.float32(garbage)),
                score=each.people.score,
            ),
        )
        for each in detected
    ]
    answers, truth = answered(TRUE, visible), true_people(TRUE)
    assert score(wrong, answers, truth).sums == score(detected, answers, truth).sums


@FEW
@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_partial_truth_leaves_out_joints_and_nothing_else(seed: int, holes: int) -> None:
    known = np.random.default_rng(holes).random((FRAMES, J)) < 0.7
    whole, partial = scored(seed), scored(seed, known=known)
    rows = known[((whole.pairs.stamp_ns - whole.pairs.stamp_ns.min()) * 30e-9 + 0.5).astype(int)]
    counted = rows & rows[:, PELVIS, None]  # without the root nothing is root-relative
    for group in ("all", "visible", "hidden"):
        mask = whole.pairs.groups[group] & counted
        np.testing.assert_array_equal(partial.pairs.groups[group], mask)
        expected = whole.errors_m["occpose"][mask].mean() * 1000 if mask.any() else np.nan
        assert partial.figures["mpjpe_mm"][group] == pytest.approx(expected, nan_ok=True)
        assert partial.figures["joints"][group] == mask.sum()
    assert np.isfinite(partial.figures["pa_mpjpe_mm"])


def test_what_is_aligned_are_the_known_joints() -> None:
    """The answer is right but for its scale and turn, and one joint that the truth does not know."""
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    root = TRUE["1"][:, PELVIS : PELVIS + 1]
    answer = root + 1.3 * (TRUE["1"] - root) @ turn
    answer[:, WRIST] += 1.0
    known = np.ones((FRAMES, J), dtype=bool)
    for seen, error in ((known, False), (known & (np.arange(J) != WRIST), True)):
        figures = score(seen_by_detector(TRUE), answered({"1": answer}), true_people({"1": TRUE["1"]}, seen)).figures
        assert (figures["pa_mpjpe_mm"] < 1e-3) is error


def test_error_over_the_time_since_a_joint_was_measured() -> None:
    """A hidden wrist is 10 mm further off with every frame."""
    visible = np.ones((FRAMES, J), dtype=bool)
    visible[15:, WRIST] = False
    answer = TRUE["1"].copy()
    answer[15:, WRIST, 0] += 0.01 * np.arange(1, FRAMES - 14)
    one = {"1": TRUE["1"]}
    scored = score(seen_by_detector(one, {"1": visible}), answered({"1": answer}, {"1": visible}), true_people(one))
    rows = scored.figures["by_occlusion_s"]
    assert [(row["from_s"], row["to_s"], row["joints"]) for row in rows[:5]] == [
        (0.0, 0.1, 3), (0.1, 0.25, 4), (0.25, 0.5, 8), (0.5, 1.0, 15), (1.0, 2.0, 0)
    ]  # fmt: skip
    assert rows[0]["occpose_mm"] == pytest.approx(20.0, abs=0.01)
    assert rows[1]["occpose_mm"] == pytest.approx(55.0, abs=0.01)
    assert rows[-1] == {"from_s": None, "to_s": None, "joints": 0} | {
        key: pytest.approx(np.nan, nan_ok=True) for key in rows[-1] if key.endswith("_mm")
    }


def test_id_switches_are_counted_by_place_over_the_time_that_people_are_seen() -> None:
    names = {"1": ["1"] * 20 + ["9"] * 25, "2": ["2"] * FRAMES, "3": ["3"] * 10 + ["8"] * 10 + ["3"] * 25}
    figures = score(seen_by_detector(TRUE), answered(TRUE, names=names), true_people(TRUE)).figures
    minutes = 3 * FRAMES / 30 / 60
    assert figures["id_switches"] == {"count": 3, "per_minute": pytest.approx(3 / minutes, rel=1e-3)}


@pytest.mark.parametrize("layout", ["h36m17", "coco17"])
def test_people_without_ids_are_found_by_place(layout: str) -> None:
    rng = np.random.default_rng(0)
    visible = visible_joints(rng)
    own = {name: [f"t{name}"] * FRAMES for name in TRUE}
    named = score(seen_by_detector(TRUE, visible, layout=layout), answered(TRUE, visible), true_people(TRUE))
    unnamed = score(
        seen_by_detector(TRUE, visible, named=False, layout=layout), answered(TRUE, visible, own), true_people(TRUE)
    )
    assert unnamed.sums == named.sums
    assert unnamed.figures["frames"] == {"total": FRAMES, "with_people": FRAMES, "answered": FRAMES}


def test_a_clock_that_jumps_by_years_costs_no_memory() -> None:
    answers = answered({"1": TRUE["1"]})
    years = [dataclasses.replace(each, stamp_ns=each.stamp_ns + 10**18 * (k > 20)) for k, each in enumerate(answers)]
    assert score([], years, None).figures["people"] == 1
