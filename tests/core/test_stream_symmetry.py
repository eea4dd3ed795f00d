"""The streaming network in a mirror, and in cameras that are panned and tilted."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from occpose_core.models.pose_model import mirrored  # noqa: E402
from occpose_core.models.stream import hold, look  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.core.stream_films import JOINTS, LEGS, Answer, Film, a_film, answer, assert_equal  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402

seeds = st.integers(0, 2**16)
few = settings(max_examples=15)


@given(seeds)
@few
def test_a_mirrored_person_gets_the_mirrored_answer(seed: int) -> None:
    kpts, visible, dt_s = a_film(seed)
    swap = H36M17.mirror.tolist()
    out, other = answer((kpts, visible, dt_s)), answer((mirrored(kpts), visible[..., swap], dt_s))
    back = {name: each[..., swap] if name == "sigma_m" else mirrored(each) for name, each in other.items()}
    assert_equal(back, out)


def turned(rays: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """(..., 2) rays of the same points in a camera that is turned by (..., 3, 3)."""
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) @ rotation.transpose(-1, -2)
    return points[..., :2] / points[..., 2:]


def pan(angle_rad: float) -> torch.Tensor:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float32)


def tilt(angle_rad: float) -> torch.Tensor:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return torch.tensor([[1, 0, 0], [0, cos, -sin], [0, sin, cos]], dtype=torch.float32)


def assert_turned(given: Answer, expected: Answer, rotation: torch.Tensor) -> None:
    back = {
        "joints_root_m": given["joints_root_m"] @ rotation,
        "sigma_m": given["sigma_m"],
        "filled": turned(given["filled"], rotation.T),
    }
    assert_equal(back, expected)


def partly_seen(seed: int) -> Film:
    """People of whom some joints are never seen, the others always."""
    kpts, visible, dt_s = a_film(seed)
    return kpts, visible.amax(dim=1, keepdim=True) * (visible[:, :1] > 0).expand_as(visible), dt_s


@given(seeds, st.floats(-0.4, 0.4))
@few
def test_a_panned_camera_pans_the_answer(seed: int, angle_rad: float) -> None:
    """Exactly, as long as no joint hides that was seen before."""
    kpts, visible, dt_s = partly_seen(seed)
    rotation = pan(angle_rad)
    out, other = answer((kpts, visible, dt_s)), answer((turned(kpts, rotation), visible, dt_s))
    assert_turned(other, out, rotation)


@given(seeds, st.floats(-0.4, 0.4))
@few
def test_a_tilted_camera_tilts_the_answer_of_a_person_ahead(seed: int, angle_rad: float) -> None:
    """Exactly for a person whose direction is in the camera's vertical plane; another one seems to lean a little."""
    kpts, visible, dt_s = partly_seen(seed)
    with torch.inference_mode():
        kpts = turned(kpts, look(kpts, (visible > 0).float()).axes)
    rotation = tilt(angle_rad)
    out, other = answer((kpts, visible, dt_s)), answer((turned(kpts, rotation), visible, dt_s))
    assert_turned(other, out, rotation)


@given(seeds, st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
@few
def test_hidden_joints_are_carried_along_nearly_alike_in_turned_cameras(seed: int, first: float, second: float) -> None:
    """Carrying is done in rays, which stretch to the side: up to 0.3 of what the person has moved meanwhile."""
    generator = torch.Generator().manual_seed(seed)
    pose = 0.1 * torch.randn((4, JOINTS, 2), generator=generator)
    seen, dt_s = torch.ones(4, JOINTS), torch.full((4,), 1 / 30)
    partly = seen.clone()
    partly[:, LEGS.tolist()] = 0.0
    walked = 0.1 * (2 * torch.rand((4, 1, 2), generator=generator) - 1)
    rotation = pan(first) @ tilt(second)

    def carried(turn: torch.Tensor) -> torch.Tensor:
        held, fresh = hold(turned(pose, turn), seen, dt_s, torch.zeros_like(pose), torch.zeros_like(seen))
        held, fresh = hold(turned(pose + walked, turn), partly, dt_s, held, fresh)
        return turned(held, turn.T)

    apart = (carried(rotation) - carried(torch.eye(3))).norm(dim=-1)
    assert (apart <= 0.3 * walked.norm(dim=-1) + FLOAT32).all()


def test_the_virtual_camera_looks_at_whom_it_sees_without_rolling() -> None:
    kpts, visible, _ = a_film(0)
    fresh = (visible > 0).float()
    view = look(kpts, fresh)
    identity = torch.eye(3).expand_as(view.axes)
    torch.testing.assert_close(view.axes @ view.axes.transpose(-1, -2), identity, rtol=0, atol=FLOAT32)
    assert (torch.linalg.det(view.axes) > 0).all()
    assert torch.equal(view.axes[..., 0, 1], torch.zeros(view.axes.shape[:2]))  # "right" is level
    count = fresh.sum(dim=-1)
    size = (view.kpts.square().sum(dim=-1) * fresh).sum(dim=-1) / count.clamp(min=1)
    torch.testing.assert_close(size[count > 0], torch.ones_like(size[count > 0]), rtol=0, atol=1e-4)
    seen = fresh > 0
    torch.testing.assert_close(view.rays(view.kpts)[seen], kpts[seen], rtol=0, atol=FLOAT32)
