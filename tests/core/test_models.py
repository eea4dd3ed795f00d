"""Every windowed network in both forms: no influence of masked values, mirrored people, fast forms as the slow ones."""

from __future__ import annotations

import copy
import dataclasses
import functools
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from occpose_core.checkpoint import SCREEN, ModelFileError, load_checkpoint, save_checkpoint  # noqa: E402
from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.export import TOLERANCES_M, export_onnx, probes  # noqa: E402
from occpose_core.models import MODELS, build, describe, with_filling  # noqa: E402
from occpose_core.models.pose_model import PoseModel, mirrored  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.tolerances import ENGINE, FLOAT32  # noqa: E402

# Sizes that keep the tests quick; families that are not here are small enough as published.
SMALL: dict[str, dict[str, object]] = {
    "lcn": {"channels": 8},
    "filling-lcn": {"lifter": {"channels": 8}},
    "posegraphnet": {"channels": 16},
    "strided-posegraph": {"channels": 8, "blocks": 1, "embedding": 8, "hidden": 32, "window": 27},
    "htnet": {"channels": 48, "hidden": 32, "blocks": 2},
    "elepose": {"hidden": 32},
    "filling-elepose": {"lifter": {"hidden": 32}},
}

# Families that answer windows, in both forms; the streaming network has tests of its own (test_stream.py).
FAMILIES = [family for family in MODELS if family != "stream"]


def config_of(family: str, masked: bool) -> dict[str, object]:
    config = dict(SMALL.get(family, {}))
    if isinstance(config.get("lifter"), dict):
        config["lifter"] = {**config["lifter"], "masked": masked}
    return {**config, "masked": masked}


MODELS_AND_FORMS = [
    pytest.param(family, masked, id=f"{family}-{'masked' if masked else 'paper'}")
    for family in FAMILIES
    for masked in (False, True)
]
every_model = pytest.mark.parametrize(("family", "masked"), MODELS_AND_FORMS)


@functools.cache
def trained(family: str, masked: bool, flip_average: bool = False) -> PoseModel:
    """A small model whose batch norms have seen data; tests that change it copy it first."""
    torch.manual_seed(0)
    model = build(family, {**config_of(family, masked), "flip_average": flip_average}).train()
    with torch.no_grad():
        for seed in range(3):
            model(*probes(model.window, seed=seed))
    model.eval()
    return model


@every_model
@pytest.mark.parametrize("garbage", [0.0, 1e4, -3.0])
def test_masked_values_have_no_influence(family: str, masked: bool, garbage: float) -> None:
    model = trained(family, masked)
    kpts, visible = probes(model.window)
    changed = torch.where(visible[..., None] > 0, kpts, torch.full_like(kpts, garbage))
    with torch.inference_mode():
        expected, answer = model(kpts, visible), model(changed, visible)
    for name in model.outputs:
        torch.testing.assert_close(answer[name], expected[name], rtol=0, atol=0)


@every_model
def test_people_do_not_influence_each_other(family: str, masked: bool) -> None:
    model = trained(family, masked)
    kpts, visible = probes(model.window)
    with torch.inference_mode():
        together, alone = model(kpts, visible), model(kpts[3:4], visible[3:4])
    for name in model.outputs:
        torch.testing.assert_close(together[name][3:4], alone[name], rtol=0, atol=FLOAT32)


@every_model
def test_with_flip_averaging_a_mirrored_person_gets_the_mirrored_answer(family: str, masked: bool) -> None:
    model = trained(family, masked, flip_average=True)
    kpts, visible = probes(model.window)
    with torch.inference_mode():
        expected = model(kpts, visible)
        answer = model(mirrored(kpts), visible[..., H36M17.mirror])
    for name in model.outputs:
        back = answer[name][..., H36M17.mirror] if name == "sigma_m" else mirrored(answer[name])
        torch.testing.assert_close(back, expected[name], rtol=0, atol=FLOAT32)


@pytest.mark.parametrize("family", FAMILIES)
def test_flip_averaging_is_off_unless_asked_for(family: str) -> None:
    assert not build(family, config_of(family, masked=False)).config.flip_average


@every_model
def test_nothing_visible_still_gives_finite_answers(family: str, masked: bool) -> None:
    model = trained(family, masked)
    with torch.inference_mode():
        answer = model(torch.full((2, model.window, 17, 2), 1e6), torch.zeros(2, model.window, 17))
    assert all(torch.isfinite(value).all() for value in answer.values())


@every_model
def test_folded_form_equals_training_form(family: str, masked: bool) -> None:
    model = trained(family, masked)
    folded = copy.deepcopy(model)
    folded.fold()
    kpts, visible = probes(model.window)
    with torch.inference_mode():
        expected, answer = model(kpts, visible), folded(kpts, visible)
    for name in model.outputs:
        torch.testing.assert_close(answer[name], expected[name], rtol=ENGINE, atol=ENGINE)


@every_model
def test_pelvis_is_the_origin_and_a_sigma_positive(family: str, masked: bool) -> None:
    model = trained(family, masked)
    with torch.inference_mode():
        answer = model(*probes(model.window))
    assert set(answer) == set(model.outputs)
    if "joints_root_m" in answer:
        assert torch.equal(answer["joints_root_m"][:, 0], torch.zeros(32, 3))
    if "sigma_m" in answer:
        assert (answer["sigma_m"] > 0).all()


