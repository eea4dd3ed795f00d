"""Simulated cameras see the person; simulated detectors err as much as they say."""

from __future__ import annotations

import numpy as np
import pytest

from occpose_core.camera import px_from_cam, rays_from_cam, rays_from_px
from occpose_core.simulation import INPUTS, NOISE_SD, RIGS, box_size, detect, draw_views
from occpose_core.skeleton import H36M17
from tests.tolerances import EXACT

JOINTS = len(H36M17.joints)


def people(count: int, frames: int = 1) -> np.ndarray:
    """(B, T, J, 3) blobs of joints about a metre above the floor, walking along x."""
    rng = np.random.default_rng(1)
    joints = rng.normal(0, 0.3, size=(count, 1, JOINTS, 3)) + [0, 0, 1.0]
    return joints + np.linspace(0, 1, frames)[None, :, None, None] * [1.0, 0, 0]


@pytest.mark.parametrize("rig", RIGS)
def test_cameras_are_level_and_look_at_the_person(rig: str) -> None:
    joints = people(200)
    views = draw_views(RIGS[rig], np.random.default_rng(0), joints[:, :, 0])
    identity = views.cam_from_world @ np.swapaxes(views.cam_from_world, -1, -2)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=EXACT)
    np.testing.assert_allclose(views.cam_from_world[:, 0, 2], 0.0, atol=EXACT)  # x is horizontal
    assert (views.cam_from_world[:, 1, 2] < 0).all()  # y points down
    assert (np.linalg.det(views.cam_from_world) > 0).all()
    joints_cam_m = views.joints_cam_m(joints)
    assert (joints_cam_m[..., 0, 2] > 0.9).all()
    assert views.inside(joints_cam_m).mean() > 0.8


@pytest.mark.parametrize("rig", RIGS)
def test_inside_agrees_with_pixels(rig: str) -> None:
    joints = people(20)
    views = draw_views(RIGS[rig], np.random.default_rng(2), joints[:, :, 0])
    joints_cam_m = views.joints_cam_m(joints)
    for index in range(20):
        camera = views.camera(index)
        px = px_from_cam(joints_cam_m[index, 0], camera)
        inside = views.inside(joints_cam_m)[index, 0]
        margin = 0.03 * camera.width  # distortion at the border is neglected
        deep = ((px > margin) & (px < np.array([camera.width, camera.height]) - margin)).all(axis=-1)
        assert inside[deep].all()
        np.testing.assert_allclose(
            rays_from_px(px[inside], camera), rays_from_cam(joints_cam_m[index, 0][inside]), atol=1e-6
        )


def test_camera_stands_back_from_a_long_path() -> None:
    joints = people(50, frames=90) + np.linspace(0, 6, 90)[None, :, None, None] * [0, 1.0, 0]
    views = draw_views(RIGS["held-out"], np.random.default_rng(3), joints[:, :, 0])
    away = np.linalg.norm((joints[:, :, 0] - views.position_world_m[:, None])[..., :2], axis=-1)
    assert away.min() > 0.9


@pytest.mark.parametrize("name", INPUTS)
def test_detectors_give_plausible_answers(name: str) -> None:
    kpts = people(400, frames=10)[..., :2] * 300
    given, score, seen = detect(name, kpts, 30.0, np.random.default_rng(0))
    assert given.shape == kpts.shape
    assert score.shape == seen.shape == kpts.shape[:-1]
    assert (score >= 0).all()
    assert (score <= 1).all()
    error = np.linalg.norm(given - kpts, axis=-1) / box_size(kpts)[..., 0]
    limits = {"gt": (0.0, 0.0), "noisy": (0.5 * NOISE_SD, 3 * NOISE_SD), "detector": (NOISE_SD, 20 * NOISE_SD)}
    low, high = limits[name]
    assert low <= error.mean() <= high


def test_noise_is_correlated_in_time_and_told_by_the_score() -> None:
    kpts = people(500, frames=20)[..., :2]
    given, score, _ = detect("noisy", kpts, 30.0, np.random.default_rng(0))
    error = given - kpts
    ratio = (error[:, 1:] * error[:, :-1]).mean() / (error**2).mean()
    assert 0.85 < ratio < 0.95
    size = np.linalg.norm(error, axis=-1).ravel()
    assert np.corrcoef(size, score.ravel())[0, 1] < -0.05
