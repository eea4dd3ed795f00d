"""The One-Euro filter: what it must do to rest, motion, time and axes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from occpose_core.smoothing import OneEuro, filtered
from tests.tolerances import EXACT

EURO = OneEuro(min_cutoff_hz=1.0, beta=10.0)


def fresh(*shape):
    return np.zeros(shape[:-1], dtype=filtered(shape[-1]))


def run(euro, samples, dt_s, **settings):
    """Filter (T, ..., C) samples from a fresh start; the answers, and the state at the end."""
    state, answers = fresh(*samples[0].shape), []
    for frame, sample in enumerate(samples):
        state = euro.step(sample, state, np.full(sample.shape[:-1], dt_s if frame else np.inf), **settings)
        answers.append(state["answer"])
    return np.array(answers), state


def reference(samples, dt_s, min_cutoff_hz, beta):
    """The paper's algorithm for one coordinate, written out."""
    answers, rate = [samples[0]], 0.0
    for last, sample in zip(samples[:-1], samples[1:], strict=True):
        rate_gain = 1 / (1 + 1 / (2 * np.pi * 1.0 * dt_s))
        rate = rate_gain * (sample - last) / dt_s + (1 - rate_gain) * rate
        gain = 1 / (1 + 1 / (2 * np.pi * (min_cutoff_hz + beta * abs(rate)) * dt_s))
        answers.append(gain * sample + (1 - gain) * answers[-1])
    return np.array(answers)


@given(seed=st.integers(0, 2**32 - 1), cutoff=st.floats(0.1, 10), beta=st.floats(0, 20), hz=st.floats(5, 120))
def test_agrees_with_the_paper(seed, cutoff, beta, hz):
    samples = np.cumsum(np.random.default_rng(seed).normal(size=(50, 1)), axis=0)
    answers, _ = run(OneEuro(min_cutoff_hz=cutoff, beta=beta), samples, 1 / hz)
    assert answers[:, 0] == pytest.approx(reference(samples[:, 0], 1 / hz, cutoff, beta), abs=EXACT)


def test_a_fresh_start_takes_the_sample_as_it_is():
    sample = np.array([[1.0, 2, 3]])
    state = EURO.step(sample, fresh(1, 3), np.array([np.inf]))
    assert (state["answer"] == sample).all()
    assert (state["rate"] == 0).all()


def test_off_means_untouched():
    samples = np.random.default_rng(0).normal(size=(20, 5, 3))
    answers, state = run(OneEuro(min_cutoff_hz=0.0, beta=10.0), samples, 1 / 30)
    assert (answers == samples).all()
    assert np.abs(state["rate"]).max() > 0, "the speed is still known, for prediction"


def test_rest_is_calmed_and_unbiased():
    samples = 1.0 + np.random.default_rng(0).normal(0, 0.01, (600, 1, 3))
    answers, _ = run(EURO, samples, 1 / 30)
    assert np.diff(answers[30:], axis=0).std() < 0.5 * np.diff(samples[30:], axis=0).std()
    assert answers[30:].mean(axis=(0, 1)) == pytest.approx(np.ones(3), abs=0.005)


@pytest.mark.parametrize("hz", [10, 30, 120])
def test_walking_lags_less_than_a_thirtieth_of_a_second(hz):
    seconds = np.arange(0, 3, 1 / hz)
    walk = np.stack([1.3 * seconds, 0 * seconds, 4 + 0 * seconds], axis=-1)[:, None]
    answers, state = run(EURO, walk, 1 / hz)
    lag_s = (walk - answers)[-1, 0, 0] / 1.3
    assert 0 < lag_s < 1 / 30
    assert state["rate"][0] == pytest.approx([1.3, 0, 0], abs=1e-4), "fit to predict with"


@given(seed=st.integers(0, 2**32 - 1))
def test_the_axes_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    samples = np.cumsum(rng.normal(0, 0.05, (30, 4, 3)), axis=0)
    turn = Rotation.random(random_state=rng.integers(2**31)).as_matrix()
    assert run(EURO, samples @ turn.T, 1 / 30)[0] == pytest.approx(run(EURO, samples, 1 / 30)[0] @ turn.T, abs=1e-7)


def test_many_vectors_at_once_are_each_alone():
    samples = np.cumsum(np.random.default_rng(0).normal(0, 0.05, (30, 2, 4, 3)), axis=0)
    together, _ = run(EURO, samples, 1 / 30)
    for i in range(2):
        for k in range(4):
            assert together[:, i, k] == pytest.approx(run(EURO, samples[:, i, k], 1 / 30)[0], abs=EXACT)


def test_time_counts_not_frames():
    """A long gap lets the new sample through; a burst of messages does not."""
    gap, burst = (EURO.step(np.ones((1, 3)), fresh(1, 3), np.array([dt]))["answer"] for dt in (5.0, 1e-6))
    assert gap.min() > 0.95
    assert burst.max() < 0.3


def test_less_trust_is_more_smoothing_and_units_scale_the_speed():
    step = np.array([[0.1, 0.0]])
    past, dt = fresh(1, 2), np.array([1 / 30])
    full, half = (EURO.step(step, past, dt, trust)["answer"][0, 0] for trust in (1.0, 0.5))
    assert 0 < half < full < 0.1
    tens = EURO.step(step / 10, past, dt, unit_m=10.0)["answer"] * 10
    assert tens == pytest.approx(EURO.step(step, past, dt)["answer"], abs=EXACT)
