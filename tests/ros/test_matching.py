"""Who is who: by where people are in the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_ros.scoring import matching
from occpose_ros.scoring.matching import Sightings, follow, match, nearest, switches

SHAPE = np.random.default_rng(0).uniform(-50, 50, (17, 2))


def people(*rows: tuple[int, str, float], known: np.ndarray | None = None) -> Sightings:
    """rows: (moment, id, x)."""
    return Sightings(
        stamp_ns=np.array([moment for moment, _, _ in rows], dtype=np.int64),
        ids=[name for _, name, _ in rows],
        xy=np.array([SHAPE + [x, 0.0] for _, _, x in rows]).reshape(-1, 17, 2),
        known=np.ones((len(rows), 17), dtype=bool) if known is None else known,
    )


def test_the_same_moment_and_place_is_the_same_person() -> None:
    first = people((0, "", 0.0), (0, "", 200.0), (1, "", 0.0), (2, "", 0.0))
    second = people((0, "p", 205.0), (0, "q", 3.0), (1, "q", 400.0))
    assert match(first, second).tolist() == [1, 0, -1, -1]


def test_nobody_is_taken_twice_and_the_sum_decides() -> None:
    first, second = people((0, "", 0.0), (0, "", 10.0)), people((0, "p", 9.0), (0, "q", 25.0))
    assert match(first, second).tolist() == [0, 1]
    assert nearest(first, second).tolist() == [0, 0]


def test_an_equal_id_counts_where_place_says_nothing_but_not_against_it() -> None:
    blind = np.zeros((2, 17), dtype=bool)
    first = people((0, "q", 0.0), (0, "p", 0.0), known=blind)
    second = people((0, "p", 0.0), (0, "q", 300.0))
    assert match(first, second).tolist() == [1, 0]
    assert match(people((0, "q", 0.0), (0, "p", 300.0)), second).tolist() == [0, 1]


def test_unknown_joints_have_no_say() -> None:
    first, second = people((0, "", 0.0)), people((0, "p", 1.0))
    known = np.ones((1, 17), dtype=bool)
    known[0, 3] = False
    far = first.xy.copy()
    far[0, 3] = 1e6
    one = Sightings(stamp_ns=first.stamp_ns, ids=first.ids, xy=far, known=known)
    assert match(one, second).tolist() == [0]


@pytest.mark.parametrize("swap", [False, True])
def test_ids_that_change_hands_are_switches(swap: bool) -> None:
    true = people(*((frame, name, x) for frame in range(20) for name, x in (("A", 0.0), ("B", 300.0))))
    names = [("p", "q") if frame < 10 or not swap else ("q", "p") for frame in range(20)]
    given_names = people(*((frame, names[frame][k], 300.0 * k + 4.0) for frame in range(20) for k in (0, 1)))
    found = follow(true, given_names)
    assert found.tolist() == list(range(40))
    assert switches(true, [given_names.ids[row] for row in found]).sum() == 2 * swap


def test_people_who_cross_stay_who_they_are() -> None:
    """They pass through each other; the answers are a little late, so that for some frames the other one is nearer."""
    frames = range(40)
    true = people(*((f, name, x) for f in frames for name, x in (("A", 4.0 * f - 80), ("B", 80 - 4.0 * f))))
    late = people(*((f, name, x) for f in frames for name, x in (("p", 4.0 * f - 92), ("q", 92 - 4.0 * f))))
    names = [late.ids[row] for row in follow(true, late)]
    assert not switches(true, names).any()
    assert match(true, late).tolist() != follow(true, late).tolist()  # the nearest is not always the same person


def test_who_drifts_away_is_still_followed_until_somebody_fits() -> None:
    true = people(*((frame, "A", 0.0) for frame in range(6)))
    drifting = people(*((frame, "p", 100.0 * frame) for frame in range(6)))
    assert follow(true, drifting).tolist() == list(range(6))
    other = people(*((frame, name, x) for frame in range(6) for name, x in (("p", 100.0 * frame), ("q", 1.0))))
    found = [other.ids[row] for row in follow(true, other)]
    assert found[0] == "p" and found[-1] == "q"


@given(st.integers(1, 30), st.integers(0, 25), st.integers(0, 25), st.integers(0, 2**31))
def test_moments_are_complete_in_order_and_the_same_in_stretches(at_once: int, n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (
        people(
            *(
                (int(moment), "", float(x))
                for moment, x in zip(rng.integers(0, 6, k), rng.normal(0, 50, k), strict=True)
            )
        )
        for k in (n, m)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_PAIRS_AT_ONCE", at_once)
        moments = list(matching._moments(first, second))
        stretched = match(first, second)
    found = sorted((int(a), int(b)) for one, other, _ in moments for a, b in zip(one, other, strict=True))
    assert found == [(a, b) for a in range(n) for b in range(m) if first.stamp_ns[a] == second.stamp_ns[b]]
    stamps = [int(first.stamp_ns[one[0]]) for one, _, _ in moments]
    assert stamps == sorted(set(stamps))
    assert stretched.tolist() == match(first, second).tolist()
