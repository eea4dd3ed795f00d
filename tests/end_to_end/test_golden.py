"""The golden people of the package are those of the sample bag."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occpose_core.golden import FRAMES, STRETCHES, golden

ROOT = Path(__file__).parents[2]


def test_the_golden_people_are_those_of_the_sample(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "samples"))
    import make_golden

    rays, score = make_golden.stretches(*make_golden.read_people(ROOT / "samples" / "two_people.mcap"))
    assert rays.shape == (STRETCHES, FRAMES, 17, 2)
    np.testing.assert_array_equal(score, golden()[1])
    np.testing.assert_allclose(rays, golden()[0], atol=1e-6, rtol=0)  # other builds of OpenCV round otherwise
