"""Alignment, lengths and placement, checked against constructions whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from occpose_core.camera import rays_from_cam
from occpose_core.geometry import bone_lengths_m, place_root, procrustes_align, stature_m
from occpose_core.skeleton import H36M17, SKELETONS
from tests.tolerances import EXACT

JOINTS = len(H36M17.joints)
seeds = st.integers(0, 2**32 - 1)


def body(rng, *shape):
    """Random joints with the extent of a person, pelvis at 0."""
    joints = rng.normal(0, 0.4, (*shape, JOINTS, 3))
    return joints - joints[..., :1, :]


def similar(joints, rng, scale):
    turn = Rotation.random(random_state=rng.integers(2**31)).as_matrix()
    return scale * joints @ turn.T + rng.normal(0, 3, 3)


@given(seed=seeds, scale=st.floats(0.1, 10))
def test_procrustes_undoes_any_similarity(seed, scale):
    rng = np.random.default_rng(seed)
    target = body(rng)
    assert procrustes_align(similar(target, rng, scale), target) == pytest.approx(target, abs=EXACT)


@given(seed=seeds)
def test_procrustes_without_scale_keeps_lengths(seed):
    rng = np.random.default_rng(seed)
    source, target = body(rng), body(rng)
    aligned = procrustes_align(source, target, scale=False)
    assert bone_lengths_m(aligned) == pytest.approx(bone_lengths_m(source), abs=EXACT)
    rigid = similar(target, rng, 1.0)
    assert procrustes_align(rigid, target, scale=False) == pytest.approx(target, abs=EXACT)


@given(seed=seeds)
def test_procrustes_never_mirrors(seed):
    rng = np.random.default_rng(seed)
    target = body(rng)
    mirrored = target * [-1, 1, 1]
    aligned = procrustes_align(mirrored, target)
    assert np.abs(aligned - target).max() > 0.01
    source_axes, aligned_axes = (np.linalg.det((joints - joints[:1])[1:4]) for joints in (mirrored, aligned))
    assert np.sign(source_axes) == np.sign(aligned_axes)


@given(seed=seeds)
def test_procrustes_is_the_least_squares_optimum(seed):
    rng = np.random.default_rng(seed)
    source, target = body(rng), body(rng)
    best = ((procrustes_align(source, target) - target) ** 2).sum()
    for _ in range(5):
        turn = Rotation.from_rotvec(rng.normal(0, 0.05, 3)).as_matrix()
        moved = procrustes_align(source, target) @ turn.T * rng.normal(1, 0.05) + rng.normal(0, 0.05, 3)
        assert ((moved - target) ** 2).sum() >= best - EXACT


def test_procrustes_of_a_batch_is_that_of_each():
    rng = np.random.default_rng(1)
    source, target = body(rng, 4, 3), body(rng, 4, 3)
    alone = [[procrustes_align(source[i, k], target[i, k]) for k in range(3)] for i in range(4)]
    assert procrustes_align(source, target) == pytest.approx(np.array(alone), abs=EXACT)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(np.zeros((JOINTS, 3)), id="point"),
        pytest.param(np.linspace(0, 1, JOINTS)[:, None] * [1, 2, 3], id="line"),
    ],
)
def test_procrustes_of_a_degenerate_source_is_finite(source):
    target = body(np.random.default_rng(0))
    aligned = procrustes_align(source, target)
    assert np.isfinite(aligned).all()
    assert aligned.mean(axis=0) == pytest.approx(target.mean(axis=0), abs=EXACT)


@pytest.mark.parametrize("layout", SKELETONS.values(), ids=lambda layout: layout.name)
def test_bone_lengths_of_every_layout(layout):
    joints = np.random.default_rng(0).normal(size=(2, 5, len(layout.joints), 3))
    lengths = bone_lengths_m(joints, layout)
    assert lengths.shape == (2, 5, len(layout.bones))
    parent, child = layout.bones[-1]
    assert lengths[1, 2, -1] == pytest.approx(
        np.sqrt(((joints[1, 2, child] - joints[1, 2, parent]) ** 2).sum()), abs=EXACT
    )


HUMAN36M_M = {"hip": 0.133, "knee": 0.443, "ankle": 0.454, "spine": 0.233, "thorax": 0.257, "nose": 0.121,
              "head_top": 0.115, "shoulder": 0.151, "elbow": 0.279, "wrist": 0.252}  # fmt: skip


def posed(rng, lengths_m=HUMAN36M_M):
    """A person with given bone lengths, every bone in a random direction."""
    joints = np.zeros((JOINTS, 3))
    for parent, child in H36M17.bones:
        direction = rng.normal(size=3)
        length = lengths_m[H36M17.joints[child].removeprefix("left_").removeprefix("right_")]
        joints[child] = joints[parent] + length * direction / np.linalg.norm(direction)
    return joints


@given(seed=seeds, scale=st.floats(0.3, 2))
def test_stature_knows_neither_pose_nor_place(seed, scale):
    rng = np.random.default_rng(seed)
    joints = similar(posed(rng), rng, scale)
    assert stature_m(joints) == pytest.approx(1.703 * scale, abs=1e-6)


@settings(max_examples=50)
@given(seed=seeds, persons=st.integers(1, 4))
def test_placement_recovers_the_true_root(seed, persons):
    rng = np.random.default_rng(seed)
    root = rng.uniform([-2, -2, 2.5], [2, 2, 12], (persons, 3))
    joints_root = np.clip(body(rng, persons), -1.2, 1.2)
    rays = rays_from_cam(joints_root + root[:, None])
    weight = rng.uniform(0.1, 1, (persons, JOINTS)) * (rng.random((persons, JOINTS)) < 0.6)
    weight[:, :3] = 1.0
    rays[weight == 0] = rng.uniform(-1e6, 1e6, 2)
    found, placed = place_root(joints_root, rays, weight)
    assert placed.all()
    assert found == pytest.approx(root, abs=1e-6)


@given(seed=seeds)
def test_placement_is_the_weighted_least_squares_solution(seed):
    """The closed form against the textbook system, on rays that no root explains."""
    rng = np.random.default_rng(seed)
    joints, weight = body(rng), rng.uniform(0.1, 1, JOINTS)
    rays = rays_from_cam(joints + [0.3, -0.2, 4.0]) + rng.normal(0, 0.01, (JOINTS, 2))
    rows, sides = [], []
    for axis in range(2):
        row = np.zeros((JOINTS, 3))
        row[:, axis], row[:, 2] = 1.0, -rays[:, axis]
        rows.append(row * np.sqrt(weight)[:, None])
        sides.append((rays[:, axis] * joints[:, 2] - joints[:, axis]) * np.sqrt(weight))
    expected = np.linalg.lstsq(np.concatenate(rows), np.concatenate(sides), rcond=None)[0]
    found, placed = place_root(joints, rays, weight)
    assert placed
    assert found == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("rays", "weight"),
    [
        pytest.param(np.zeros((JOINTS, 2)), np.ones(JOINTS), id="all rays equal"),
        pytest.param(np.random.default_rng(0).normal(size=(JOINTS, 2)), np.eye(JOINTS)[3], id="one joint"),
        pytest.param(np.random.default_rng(0).normal(size=(JOINTS, 2)), np.zeros(JOINTS), id="no joint"),
        pytest.param(-rays_from_cam(body(np.random.default_rng(2)) + [0, 0, 4]), np.ones(JOINTS), id="upside down"),
    ],
)
def test_placement_says_when_there_is_none(rays, weight):
    root, placed = place_root(body(np.random.default_rng(2)), rays, weight)
    assert not placed
    assert (root == 0).all()
