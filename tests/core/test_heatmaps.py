"""Joints as maps and maps as joints: places, mirror images, and that what is not seen leaves no trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.nn.functional import grid_sample  # noqa: E402

from occpose_core.models.heatmaps import gaussian_maps, sample, soft_argmax, tent  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402

CELLS = 16
PLACE = st.floats(-0.9, 0.9)


def volumes(*shape: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(x=PLACE, y=PLACE)
def test_a_map_is_highest_in_the_cell_of_its_joint(x: float, y: float) -> None:
    (row,) = gaussian_maps(torch.tensor([[[x, y]]]), torch.ones(1, 1, dtype=torch.bool), CELLS, 1.0)[0]
    highest = divmod(int(row.argmax()), CELLS)
    cell = [(place + 1) / 2 * CELLS - 0.5 for place in (y, x)]
    assert all(abs(a - b) <= 0.5 + 1e-4 for a, b in zip(highest, cell, strict=True))
    assert 0.7 < row.max() <= 1.0


def test_a_map_falls_by_its_sigma() -> None:
    centre = 1 / CELLS  # of a cell
    (row,) = gaussian_maps(torch.full((1, 1, 2), centre), torch.ones(1, 1, dtype=torch.bool), CELLS, 2.0)[0]
    middle = CELLS // 2
    assert row[middle, middle] == pytest.approx(1.0)
    assert row[middle, middle + 2] == row[middle + 2, middle] == pytest.approx(2.718281828**-0.5, abs=1e-5)


@pytest.mark.parametrize("garbage", [0.0, 1e30, float("nan"), float("inf")])
def test_the_map_of_a_joint_that_is_not_seen_is_zero(garbage: float) -> None:
    seen = torch.tensor([[True, False]])
    kpts = torch.tensor([[[0.1, 0.2], [garbage, garbage]]])
    maps = gaussian_maps(kpts, seen, CELLS, 1.0)
    assert maps[0, 0].max() > 0.9 and torch.equal(maps[0, 1], torch.zeros(CELLS, CELLS))


def test_a_peak_is_found_where_it_is() -> None:
    logits = torch.full((1, 2, 4, 8, 8), -30.0)
    logits[0, 0, 1, 2, 6] = 30.0
    logits[0, 1, 0, 3, 3] = logits[0, 1, 0, 3, 4] = 30.0  # between two cells
    places, score = soft_argmax(logits)
    expected = [[6 * 2 + 1 - 8, 2 * 2 + 1 - 8, (1 * 2 + 1 - 4) * 2], [0, 3 * 2 + 1 - 8, -6]]
    torch.testing.assert_close(places[0] * 8, torch.tensor(expected, dtype=torch.float32), rtol=0, atol=1e-4)
    assert score[0, 0] == pytest.approx(1.0) and score[0, 1] == pytest.approx(0.5)


def test_score_and_features_are_what_torch_finds_between_cells() -> None:
    logits = volumes(2, 3, 4, 8, 8)
    places, score = soft_argmax(logits)
    share = logits.flatten(2).softmax(-1).reshape(6, 1, 4, 8, 8)
    grid = places.reshape(6, 1, 1, 1, 3)
    torch.testing.assert_close(score.flatten(), grid_sample(share, grid, align_corners=False).flatten())
    features, kpts = volumes(2, 5, 8, 8), volumes(2, 3, 2) / 4
    expected = grid_sample(features, kpts[:, None], align_corners=False)[:, :, 0].mT
    torch.testing.assert_close(sample(features, kpts), expected, rtol=0, atol=FLOAT32)


def test_mirrored_joints_give_mirrored_maps() -> None:
    kpts, seen = volumes(2, 5, 2) / 4, volumes(2, 5) > -1
    expected = gaussian_maps(kpts, seen, CELLS, 1.5).flip(-1)
    mirrored = gaussian_maps(kpts * torch.tensor([-1.0, 1.0]), seen, CELLS, 1.5)
    torch.testing.assert_close(mirrored, expected, rtol=0, atol=FLOAT32)


def test_mirrored_volumes_give_mirrored_places() -> None:
    logits = volumes(3, 2, 4, 8, 8)
    places, score = soft_argmax(logits)
    mirrored, its_score = soft_argmax(logits.flip(-1))
    torch.testing.assert_close(mirrored, places * torch.tensor([-1.0, 1, 1]), rtol=0, atol=FLOAT32)
    torch.testing.assert_close(its_score, score, rtol=0, atol=FLOAT32)


@given(place=st.floats(-2, 2))
def test_linear_weights_are_two_neighbours_that_sum_to_one_inside(place: float) -> None:
    weights = tent(torch.tensor(place), CELLS)
    assert int((weights > 0).sum()) <= 2
    if abs(place) <= 1 - 1 / CELLS:
        assert float(weights.sum()) == pytest.approx(1.0, abs=1e-5)


def test_mixed_precision_does_not_round_places() -> None:
    logits = volumes(1, 3, 8, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, _ = soft_argmax(logits)
    torch.testing.assert_close(rounded, soft_argmax(logits)[0], rtol=0, atol=FLOAT32)
