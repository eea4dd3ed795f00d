"""Intrinsics that change: what is a change, and whether people stay on their rays or on their pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from occpose_core.admission import Seen
from occpose_core.camera import px_from_rays, rays_from_px
from occpose_core.person import People
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M
from occpose_core.refocusing import refocus, refocused
from occpose_core.scale import heights
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, ScaleSource

J = len(H36M17.joints)
K = np.array([[1000.0, 0.0, 640.0], [0.0, 1000.0, 360.0], [0.0, 0.0, 1.0]])
CAMERA = Camera(width=1280, height=720, K=K)


def zoomed(factor: float) -> Camera:
    return replace(CAMERA, K=K * [[factor, 1, 1], [1, factor, 1], [1, 1, 1]])


HALF = replace(CAMERA, width=640, height=360, K=np.diag([0.5, 0.5, 1.0]) @ K)
DISTORTED = replace(CAMERA, distortion_model="plumb_bob", D=np.array([-0.2, 0.05, 0, 0, 0]))


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        pytest.param(CAMERA, False, id="the same"),
        pytest.param(zoomed(1.005), False, id="a lens that is focused"),
        pytest.param(HALF, False, id="a smaller image of the same"),
        pytest.param(zoomed(1.05), True, id="zoom"),
        pytest.param(DISTORTED, True, id="distortion"),
        pytest.param(replace(DISTORTED, D=DISTORTED.D[:4]), True, id="fewer coefficients"),
    ],
)
def test_what_changes_the_intrinsics(now: Camera, changed: bool) -> None:
    assert refocused(CAMERA, now) is changed


def people_at(rays: np.ndarray) -> People:
    """People who were seen at rays (N, 2), all joints at one point."""
    people = People(window=3)
    people.add([str(row) for row in range(len(rays))])
    people.rows["started"] = people.rows["placed"] = True
    people.ray[:] = rays
    people.rows["rays"] = rays[:, None, None]
    people.rows["score"] = 1.0
    return people


def seen_at(rays: np.ndarray) -> Seen:
    joints = np.repeat(rays[:, None], J, axis=1)
    score = np.ones(joints.shape[:2], np.float32)
    return Seen(xy_px=np.zeros_like(joints), rays=joints, score=score, visible=score > 0, shown=score.sum(axis=-1))


RAYS = np.array([[0.3, 0.1], [-0.2, 0.0]])


@pytest.mark.parametrize("now", [zoomed(1.5), zoomed(0.7), DISTORTED], ids=["longer", "shorter", "distorted"])
@pytest.mark.parametrize("zooms", [True, False], ids=["zoom", "correction"])
def test_people_stay_where_those_are_who_are_seen(now: Camera, zooms: bool) -> None:
    corrected = rays_from_px(px_from_rays(RAYS, CAMERA), now)
    there = RAYS if zooms else corrected
    people = people_at(RAYS)
    refocus(people, CAMERA, now, seen_at(there[:1]))  # the other is hidden and goes with the first
    np.testing.assert_allclose(people.ray, there, atol=1e-6)
    np.testing.assert_allclose(people.rows["rays"][:, 0, 0], there, atol=1e-6)
    assert not people.rows["placed"].any()


def test_what_the_ground_told_through_the_old_lens_does_not_count() -> None:
    people = people_at(RAYS)
    people.rows["size"]["ground_s"], people.rows["size"]["log_likelihood"][:, 0] = 30.0, 50.0
    learned = heights(people.rows["size"], np.full(2, np.nan))
    assert (learned.source == ScaleSource.GROUND).all() and learned.metric.all()
    refocus(people, CAMERA, zoomed(1.5), seen_at(RAYS))
    now = heights(people.rows["size"], np.full(2, np.nan))
    assert (now.source == ScaleSource.ASSUMED).all() and (now.height_m == ASSUMED_HEIGHT_M).all()


def test_with_nobody_in_sight_people_stay_on_their_rays() -> None:
    people = people_at(RAYS)
    refocus(people, CAMERA, zoomed(2.0), seen_at(np.zeros((0, 2))))
    np.testing.assert_allclose(people.ray, RAYS)
    nobody = people_at(np.zeros((0, 2)))
    refocus(nobody, CAMERA, zoomed(2.0), seen_at(RAYS))
    assert len(nobody) == 0
