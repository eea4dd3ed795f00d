"""The phases of StridedPoseGraphFormer, for real but short: what is frozen stays, each goes on from the one before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from torch import Tensor

from occpose_core.checkpoint import load_checkpoint
from occpose_core.errors import OccposeError
from occpose_core.models import build
from tests.tolerances import FLOAT32
from tests.training.short_fit import CONFIGS, short_fit
from training.cli import main
from training.data.batch import Batch
from training.data.mocap import read_clips
from training.data.windows import WindowConfig, Windows
from training.recipes.posegraph import PoseGraphRecipe
from training.recipes.recipe import Recipe
from training.recipes.refine import Refine, RefineRecipe, back_projected, camera_of
from training.recipes.spatiotemporal import SpatialPretrainRecipe, SpatioTemporalRecipe

SYSTEM = "strided-posegraph"
SMALL = {"window": 27, "channels": 8, "blocks": 1, "hidden": 32}
SPATIAL = {"channels": 8, "blocks": 1, "embedding": 16, "column_start": True}


def run(phase: str, data_file: Path, folder: Path, *more: str, sizes: dict[str, object] = SMALL) -> int:
    config = (f"--model.init_args.config.{name}={value}" for name, value in sizes.items())
    return main(short_fit(phase, data_file, folder, *config, *more))


def weights(folder: Path, name: str) -> Path:
    return folder / name / f"{name}.safetensors"


@pytest.fixture(scope="module")
def phases(data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four phases of the causal, masked form, each from the file of the one before."""
    folder = tmp_path_factory.mktemp("runs")
    masked = "--model.init_args.config.masked=true"
    window = ("--data.window.frames=27", "--data.window.look_ahead=0", "--model.init_args.config.causal=true")
    assert run(f"{SYSTEM}/pretrain", data_file, folder, masked, sizes=SPATIAL) == 0
    before = "strided-posegraph-pretrain"
    for phase in ("transfer", "finetune", "refine"):
        init = f"--model.init_args.init={weights(folder, before)}"
        assert run(f"{SYSTEM}/{phase}", data_file, folder, masked, *window, init) == 0
        before = "strided-posegraph" if phase == "finetune" else f"strided-posegraph-{phase}"
    return folder


def spatial_state(path: Path) -> dict[str, Tensor]:
    model, _ = load_checkpoint(path)
    return dict((model.trunk if "pretrain" in path.stem else model.spatial).state_dict())


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    assert set(one) == set(other)
    return [name for name in one if not torch.equal(one[name], other[name])]


def test_transfer_keeps_the_spatial_part_bit_for_bit(phases: Path) -> None:
    """As published, its batch norms go on gathering statistics."""
    pretrained = spatial_state(weights(phases, "strided-posegraph-pretrain"))
    assert not differing(pretrained, spatial_state(weights(phases, "strided-posegraph-transfer")))


def test_finetuning_trains_all_of_it_from_the_transferred(phases: Path) -> None:
    transferred = spatial_state(weights(phases, "strided-posegraph-transfer"))
    assert len(differing(transferred, spatial_state(weights(phases, "strided-posegraph")))) == len(transferred)


def test_the_refine_phase_says_that_it_used_an_oracle_and_keeps_it_apart(phases: Path) -> None:
    model, info = load_checkpoint(weights(phases, "strided-posegraph-refine"))
    assert "true depth of the root" in info.training["oracle"]
    assert [name for name in info.training["figures"] if "refined" in name] == ["val_oracle_refined_mpjpe_mm"]
    assert not any("refine" in name for name in model.state_dict())
    with safe_open(phases / "strided-posegraph-refine" / "strided-posegraph-refine-oracle.safetensors", "pt") as file:
        assert sum(file.get_tensor(name).numel() for name in file.keys()) == 140_322  # noqa: SIM118
        assert "true depth" in file.metadata()["oracle"]
    _, info = load_checkpoint(weights(phases, "strided-posegraph"))
    assert "oracle" not in info.training


def test_the_models_say_what_window_they_are_for(phases: Path) -> None:
    _, info = load_checkpoint(weights(phases, "strided-posegraph"))
    assert (info.family, info.form, info.window, info.rate_hz, info.look_ahead_s) == (SYSTEM, "masked", 27, 30.0, 0.0)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        pytest.param({**SMALL, "masked": True}, "", id="fits"),
        pytest.param(SMALL, "masked", id="other form"),
        pytest.param({**SMALL, "masked": True, "channels": 16}, "channels", id="other size"),
        pytest.param({**SMALL, "masked": True, "embedding": 8}, "embedding", id="other embedding"),
    ],
)
def test_a_spatial_part_that_does_not_fit_is_refused(phases: Path, config: dict[str, object], says: str) -> None:
    init = weights(phases, "strided-posegraph-pretrain")
    if not says:
        recipe = SpatioTemporalRecipe(config, init=init)
        assert not differing(spatial_state(init), dict(recipe.model.spatial.state_dict()))
        return
    with pytest.raises(OccposeError, match=f"{says}.*whose weights do not fit.*give both phases the same sizes"):
        SpatioTemporalRecipe(config, init=init)


