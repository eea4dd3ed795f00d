"""What OccKP-1 shows to a model, and the baselines that a model must beat."""

import numpy as np
import pytest

from occpose_core.baselines import constant_velocity, hold, velocity_start
from occpose_core.clips import WINDOW, Shot, film, last_seen, make_clips, spans
from occpose_core.skeleton import H36M17
from tests.core.walkers import RATE_HZ, filmed, walker

J = len(H36M17.joints)
PELVIS = H36M17.index("pelvis")


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    return filmed()


# --- clips ------------------------------------------------------------------------------------------------------------


def test_filming_is_seeded_and_differs_between_rigs_and_inputs() -> None:
    motion = walker("walk", 60)
    first = film(motion, "train", "noisy")
    again = film(motion, "train", "noisy")
    np.testing.assert_array_equal(first.rays, again.rays)
    for rig, detector, seed in (("held-out", "noisy", 0), ("train", "gt", 0), ("train", "noisy", 1)):
        assert not np.array_equal(first.rays, film(motion, rig, detector, seed).rays)


@pytest.mark.parametrize("pattern", ["iid20", "k-missing(3)", "limb-run(leg,0.5)"])
def test_windows_end_at_the_scored_frame_and_reach_back_81(shots: list[Shot], pattern: str) -> None:
    planned = spans(shots, [pattern], 40)
    assert sum(len(span.scored) for span in planned) == 40
    for span in planned:
        assert span.scored == (span.stop - 1,)
        assert span.stop - span.start == min(WINDOW, span.stop)
    assert {span.shot for span in planned} == {0, 1, 2}


def test_processes_are_drawn_over_whole_recordings(shots: list[Shot]) -> None:
    planned = spans(shots, ["natural"], None)
    assert [(span.start, span.stop) for span in planned] == [(0, len(shot)) for shot in shots]
    assert [len(span.scored) for span in planned] == [len(shot) for shot in shots]
    limited = spans(shots, ["natural"], 37)
    assert sum(len(span.scored) for span in limited) == 37
    assert all(0 <= frame < len(shots[span.shot]) for span in limited for frame in span.scored)


def test_a_mask_depends_on_its_window_alone(shots: list[Shot]) -> None:
    planned = spans(shots, ["iid20"], 12)
    whole = make_clips(shots, planned)
    alone = make_clips(shots, [planned[7]])
    begin = whole.start[whole.scored[7]]
    np.testing.assert_array_equal(whole.visible[begin : whole.scored[7] + 1], alone.visible)
    np.testing.assert_array_equal(whole.rays[begin : whole.scored[7] + 1], alone.rays)
    other_seed = make_clips(shots, [planned[7]], seed=1)
    assert not np.array_equal(other_seed.visible, alone.visible)


def test_hidden_coordinates_are_garbage_and_seen_ones_untouched(shots: list[Shot]) -> None:
    clips = make_clips(shots, spans(shots, ["k-missing(6)"], 20))
    assert clips.hidden.any()
    np.testing.assert_array_equal(clips.hidden, ~clips.visible)
    np.testing.assert_array_equal(clips.rays[clips.visible], clips.given_rays[clips.visible])
    away = np.linalg.norm(clips.rays - clips.given_rays, axis=-1)[clips.hidden & (clips.given_score > 0)]
    spread_px = away * shots[0].focal_px
    assert np.median(spread_px) > 50
    assert np.isfinite(clips.rays).all()


def test_hallucinated_joints_are_given_in_a_wrong_place(shots: list[Shot]) -> None:
    clips = make_clips(shots, spans(shots, ["hallucinate"], None))
    np.testing.assert_array_equal(clips.visible, clips.given_score > 0)
    wrong = clips.hidden & clips.visible
    assert wrong.any()
    assert 0.3 <= clips.score[wrong].min() < 0.4 and 0.6 < clips.score[wrong].max() <= 0.7
    np.testing.assert_array_equal(clips.score[~wrong], clips.given_score[~wrong])
    moved = np.linalg.norm(clips.rays - clips.given_rays, axis=-1)
    assert (moved[wrong] > 0).all()
    assert (moved[clips.visible & ~wrong] == 0).all()


def test_scores_are_the_detectors_where_joints_are_visible_and_0_elsewhere(shots: list[Shot]) -> None:
    clips = make_clips(shots, spans(shots, ["iid20"], 20))
    np.testing.assert_array_equal(clips.score, np.where(clips.hidden, 0.0, clips.given_score))
    np.testing.assert_array_equal(clips.unhidden().visible, clips.given_score > 0)
    assert len(np.unique(clips.score)) > 100
    assert clips.score.max() <= 1


def test_ground_truth_is_sure() -> None:
    shot = film(walker("walk", 60), "train", "gt")
    assert set(np.unique(shot.score)) <= {0.0, 1.0}


def test_look_ahead_adds_frames_behind_the_scored_one(shots: list[Shot]) -> None:
    planned = spans(shots, ["limb-run(leg,0.5)"], 10, look_ahead=4)
    clips = make_clips(shots, planned)
    behind = clips.stop[clips.scored] - 1 - clips.scored
    assert behind.max() == 4
    knee = H36M17.index("right_knee")
    assert clips.hidden[clips.scored, knee].all()
    assert clips.hidden[clips.scored + behind, knee].all()


def test_last_seen_stays_in_its_clip() -> None:
    hidden = np.array([[0, 0], [1, 0], [1, 1], [1, 0], [0, 1]], dtype=bool)
    start = np.array([0, 0, 0, 3, 3])
    np.testing.assert_array_equal(last_seen(hidden, start), [[0, 0], [0, 1], [0, 1], [-1, 3], [4, 3]])


# --- baselines --------------------------------------------------------------------------------------------------------


def test_hold_and_constant_velocity_follow_their_definitions() -> None:
    answers = np.arange(10.0)[:, None, None] * np.array([1.0, 2.0, 3.0]) + np.zeros((10, J, 3))
    never = np.full((1, J, 3), -7.0)
    last = np.full((1, J), 6)
    last[0, 0], last[0, 1] = -1, 9
    now = np.array([9])
    before = velocity_start(last, start=np.array([2]), rate_hz=RATE_HZ)
    np.testing.assert_array_equal(before[0, :3], [-1, 3, 2])  # 6 frames are 0.2 s, but not before the clip
    held = hold(answers, last, never)
    np.testing.assert_allclose(held[0, 0], -7.0)
    np.testing.assert_allclose(held[0, 2], [6, 12, 18])
    moved = constant_velocity(answers, last, before, now, never)
    np.testing.assert_allclose(moved[0, 0], -7.0)
    np.testing.assert_allclose(moved[0, 1:], np.broadcast_to([9, 18, 27], (J - 1, 3)))


def test_a_joint_seen_only_once_has_no_velocity() -> None:
    answers = np.random.default_rng(0).normal(size=(5, J, 3))
    last = np.full((1, J), 2)
    moved = constant_velocity(answers, last, last, np.array([4]), np.zeros((1, J, 3)))
    np.testing.assert_array_equal(moved[0], answers[2])
