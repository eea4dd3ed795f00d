"""The label-free lifter: as published, indifferent to where and how large a person is seen."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from occpose_core.export import export_onnx, probes  # noqa: E402
from occpose_core.geometry import stature_m  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.models.elepose import (  # noqa: E402
    BONE_RATIOS,
    ElePose,
    ElePoseConfig,
    laplacian,
    normalise,
    pose_size,
    unproject,
)
from occpose_core.models.fill_then_lift import FillThenLift  # noqa: E402
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.tolerances import ENGINE, FLOAT32  # noqa: E402

PELVIS, HEAD = H36M17.index("pelvis"), H36M17.index("head_top")
LEFT_ARM = H36M17.indices("left_elbow", "left_wrist")
both_forms = pytest.mark.parametrize("masked", [pytest.param(False, id="paper"), pytest.param(True, id="masked")])


def lifter(masked: bool = False, hidden: int = 48) -> ElePose:
    torch.manual_seed(0)
    model = ElePose(ElePoseConfig(masked=masked, hidden=hidden))
    model.eval()
    return model


def standing(people: int = 8) -> torch.Tensor:
    """(B, 17, 2) upright people in the person view, each with joints a little elsewhere."""
    side = {"left": 0.15, "right": -0.15}
    height = [0.9, 0.9, 0.5, 0.1, 0.9, 0.5, 0.1, 1.1, 1.4, 1.5, 1.6, 1.4, 1.1, 0.9, 1.4, 1.1, 0.9]
    rows = [[side.get(j.split("_")[0], 0.0), 1.0 - y] for j, y in zip(H36M17.joints, height, strict=True)]
    noise = torch.randn((people, 17, 2), generator=torch.Generator().manual_seed(1))
    return 2.0 * torch.tensor(rows) + 0.02 * noise


def everything(kpts: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(kpts[..., :1])


def test_parameters_are_the_released_ones_without_batch_norms_that_are_never_used() -> None:
    model = build("elepose", {})
    live = sum(each.numel() for each in model.parameters())
    assert live == 11_072_594
    blocks = 1 + 2 * model.config.branch_blocks
    unused = 2 * blocks * sum(each.numel() for each in torch.nn.BatchNorm1d(model.config.hidden).parameters())
    # the released code counts the fixed graph among the parameters, too
    assert live + unused + model.embed.laplacian.numel() == 11_093_363
    assert sum(each.numel() for each in build("elepose", {"masked": True}).parameters()) == live + model.config.channels


def test_the_graph_is_the_normalised_laplacian_of_the_bones() -> None:
    degree = np.zeros(17)
    for parent, child in H36M17.bones:
        degree[[parent, child]] += 1
    matrix = laplacian()
    for i in range(17):
        for j in range(17):
            linked = (i, j) in H36M17.bones or (j, i) in H36M17.bones
            expected = 1.0 if i == j else -1 / np.sqrt(degree[i] * degree[j]) if linked else 0.0
            assert matrix[i, j] == pytest.approx(expected)
    np.testing.assert_allclose(matrix @ np.sqrt(degree), 0, atol=1e-12)


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.01 * x)


def slow_points(state: dict[str, np.ndarray], kpts: np.ndarray, seen: np.ndarray, masked: bool) -> np.ndarray:
    """The published network for one pose, layer by layer; also its elevation, in the last place."""

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return state[f"{name}.weight"] @ x + state[f"{name}.bias"]

    def residual(name: str, x: np.ndarray) -> np.ndarray:
        return leaky(x + leaky(linear(f"{name}.second", leaky(linear(f"{name}.first", x)))))

    x = np.concatenate([kpts, seen], axis=1) if masked else kpts
    hidden = linear("widen", (laplacian() @ x @ state["embed.weight"]).reshape(-1))
    trunk = residual("trunk.0", hidden)
    depth, elevation = trunk, trunk
    for block in (0, 2):
        depth = residual(f"depth_branch.{block}", depth)
        elevation = residual(f"elevation_branch.{block}", elevation)
    offset = linear("depth", depth)
    offset[PELVIS] = 0
    distance = np.maximum(1.0, 10.0 + offset)
    points = np.stack([kpts[:, 0] * distance, kpts[:, 1] * distance, distance], axis=1)
    return np.append(points.reshape(-1), linear("elevation", elevation))


@both_forms
def test_network_equals_a_slow_one(masked: bool) -> None:
    model = lifter(masked).double()
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    kpts = 0.1 * torch.randn(4, 17, 2, dtype=torch.float64)
    seen = (torch.rand(4, 17, 1) > 0.3).double()
    with torch.no_grad():
        points, elevation = model.points_and_elevation(kpts, seen)
        assert torch.equal(model.points(kpts, seen), points)
    for row in range(4):
        expected = slow_points(state, kpts[row].numpy(), seen[row].numpy(), masked)
        np.testing.assert_allclose(np.append(points[row], elevation[row]), expected, atol=1e-6)


def test_unprojection_keeps_rays_and_stays_in_front_of_the_camera() -> None:
    kpts = 0.1 * torch.randn(3, 17, 2)
    offset = torch.linspace(-30, 5, 17).expand(3, 17)
    points = unproject(kpts, offset)
    torch.testing.assert_close(points[..., :2] / points[..., 2:], kpts)
    torch.testing.assert_close(points[..., 2], (10 + offset).clamp(min=1.0))


@both_forms
def test_the_pelvis_is_at_depth_ten_whatever_the_network_says(masked: bool) -> None:
    model = lifter(masked)
    with torch.no_grad():
        model.depth.bias.fill_(3.0)
        points = model.points(normalise(standing(), everything(standing())[..., 0] > 0), everything(standing()))
    torch.testing.assert_close(points[:, PELVIS], torch.tensor([0.0, 0.0, 10.0]).expand(8, 3))
    assert (points[:, HEAD, 2] > 11).all()


def test_an_upright_person_is_a_tenth_from_pelvis_to_head_top() -> None:
    kpts = standing()
    upright = normalise(kpts, everything(kpts)[..., 0] > 0)
    torch.testing.assert_close(upright[:, PELVIS], torch.zeros(8, 2))
    distance = upright[:, HEAD].norm(dim=-1)
    assert ((distance > 0.08) & (distance < 0.12)).all()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda kpts: 3.0 * kpts, id="nearer"),
        pytest.param(lambda kpts: 0.5 * kpts, id="farther"),
        pytest.param(lambda kpts: kpts + torch.tensor([0.7, -0.4]), id="elsewhere"),
    ],
)
@both_forms
def test_neither_place_nor_distance_of_a_person_changes_the_answer(change: object, masked: bool) -> None:
    model, kpts = lifter(masked), standing()
    with torch.inference_mode():
        expected, answer = (model.lift(each, everything(each))["joints_root_m"] for each in (kpts, change(kpts)))
    torch.testing.assert_close(answer, expected, rtol=0, atol=FLOAT32)


def test_size_does_not_mind_how_the_person_is_turned_in_the_picture() -> None:
    kpts, known = standing(), torch.ones(8, 17, dtype=torch.bool)
    angle = torch.tensor(0.9)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    torch.testing.assert_close(pose_size(kpts @ turn.T, known), pose_size(kpts, known))


def test_size_of_a_part_is_nearly_that_of_the_whole_and_one_wild_joint_changes_little() -> None:
    kpts, known = standing(), torch.ones(8, 17, dtype=torch.bool)
    whole = pose_size(kpts, known)
    for joints in (H36M17.indices("right_hip", "right_knee", "right_ankle"), LEFT_ARM, [PELVIS]):
        part = known.clone()
        part[:, joints] = False
        ratio = pose_size(kpts, part) / whole
        assert ((ratio > 0.8) & (ratio < 1.25)).all()
    wild = kpts.clone()
    wild[:, H36M17.index("left_wrist")] += 3.0
    ratio = pose_size(wild, known) / whole
    assert ((ratio > 0.9) & (ratio < 1.3)).all()


def test_bone_ratios_are_those_of_a_whole_skeleton() -> None:
    assert len(BONE_RATIOS) == 16
    assert np.mean(BONE_RATIOS) == pytest.approx(1.0, abs=2e-3)


@both_forms
def test_people_are_as_tall_as_is_assumed(masked: bool) -> None:
    kpts = standing()
    with torch.inference_mode():
        joints = lifter(masked).lift(kpts, everything(kpts))["joints_root_m"]
    np.testing.assert_allclose(stature_m(joints.numpy()), ASSUMED_HEIGHT_M, atol=1e-5)


def test_only_the_masked_form_is_told_which_joints_are_guesses() -> None:
    kpts = standing()
    seen = everything(kpts)
    guessed = seen.clone()
    guessed[:, LEFT_ARM] = 0
    for masked in (False, True):
        model = lifter(masked)
        with torch.inference_mode():
            same = torch.equal(model.lift(kpts, seen)["joints_root_m"], model.lift(kpts, guessed)["joints_root_m"])
        assert same is not masked


@both_forms
def test_alone_a_missing_joint_lies_on_the_pelvis(masked: bool) -> None:
    kpts, visible = standing()[:, None], torch.ones(8, 1, 17)
    visible[..., LEFT_ARM] = 0
    model = lifter(masked)
    with torch.inference_mode():
        answer = model.answer(kpts, visible)["joints_root_m"]
    torch.testing.assert_close(answer[:, LEFT_ARM, :2], torch.zeros(8, 2, 2), rtol=0, atol=FLOAT32)
    assert (answer[:, HEAD, :2].norm(dim=-1) > 0.3).all()


@both_forms
def test_less_precise_layers_leave_rays_and_answers_nearly_as_they_are(masked: bool) -> None:
    model, kpts = lifter(masked, hidden=256), 0.1 * torch.randn(8, 17, 2)
    seen = everything(kpts)
    with torch.no_grad():
        points, elevation = model.points_and_elevation(kpts, seen)
        with torch.autocast("cpu", torch.bfloat16):
            rough, rough_elevation = model.points_and_elevation(kpts, seen)
    assert rough.dtype == rough_elevation.dtype == torch.float32
    torch.testing.assert_close(rough[..., :2] / rough[..., 2:], kpts)
    torch.testing.assert_close(rough, points, rtol=0, atol=0.02)
    torch.testing.assert_close(rough_elevation, elevation, rtol=0, atol=0.02)


@both_forms
def test_deployed_form_is_smaller_and_equal(masked: bool) -> None:
    model = lifter(masked)
    folded = copy.deepcopy(model)
    folded.fold()
    count, folded_count = (sum(each.numel() for each in one.parameters()) for one in (model, folded))
    assert folded_count < 0.7 * count
    kpts, visible = probes(1)
    with torch.inference_mode():
        expected, answer = model(kpts, visible), folded(kpts, visible)
    torch.testing.assert_close(answer["joints_root_m"], expected["joints_root_m"], rtol=0, atol=ENGINE)


@both_forms
def test_behind_the_filling_network_it_lifts_the_guesses(masked: bool) -> None:
    torch.manual_seed(1)
    filling, model = build("filling", {}).eval(), lifter(masked)
    joined = FillThenLift.of(filling, model)
    kpts, visible = probes(1)
    with torch.inference_mode():
        filled = filling.answer(kpts, visible)["filled"]
        expected = model.lift(filled, visible[:, -1, :, None])["joints_root_m"]
        answer = joined(kpts, visible)
    seen = visible[:, -1] > 0
    assert torch.equal(answer["filled"][seen], kpts[:, -1][seen])
    assert torch.equal(answer["joints_root_m"], expected)
    assert joined.outputs == ("joints_root_m", "filled")


@pytest.mark.parametrize(
    ("masked", "filled"), [pytest.param(False, False, id="alone"), pytest.param(True, True, id="behind the filling")]
)
def test_exported_form_gives_the_same_answers(masked: bool, filled: bool, tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = lifter(masked)
    family, whole = ("filling-elepose", FillThenLift.of(build("filling", {}), model)) if filled else ("elepose", model)
    info = export_onnx(whole, describe("mine", family, whole, {}), tmp_path / "mine.onnx")
    measured = info.training["export"]
    assert max(measured["max_difference"].values()) <= ENGINE
    assert max(measured["max_difference_to_training_form"].values()) <= ENGINE
    assert (info.form, info.outputs[0]) == ("masked" if masked else "paper", "joints_root_m")