def batch_of(data_file: Path, look_ahead: int = 13, size: int = 16) -> Batch:
    config = WindowConfig(frames=27, look_ahead=look_ahead, tilted=0.0)
    return next(iter(Windows(read_clips([data_file], "train"), {}, config, size, seed=0)))


def test_a_frozen_part_learns_nothing_and_drops_nothing() -> None:
    recipe = SpatioTemporalRecipe(SMALL, frozen=True)
    for mode in (True, False, True):  # as a trainer does around each validation
        recipe.train(mode)
        assert not any(module.training for module in recipe.model.spatial.modules())
        assert all(module.training == mode for module in recipe.model.full.modules())
    assert not any(parameter.requires_grad for parameter in recipe.model.spatial.parameters())
    kpts, visible = torch.randn(2, 27, 17, 2), torch.ones(2, 27, 17)
    assert torch.equal(recipe.model.tokens(kpts, visible), recipe.model.tokens(kpts, visible))


def optimizer_of(recipe: Recipe) -> torch.optim.Optimizer:
    made = recipe.configure_optimizers()
    return made["optimizer"] if isinstance(made, dict) else made[0][0]


@pytest.mark.parametrize(
    ("make", "steps", "to"),
    [
        pytest.param(lambda: SpatialPretrainRecipe(SPATIAL, learning_rate=3e-3), 60, 0.3, id="pretrain"),
        pytest.param(lambda: PoseGraphRecipe({"channels": 16, "dropout": 0.0}, 3e-3), 60, 0.6, id="posegraphnet"),
        pytest.param(lambda: SpatioTemporalRecipe(SMALL, frozen=True), 25, 0.6, id="transfer"),
        pytest.param(lambda: SpatioTemporalRecipe({**SMALL, "masked": True}), 25, 0.6, id="finetune"),
        pytest.param(lambda: RefineRecipe(SMALL), 25, 0.7, id="refine"),
    ],
)
def test_every_phase_learns_a_batch(make: Callable[[], Recipe], steps: int, to: float, data_file: Path) -> None:
    torch.manual_seed(0)
    recipe, batch = make(), batch_of(data_file)
    recipe.log = lambda *_, **__: None
    optimizer, losses = optimizer_of(recipe), []
    for index in range(steps):
        loss = recipe.training_step(batch, index)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < to * losses[0]


def test_sigma_follows_the_network_through_the_refine_phase(data_file: Path) -> None:
    recipe = RefineRecipe({**SMALL, "masked": True})
    recipe.log = lambda *_, **__: None
    recipe.training_step(batch_of(data_file), 0).backward()
    assert (recipe.model.head.out.weight.grad[3::4] != 0).any()


@pytest.mark.parametrize("look_ahead", [0, 13])
def test_the_loss_is_that_of_the_answered_frame_and_that_of_all_frames(look_ahead: int, data_file: Path) -> None:
    torch.manual_seed(0)
    recipe = SpatioTemporalRecipe({**SMALL, "causal": look_ahead == 0})
    recipe.log = lambda *_, **__: None
    recipe.eval()
    batch = batch_of(data_file, look_ahead)
    answer, sequence = recipe.model.lift_both(recipe.model.tokens(batch["kpts"], batch["visible"]))
    truth = batch["joints_root_m"]
    answered = (answer["joints_root_m"] - truth[:, 26 - look_ahead]).norm(dim=-1).mean()
    all_frames = (sequence["joints_root_m"] - truth).norm(dim=-1).mean()
    torch.testing.assert_close(recipe.training_step(batch, 0), answered + all_frames)


def test_the_rate_falls_a_little_each_epoch_and_by_half_at_every_fifth() -> None:
    recipe = SpatioTemporalRecipe(SMALL)
    factors = [recipe.learning_rate_factor(epoch) for epoch in range(11)]
    steps = [after / before for before, after in zip(factors, factors[1:], strict=False)]
    assert steps == pytest.approx([0.95] * 4 + [0.5] + [0.95] * 4 + [0.5])


def test_the_parts_may_have_rates_of_their_own_and_nothing_unused_is_optimised() -> None:
    groups = optimizer_of(SpatioTemporalRecipe(SMALL, learning_rate=1e-3, spatial_learning_rate=1e-4)).param_groups
    assert [group["initial_lr"] for group in groups] == [1e-3, 1e-4]
    assert all(group["amsgrad"] for group in groups)
    optimised = sum(each.numel() for group in groups for each in group["params"])
    model = build(SYSTEM, SMALL)
    assert optimised == sum(each.numel() for each in model.parameters() if each.requires_grad)


