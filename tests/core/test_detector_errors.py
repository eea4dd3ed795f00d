"""Simulated detectors err on single images as often, as far and as surely as the table says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.body.joints import SMPL30, SMPL30_MIRROR
from occpose_core.detector_errors import (
    ERRORS,
    GOOD,
    INVERTED,
    JITTERED,
    MISSED,
    SWAPPED,
    corrupt,
    probabilities,
)
from occpose_core.skeleton import get_skeleton
from tests.tolerances import FLOAT32

JOINTS = len(SMPL30)
ALL = np.ones(JOINTS, dtype=bool)
NOBODY = np.zeros((0, JOINTS, 2), dtype=np.float32)
AREA = 100.0 * 200.0
UNIT = np.sqrt(AREA)
# far enough apart that nothing is near anything else
SPREAD = np.stack([np.arange(JOINTS) % 6, np.arange(JOINTS) // 6], axis=1).astype(np.float32) * 40 * UNIT
BESIDE = SPREAD[None] + np.float32(15 * UNIT)


def bare(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")


def distances(similarity: float) -> np.ndarray:
    """(30,) at which COCO's similarity has that value."""
    sigma = np.array([ERRORS[bare(joint)].sigma for joint in SMPL30])
    return np.asarray(2 * sigma * UNIT * np.sqrt(-2 * np.log(similarity)))


