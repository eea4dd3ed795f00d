"""Fusion of the network's guess with the bone that was last measured."""

from __future__ import annotations

import numpy as np
import pytest

from occpose_core.fusion import bone_vectors, fuse, measured_bones
from occpose_core.skeleton import H36M17
from tests.tolerances import EXACT

JOINTS = len(H36M17.joints)
ELBOW, WRIST = H36M17.index("left_elbow"), H36M17.index("left_wrist")


@pytest.fixture
def scene() -> dict[str, np.ndarray]:
    """The network's pose of two people, and the bones of another pose that was measured before."""
    rng = np.random.default_rng(0)
    joints, before = rng.normal(size=(2, 2, JOINTS, 3))
    joints[:, 0] = before[:, 0] = 0.0
    visible = np.ones((2, JOINTS), dtype=bool)
    visible[:, [ELBOW, WRIST]] = False
    sigma = np.full((2, JOINTS), 0.1)
    return {
        "joints_root_m": joints,
        "sigma_m": sigma,
        "visible": visible,
        "held_m": bone_vectors(before),
        "held_sigma_m": np.full((2, JOINTS), 0.1),
    }


def test_bones_add_up_to_joints(scene: dict[str, np.ndarray]) -> None:
    joints = scene["joints_root_m"]
    bones = bone_vectors(joints)
    shoulder = H36M17.parents[ELBOW]
    np.testing.assert_allclose(joints[:, shoulder] + bones[:, ELBOW] + bones[:, WRIST], joints[:, WRIST], atol=EXACT)


@pytest.mark.parametrize(
    ("held_sigma_m", "weight"),
    [pytest.param(np.inf, 0.0, id="never measured"), pytest.param(100.0, 0.0, id="long ago")],
)
def test_the_network_rules_where_nothing_newer_is_known(
    scene: dict[str, np.ndarray], held_sigma_m: float, weight: float
) -> None:
    scene["held_sigma_m"][:] = held_sigma_m
    joints, sigma = fuse(**scene)
    np.testing.assert_allclose(joints, scene["joints_root_m"], atol=1e-5)
    np.testing.assert_allclose(sigma, scene["sigma_m"] * np.sqrt(1 - weight), atol=1e-5)


def test_a_bone_measured_just_now_keeps_its_direction(scene: dict[str, np.ndarray]) -> None:
    scene["held_sigma_m"][:] = 0.0
    joints, sigma = fuse(**scene)
    direction = bone_vectors(joints)[:, WRIST]
    expected = scene["held_m"][:, WRIST]
    cosine = (direction * expected).sum(-1) / np.linalg.norm(direction, axis=-1) / np.linalg.norm(expected, axis=-1)
    np.testing.assert_allclose(cosine, 1.0, atol=EXACT)
    np.testing.assert_allclose(sigma[:, WRIST], 0.0, atol=EXACT)


def test_visible_joints_and_bone_lengths_stay(scene: dict[str, np.ndarray]) -> None:
    joints, _ = fuse(**scene)
    visible = scene["visible"]
    np.testing.assert_array_equal(joints[visible], scene["joints_root_m"][visible])
    length, expected = (
        np.linalg.norm(bone_vectors(each)[:, [ELBOW, WRIST]], axis=-1) for each in (joints, scene["joints_root_m"])
    )
    np.testing.assert_allclose(length, expected, atol=EXACT)


def test_a_joint_moves_with_all_hidden_joints_before_it(scene: dict[str, np.ndarray]) -> None:
    """Bone by bone from the pelvis on, for any joints that hide."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        scene["visible"] = rng.random((2, JOINTS)) < 0.5
        joints, _ = fuse(**scene)
        expected = scene["joints_root_m"].copy()
        for parent, child in H36M17.bones:
            alone = fuse(**(scene | {"visible": np.broadcast_to(np.arange(JOINTS) != child, (2, JOINTS))}))[0]
            bone = alone[:, child] - alone[:, parent]
            hidden = ~scene["visible"][:, child, None]
            expected[:, child] = np.where(hidden, expected[:, parent] + bone, expected[:, child])
        np.testing.assert_allclose(joints, expected, atol=EXACT)


def test_nothing_changes_where_all_is_seen(scene: dict[str, np.ndarray]) -> None:
    scene["visible"][:] = True
    joints, sigma = fuse(**scene)
    np.testing.assert_array_equal(joints, scene["joints_root_m"])
    np.testing.assert_array_equal(sigma, scene["sigma_m"])


def test_both_sources_make_surer_than_either(scene: dict[str, np.ndarray]) -> None:
    _, sigma = fuse(**scene)
    np.testing.assert_allclose(sigma[:, WRIST], 0.1 / np.sqrt(2))
    np.testing.assert_allclose(sigma[scene["visible"]], 0.1)


def test_a_bone_is_measured_with_both_ends() -> None:
    visible = np.ones(JOINTS, dtype=bool)
    visible[ELBOW] = False
    measured = measured_bones(visible)
    assert not measured[[0, ELBOW, WRIST]].any()
    assert measured.sum() == JOINTS - 3
