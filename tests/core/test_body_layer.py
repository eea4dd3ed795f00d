"""The body layer bends as linear blend skinning says, and keeps single precision. test_sefd_export.py exports it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from occpose_core.body.capsules import capsule_body  # noqa: E402
from occpose_core.body.files import BodyFileError, write_body  # noqa: E402
from occpose_core.body.joints import H36M17_IN_SMPL30, SMPL24, SMPL30_MIRROR, SMPL_PARENTS, smpl30_index  # noqa: E402
from occpose_core.body.layer import BodyModel  # noqa: E402

MODEL = BodyModel()
BODY = capsule_body()
REST_M = BODY["v_template"] - BODY["J_regressor"][0] @ BODY["v_template"]
seeds = st.integers(0, 2**32 - 1)


def turned(**degrees: tuple[float, float, float]) -> Tensor:
    """(1, 24, 3, 3) with some joints turned about x, then y, then z."""
    rotations = np.tile(np.eye(3), (1, len(SMPL24), 1, 1))
    for joint, angles in degrees.items():
        rotations[0, SMPL24.index(joint)] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return torch.from_numpy(rotations.astype(np.float32))


def random_pose(seed: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    rotations = Rotation.from_rotvec(rng.normal(0, 0.5, (batch * 24, 3))).as_matrix().reshape(batch, 24, 3, 3)
    shape = rng.normal(size=(batch, 10))
    return torch.from_numpy(rotations.astype(np.float32)), torch.from_numpy(shape.astype(np.float32))


def joint_m(posed: Tensor, joint: str) -> np.ndarray:
    return posed[0, smpl30_index(joint)].numpy()


def skinned(rotations: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and joints (24, 3) from the pelvis by the equations of the paper, in double precision."""
    shaped_m = BODY["v_template"] + BODY["shapedirs"] @ shape
    joints_m = BODY["J_regressor"] @ shaped_m
    corrected_m = shaped_m + BODY["posedirs"] @ (rotations[1:] - np.eye(3)).ravel()
    turn, place_m = [rotations[0]], [joints_m[0]]
    for joint in range(1, 24):
        parent = SMPL_PARENTS[joint]
        turn.append(turn[parent] @ rotations[joint])
        place_m.append(place_m[parent] + turn[parent] @ (joints_m[joint] - joints_m[parent]))
    vertices_m = np.zeros_like(corrected_m)
    for joint in range(24):
        carried = (corrected_m - joints_m[joint]) @ turn[joint].T + place_m[joint]
        vertices_m += BODY["weights"][:, joint, None] * carried
    return vertices_m - place_m[0], np.array(place_m) - place_m[0]