@pytest.mark.parametrize("family", ["posegraphnet", "strided-posegraph"])
def test_a_fresh_network_is_neither_sure_nor_lost(family: str) -> None:
    """Their first answers are metres off: a sigma of millimetres would leave no gradient for anything else."""
    torch.manual_seed(0)
    model = build(family, {"masked": True, **({"window": 27} if "strided" in family else {})}).train()
    with torch.no_grad():
        sigma_m = model(*probes(model.window, batch=4))["sigma_m"]
    assert sigma_m.min() > 0.05 and sigma_m.max() < 0.5


# Families with parts that only their losses see; their own tests look at those.
_ALL_IN_THE_ANSWER = [family for family in FAMILIES if "elepose" not in family and "strided" not in family]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("family", _ALL_IN_THE_ANSWER)
def test_every_parameter_learns(family: str, masked: bool) -> None:
    model = copy.deepcopy(trained(family, masked)).train()
    answer = model.answer(*probes(model.window))
    sum(value.square().sum() for value in answer.values()).backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


@every_model
@pytest.mark.parametrize("half_weights", [False, True])
def test_checkpoint_round_trip(family: str, masked: bool, half_weights: bool, tmp_path: Path) -> None:
    model = trained(family, masked)
    info = describe("mine", family, model, {"steps": 3}, rate_hz=30.0)
    save_checkpoint(tmp_path / "mine.safetensors", model, info, half_weights)
    loaded, read = load_checkpoint(tmp_path / "mine.safetensors")
    assert read == info
    kpts, visible = probes(model.window)
    tolerance = 3e-2 if half_weights else 0.0
    with torch.inference_mode():
        expected, answer = model(kpts, visible), loaded(kpts, visible)
    for name in model.outputs:
        torch.testing.assert_close(answer[name], expected[name], rtol=tolerance, atol=tolerance)


def test_half_weights_leave_small_variances_alone(tmp_path: Path) -> None:
    model = build("posegraphnet", {})
    variance = model.trunk.head.norm.running_var
    variance.fill_(3e-8)  # less than half precision has
    info = describe("mine", "posegraphnet", model, {})
    save_checkpoint(tmp_path / "mine.safetensors", model, info, half_weights=True)
    loaded, _ = load_checkpoint(tmp_path / "mine.safetensors")
    assert torch.equal(loaded.trunk.head.norm.running_var, variance)
    assert (tmp_path / "mine.safetensors").stat().st_size < 0.6 * 4 * info.parameters


@pytest.mark.parametrize("family", ["filling", "filling-lcn"])
def test_visible_joints_pass_through_bit_for_bit(family: str) -> None:
    kpts, visible = probes(1)
    with torch.inference_mode():
        filled = trained(family, masked=True)(kpts, visible)["filled"]
    seen = visible[:, -1] > 0
    assert torch.equal(filled[seen], kpts[:, -1][seen])
    assert not torch.isclose(filled[~seen], kpts[:, -1][~seen]).all(dim=-1).any()


def test_fill_then_lift_equals_its_parts_one_after_the_other() -> None:
    model = trained("filling-lcn", masked=True)
    kpts, visible = probes(1)
    with torch.inference_mode():
        filled = model.filling.answer(kpts, visible)["filled"]
        lifted = model.lifter.lift(filled, visible[:, -1, :, None])
        answer = model.answer(kpts, visible)
    assert torch.equal(answer["filled"], filled)
    assert torch.equal(answer["joints_root_m"], lifted["joints_root_m"])


@pytest.mark.parametrize("family", ["lcn", "elepose"])
def test_a_lifter_with_its_filling_network_is_described_as_one_model(family: str) -> None:
    filling, lifter = trained("filling", False), trained(family, True)
    of_lifter = describe("mine", family, lifter, {"steps": 3}, normalisation=SCREEN)
    model, info = with_filling(filling, lifter, of_lifter)
    assert (info.name, info.training, info.normalisation) == ("filling-mine", {"steps": 3}, SCREEN)
    again = build(info.family, info.config).eval()
    again.load_state_dict(model.state_dict())
    kpts, visible = probes(1)
    with torch.inference_mode():
        answer, expected = again(kpts, visible), model(kpts, visible)
    assert set(answer) >= set(info.outputs)
    assert all(torch.equal(answer[name], expected[name]) for name in info.outputs)


def test_the_filling_network_has_the_released_number_of_parameters() -> None:
    assert sum(each.numel() for each in build("filling", {}).parameters()) == 191_330


@pytest.mark.parametrize("family", FAMILIES)
def test_exported_with_half_weights_it_answers_as_its_deployed_form(family: str, tmp_path: Path) -> None:
    model = trained(family, masked=True)
    info = export_onnx(model, describe("mine", family, model, {}, rate_hz=30.0), tmp_path / "mine.onnx", True)
    assert max(info.training["export"]["max_difference"].values()) <= TOLERANCES_M["fp32"]


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
    model = trained("lcn", masked=True)
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
    path, model = tmp_path / "lcn.safetensors", trained("lcn", masked=True)
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
