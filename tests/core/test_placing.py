"""Absolute places in OccKP-1: exact for a model that is right but for its size, whatever the source of the scale."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from occpose_core.clips import Clips, Shot, film, make_clips, spans
from occpose_core.dataset import Motion
from occpose_core.placing import SCALES, Places, observed_frames, place
from occpose_core.types import GroundPlane
from tests.core.grounded import person_world_m

FRAMES, RATE_HZ = 150, 30.0
HEIGHTS_M = (1.55, 1.85)


def stander(name: str, height_m: float) -> Motion:
    """Somebody who stands, turns slowly and sways."""
    time = np.arange(FRAMES) / RATE_HZ
    joints = np.stack([person_world_m(height_m, turn=0.5 * t) + [0.1 * np.sin(t), 0, 0] for t in time])
    return Motion(name=name, subject="s", description="", rate_hz=RATE_HZ, joints_world_m=joints)


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    return [film(stander(f"stand{k}", height), "train", "gt") for k, height in enumerate(HEIGHTS_M)]


def clips_of(shots: list[Shot], pattern: str = "clean", frames: int | None = None) -> Clips:
    return make_clips(shots, spans(shots, [pattern], frames))


def places(shots: list[Shot], clips: Clips, size: float = 1.0, gain: float = 1.0) -> Places:
    """Of a model that is right in everything but its idea of size."""
    joints = clips.joints_cam_m - clips.joints_cam_m[:, :1]
    return place(shots, clips, joints * size, np.full(joints.shape[:2], 0.03), gain)


@pytest.mark.parametrize("size", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("pattern", ["clean", "natural"])
def test_a_known_stature_puts_people_where_they_are(shots: list[Shot], pattern: str, size: float) -> None:
    clips = clips_of(shots, pattern, 12)
    found = places(shots, clips, size)
    known, assumed = (SCALES.index(name) for name in ("known", "assumed"))
    usable = np.isfinite(found.error_m[:, known])
    assert usable.mean() > 0.7
    assert found.error_m[usable, known].max() < 1e-3
    statures_m = np.array([shot.stature_m for shot in shots])[clips.shot[clips.scored]]
    assert found.depth[usable, assumed] == pytest.approx(1.70 / statures_m[usable], abs=1e-3)


@pytest.mark.parametrize("pattern", ["clean", "natural"])
def test_the_ground_does_nearly_as_well(shots: list[Shot], pattern: str) -> None:
    found = places(shots, clips_of(shots, pattern, 12), size=1.3)
    ground, assumed = (SCALES.index(name) for name in ("ground", "assumed"))
    assert found.metric.any()
    assert found.error_m[found.metric, ground].mean() < 0.3 * found.error_m[found.metric, assumed].mean()
    assert found.depth[found.metric, ground] == pytest.approx(1.0, abs=0.03)


def test_only_the_ground_knows_the_plane(shots: list[Shot]) -> None:
    below = GroundPlane(normal_cam=[0, 1, 0], distance_m=1.0)
    lost = [dataclasses.replace(shot, ground=below) for shot in shots]
    right, wrong = places(shots, clips_of(shots)), places(lost, clips_of(lost))
    for name in ("known", "assumed"):
        assert (right.error_m[:, SCALES.index(name)] == wrong.error_m[:, SCALES.index(name)]).all()
    assert not wrong.metric.any()
    assert (wrong.error_m[:, SCALES.index("ground")] == wrong.error_m[:, SCALES.index("assumed")]).all()


def test_a_gain_brings_people_nearer(shots: list[Shot]) -> None:
    found = places(shots, clips_of(shots), gain=1.05)
    assert found.depth[:, SCALES.index("known")] == pytest.approx(1 / 1.05, abs=1e-3)


def test_nobody_who_is_not_seen_is_placed(shots: list[Shot]) -> None:
    unseen = [dataclasses.replace(shot, score=np.zeros_like(shot.score)) for shot in shots]
    found = places(unseen, clips_of(unseen))
    assert np.isnan(found.error_m).all() and np.isnan(found.depth).all() and not found.metric.any()


@pytest.mark.parametrize("pattern", ["clean", "natural"])
def test_scale_is_learned_from_the_past_alone(shots: list[Shot], pattern: str) -> None:
    """Of each clip from its first frame, three times a second, up to the scored one."""
    clips = clips_of(shots, pattern, 8)
    observed = observed_frames(clips)
    assert set(clips.start[clips.scored]) <= set(observed)
    assert ((observed - clips.start[observed]) % 10 == 0).all()
    last = {start: clips.scored[clips.start[clips.scored] == start].max() for start in set(clips.start[clips.scored])}
    assert all(frame <= last[clips.start[frame]] for frame in observed)
    joints = clips.joints_cam_m - clips.joints_cam_m[:, :1]
    asked = np.union1d(observed, clips.scored)
    some = np.full_like(joints, np.nan)
    some[asked] = joints[asked]
    sigma = np.full(joints.shape[:2], 0.03)
    np.testing.assert_array_equal(
        place(shots, clips, some, sigma, 1.0).error_m, place(shots, clips, joints, sigma, 1.0).error_m
    )
