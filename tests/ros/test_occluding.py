"""Joints hidden on top of recordings: whose, which, and what is found out by it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_core.occlusion import PatternError
from occpose_core.skeleton import H36M17
from occpose_core.types import People2D
from occpose_ros.adapters import KeypointsArray
from occpose_ros.replay.occluding import (
    WINDOW_S,
    OccludingError,
    occlude,
    occluding_patterns,
    person_mask,
)
from occpose_ros.scoring.consistency import score_occluded, self_consistency
from tests.ros.recordings import RATE_HZ, J, answered, seen_by_detector, true_people, walk_cam_m

FEW = settings(max_examples=25)
FRAMES = 200
PEOPLE = {"1": walk_cam_m(FRAMES, -1.0, 0.05), "2": walk_cam_m(FRAMES, 0.0, 0.05), "3": walk_cam_m(FRAMES, 1.0, 0.05)}
LEG = H36M17.indices("right_hip", "right_knee", "right_ankle")
PATTERNS = st.sampled_from(occluding_patterns(["natural", "iid20", "k-missing", "limb-run", "joint30c", "layout"]))
CONSISTENCY = "self_consistency"


@given(PATTERNS, st.integers(1, 400), st.sampled_from([10.0, 30.0, 60.0]), st.text(max_size=8), st.integers(0, 9))
def test_a_mask_is_drawn_from_what_it_is_of_and_from_nothing_else(
    pattern: str, frames: int, rate_hz: float, recording: str, seed: int
) -> None:
    mask = person_mask(pattern, frames, rate_hz, recording, "7", seed)
    assert mask.shape == (frames, J) and mask.dtype == bool
    np.testing.assert_array_equal(mask, person_mask(pattern, frames, rate_hz, recording, "7", seed))


def test_recordings_people_patterns_and_seeds_have_masks_of_their_own() -> None:
    plain = person_mask("iid20", 300, RATE_HZ, "bag", "1", 0)
    for other in (("bag2", "1", 0), ("bag", "2", 0), ("bag", "1", 1)):
        assert (person_mask("iid20", 300, RATE_HZ, *other) != plain).mean() > 0.2


def test_every_window_is_drawn_anew() -> None:
    window = round(WINDOW_S * RATE_HZ)
    masks = person_mask("k-missing(3)", 12 * window, RATE_HZ, "bag", "1").reshape(12, window, J)
    assert (masks == masks[:, :1]).all() and ((~masks).sum(axis=-1) == 3).all()
    assert len(np.unique(masks[:, 0], axis=0)) > 6


def test_windows_follow_each_other_over_the_whole_recording() -> None:
    mask = person_mask("limb-run(leg,1)", 500, RATE_HZ, "bag", "1")
    window, second = round(WINDOW_S * RATE_HZ), round(RATE_HZ)
    hidden = ~mask[:, LEG]
    assert (hidden.all(axis=1) == hidden.any(axis=1)).all()
    in_window = np.arange(500) % window
    np.testing.assert_array_equal(hidden[:, 0], in_window >= window - second)


@FEW
@given(PATTERNS, st.integers(0, 5), st.sets(st.sampled_from(["2", "3"])))
def test_whom_else_is_there_changes_nobodys_mask(pattern: str, seed: int, others: set[str]) -> None:
    def hidden_of_first(people: dict[str, np.ndarray]) -> np.ndarray:
        occluded = occlude(seen_by_detector(people), answered(people), pattern, "bag", seed)
        return occluded.hidden[np.array(occluded.before.ids) == "1"]

    alone = hidden_of_first({"1": PEOPLE["1"]})
    np.testing.assert_array_equal(hidden_of_first({name: PEOPLE[name] for name in ("1", *sorted(others))}), alone)


@FEW
@given(PATTERNS, st.floats(-1e5, 1e5))
def test_what_is_hidden_has_no_say_any_more(pattern: str, garbage: float) -> None:
    """What is left is the same wherever hidden joints were, and joints that were missing before tell nothing."""
    detected, reference = seen_by_detector(PEOPLE), answered(PEOPLE)
    occluded = occlude(detected, reference, pattern, "bag")
    begin = 0
    for before, after in zip(detected, occluded.detected, strict=True):
        hidden = occluded.hidden[begin : begin + len(before.people)]
        begin += len(before.people)
        there = [before.people.ids.index(name) for name in after.people.ids]
        np.testing.assert_array_equal(after.people.score > 0, ~hidden[there])
        assert not after.people.xy_px[after.people.score == 0].any()
        np.testing.assert_array_equal(
            after.people.xy_px[after.people.score > 0], before.people.xy_px[there][~hidden[there]]
        )
    spoilt = [_without_noses(each, garbage) for each in detected]
    plain = [_without_noses(each, 0.0) for each in detected]
    one, other = (occlude(each, reference, pattern, "bag") for each in (spoilt, plain))
    np.testing.assert_array_equal(one.hidden, other.hidden)


def _without_noses(keypoints: KeypointsArray, value: float) -> KeypointsArray:
    nose = np.arange(J) == H36M17.index("nose")
    people = keypoints.people
    xy_px = np.where(nose[:, None], np.float32(value), people.xy_px)
    score = np.where(nose, np.float32(0), people.score)
    return dataclasses.replace(keypoints, people=People2D(ids=people.ids, xy_px=xy_px, score=score))


def test_detectors_without_ids_are_told_apart_by_the_answers() -> None:
    named = occlude(seen_by_detector(PEOPLE), answered(PEOPLE), "natural", "bag")
    unnamed = occlude(seen_by_detector(PEOPLE, named=False), answered(PEOPLE), "natural", "bag")
    np.testing.assert_array_equal(named.hidden, unnamed.hidden)
    assert named.hidden.any()


def test_somebody_detected_twice_is_hidden_twice() -> None:
    detected = seen_by_detector(PEOPLE)
    twice = [dataclasses.replace(each, people=_doubled(each.people)) for each in detected]
    occluded = occlude(twice, answered(PEOPLE), "limb-run(leg,1)", "bag")
    hidden = occluded.hidden.reshape(FRAMES, 2, 3, J)
    np.testing.assert_array_equal(hidden[:, 0], hidden[:, 1])


def _doubled(people: People2D) -> People2D:
    return People2D(
        ids=(*people.ids, *("" for _ in people.ids)),
        xy_px=np.concatenate([people.xy_px, people.xy_px + 1.0]),
        score=np.concatenate([people.score, people.score]),
    )


def test_who_is_hidden_entirely_is_not_detected() -> None:
    occluded = occlude(seen_by_detector(PEOPLE), answered(PEOPLE), "frames20c", "bag")
    counts = [len(each.people) for each in occluded.detected]
    everybody = occluded.hidden.reshape(FRAMES, 3, J).all(axis=-1)
    assert counts == (3 - everybody.sum(axis=1)).tolist()
    assert 0 < everybody.sum() < 0.3 * everybody.size


def test_whom_the_reference_does_not_know_stays_as_they_are() -> None:
    occluded = occlude(seen_by_detector(PEOPLE), answered({"1": PEOPLE["1"]}), "iid20", "bag")
    hidden = occluded.hidden[np.array(occluded.before.ids) != "1"]
    assert occluded.hidden.any() and not hidden.any()


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("hallucinate", OccludingError, "gives joints in a wrong place"),
        ("clean", OccludingError, "hides nothing"),
        ("fog", PatternError, "unknown occlusion pattern 'fog'; known: clean"),
        ("limb-run(tail,1)", PatternError, "unknown argument"),
    ],
)
def test_patterns_that_cannot_be_laid_over_get_one_sentence(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        occluding_patterns([name])


def test_names_stand_for_all_their_arguments_once() -> None:
    assert occluding_patterns(["k-missing(2)", "k-missing", "natural"]) == (
        "k-missing(2)", "k-missing(1)", *(f"k-missing({k})" for k in range(3, 7)), "natural"
    )  # fmt: skip


def test_the_same_answers_are_consistent() -> None:
    """What is hidden on top changes nothing in the answers: no error, and all that was hidden is counted."""
    reference = answered(PEOPLE)
    occluded = occlude(seen_by_detector(PEOPLE), reference, "limb-run(leg,1)", "bag")
    figures = self_consistency(reference, reference, occluded).figures[CONSISTENCY]
    assert figures["mpjpe_mm"]["hidden"] == figures["mpjpe_mm"]["visible"] == 0.0
    assert figures["joints"]["hidden"] == occluded.hidden.sum() > 0
    assert figures["joints"]["all"] == 3 * FRAMES * J
    assert figures["coverage"] == 1.0 and figures["id_switches"]["count"] == 0
    assert figures["interval_mm"] == {}  # of three people for seven seconds


def test_what_the_reference_had_not_measured_is_no_truth() -> None:
    measured = np.ones((FRAMES, J), dtype=bool)
    measured[:, LEG] = False
    reference = answered(PEOPLE, dict.fromkeys(PEOPLE, measured))
    occluded = occlude(seen_by_detector(PEOPLE), reference, "limb-run(leg,1)", "bag")
    joints = self_consistency(reference, reference, occluded).figures[CONSISTENCY]["joints"]
    assert joints["hidden"] == 0 and joints["all"] == 3 * FRAMES * (J - len(LEG))


def test_errors_of_hidden_joints_are_against_the_run_as_recorded_and_hold_is_of_the_occluded_run() -> None:
    """The hidden leg stays 50 mm off, its hold lags behind: the right ankle of the reference moves up 1 mm a frame."""
    ankle = H36M17.index("right_ankle")
    moving = {"1": PEOPLE["1"].copy()}
    moving["1"][:, ankle, 1] -= 0.001 * np.arange(FRAMES)
    reference = answered(moving)
    occluded = occlude(seen_by_detector(moving), reference, "limb-run(foot,0.5)", "bag")
    hidden = occluded.hidden[:, ankle]
    wrong = moving["1"].copy()
    wrong[hidden, ankle, 0] += 0.05
    measured = np.ones((FRAMES, J), dtype=bool)
    measured[hidden, ankle] = False
    found = self_consistency(reference, answered({"1": wrong}, {"1": measured}), occluded).figures[CONSISTENCY]
    assert found["mpjpe_mm"]["hidden"] == pytest.approx(50.0, abs=0.01)
    run = np.arange(1, 16)  # of 15 frames; half a second hidden
    assert found["baselines"]["hold"]["hidden"] == pytest.approx(run.mean(), abs=0.01)
    assert found["baselines"]["constant_velocity"]["hidden"] == pytest.approx(0.0, abs=0.05)
    assert found["by_occlusion_s"][0]["joints"] == 3 * (hidden.sum() // 15)


def test_who_is_lost_lacks_coverage_and_a_new_name_is_a_switch() -> None:
    reference = answered(PEOPLE)
    occluded = occlude(seen_by_detector(PEOPLE), reference, "limb-run(leg,1)", "bag")
    lost = [
        dataclasses.replace(
            output,
            skeletons=tuple(
                dataclasses.replace(each, id="9" if each.id == "2" and frame >= 100 else each.id)
                for each in output.skeletons
                if each.id != "2" or not 50 <= frame < 100
            ),
        )
        for frame, output in enumerate(reference)
    ]
    found = self_consistency(reference, lost, occluded).figures[CONSISTENCY]
    assert found["coverage"] == pytest.approx(1.0 - 50 / (3 * FRAMES))
    assert found["id_switches"]["count"] == 1


def test_with_truth_both_are_told_and_without_it_the_run_as_recorded_is_shown() -> None:
    reference = answered(PEOPLE)
    off = answered({name: pose + [0.0, 0.0, 0.1] for name, pose in PEOPLE.items()})
    occluded = occlude(seen_by_detector(PEOPLE), reference, "natural", "bag")
    with_truth = score_occluded(reference, off, occluded, true_people(PEOPLE))
    without = score_occluded(reference, off, occluded, None)
    for key, term in without.sums.items():
        assert not key.startswith(CONSISTENCY) or with_truth.sums[key] == term
    assert with_truth.figures["root_error_mm"] == pytest.approx(100.0, abs=1e-3)
    assert np.isnan(without.figures["root_error_mm"])
    assert without.figures[CONSISTENCY]["root_error_mm"] == pytest.approx(100.0, abs=1e-3)
    assert without.pairs.has_truth.any()
    piece = next(iter(without.pieces.values()))
    assert {key.partition(".")[0] for key in piece} > {CONSISTENCY, "flicker_m_s2"}