def kinds(given: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(30,) which error each joint of SPREAD shows, by where it is."""
    own = np.linalg.norm(given - SPREAD, axis=-1)
    other_side = np.linalg.norm(given - SPREAD[SMPL30_MIRROR], axis=-1)
    persons = np.concatenate([others, others[:, SMPL30_MIRROR]])
    swapped = (np.linalg.norm(given - persons, axis=-1) <= distances(0.5)).any(axis=0)
    found = np.full(JOINTS, MISSED)
    found[swapped] = SWAPPED
    found[other_side <= distances(0.5)] = INVERTED
    found[own <= distances(0.5)] = JITTERED
    found[own <= distances(0.85)] = GOOD
    return found


@pytest.mark.parametrize(
    "visible, others",
    [
        pytest.param(ALL, NOBODY, id="whole person, alone"),
        pytest.param(ALL, BESIDE, id="whole person, beside another"),
        pytest.param(np.isin(SMPL30, ["nose", "left_knee", "right_knee", "left_wrist"]), BESIDE, id="four joints"),
        pytest.param(ALL, np.concatenate([BESIDE, BESIDE + 1, BESIDE + 2]), id="in a crowd"),
    ],
)
def test_errors_are_as_frequent_as_the_table_says(visible: np.ndarray, others: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    runs = 1500
    counts = np.zeros((JOINTS, 5))
    for _ in range(runs):
        counts[np.arange(JOINTS), kinds(corrupt(SPREAD, visible, others, AREA, rng)[0], others)] += 1
    expected = probabilities(visible, len(others)).copy()
    two_sided = np.arange(JOINTS) != SMPL30_MIRROR
    expected[~(two_sided & visible[SMPL30_MIRROR]), INVERTED] = 0
    expected[:, SWAPPED] *= len(others) > 0
    expected /= expected.sum(axis=1, keepdims=True)
    chance = 4 * np.sqrt(0.25 / runs)  # four standard errors
    np.testing.assert_allclose(counts[visible] / runs, expected[visible], atol=chance)
    over_joints = counts[visible].mean(axis=0) / runs, expected[visible].mean(axis=0)
    np.testing.assert_allclose(*over_joints, atol=chance / np.sqrt(visible.sum()))


@pytest.mark.parametrize(
    "joint, count, overlapping, expected",
    [
        pytest.param("nose", 17, 0, (0.10, 0.01, 0.01, 0.02), id="nose of a whole person"),
        pytest.param("left_wrist", 17, 0, (0.15, 0.03, 0.06, 0.10), id="wrist of a whole person"),
        pytest.param("left_hip", 10, 0, (0.25, 0.06, 0.03, 0.15), id="hip of ten joints"),
        pytest.param("right_ankle", 5, 1, (0.15, 0.06, 0.10, 0.20), id="ankle of five joints in a couple"),
        pytest.param("left_shoulder", 15, 3, (0.15, 0.03, 0.15, 0.05), id="shoulder in a crowd"),
        pytest.param("left_shoulder", 15, 2, (0.15, 0.03, 0.06, 0.05), id="shoulder among two"),
        pytest.param("pelvis", 17, 0, (0.20, 0.06, 0.03, 0.10), id="what COCO lacks is as what is near it"),
    ],
)
def test_table_depends_on_joint_number_and_crowd(
    joint: str, count: int, overlapping: int, expected: tuple[float, ...]
) -> None:
    visible = np.isin(SMPL30, get_skeleton("coco17").joints[:count])
    row = probabilities(visible, overlapping)[SMPL30.index(joint)]
    assert row[[JITTERED, INVERTED, SWAPPED, MISSED]] == pytest.approx(expected)
    assert row.sum() == pytest.approx(1.0)


@given(seed=st.integers(0, 10_000), people=st.integers(0, 3))
def test_what_is_not_visible_has_no_influence(seed: int, people: int) -> None:
    rng = np.random.default_rng(seed)
    kpts = rng.uniform(0, 300, (JOINTS, 2)).astype(np.float32)
    others = rng.uniform(0, 300, (people, JOINTS, 2)).astype(np.float32)
    visible, seen = rng.random(JOINTS) < 0.7, rng.random((people, JOINTS)) < 0.7
    garbage = np.where(visible[:, None], kpts, np.float32(np.nan))
    other_garbage = np.where(seen[..., None], others, np.float32(1e9))
    first = corrupt(kpts, visible, others, AREA, np.random.default_rng(seed), seen)
    second = corrupt(garbage, visible, other_garbage, AREA, np.random.default_rng(seed), seen)
    np.testing.assert_array_equal(first[0][visible], second[0][visible])
    np.testing.assert_array_equal(first[1], second[1])
    assert (first[1][~visible] == 0).all()
    assert ((first[1] >= 0) & (first[1] <= 1)).all()


@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100))
def test_errors_grow_with_the_person(seed: int, factor: float) -> None:
    kpts = np.random.default_rng(seed).uniform(0, 300, (JOINTS, 2))
    first = corrupt(kpts, ALL, NOBODY, AREA, np.random.default_rng(seed))
    second = corrupt(kpts * factor, ALL, NOBODY, AREA * factor**2, np.random.default_rng(seed))
    np.testing.assert_allclose(first[0] * factor, second[0], rtol=1e-4, atol=FLOAT32 * factor)
    np.testing.assert_allclose(first[1], second[1], atol=FLOAT32)


def test_a_joint_that_is_far_off_is_nearer_to_nothing_else() -> None:
    rng = np.random.default_rng(1)
    kpts = rng.uniform(0, 1.5 * UNIT, (JOINTS, 2))
    others = kpts[None] + 0.4 * UNIT
    half, far = distances(0.5), distances(0.1)
    places = np.concatenate([kpts[None], kpts[None, SMPL30_MIRROR], others, others[:, SMPL30_MIRROR]])
    missed = 0
    for _ in range(100):
        given, score = corrupt(kpts, ALL, others, AREA, rng)
        away = np.linalg.norm(given - places, axis=-1)
        lost = (away > half + 1e-3).all(axis=0)
        assert (away.min(axis=0) <= far + 1e-3).all()
        missed += int(lost.sum())
    assert missed > 50


def test_scores_fall_with_the_error_and_half_of_the_missed_are_silent() -> None:
    rng = np.random.default_rng(2)
    small_picture = SPREAD / 40  # errors are relative to the person, so the person must be one
    answers = [corrupt(small_picture, ALL, NOBODY, AREA, rng) for _ in range(400)]
    given = np.stack([answer[0] for answer in answers])
    score = np.stack([answer[1] for answer in answers])
    error = np.linalg.norm(given - small_picture, axis=-1)
    assert score[error < distances(0.85)].mean() > score[(error > distances(0.5)) & (score > 0)].mean() + 0.1
    silent = (score == 0).mean()
    missed = probabilities(ALL, 0)[:, MISSED].mean()
    assert silent == pytest.approx(missed / 2, abs=0.01)


def test_same_generator_same_answer() -> None:
    first = corrupt(SPREAD, ALL, BESIDE, AREA, np.random.default_rng(5))
    second = corrupt(SPREAD, ALL, BESIDE, AREA, np.random.default_rng(5))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
