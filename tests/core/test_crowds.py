"""People and ids that hold for any detector: nobody is exchanged, names are unique, memory and numbers are bounded."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_core.admission import admit
from occpose_core.identities import Identities
from occpose_core.person import People
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.types import State
from tests.core.cardboard import CAMERA, FIGURE, standing
from tests.core.film import PELVIS, Film, said

SECOND = 1_000_000_000
seeds = st.integers(0, 2**32 - 1)


def test_ten_thousand_frames_of_new_ids_cost_no_memory():
    """Somebody whose id is new in every frame, and now and then somebody who appears for one frame."""
    people, identities, config, sizes = People(1), Identities(), PipelineConfig(), []
    for frame in range(10_000):
        stamp = frame * SECOND // 30
        people.advance(stamp, config.gap_s)
        persons = [standing(x, 0, 5) for x in ((0, 2) if frame % 20 == 0 else (0,))]
        _, seen = admit(persons, config, CAMERA, Counter())
        seen = identities.on_rows([f"{frame}", f"x{frame}"][: len(persons)], seen, people, config, Counter())
        here = seen.visible.any(axis=-1)
        people.rows["started"], people.rows["measured_ns"][here] = True, stamp
        people.ray[here] = seen.rays[here, PELVIS]
        people.rows["joints"]["answer"], people.log_depth[:] = FIGURE, np.log(5)
        if frame % 50 == 0:
            sizes.append(len(pickle.dumps(identities)))
    assert people.ids[0] == "0"
    assert max(sizes[100:]) < 1.1 * max(sizes[20:30]), "a thousand ids are remembered, no more"


def test_a_reset_forgets_how_far_the_detector_was_trusted():
    rng, film = np.random.default_rng(0), Film()
    sprint = [("0", 0, 0, 6), ("0", 0, 0, 6), ("0", 0.5, 0, 6)]  # only the id says that it is the same person
    assert [film.ids(place) for place in sprint] == [["0"]] * 3
    film.pipe.reset()
    for _ in range(150):
        film.show(*((str(i), x, 0, 6) for i, x in zip(rng.permutation(2), (-1, 1), strict=True)))
    film.frame += 60
    assert [film.ids(place) for place in sprint] == [["0"], ["0"], ["0#2"]]
    film.pipe.reset()
    assert [film.ids(place) for place in sprint] == [["0"]] * 3


# --- a crowd beyond max_persons


def crowd(*depths, names=None):
    return [(str(i) if names is None else names[i], -3 + 1.0 * i, 0, z) for i, z in enumerate(depths)]


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
def test_who_is_followed_does_not_flicker_at_the_cap(named):
    film, rng, chosen = Film(max_persons=3), np.random.default_rng(1), []
    for _ in range(40):
        depths = 9 + rng.uniform(-0.15, 0.15, 7)
        output = film.show(*crowd(*depths, names=None if named else [""] * 7))
        assert output.dropped["max_persons"] == 4
        chosen.append(frozenset(s.id for s in output.skeletons))
    assert len(set(chosen)) == 1
    assert all(s.state == State.TRACKED for s in output.skeletons)


def test_somebody_clearly_larger_takes_the_place_of_the_smallest():
    film = Film(max_persons=2)
    film.show(*crowd(6, 7, 9))
    assert {s.id for s in film.show(*crowd(6, 7, 6)).skeletons} == {"0", "1"}
    tracked = {s.id for s in film.show(*crowd(6, 7, 3)).skeletons if s.state == State.TRACKED}
    assert tracked == {"0", "2"}


@pytest.mark.parametrize("people", [0, 1, 100])
def test_any_number_of_people(people):
    film, rng = Film(max_persons=100), np.random.default_rng(0)
    places = rng.uniform([-12, -2, 18], [12, 2, 25], (people, 3))
    for _ in range(3):
        output = film.show(*((str(i), *place) for i, place in enumerate(places)))
        assert [s.id for s in output.skeletons] == [str(i) for i in range(people)]


# --- properties


def wanderers(rng, frames, people, spread_m):
    """(F, P, 3) slow ways, at least spread_m apart."""
    start = np.stack(
        [spread_m * (np.arange(people) - (people - 1) / 2), np.zeros(people), rng.uniform(7, 9, people)], -1
    )
    return start + np.cumsum(rng.normal(0, 0.01, (frames, people, 3)), axis=0)


def any_names(rng, people):
    """Unique names of people, or none."""
    pool = rng.permutation(["a", "b", "c", "d", "a#2", "t1", "t2"]).tolist()
    return [pool[i] if rng.random() < 0.8 else "" for i in range(people)]


@settings(max_examples=12)
@given(seed=seeds, people=st.integers(1, 4))
def test_people_apart_never_exchange_anything_whatever_the_ids_do(seed, people):
    rng, film = np.random.default_rng(seed), Film()
    alone = [Film() for _ in range(people)]
    names: dict[int, str] = {}
    for places in wanderers(rng, 25, people, 2.5):
        seen = np.flatnonzero(rng.random(people) < 0.8)
        order, called = rng.permutation(seen), any_names(rng, people)
        given = film.ids(*((called[person], *places[person]) for person in order))
        answers = {s.id: s for s in film.output.skeletons}
        assert len(answers) == len(film.output.skeletons)
        for person, name in zip(order, given, strict=True):
            assert names.setdefault(person, name) == name
        for person, other in enumerate(alone):
            output = other.show(*([("x", *places[person])] if person in seen else []))
            if person in names and output.skeletons:
                assert answers[names[person]].joints_cam_m == pytest.approx(output.skeletons[0].joints_cam_m, abs=1e-4)
    assert len(set(names.values())) == len(names)


@settings(max_examples=12)
@given(seed=seeds)
def test_another_order_of_people_gives_the_same_people(seed):
    rng, straight, shuffled = np.random.default_rng(seed), Film(), Film()
    for places in wanderers(rng, 15, 3, 0.4):
        called = [name or f"n{i}" for i, name in enumerate(any_names(rng, 3))]
        people = [(name, *place) for name, place in zip(called, places, strict=True) if rng.random() < 0.8]
        expected = straight.show(*people)
        given = shuffled.show(*(people[i] for i in rng.permutation(len(people))))
        assert given.dropped == expected.dropped
        of = {s.id: s for s in given.skeletons}
        # newcomers who share their id with somebody known are numbered in the order in which they come
        assert sorted(name.partition("#")[0] for name in of) == sorted(
            s.id.partition("#")[0] for s in expected.skeletons
        )
        for s in expected.skeletons:
            away = min(np.abs(s.joints_cam_m - other.joints_cam_m).max() for other in given.skeletons)
            assert away < 1e-4


@settings(max_examples=12)
@given(seed=seeds)
def test_other_names_for_the_same_people_rename_the_answer(seed):
    rng, first, second = np.random.default_rng(seed), Film(), Film()
    other = {"a": "Q", "b": "a", "c": "17", "d": "b", "": ""}
    for places in wanderers(rng, 15, 3, 0.4):
        called = rng.permutation(["a", "b", "c", "d"]).tolist()[:3] if rng.random() < 0.4 else ["a", "b", ""]
        people = [(name, *place) for name, place in zip(called, places, strict=True) if rng.random() < 0.8]
        expected = said(first.show(*people))
        given = said(second.show(*((other[name], *place) for name, *place in people)))

        def renamed(name):
            base, mark, number = name.partition("#")
            return other.get(base, base) + mark + number

        assert given == ({renamed(name): s for name, s in expected[0].items()}, set(map(renamed, expected[1])))


@settings(max_examples=12)
@given(seed=seeds)
def test_ids_are_unique_in_every_answer(seed):
    rng, film = np.random.default_rng(seed), Film(max_persons=3)
    for _ in range(20):
        places = rng.uniform([-2, -0.2, 4], [2, 0.2, 9], (int(rng.integers(0, 6)), 3))
        output = film.show(*((name, *place) for name, place in zip(any_names(rng, len(places)), places, strict=True)))
        ids = [s.id for s in output.skeletons]
        assert all(ids) and len(set(ids)) == len(ids)
