"""Ids for people without any: stable through motion, crossing and short occlusion, and never given twice."""

import numpy as np
import pytest

from occpose_core.tracking import Tracker

JOINTS = 17
FIGURE = np.random.default_rng(3).normal(0, [0.15, 0.4], (JOINTS, 2))  # ray units at about 1 m


def at(x, y=0.0, size=0.2):
    return FIGURE * size + [x, y]


def assign(tracker, people, stamp_s, visible=None, **changes):
    kpts = np.array(people, dtype=float).reshape(-1, JOINTS, 2)
    if visible is None:
        visible = np.ones(kpts.shape[:2], dtype=bool)
    settings = {"min_joints": 4, "ttl_s": 1.0, **changes}
    return tracker.assign(kpts, np.asarray(visible), round(stamp_s * 1e9), **settings)


def test_newcomers_get_new_ids_in_order():
    tracker = Tracker()
    assert assign(tracker, [at(-0.5), at(0.5)], 0) == ["t1", "t2"]
    assert assign(tracker, [at(0.5), at(-0.5), at(0.0)], 0.033) == ["t2", "t1", "t3"]
    assert assign(tracker, [], 0.066) == []


@pytest.mark.parametrize("hz", [5, 15, 30, 120])
@pytest.mark.parametrize("unit", [1.0, 900.0], ids=["rays", "pixels"])
def test_ids_follow_people_who_walk_past_each_other(hz, unit):
    tracker, rng = Tracker(), np.random.default_rng(0)
    for frame in range(int(4 * hz)):
        x = -0.6 + 0.3 * frame / hz
        people = [at(x), at(-x, 0.05, 0.3)]
        people = [unit * (person + rng.normal(0, 0.003, (JOINTS, 2))) for person in people]
        order = rng.permutation(2) if frame else np.arange(2)
        ids = assign(tracker, [people[i] for i in order], frame / hz)
        assert [ids[i] for i in np.argsort(order)] == ["t1", "t2"], f"frame {frame}"


@pytest.mark.parametrize(
    ("away_s", "expected"),
    [pytest.param(0.4, "t1", id="short occlusion"), pytest.param(1.5, "t2", id="beyond time to live")],
)
def test_time_to_live(away_s, expected):
    tracker = Tracker()
    for frame in range(10):
        assign(tracker, [at(0.1 * frame / 30)], frame / 30)
    assert assign(tracker, [at(0.03)], 0.3 + away_s) == [expected]


def test_a_hidden_person_is_found_where_the_velocity_leads():
    tracker = Tracker()
    for frame in range(30):
        assign(tracker, [at(-0.5 + 0.6 * frame / 30), at(0.5 - 0.6 * frame / 30)], frame / 30)
    for frame in range(30, 39):
        assert assign(tracker, [at(0.5 - 0.6 * frame / 30)], frame / 30) == ["t2"]
    assert assign(tracker, [at(-0.5 + 0.6 * 39 / 30)], 39 / 30) == ["t1"]


def test_somebody_else_far_away_is_somebody_else():
    tracker = Tracker()
    assert assign(tracker, [at(-0.5)], 0) == ["t1"]
    assert assign(tracker, [at(0.5)], 0.033) == ["t2"]


def test_half_hidden_people_keep_their_ids():
    tracker, rng = Tracker(), np.random.default_rng(1)
    for frame in range(60):
        visible = rng.random((2, JOINTS)) < 0.4
        visible[:, frame % JOINTS] = True
        ids = assign(tracker, [at(-0.2), at(0.2)], frame / 30, np.ones((2, JOINTS), bool) if frame == 0 else visible)
        assert ids == ["t1", "t2"]


def test_a_person_of_whom_one_limb_is_left_is_as_large_as_before():
    tracker, limb = Tracker(), np.zeros((1, JOINTS), dtype=bool)
    limb[0, np.argsort(np.linalg.norm(FIGURE - FIGURE[0], axis=-1))[:4]] = True
    assert assign(tracker, [at(0)], 0) == ["t1"]
    for frame, x in enumerate((0, 0.06, 0, 0.06), start=1):
        assert assign(tracker, [at(x)], frame / 30, limb) == ["t1"]


def test_too_few_joints_begin_nothing_but_may_continue():
    tracker = Tracker()
    few = np.zeros((1, JOINTS), dtype=bool)
    few[:, :3] = True
    assert assign(tracker, [at(0)], 0, few) == [""]
    assert assign(tracker, [at(0)], 0.033) == ["t1"]
    assert assign(tracker, [at(0)], 0.066, few) == ["t1"]
    assert assign(tracker, [at(0)], 0.1, few & False) == [""]


@pytest.mark.parametrize("garbage", [1e9, -np.inf, np.nan])
def test_masked_coordinates_have_no_influence(garbage):
    clean, spoiled, rng = Tracker(), Tracker(), np.random.default_rng(2)
    for frame in range(20):
        people = np.array([at(-0.1 + 0.01 * frame), at(0.1)])
        visible = rng.random((2, JOINTS)) < 0.5
        expected = assign(clean, people, frame / 30, visible)
        assert assign(spoiled, np.where(visible[..., None], people, garbage), frame / 30, visible) == expected


def test_ids_are_never_given_twice():
    tracker = Tracker()
    assert assign(tracker, [at(0)], 0) == ["t1"]
    tracker.reset()
    assert assign(tracker, [at(0)], 0.033, taken={"t2"}) == ["t3"]
    assert assign(tracker, [at(0)], 0.066, taken={"t3"}) == ["t4"], "the detector gave t3 to somebody else"
