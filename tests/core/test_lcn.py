"""LCN: its published size and parts, and metres out of a pose in the picture. test_models.py tests what all share."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from occpose_core.checkpoint import load_checkpoint  # noqa: E402
from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.export import TOLERANCES_M, export_onnx, probes  # noqa: E402
from occpose_core.geometry import stature_m  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.models.lcn import LCN, LCNConfig, LocallyConnected, metric_pose, structure_matrix  # noqa: E402
from occpose_core.models.stature import stature  # noqa: E402
from occpose_core.runtime import WEIGHTS  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402

JOINTS = 17
# The published neighbours beside the limbs, by the numbers of the joints: root, hips, spine, thorax, nose, shoulders.
NEIGHBOURS = {0: [1, 4, 7], 1: [0, 2, 7], 4: [0, 5, 7], 7: [0, 1, 4, 8, 11, 14], 8: [7, 9, 11, 14], 9: [8, 10]}
CONFIGS = [
    pytest.param({}, id="paper"),
    pytest.param({"score": True}, id="paper with score"),
    pytest.param({"learned_mask": True}, id="learned mask"),
    pytest.param({"target": "metric"}, id="paper in metres"),
    pytest.param({"masked": True}, id="masked, image"),
    pytest.param({"masked": True, "target": "metric", "max_norm": 0.0}, id="masked, metres"),
    pytest.param({"masked": True, "score": True, "flip_average": True}, id="masked with score, averaged"),
]
every_config = pytest.mark.parametrize("config", CONFIGS)


def small(**config: object) -> LCN:
    """A small network in evaluation mode whose norms have seen data and whose parameters are not at their start."""
    torch.manual_seed(0)
    model = LCN(LCNConfig(**{"channels": 8, **config})).train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for seed in range(3):
            model(*probes(1, seed=seed))
    model.eval()
    return model


def layers(model: LCN) -> list[LocallyConnected]:
    return [module for module in model.modules() if isinstance(module, LocallyConnected)]


def test_it_has_the_published_numbers_of_parameters_and_of_live_weights() -> None:
    model = build("lcn", {})
    assert sum(each.numel() for each in model.parameters()) == 7_203_507
    assert sum(int(layer.support.sum()) for layer in layers(model)) == 4_356_800
    with torch.no_grad():
        assert sum(int((layer.static_weight() != 0).sum()) for layer in layers(model)) == pytest.approx(
            4_356_800, abs=9
        )


def test_its_layers_are_as_published() -> None:
    model = build("lcn", {})
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    assert [(norm.num_features, norm.eps, norm.momentum) for norm in norms] == [(64, 1e-3, 0.01)] * 7
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.25}
    assert [(layer.inputs, layer.outputs) for layer in layers(model)] == [(2, 64), *[(64, 64)] * 6, (64, 3)]
    assert {layer.max_norm for layer in layers(model)} == {1.0}


def test_weights_start_within_two_deviations() -> None:
    torch.manual_seed(0)
    for layer in layers(LCN(LCNConfig())):
        sd = (2 / layer.weight.shape[1]) ** 0.5
        for parameter in (layer.weight, layer.bias):
            assert parameter.abs().max() <= 2 * sd
        assert float(layer.weight.detach().std()) == pytest.approx(0.88 * sd, rel=0.05)  # of a normal cut off there


def test_structure_has_the_published_neighbours() -> None:
    one = structure_matrix(1)
    for joint, neighbours in NEIGHBOURS.items():
        assert np.flatnonzero(one[joint]).tolist() == sorted([joint, *neighbours])
    for joint in ("left_ankle", "right_wrist", "head_top"):  # ends see what they hang on
        index = H36M17.index(joint)
        assert np.flatnonzero(one[index]).tolist() == sorted([index, H36M17.parents[index]])


@pytest.mark.parametrize(
    ("hops", "pairs"),
    [pytest.param(1, 57, id="1"), pytest.param(3, 175, id="published"), pytest.param(9, 289, id="all")],
)
def test_more_hops_are_more_pairs(hops: int, pairs: int) -> None:
    structure = structure_matrix(hops)
    assert structure.sum() == pairs
    assert (structure == structure.T).all()
    assert (structure_matrix(hops + 1) >= structure).all()


def test_joints_beyond_the_hops_have_no_influence_on_one_layer() -> None:
    layer = small().head.mix
    for joint in range(JOINTS):
        x = torch.randn(1, JOINTS * 2, requires_grad=True)
        layer(x).view(JOINTS, 8)[joint].sum().backward()
        reached = x.grad.view(JOINTS, 2).abs().sum(dim=-1) > 0
        assert (reached.numpy() == structure_matrix(3)[joint]).all()


def test_every_pair_has_weights_of_its_own() -> None:
    """Changing the block of one pair changes the answer for its target to its source, and nothing else."""
    layer = small(max_norm=0.0).head.mix
    target, source = H36M17.index("left_knee"), H36M17.index("pelvis")

    def jacobian() -> torch.Tensor:
        function = torch.autograd.functional.jacobian(layer, torch.zeros(1, JOINTS * 2))
        return function.view(JOINTS, 8, JOINTS, 2)

    before = jacobian()
    with torch.no_grad():
        layer.weight.view(JOINTS, 8, JOINTS, 2)[target, :, source] += 1.0
    change = (jacobian() - before).abs().sum(dim=(1, 3))
    assert change[target, source] > 0
    change[target, source] = 0
    assert not change.any()


@pytest.mark.parametrize("factor", [0.1, 5.0, 40.0])
def test_the_norm_of_the_whole_matrix_is_clipped(factor: float) -> None:
    layer = small().blocks[0][0].mix
    x = torch.randn(4, JOINTS * 8)
    with torch.no_grad():
        layer.weight.mul_(2.0 / layer.weight.norm())
        clipped = layer(x) - layer.bias
        layer.weight.mul_(factor)
        scaled = layer(x) - layer.bias
    # beyond the limit a factor changes nothing; below it all is as it is: 2 * 0.1 = 0.2 of the limit
    torch.testing.assert_close(scaled, clipped * min(1.0, 2 * factor), rtol=1e-4, atol=FLOAT32)
    assert layer.static_weight().norm() < 1.0, "what is masked away counts in the norm"


def test_the_clip_has_a_gradient() -> None:
    layer = small().head.mix
    assert layer.weight.norm() > layer.max_norm
    layer(torch.ones(1, JOINTS * 2)).square().sum().backward()
    along = (layer.weight.grad * layer.weight).sum() / layer.weight.grad.norm() / layer.weight.norm()
    assert abs(float(along.detach())) < 1e-3, "along the weights nothing changes"
    assert layer.weight.grad[layer.support == 0].abs().max() > 0, "weights that are masked away shrink the others"


def test_norms_are_shared_by_the_joints() -> None:
    model = small()
    norm = model.head.norm.train()
    x = torch.randn(5, JOINTS, 8) + torch.arange(JOINTS)[:, None]
    with torch.no_grad():
        normed = norm(x.flatten(1)).view(5, JOINTS, 8)
    each = x.reshape(-1, 8)
    expected = (x - each.mean(dim=0)) / (each.var(dim=0, unbiased=False) + 1e-3).sqrt()
    torch.testing.assert_close(normed, expected * norm.weight + norm.bias, rtol=1e-4, atol=1e-4)


def test_statistics_are_of_use_from_the_first_batch_on() -> None:
    torch.manual_seed(0)
    model = LCN(LCNConfig(channels=8, dropout=0.0)).train()
    norm, inputs = model.blocks[2][1].norm, [probes(1, seed=seed) for seed in range(120)]
    with torch.no_grad():
        expected = model.answer(*inputs[0])["joints_image"]
        answer = model.eval().answer(*inputs[0])["joints_image"]
        assert norm.running_var.max() < 0.1, "far from the 1 that it starts at"
        torch.testing.assert_close(answer, expected, rtol=1e-2, atol=1e-3)
        for each in inputs[1:]:
            model.train().answer(*each)
    assert norm.momentum == 0.01, "as published in the long run"
    assert norm.num_batches_tracked == 120


def test_the_learned_mask_weighs_sources_and_opens_no_pairs() -> None:
    layer = small(learned_mask=True, max_norm=0.0).head.mix
    target, source = H36M17.index("left_knee"), H36M17.index("pelvis")
    far = int(np.flatnonzero(~structure_matrix(3)[target])[0])
    with torch.no_grad():
        layer.mask.zero_()
        plain = layer.weight * layer.support
        torch.testing.assert_close(layer.static_weight(), plain)
        layer.mask[target, source], layer.mask[target, far] = 50.0, 50.0
        block = layer.static_weight().view(JOINTS, 8, JOINTS, 2)[target]
    expected = torch.zeros_like(block)
    share = JOINTS / 2  # the far one takes its half in vain
    expected[:, source] = share * plain.view(JOINTS, 8, JOINTS, 2)[target][:, source]
    torch.testing.assert_close(block, expected, rtol=1e-4, atol=FLOAT32)


def test_the_pose_in_the_picture_is_the_input_and_a_correction() -> None:
    model = small()
    kpts, visible = probes(1)
    with torch.no_grad():
        correction = model.answer(kpts, visible)["joints_image"]
        model.tail.weight.zero_()
        model.tail.bias.zero_()
        image = model.answer(kpts, visible)["joints_image"]
    given = torch.where(visible[:, 0, :, None] > 0, kpts[:, 0], torch.zeros(()))
    torch.testing.assert_close(image, torch.cat([given, torch.zeros(32, JOINTS, 1)], dim=-1), rtol=0, atol=0)
    assert (correction - image).abs().max() > 0.01


@every_config
def test_the_score_is_read_where_it_is_asked_for(config: dict[str, object]) -> None:
    model = small(**config)
    kpts, visible = probes(1)
    with torch.inference_mode():
        sure, unsure = model(kpts, visible), model(kpts, 0.4 * visible)
    same = torch.equal(sure["joints_root_m"], unsure["joints_root_m"])
    assert same is not bool(config.get("score", False))


@every_config
def test_hidden_coordinates_and_folding_change_nothing(config: dict[str, object]) -> None:
    model = small(**config)
    folded = copy.deepcopy(model)
    folded.fold()
    assert not layers(folded)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm1d)]
    kpts, visible = probes(1)
    visible = visible * torch.rand(visible.shape)
    garbage = torch.where(visible[..., None] > 0, kpts, torch.full_like(kpts, torch.nan))
    with torch.inference_mode():
        expected, answer, fast = model(kpts, visible), model(garbage, visible), folded(kpts, visible)
    assert set(expected) == set(model.outputs)
    for name in model.outputs:
        assert torch.equal(answer[name], expected[name])
        torch.testing.assert_close(fast[name], expected[name], rtol=FLOAT32, atol=FLOAT32)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"learned_mask": True}, id="paper"),
        pytest.param({"masked": True, "score": True, "flip_average": True}, id="masked"),
    ],
)
def test_every_option_is_exported_with_parity(config: dict[str, object], tmp_path: Path) -> None:
    model = small(**config)
    info = export_onnx(model, describe("small", "lcn", model, {}), tmp_path / "small.onnx")
    assert max(info.training["export"]["max_difference"].values()) <= TOLERANCES_M["fp32"]


def person(seed: int, size: float = 1.0) -> np.ndarray:
    """(17, 3) m relative to the pelvis; of any shape, for only its stature counts."""
    joints = size * np.random.default_rng(seed).normal(scale=0.4, size=(JOINTS, 3))
    return joints - joints[:1]


@given(seed=st.integers(0, 1000), units_per_m=st.floats(0.2, 5.0), size=st.floats(0.5, 2.0))
def test_a_scaled_picture_becomes_a_person_of_the_assumed_height(seed: int, units_per_m: float, size: float) -> None:
    joints = person(seed, size)
    image = joints * units_per_m + [0.3, -0.2, 0.0]  # anywhere in the picture
    metric = metric_pose(torch.tensor(image[None], dtype=torch.float32)).numpy()[0]
    assert stature_m(metric) == pytest.approx(1.70, rel=1e-4)
    np.testing.assert_allclose(metric, joints * 1.70 / stature_m(joints), atol=1e-4)


def test_stature_is_that_of_the_geometry() -> None:
    joints = np.stack([[person(seed, 1.0 + seed / 10) for seed in range(3)], [person(9)] * 3])
    np.testing.assert_allclose(stature(torch.tensor(joints)).numpy(), stature_m(joints), rtol=1e-9)


def test_a_pose_without_extent_is_finite() -> None:
    image = torch.zeros(1, JOINTS, 3, requires_grad=True)
    metric = metric_pose(image)
    assert not metric.any()
    metric.sum().backward()
    assert torch.isfinite(image.grad).all()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        pytest.param({"target": "pixels"}, "unknown LCN target 'pixels'; known: image, metric", id="target"),
        pytest.param({"hops": 0}, "at least 1 hop, got 0", id="hops"),
    ],
)
def test_impossible_configs_are_one_sentence(config: dict[str, object], says: str) -> None:
    with pytest.raises(OccposeError, match=says):
        build("lcn", config)


def test_the_shipped_weights_say_their_form() -> None:
    model, info = load_checkpoint(WEIGHTS / "lcn.safetensors")
    assert info.form == "masked"
    assert {name: info.config[name] for name in ("masked", "flip_average", "target", "score")} == {
        "masked": True,
        "flip_average": True,
        "target": "metric",
        "score": False,
    }
    assert info.config == describe("lcn", "lcn", model, {}).config, "as this version writes it"
