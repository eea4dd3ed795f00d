"""HTNet: its published size and parts. What all models share is tested in test_models.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.export import TOLERANCES_M, export_onnx, probes  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.models.htnet import HTNet, HTNetConfig, LimbBranch, ModulatedGraphConv  # noqa: E402
from occpose_core.models.htnet import skeleton_adjacency as adjacency  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402

LIMBS = [
    [f"{side}_{joint}" for joint in joints]
    for joints in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
    for side in ("left", "right")
]
SMALL = {"channels": 48, "hidden": 32, "graph_channels": 24, "blocks": 2}


def small(**config: object) -> HTNet:
    torch.manual_seed(0)
    model = HTNet(HTNetConfig(**{**SMALL, **config}))
    with torch.no_grad():
        for parameter in model.parameters():  # so that nothing stays at a start of 0 or 1
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(each.numel() for each in build("htnet", {}).parameters()) == 3_048_489


@pytest.mark.parametrize(
    ("config", "says"),
    [
        pytest.param({"channels": 100}, "100 is no multiple of 24; take 96", id="no multiple"),
        pytest.param({"channels": 240, "heads": 7}, "240 is no multiple of 21; take 231", id="other heads"),
        pytest.param({"channels": 5}, "5 is no multiple of 24; take 24", id="too few"),
        pytest.param({"channels": -24}, "channels >= 1, got -24", id="negative"),
        pytest.param({"blocks": 0}, "blocks >= 1, got 0", id="no blocks"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(config: dict[str, int], says: str) -> None:
    with pytest.raises(OccposeError, match=says):
        build("htnet", config)


def test_sizes_are_free_otherwise() -> None:
    model = small(channels=72, blocks=4, hidden=40)
    assert model(*probes(1))["joints_root_m"].shape == (32, 17, 3)
    assert len(model.blocks) == 4


def test_adjacency_shares_one_among_neighbours() -> None:
    matrix, thorax = adjacency(), H36M17.index("thorax")
    np.testing.assert_allclose(matrix.sum(axis=1), 2.0, atol=FLOAT32)
    np.testing.assert_array_equal(np.diag(matrix), 1.0)
    neighbours = [H36M17.joints[joint] for joint in np.flatnonzero(matrix[thorax]) if joint != thorax]
    assert sorted(neighbours) == ["left_shoulder", "nose", "right_shoulder", "spine"]


def test_graph_convolution_is_the_modulated_one() -> None:
    torch.manual_seed(0)
    layer = ModulatedGraphConv(5, 3).double()
    with torch.no_grad():
        layer.learned.normal_()
    x = torch.randn(2, 17, 5, dtype=torch.float64)
    total = torch.from_numpy(adjacency()).double() + layer.learned
    mixing = (total + total.T) / 2
    first, second = layer.weight.chunk(2)
    expected = torch.zeros(2, 17, 3, dtype=torch.float64) + layer.bias
    for i in range(17):
        for j in range(17):
            weight = first if i == j else second
            expected[:, i] += mixing[i, j] * layer.modulation[j] * (x[:, j] @ weight.T)
    torch.testing.assert_close(layer(x), expected)


def test_learned_adjacency_moves_features_between_unconnected_joints() -> None:
    layer = ModulatedGraphConv(4, 4)
    wrist, ankle = H36M17.indices("left_wrist", "right_ankle")
    with torch.no_grad():
        layer.learned.zero_()
        x, y = torch.randn(1, 17, 4), torch.zeros(1, 17, 4)
        y[:, ankle] = 1.0
        assert torch.equal(layer(x)[:, wrist], layer(x + y)[:, wrist])
        layer.learned[ankle, wrist] = 1.0  # one direction is enough: only the symmetric part counts
        assert not torch.isclose(layer(x)[:, wrist], layer(x + y)[:, wrist]).any()


def branch(joints: int) -> LimbBranch:
    torch.manual_seed(1)
    layer = LimbBranch(joints, 8, 16, 0.0).eval()
    with torch.no_grad():
        layer.mlp[-2].weight.normal_()
    return layer


@pytest.mark.parametrize("joints", [3, 2])
@pytest.mark.parametrize("limb", LIMBS, ids=lambda limb: limb[-1])
def test_tokens_overwrite_the_ends_of_their_own_limb(joints: int, limb: list[str]) -> None:
    layer, x = branch(joints), torch.randn(1, 17, 8)
    read, own = H36M17.indices(*limb[-joints:]), H36M17.indices(*limb[1 - joints :])
    with torch.inference_mode():
        out, kept = layer(x), layer.norm(x)
    assert all(torch.equal(out[:, own[0]], out[:, joint]) for joint in own)
    for joint in own:
        assert not torch.isclose(out[:, joint], kept[:, joint]).all()  # nothing of its own is left
    for joint in read:
        changed = x.clone()
        changed[:, joint] = torch.randn(1, 8)
        with torch.inference_mode():
            moved = (layer(changed) != out).any(dim=-1)[0]
        # what reads a limb writes to the same limb, and to its ends only
        assert set(np.flatnonzero(moved)) == {*own, *([joint] if joint not in own else [])}


@pytest.mark.parametrize("joints", [3, 2])
def test_joints_that_are_no_limb_ends_pass_normalised(joints: int) -> None:
    layer, x = branch(joints), torch.randn(2, 17, 8)
    ends = {int(joint) for limb in LIMBS for joint in H36M17.indices(*limb[1 - joints :])}
    others = [joint for joint in range(17) if joint not in ends]
    assert len(ends) == 4 * (joints - 1)
    with torch.inference_mode():
        assert torch.equal(layer(x)[:, others], layer.norm(x)[:, others])


def test_limb_token_is_a_convolution_along_the_limb() -> None:
    layer, x = branch(3), torch.randn(2, 17, 8)
    limb = LIMBS[2]
    kernel = layer.convolve.weight.unflatten(1, (3, 8)).permute(0, 2, 1)  # (out, in, joints)
    with torch.inference_mode():
        along = layer.norm(x)[:, H36M17.indices(*limb)].transpose(1, 2)
        token = torch.nn.functional.conv1d(along, kernel, layer.convolve.bias, stride=3)[..., 0]
        token = torch.nn.functional.gelu(token)
        token = token + layer.mlp(layer.token_norm(token))
        torch.testing.assert_close(layer(x)[:, H36M17.index(limb[-1])], token)


def test_levels_are_chained_joints_to_limbs_to_body() -> None:
    """The body's third does not reach the joints' third within a block's levels, but the other way round."""
    block, x = small().blocks[0], torch.randn(1, 17, 48)
    seen: dict[str, torch.Tensor] = {}
    for name in ("joints", "limbs", "body"):
        getattr(block, name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    with torch.inference_mode():
        block(x, None)
        before = dict(seen)
        for third, moves in ((0, {"joints", "limbs", "body"}), (1, {"limbs", "body"}), (2, {"body"})):
            changed = x.clone()
            changed[..., third * 16 : third * 16 + 16] += 1 + torch.randn(16)
            block(changed, None)
            assert {name for name in seen if not torch.equal(seen[name], before[name])} == moves


def test_stochastic_depth_grows_with_depth_and_keeps_the_mean() -> None:
    blocks = HTNet(HTNetConfig()).blocks
    assert [block.drop_path.share for block in blocks] == pytest.approx([0.1, 0.2, 0.3])
    drop = blocks[2].drop_path.train()
    torch.manual_seed(0)
    out = drop(torch.ones(20_000, 2, 3))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert (out == out[:, :1, :1]).all()  # a sample is dropped as a whole
    assert out.mean() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(drop.eval()(out), out)


def test_masked_form_attends_to_visible_joints_only() -> None:
    """Whatever a hidden joint's token holds, the others do not get it from the attention."""
    body = small(masked=True).blocks[0].body
    x, hidden = torch.randn(1, 17, 16), H36M17.index("left_wrist")
    bias = torch.zeros(1, 1, 1, 17)
    bias[..., hidden] = -1e9
    changed = x.clone()
    changed[:, hidden] *= -1
    others = [joint for joint in range(17) if joint != hidden]
    with torch.inference_mode():
        assert torch.equal(body(x, bias)[:, others], body(changed, bias)[:, others])
        assert not torch.isclose(body(x, None)[:, others], body(changed, None)[:, others]).all()


def test_masked_form_knows_what_is_missing_where_the_paper_form_does_not() -> None:
    kpts, visible = torch.zeros(1, 1, 17, 2), torch.ones(1, 1, 17)
    fewer = visible.clone()
    fewer[..., H36M17.index("left_wrist")] = 0
    for masked in (False, True):
        model = small(masked=masked)
        with torch.inference_mode():
            same = torch.equal(model(kpts, visible)["joints_root_m"], model(kpts, fewer)["joints_root_m"])
        assert same != masked


@pytest.mark.parametrize("masked", [False, True])
def test_export_gives_the_same_answers(masked: bool, tmp_path: Path) -> None:
    model = small(masked=masked, flip_average=masked)
    info = export_onnx(model, describe("htnet", "htnet", model, {}), tmp_path / "htnet.onnx")
    differences = info.training["export"]["max_difference_to_training_form"]
    assert set(differences) == set(model.outputs)
    assert max(differences.values()) <= TOLERANCES_M["fp32"]


def test_half_precision_training_step_is_finite_and_learns() -> None:
    model = small(masked=True).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, amsgrad=True)
    kpts, visible = probes(1)
    target = 0.3 * torch.randn(17, 3).expand(32, 17, 3)
    losses = []
    for _ in range(30):
        with torch.autocast("cpu", torch.bfloat16):
            joints_m = model.answer(kpts, visible)["joints_root_m"]
        assert joints_m.dtype == torch.float32
        losses.append((joints_m - target).norm(dim=-1).mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert torch.isfinite(torch.stack(losses)).all()
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("masked", [False, True])
def test_half_precision_does_not_round_the_answer(masked: bool) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        joints_m = small(masked=masked).answer(*probes(1))["joints_root_m"]
    assert not torch.equal(joints_m, joints_m.bfloat16().float()), "to 4 mm at half a metre"
