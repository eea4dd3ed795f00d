"""The networks: sizes as published, masked values without influence, fast forms equal to slow ones."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from occpose_core.checkpoint import ModelFileError, load_checkpoint, save_checkpoint  # noqa: E402
from occpose_core.commands.models import PUBLISHED_PARAMETERS  # noqa: E402
from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.export import probes  # noqa: E402
from occpose_core.models import MODELS, build, describe  # noqa: E402
from occpose_core.models.lcn import LCN, LCNConfig, structure_matrix  # noqa: E402
from occpose_core.models.pose_model import mirrored  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.tolerances import ENGINE, FLOAT32  # noqa: E402

SMALL = {"filling": {}, "lcn": {"channels": 8}, "filling-lcn": {"lifter": {"channels": 8}}}
FAMILIES = list(MODELS)


def trained(family: str) -> torch.nn.Module:
    """A small model whose batch norms have seen data."""
    torch.manual_seed(0)
    model = build(family, SMALL[family]).train()
    for seed in range(3):
        model(*probes(1, seed=seed))
    return model.eval()


def test_every_family_is_tested() -> None:
    assert set(SMALL) == set(MODELS)


@pytest.mark.parametrize(
    ("family", "config"),
    [
        pytest.param("filling", {}, id="filling as released"),
        pytest.param("lcn", {"inputs": 2, "outputs": 3}, id="LCN as published"),
        pytest.param("filling-lcn", {"lifter": {"inputs": 2, "outputs": 3}}, id="one after the other"),
    ],
)
def test_parameter_counts_are_the_papers(family: str, config: dict[str, int]) -> None:
    assert sum(each.numel() for each in build(family, config).parameters()) == PUBLISHED_PARAMETERS[family]


def test_lcn_structure_has_the_papers_175_pairs() -> None:
    structure = structure_matrix(3)
    assert structure.sum() == 175
    assert (structure == structure.T).all()


def test_lcn_joints_beyond_the_hops_have_no_influence_on_one_layer() -> None:
    layer = LCN(LCNConfig(channels=8)).head.mix
    x = torch.randn(1, 17 * 3, requires_grad=True)
    layer(x).view(17, 8)[3].sum().backward()
    reached = x.grad.view(17, 3).abs().sum(dim=-1) > 0
    assert (reached.numpy() == structure_matrix(3)[3]).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("garbage", [0.0, 1e4, -3.0])
def test_masked_values_have_no_influence(family: str, garbage: float) -> None:
    model = trained(family)
    kpts, visible = probes(1)
    changed = torch.where(visible[..., None] > 0, kpts, torch.full_like(kpts, garbage))
    with torch.inference_mode():
        expected, answer = model(kpts, visible), model(changed, visible)
    for name in MODELS[family].outputs:
        torch.testing.assert_close(answer[name], expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_people_do_not_influence_each_other(family: str) -> None:
    model = trained(family)
    kpts, visible = probes(1)
    with torch.inference_mode():
        together, alone = model(kpts, visible), model(kpts[3:4], visible[3:4])
    for name in MODELS[family].outputs:
        torch.testing.assert_close(together[name][3:4], alone[name], rtol=0, atol=FLOAT32)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mirrored_person_gets_the_mirrored_answer(family: str) -> None:
    model = trained(family)
    kpts, visible = probes(1)
    with torch.inference_mode():
        expected = model(kpts, visible)
        answer = model(mirrored(kpts), visible[..., H36M17.mirror])
    for name in MODELS[family].outputs:
        back = answer[name][..., H36M17.mirror] if name == "sigma_m" else mirrored(answer[name])
        torch.testing.assert_close(back, expected[name], rtol=0, atol=FLOAT32)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_visible_still_gives_finite_answers(family: str) -> None:
    kpts = torch.full((2, 1, 17, 2), 1e6)
    with torch.inference_mode():
        answer = trained(family)(kpts, torch.zeros(2, 1, 17))
    assert all(torch.isfinite(value).all() for value in answer.values())


@pytest.mark.parametrize("family", ["filling", "filling-lcn"])
def test_visible_joints_pass_through_bit_for_bit(family: str) -> None:
    kpts, visible = probes(1)
    with torch.inference_mode():
        filled = trained(family)(kpts, visible)["filled"]
    seen = visible[:, -1] > 0
    assert torch.equal(filled[seen], kpts[:, -1][seen])
    assert not torch.isclose(filled[~seen], kpts[:, -1][~seen]).all(dim=-1).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_folded_form_equals_training_form(family: str) -> None:
    model = trained(family)
    folded = copy.deepcopy(model)
    folded.fold()
    kpts, visible = probes(1)
    with torch.inference_mode():
        expected, answer = model(kpts, visible), folded(kpts, visible)
    for name in MODELS[family].outputs:
        torch.testing.assert_close(answer[name], expected[name], rtol=ENGINE, atol=ENGINE)


def test_fill_then_lift_equals_its_parts_one_after_the_other() -> None:
    model = trained("filling-lcn")
    kpts, visible = probes(1)
    with torch.inference_mode():
        filled = model.filling.answer(kpts, visible)["filled"]
        lifted = model.lifter.lift(filled, visible[:, -1, :, None])
        answer = model.answer(kpts, visible)
    assert torch.equal(answer["filled"], filled)
    assert torch.equal(answer["joints_root_m"], lifted["joints_root_m"])


@pytest.mark.parametrize("family", ["lcn", "filling-lcn"])
def test_pelvis_is_the_origin_and_sigma_is_positive(family: str) -> None:
    with torch.inference_mode():
        answer = trained(family)(*probes(1))
    assert torch.equal(answer["joints_root_m"][:, 0], torch.zeros(32, 3))
    assert (answer["sigma_m"] > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("half_weights", [False, True])
def test_checkpoint_round_trip(family: str, half_weights: bool, tmp_path: Path) -> None:
    model = trained(family)
    info = describe("mine", family, model, {"steps": 3})
    save_checkpoint(tmp_path / "mine.safetensors", model, info, half_weights)
    loaded, read = load_checkpoint(tmp_path / "mine.safetensors")
    assert read == info
    kpts, visible = probes(1)
    tolerance = 3e-2 if half_weights else 0.0
    with torch.inference_mode():
        expected, answer = model(kpts, visible), loaded(kpts, visible)
    for name in MODELS[family].outputs:
        torch.testing.assert_close(answer[name], expected[name], rtol=tolerance, atol=tolerance)


def corrupt_text(path: Path) -> None:
    path.write_text("not a model")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def no_metadata(path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(Path.unlink, "no model file", id="missing"),
        pytest.param(corrupt_text, "not a readable safetensors", id="text"),
        pytest.param(truncate, "not a readable safetensors", id="truncated"),
        pytest.param(no_metadata, "not exported by occpose", id="foreign"),
    ],
)
def test_damaged_checkpoints_are_refused(damage: object, says: str, tmp_path: Path) -> None:
    path = tmp_path / "lcn.safetensors"
    model = trained("lcn")
    save_checkpoint(path, model, describe("lcn", "lcn", model, {}))
    damage(path)
    with pytest.raises(ModelFileError, match=says):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"channels": 16}, id="other sizes than the weights"),
        pytest.param({"channels": "many"}, id="no size"),
        pytest.param({"channels": None}, id="nothing"),
        pytest.param({"chanels": 8}, id="unknown key"),
        pytest.param([8], id="no names"),
    ],
)
def test_checkpoints_that_contradict_themselves_get_one_sentence(config: object, tmp_path: Path) -> None:
    path, model = tmp_path / "lcn.safetensors", trained("lcn")
    save_checkpoint(path, model, dataclasses.replace(describe("lcn", "lcn", model, {}), config=config))
    with pytest.raises(ModelFileError, match="fit no lcn .*; train it again") as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "config", "says"),
    [
        pytest.param("nope", {}, "known: filling", id="family"),
        pytest.param("lcn", {"chanels": 3}, "chanels", id="key"),
        pytest.param("filling-lcn", {"lifter": {"x": 1}}, "LCNConfig has no", id="nested key"),
    ],
)
def test_unknown_models_and_keys_are_refused(family: str, config: dict[str, object], says: str) -> None:
    with pytest.raises(OccposeError, match=says):
        build(family, config)
