"""A budget of poses becomes a length: the poses are seen, and the learning rate falls as in the published training."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.budget import EPOCHS, length


@pytest.mark.parametrize(
    ("poses", "batch", "frames", "published", "epochs", "batches", "schedule"),
    [
        pytest.param(1_000_000, 250, 1, 100, 20, 200, 5.0, id="single frames"),
        pytest.param(1_620_000, 50, 81, 50, 20, 20, 2.5, id="windows count all their frames"),
        pytest.param(1_000_000, 250, 1, 15, 15, 267, 1.0, id="never more epochs than published"),
        pytest.param(10, 250, 1, 100, 1, 2, 100.0, id="less than a batch"),
    ],
)
def test_lengths(
    poses: int, batch: int, frames: int, published: int, epochs: int, batches: int, schedule: float
) -> None:
    given = length(poses, batch, frames, published, 8192)
    assert (given.epochs, given.batches, given.schedule_epochs) == (epochs, batches, schedule)


@given(
    poses=st.integers(1, 10**9),
    batch=st.integers(1, 1024),
    frames=st.sampled_from([1, 27, 81, 351]),
    published=st.integers(1, 300),
)
def test_the_budget_is_met_within_rounding(poses: int, batch: int, frames: int, published: int) -> None:
    given = length(poses, batch, frames, published, 8192)
    step = batch * frames
    seen = given.epochs * given.batches * step
    assert 1 <= given.epochs <= min(EPOCHS, published)
    assert given.batches >= 2
    assert abs(seen - poses) <= (given.epochs / 2 + 2) * step
    assert given.epochs * given.schedule_epochs == pytest.approx(published)
    assert min(batch, 8192) <= given.validation_windows <= 8192 or batch > 8192