def test_at_rest_it_is_the_template_seen_from_the_pelvis() -> None:
    posed = MODEL(turned(), torch.zeros(1, 10))
    np.testing.assert_allclose(posed.vertices_m[0], REST_M, atol=1e-6)
    np.testing.assert_allclose(posed.joints30_m[0], BODY["smpl30_regressor"] @ REST_M, atol=1e-6)
    np.testing.assert_allclose(posed.joints17_m[0], BODY["h36m17_regressor"] @ REST_M, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_any_pose_and_shape_is_that_of_the_equations(seed: int) -> None:
    rotations, shape = random_pose(seed)
    posed = MODEL(rotations, shape)
    for person in range(2):
        vertices_m, joints_m = skinned(rotations[person].double().numpy(), shape[person].double().numpy())
        np.testing.assert_allclose(posed.vertices_m[person], vertices_m, atol=5e-6)
        np.testing.assert_allclose(posed.joints30_m[person, :24], joints_m, atol=5e-6)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_root_turns_everything_about_the_pelvis(seed: int) -> None:
    rotations, shape = random_pose(seed)
    turn = torch.from_numpy(
        Rotation.from_rotvec(np.random.default_rng(seed).normal(size=3)).as_matrix().astype(np.float32)
    )
    plain = MODEL(rotations, shape)
    rotations[:, 0] = turn @ rotations[:, 0]
    for one, other in zip(MODEL(rotations, shape), plain, strict=True):
        torch.testing.assert_close(one, other @ turn.T, atol=5e-6, rtol=0)
        assert one[:, 0].isfinite().all()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_a_mirrored_pose_gives_the_mirrored_body(seed: int) -> None:
    rotations, shape = random_pose(seed)
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    mirrored = flip @ rotations[:, SMPL30_MIRROR[: len(SMPL24)]] @ flip
    plain, other = MODEL(rotations, shape), MODEL(mirrored, shape)
    torch.testing.assert_close(other.joints30_m, plain.joints30_m[:, SMPL30_MIRROR] @ flip, atol=5e-6, rtol=0)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_h36m17_joints_of_the_surface_are_those_of_the_skeleton(seed: int) -> None:
    """Each joint's ring turns as one, so that the mean of its vertices stays in the joint."""
    posed = MODEL(*random_pose(seed))
    apart_m = torch.linalg.norm(posed.joints17_m - posed.joints30_m[:, H36M17_IN_SMPL30], dim=-1)
    assert apart_m.max() < 0.01


@pytest.mark.parametrize(
    ("pose", "joint", "axis", "sign"),
    [
        pytest.param({"left_knee": (90, 0, 0)}, "left_ankle", 2, -1, id="knee bends back"),
        pytest.param({"left_hip": (-90, 0, 0)}, "left_knee", 2, 1, id="thigh comes forward"),
        pytest.param({"left_elbow": (0, -90, 0)}, "left_wrist", 2, 1, id="left forearm comes forward"),
        pytest.param({"right_elbow": (0, 90, 0)}, "right_wrist", 2, 1, id="right forearm comes forward"),
        pytest.param({"left_shoulder": (0, 0, -70)}, "left_hand", 1, -1, id="left arm sinks"),
        pytest.param({"spine1": (40, 0, 0)}, "head", 2, 1, id="bow"),
        pytest.param({"head": (0, 60, 0)}, "nose", 0, 1, id="look to the left"),
    ],
)
def test_joints_turn_the_usual_way(
    pose: dict[str, tuple[float, float, float]], joint: str, axis: int, sign: int
) -> None:
    before, after = (MODEL(rotations, torch.zeros(1, 10)).joints30_m for rotations in (turned(), turned(**pose)))
    assert sign * (joint_m(after, joint) - joint_m(before, joint))[axis] > 0.05


@pytest.mark.parametrize(
    ("joint", "axis"), [("left_knee", 0), ("right_knee", 0), ("left_elbow", 1), ("right_elbow", 1)]
)
def test_hinges_keep_their_depth_as_they_bend(joint: str, axis: int) -> None:
    """Plain skinning makes a ring between two bones at a right angle thinner by the square root of two."""
    angles = np.eye(3)[axis] * 90
    ring = np.flatnonzero(BODY["J_regressor"][SMPL24.index(joint)] > 1e-9)
    ends = ring[[REST_M[ring, 2].argmin(), REST_M[ring, 2].argmax()]]

    def thickness_m(rotations: Tensor) -> float:
        rear, front = MODEL(rotations, torch.zeros(1, 10)).vertices_m[0, ends].numpy()
        return float(np.linalg.norm(front - rear))

    straight, bent = thickness_m(turned()), thickness_m(turned(**{joint: tuple(angles)}))
    assert 0.8 < bent / straight < 1.0


def test_nothing_is_learned_and_nothing_is_saved() -> None:
    assert not list(MODEL.parameters())
    assert not MODEL.state_dict()
    assert MODEL.faces.dtype == np.int64 and MODEL.faces.shape[1] == 3


def test_gradients_reach_rotations_and_shape() -> None:
    rotations, shape = random_pose(0)
    rotations.requires_grad_()
    shape.requires_grad_()
    MODEL(rotations, shape).vertices_m.square().sum().backward()
    assert rotations.grad is not None and shape.grad is not None
    assert (rotations.grad.abs().sum(dim=(-1, -2)) > 0).all()
    assert (shape.grad.abs() > 0).all()


def test_mixed_precision_costs_no_millimetre() -> None:
    rotations, shape = random_pose(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = MODEL(rotations.bfloat16().float(), shape)
    plain = MODEL(rotations.bfloat16().float(), shape)
    for one, other in zip(mixed, plain, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other)


def test_strided_rotations_are_taken() -> None:
    rotations, shape = random_pose(0)
    columns_first = rotations.mT.contiguous().mT
    assert not columns_first.is_contiguous()
    torch.testing.assert_close(MODEL(columns_first, shape).vertices_m, MODEL(rotations, shape).vertices_m)


def test_files_of_smpl_are_bent_by_smplx_to_the_same_body(tmp_path: Path) -> None:
    pytest.importorskip("smplx")
    write_body(tmp_path, capsule_body())
    rotations, shape = random_pose(0)
    for one, other in zip(BodyModel(tmp_path)(rotations, shape), MODEL(rotations, shape), strict=True):
        torch.testing.assert_close(one, other, atol=2e-6, rtol=0)


def test_without_smplx_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_body(tmp_path, capsule_body())
    for name in ("smplx", "smplx.lbs", "smplx.vertex_ids"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BodyFileError, match=r"pip install 'occpose\[smpl\]'"):
        BodyModel(tmp_path)
    BodyModel()
