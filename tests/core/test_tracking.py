"""Who fits whom: the quick look at people says nothing that the closer one denies."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occpose_core.tracking import Expected, misfit, surely_fit
from tests.core.cardboard import JOINTS
from tests.core.film import Film

seeds = st.integers(0, 2**32 - 1)


def people(rng, count, off_m):
    """Rays and visibility of people, and where they are expected: about so far (m) from there."""
    expected = Expected(
        rays=rng.normal(0, 0.3, (count, JOINTS, 2)),
        depth_m=rng.uniform(1, 12, count),
        since_s=rng.choice([1 / 120, 1 / 30, 0.2, 1.0], count),
    )
    off_m = rng.normal(0, off_m, (count, 1, 2)) + rng.normal(0, off_m, (count, JOINTS, 2))
    visible = rng.random((count, JOINTS)) < rng.choice([0.0, 0.2, 1.0], (count, 1))
    rays = expected.rays + off_m / expected.depth_m[:, None, None]
    return np.where(visible[..., None], rays, 0.0), visible, expected


def sure(rays, visible, expected, most):
    return surely_fit(rays, visible, visible.sum(axis=-1), expected, most)


@given(seed=seeds, count=st.integers(1, 5), off_m=st.floats(0.0, 0.5), most=st.floats(0.0, 30.0))
def test_who_surely_fits_fits(seed, count, off_m, most):
    seen = people(np.random.default_rng(seed), count, off_m)
    assert (misfit(*seen)[sure(*seen, most)] <= most).all()


@pytest.mark.parametrize("off_m", [0.0, 0.03, 0.3])
def test_the_quick_look_recognises_those_who_walk_as_expected(off_m):
    rays, visible, expected = people(np.random.default_rng(0), 200, off_m)
    expected = Expected(rays=expected.rays, depth_m=expected.depth_m, since_s=np.full(200, 1 / 30))
    fitting = misfit(rays, visible, expected) <= 10.0
    assert sure(rays, visible, expected, 10.0)[fitting].mean() > 0.9


@settings(max_examples=10)
@given(seed=seeds)
def test_a_closer_look_at_everybody_would_find_the_same_people(seed):
    rng, looks = np.random.default_rng(seed), []

    def look(*seen):
        found = surely_fit(*seen)
        looks.append(found.all())
        return found

    places = np.array([[-1.5, 0, 6], [0, 0, 5], [1.5, 0, 7]]) + np.cumsum(rng.normal(0, 0.02, (30, 3, 3)), axis=0)
    quick, close = Film(), Film()
    for image in places:
        there = rng.permutation(3)[: rng.choice([3, 3, 3, 2])]
        shown = [(rng.choice(["a", "b", "c", ""]) if rng.random() < 0.1 else "abc"[i], *image[i]) for i in there]
        with patch("occpose_core.identities.surely_fit", look):
            answer = quick.show(*shown)
        with patch("occpose_core.identities.surely_fit", lambda rays, *_: np.zeros(len(rays), dtype=bool)):
            expected = close.show(*shown)
        assert [(s.id, s.state, s.joints_cam_m.tobytes()) for s in answer.skeletons] == [
            (s.id, s.state, s.joints_cam_m.tobytes()) for s in expected.skeletons
        ]
        assert (answer.lost_ids, answer.dropped) == (expected.lost_ids, expected.dropped)
    assert any(looks), "some images were clear at once"
