"""The rows of people: what is quick where all are alike gives what the general way gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.person import People, Rows, _depth_gain, rows_where
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.skeleton import H36M17
from tests.tolerances import EXACT

J = len(H36M17.joints)
FRAME_NS = 33_333_333
seeds = st.integers(0, 2**32 - 1)


def test_all_rows_are_a_view_and_some_are_not() -> None:
    rows = np.arange(3)
    assert np.shares_memory(rows[rows_where(np.ones(3, dtype=bool))], rows)
    np.testing.assert_array_equal(rows[rows_where(np.array([True, False, True]))], [0, 2])
    assert len(rows[rows_where(np.zeros(3, dtype=bool))]) == 0
    assert len(rows[:0][rows_where(np.zeros(0, dtype=bool))]) == 0


def after(seed: int, which: Rows, remembers: bool) -> People:
    """Two people after six images in which both are lifted, rows given by `which`, with random poses."""
    rng, config = np.random.default_rng(seed), PipelineConfig()
    people = People(1, fuse=not remembers, smooth=not remembers)
    for image in range(6):
        people.advance(image * FRAME_NS, config.gap_s)
        if not image:
            people.add(["a", "b"])
        people.update(
            which,
            config,
            joints_root_m=rng.normal(size=(2, J, 3)),
            root_cam_m=rng.uniform(2.0, 4.0, (2, 3)),
            sigma_m=rng.uniform(0.01, 0.2, (2, J)),
            size=np.ones(2, people.rows["size"].dtype),
            visible=rng.random((2, J)) < 0.7,
        )
    return people


@pytest.mark.parametrize("remembers", [True, False])
def test_all_rows_are_updated_as_some_are(remembers: bool) -> None:
    quick, general = (after(0, which, remembers) for which in (slice(None), np.arange(2)))
    assert quick.rows.tobytes() == general.rows.tobytes()
    assert (quick.since_s == 0).all() and (general.since_s == 0).all()


def test_newcomers_are_those_who_came_with_this_image() -> None:
    people = after(0, slice(None), remembers=True)
    people.advance(6 * FRAME_NS, gap_s=1.0)
    people.add(["c"])
    assert people.ids[people.newcomers] == ["c"]
    assert np.isinf(people.since_s[people.newcomers]).all() and np.isfinite(people.since_s[:2]).all()
    people.push(np.ones((3, J, 2)), np.ones((3, J)))
    assert (people.rows["rays"][:, -1] == 1).all()
    people.advance(6 * FRAME_NS + 2_000_000_000, gap_s=1.0)
    assert people.ids == [], "nobody has been lifted for two seconds, and one never"


@given(seed=seeds, share=st.floats(0.1, 1.0), dt_s=st.floats(0.001, 2.0))
def test_distance_is_followed_by_the_spread_of_the_visible_joints(seed: int, share: float, dt_s: float) -> None:
    rng = np.random.default_rng(seed)
    joints, visible = rng.normal(size=(3, J, 3)), rng.random((3, J)) < share
    visible[:, 0] = True
    gains = _depth_gain(joints, visible, np.full(3, dt_s))
    for xy, seen, gain in zip(joints[..., :2], visible, gains, strict=True):
        spreads = [((some - some.mean(axis=0)) ** 2).sum() for some in (xy[seen], xy)]
        trust = min(2 * spreads[0] / spreads[1], 1) ** 2
        assert gain == pytest.approx(1 - (1 - trust) ** (30 * dt_s), abs=EXACT)