def test_weight_decay_does_not_take_the_skeleton_apart() -> None:
    recipe = PoseGraphRecipe({"channels": 4})
    groups = optimizer_of(recipe).param_groups
    decay = {id(each): group["weight_decay"] for group in groups for each in group["params"]}
    assert len(decay) == len(list(recipe.parameters()))
    assert decay.pop(id(recipe.model.trunk.edges.edges)) == 0
    assert set(decay.values()) == {1e-5}


def test_the_rate_of_the_single_frame_lifter_falls_when_the_loss_stands_still() -> None:
    schedule = PoseGraphRecipe({"channels": 4}, patience=10).configure_optimizers()["lr_scheduler"]
    assert schedule["monitor"] == "train_loss_mean"
    rates = []
    for _ in range(25):
        schedule["scheduler"].step(1.0)
        rates.append(schedule["scheduler"].get_last_lr()[0])
    assert rates[9:12] == pytest.approx([1e-4, 1e-4, 1e-5])
    assert rates[-1] == pytest.approx(1e-6)


def test_the_single_frame_lifter_trains_by_its_file(data_file: Path, tmp_path: Path) -> None:
    assert run("posegraphnet/train", data_file, tmp_path, sizes={"channels": 8}) == 0
    _, info = load_checkpoint(weights(tmp_path, "posegraphnet"))
    assert (info.family, info.form, info.training["steps"]) == ("posegraphnet", "paper", 2)


@pytest.mark.parametrize(
    ("phase", "rate", "batch", "epochs", "hidden"),
    [
        pytest.param("posegraphnet/train", 1e-4, 256, 70, None, id="posegraphnet"),
        pytest.param(f"{SYSTEM}/pretrain", 1e-4, 256, 20, None, id="pretrain"),
        pytest.param(f"{SYSTEM}/transfer", 1e-3, 256, 50, {"joints": 1, "length": 6}, id="transfer"),
        pytest.param(f"{SYSTEM}/finetune", 1e-3, 256, 50, {"joints": 1, "length": 6}, id="finetune"),
        pytest.param(f"{SYSTEM}/refine", 1e-3, 256, 50, {"joints": 1, "length": 6}, id="refine"),
    ],
)
def test_the_files_have_the_published_values(phase: str, rate: float, batch: int, epochs: int, hidden: object) -> None:
    values = yaml.safe_load((CONFIGS / f"{phase}.yaml").read_text())
    assert float(values["model"]["init_args"]["learning_rate"]) == rate
    assert values["data"]["batch_size"] == batch
    assert values["trainer"]["max_epochs"] == epochs
    assert values["data"]["window"].get("occlusion") == hidden


@pytest.mark.parametrize("mirrored", [0.0, 1.0])
def test_the_oracle_finds_the_camera_and_back_projects_onto_the_truth(mirrored: float, data_file: Path) -> None:
    config = WindowConfig(frames=1, tilted=0.0, mirrored=mirrored)
    batch = next(iter(Windows(read_clips([data_file], "train"), {}, config, 32, seed=0)))
    root_m, truth = batch["root_m"][:, 0], batch["joints_root_m"][:, 0]
    kpts = batch["true_kpts"][:, 0]
    camera = camera_of(kpts, truth + root_m[:, None])
    assert camera[:, 2:].abs().max() < 1e-3  # a person view looks straight at the person
    seen = torch.ones(truth.shape[:2], dtype=torch.bool)
    predicted = torch.cat([torch.zeros_like(truth[..., :2]), truth[..., 2:]], dim=-1)
    torch.testing.assert_close(
        back_projected(predicted, kpts, seen, camera, root_m[:, 2]), truth, rtol=0, atol=100 * FLOAT32
    )


def test_what_is_not_seen_is_not_back_projected() -> None:
    joints_m, kpts = torch.randn(2, 17, 3), torch.full((2, 17, 2), 1e6)
    camera, seen = torch.tensor([[1.0, 1.0, 0.0, 0.0]] * 2), torch.ones(2, 17, dtype=torch.bool)
    seen[0, 5] = False
    seen[1, 0] = False  # the pelvis, which all others are relative to
    projected = back_projected(joints_m, kpts, seen, camera, torch.full((2,), 4.0))
    assert torch.equal(projected[0, 5], joints_m[0, 5])
    assert torch.equal(projected[1], joints_m[1])
    assert not torch.equal(projected[0, 6], joints_m[0, 6])


def test_the_refined_answer_lies_between_both_and_keeps_the_depth() -> None:
    torch.manual_seed(0)
    refine, joints_m, projected_m = Refine().eval(), torch.randn(4, 17, 3), torch.randn(4, 17, 3)
    refined = refine(joints_m, projected_m)
    low, high = torch.minimum(joints_m, projected_m), torch.maximum(joints_m, projected_m)
    assert ((refined >= low) & (refined <= high))[..., :2].all()
    assert torch.equal(refined[..., 2], joints_m[..., 2])
