"""Rotations: six numbers for any number of people, round trips, angles between two."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

torch = pytest.importorskip("torch")

from occpose_core.body.rotations import (  # noqa: E402
    axis_angle_from_matrix,
    geodesic_deg,
    rotation_from_6d,
)
from tests.tolerances import FLOAT32  # noqa: E402


def random_6d(*shape: int) -> torch.Tensor:
    return torch.randn((*shape, 6), generator=torch.Generator().manual_seed(math.prod(shape)))


@pytest.mark.parametrize("people", range(1, 6))
def test_six_numbers_give_rotations_for_any_number_of_people(people: int) -> None:
    """A cross product that takes the first axis of length 3 for its own is wrong for three people."""
    six = random_6d(people)
    rotations = rotation_from_6d(six)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(people, 3, 3), rtol=0, atol=FLOAT32)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(people), rtol=0, atol=FLOAT32)
    alone = torch.cat([rotation_from_6d(each[None]) for each in six])
    torch.testing.assert_close(rotations, alone, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(3, 3), (3, 21), (2, 3, 3)])
def test_every_leading_axis_is_one_of_rotations(shape: tuple[int, ...]) -> None:
    six = random_6d(*shape)
    expected = rotation_from_6d(six.reshape(-1, 6)).reshape(*shape, 3, 3)
    torch.testing.assert_close(rotation_from_6d(six), expected, rtol=0, atol=0)


def test_six_numbers_of_a_rotation_give_it_back() -> None:
    rotations = rotation_from_6d(random_6d(20))
    torch.testing.assert_close(rotation_from_6d(rotations[..., :2].flatten(-2)), rotations, rtol=0, atol=FLOAT32)


def test_mixed_precision_changes_no_bit() -> None:
    six = random_6d(4)
    with torch.autocast("cpu", torch.bfloat16):
        rotations = rotation_from_6d(six)
        angle_deg = geodesic_deg(rotations, torch.eye(3))
    assert torch.equal(rotations, rotation_from_6d(six))
    assert torch.equal(angle_deg, geodesic_deg(rotations, torch.eye(3)))


@given(
    angle_deg=st.floats(0.0, 180.0),
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: math.hypot(*axis) > 0.1),
)
def test_the_angle_of_a_turn_is_found_again(angle_deg: float, axis: tuple[float, ...]) -> None:
    pytest.importorskip("kornia")
    axis_angle = np.array(axis) / math.hypot(*axis) * math.radians(angle_deg)
    rotation = torch.from_numpy(Rotation.from_rotvec(axis_angle[None]).as_matrix())
    assert geodesic_deg(rotation, torch.eye(3, dtype=torch.float64)).item() == pytest.approx(angle_deg, abs=1e-5)
    back = Rotation.from_rotvec(axis_angle_from_matrix(rotation).numpy()).as_matrix()
    np.testing.assert_allclose(back, rotation, rtol=0, atol=1e-6)


def test_the_angle_between_two_does_not_depend_on_what_both_are_turned_by() -> None:
    a, b, turn = rotation_from_6d(random_6d(3, 8)).double()
    torch.testing.assert_close(geodesic_deg(turn @ a, turn @ b), geodesic_deg(a, b), rtol=0, atol=1e-2)
