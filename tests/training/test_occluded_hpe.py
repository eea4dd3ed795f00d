"""System A's phases: one step of each for real, what each of them sees, and what it must not see."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from occpose_core import metrics
from occpose_core.checkpoint import load_checkpoint, save_checkpoint
from occpose_core.errors import OccposeError
from occpose_core.models import build, describe
from occpose_core.models.elepose import normalise
from occpose_core.models.fill_then_lift import FillThenLift
from tests.training.short_fit import CONFIGS, short_fit
from training.cli import main
from training.data.batch import Batch
from training.flow import FlowConfig, PoseFlow, load_flow
from training.poses import complete_poses, figures
from training.recipes.flow import FlowRecipe
from training.recipes.student import StudentRecipe
from training.recipes.teacher import TeacherRecipe
from training.reprojection import centred

SYSTEM = "occluded-hpe"
SMALL = {"hidden": 16}


def batch(people: int = 12, seed: int = 0) -> Batch:
    """Windows of one frame: a person swaying, 0 to 5 joints of each missing."""
    rng = torch.Generator().manual_seed(seed)
    height = [0.9, 0.9, 0.5, 0.1, 0.9, 0.5, 0.1, 1.1, 1.4, 1.5, 1.6, 1.4, 1.1, 0.9, 1.4, 1.1, 0.9]
    side = [0, -0.2, -0.2, -0.2, 0.2, 0.2, 0.2, 0, 0, 0, 0, 0.2, 0.3, 0.4, -0.2, -0.3, -0.4]
    joints = torch.tensor([[x, 0.9 - y, 0.0] for x, y in zip(side, height, strict=True)])
    joints = joints + 0.1 * torch.randn((people, 1, 17, 3), generator=rng)
    joints = joints - joints[..., :1, :]
    kpts = 1.3 * joints[..., :2]
    order = torch.rand((people, 1, 17), generator=rng).argsort(dim=-1)
    return {
        "true_kpts": kpts,
        "kpts": kpts + 0.01 * torch.randn((people, 1, 17, 2), generator=rng),
        "visible": (order >= torch.arange(people)[:, None, None] % 6).float(),
        "joints_root_m": joints,
    }


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of a small flow, teacher and filling network."""
    torch.manual_seed(0)
    np.random.seed(0)
    folder = tmp_path_factory.mktemp("parts")
    flow = PoseFlow(FlowConfig(hidden=8, whiten=True))
    flow.fit_components(complete_poses(batch(100), "true_kpts"))
    flow.save(folder / "flow.safetensors", {})
    for name, family, config in (("teacher", "elepose", SMALL), ("filling", "filling", {})):
        model = build(family, config)
        save_checkpoint(folder / f"{name}.safetensors", model, describe(name, family, model, {}))
    return {name: folder / f"{name}.safetensors" for name in ("flow", "teacher", "filling")}


def teacher(parts: dict[str, Path], **options: object) -> TeacherRecipe:
    torch.manual_seed(1)
    return TeacherRecipe(parts["flow"], **{"config": SMALL, **options})


def student(parts: dict[str, Path], masked: bool = True, **options: object) -> StudentRecipe:
    torch.manual_seed(1)
    return StudentRecipe(**parts, **{"config": {**SMALL, "masked": masked}, **options})


RECIPES = {"teacher": teacher, "student": student}
both = pytest.mark.parametrize("recipe_of", [pytest.param(each, id=name) for name, each in RECIPES.items()])
Make = Callable[[dict[str, Path]], TeacherRecipe]


def losses(recipe: TeacherRecipe, given: Batch) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    return recipe.losses(given)


@pytest.fixture(scope="module")
def runs(data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All phases, each for an epoch of two steps."""
    folder = tmp_path_factory.mktemp("runs")
    assert run("flow", data_file, folder, "--model.init_args.component_poses=60") == 0
    assert run("teacher", data_file, folder, *files(folder, "flow"), small()) == 0
    assert run("filling", data_file, folder) == 0
    assert run("student", data_file, folder, *files(folder, "flow", "teacher", "filling"), small()) == 0
    return folder


def small() -> str:
    return "--model.init_args.config={hidden: 16, masked: true}"


def files(folder: Path, *phases: str) -> list[str]:
    return [f"--model.init_args.{phase}={folder / phase / phase}.safetensors" for phase in phases]


def run(phase: str, data_file: Path, folder: Path, *more: str) -> int:
    named = (f"--name={phase}", "--trainer.precision=bf16-mixed")
    return main(short_fit(f"{SYSTEM}/{phase}", data_file, folder, *named, *more))


@pytest.mark.parametrize(
    ("phase", "recipe", "epochs", "rate", "decay"),
    [
        pytest.param("flow", "FlowRecipe", 25, 1e-4, None),
        pytest.param("teacher", "TeacherRecipe", 100, 2e-4, 0.95),
        pytest.param("filling", "FillingRecipe", 100, 2e-3, 0.95),
        pytest.param("student", "StudentRecipe", 150, 2e-4, 0.95),
    ],
)
def test_phases_have_the_published_values(
    phase: str, recipe: str, epochs: int, rate: float, decay: float | None
) -> None:
    config = yaml.safe_load((CONFIGS / SYSTEM / f"{phase}.yaml").read_text())
    assert config["model"]["class_path"].endswith(f".{recipe}")
    options = config["model"]["init_args"]
    assert (options["learning_rate"], options.get("decay")) == (rate, decay)
    assert (config["trainer"]["max_epochs"], config["data"]["batch_size"]) == (epochs, 256)
    assert config["data"]["window"]["detectors"] == {"gt": 1.0}
    pattern = "k-missing(3)" if phase in ("filling", "student") else "clean"
    assert config["data"]["window"]["patterns"] == {pattern: 1.0}


def test_every_phase_writes_a_model_of_its_own(runs: Path) -> None:
    assert load_flow(runs / "flow" / "flow.safetensors").fitted
    families = {"teacher": "elepose", "filling": "filling", "student": "elepose"}
    for phase, family in families.items():
        _, info = load_checkpoint(runs / phase / f"{phase}.safetensors")
        assert (info.family, info.training["steps"]) == (family, 2)
    found = load_checkpoint(runs / "student" / "student.safetensors")[1].training["figures"]
    for figure in ("val_n_mpjpe_mm", "val_pa_mpjpe_mm", "val_teacher_n_mpjpe_mm"):
        assert 10 < found[figure] < 500, "an error in millimetres, not a pose"
    assert found["val_pa_mpjpe_mm"] <= found["val_n_mpjpe_mm"]


def test_the_student_goes_on_after_an_epoch(runs: Path, data_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = files(runs, "flow", "teacher", "filling")
    assert run("student", data_file, runs, *given, small(), "--trainer.max_epochs=2") == 0
    assert "resuming from" in capsys.readouterr().err
    assert load_checkpoint(runs / "student" / "student.safetensors")[1].training["steps"] == 4


def test_the_student_starts_from_scratch_or_from_the_teacher(parts: dict[str, Path]) -> None:
    taught = student(parts, masked=False, init=parts["teacher"])
    scratch = student(parts, masked=False)
    expected = taught.teacher.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in taught.model.state_dict().items())
    assert not any(torch.equal(value, expected[name]) for name, value in scratch.model.state_dict().items())


def test_a_flow_keeps_its_components_when_it_goes_on(runs: Path, data_file: Path) -> None:
    before = load_flow(runs / "flow" / "flow.safetensors").basis
    assert run("flow", data_file, runs, "--model.init_args.component_poses=60", "--trainer.max_epochs=2") == 0
    assert torch.equal(load_flow(runs / "flow" / "flow.safetensors").basis, before)


@both
def test_no_3d_is_read_in_training(recipe_of: Make, parts: dict[str, Path]) -> None:
    recipe, given = recipe_of(parts), batch()
    expected = losses(recipe, given)
    wrong = {**given, "joints_root_m": torch.full_like(given["joints_root_m"], torch.nan)}
    without = {name: value for name, value in given.items() if name != "joints_root_m"}
    for other in (wrong, without):
        assert all(torch.equal(value, expected[name]) for name, value in losses(recipe, other).items())


@both
def test_the_loss_is_the_weighted_sum_of_its_parts(
    recipe_of: Make, parts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(parts)
    monkeypatch.setattr(recipe, "log", lambda *_, **__: None)
    found = losses(recipe, batch())
    torch.manual_seed(2)
    loss = recipe.training_step(batch(), 0)
    expected = found["lifted"] + found["seen"] + found["deformation"] + 50 * found["bones"] + found["flow"]
    if "distilled" in found:
        expected = expected + 5 * found["distilled"]
    assert ("distilled" in found) == isinstance(recipe, StudentRecipe)
    torch.testing.assert_close(loss, expected)


@both
def test_gradient_reaches_every_parameter_and_no_frozen_one(recipe_of: Make, parts: dict[str, Path]) -> None:
    recipe = recipe_of(parts)
    torch.stack(list(losses(recipe, batch()).values())).sum().backward()
    for name, parameter in recipe.named_parameters():
        if name.startswith("model."):
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        else:
            assert not parameter.requires_grad and parameter.grad is None, name


@both
def test_training_changes_the_lifter_alone_and_lowers_the_loss(recipe_of: Make, parts: dict[str, Path]) -> None:
    recipe = recipe_of(parts)
    frozen = {name: value.clone() for name, value in recipe.state_dict().items() if not name.startswith("model.")}
    (optimizer,), _ = recipe.configure_optimizers()
    optimizer.param_groups[0]["lr"] = 3e-3
    seen = []
    for step in range(40):
        loss = torch.stack(list(losses(recipe, batch(seed=step % 4)).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert np.mean(seen[-4:]) < np.mean(seen[:4])
    assert all(torch.equal(recipe.state_dict()[name], value) for name, value in frozen.items())


@both
def test_losses_stay_in_single_precision(recipe_of: Make, parts: dict[str, Path]) -> None:
    recipe = recipe_of(parts)
    expected = losses(recipe, batch())
    with torch.autocast("cpu", torch.bfloat16):
        rough = losses(recipe, batch())
    for name, value in rough.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[name], rtol=0.1, atol=0.1)


def test_mixing_doubles_the_poses_and_not_the_losses(parts: dict[str, Path]) -> None:
    recipe, plain = teacher(parts), teacher(parts, mix=False)
    given = batch(400)  # enough for the random cameras to matter little
    both_halves, once = losses(recipe, given), losses(plain, given)
    for name in ("lifted", "seen", "deformation", "bones"):
        assert float(both_halves[name]) == pytest.approx(float(once[name]), rel=0.15), name


@pytest.mark.parametrize("poses", ["true_kpts", "kpts"])
def test_the_2d_of_training_is_chosen(poses: str, parts: dict[str, Path]) -> None:
    given = batch()
    other = {**given, "kpts": given["kpts"] + 0.1 * torch.randn_like(given["kpts"])}
    recipe = teacher(parts, poses=poses)
    same = torch.equal(losses(recipe, given)["bones"], losses(recipe, other)["bones"])
    assert same == (poses == "true_kpts")


def test_the_student_may_see_noise_that_the_teacher_does_not(parts: dict[str, Path]) -> None:
    given = batch()
    other = {**given, "kpts": given["kpts"] + 0.1 * torch.randn_like(given["kpts"])}
    for teacher_poses in ("true_kpts", "kpts"):
        recipe = student(parts, poses="kpts", teacher_poses=teacher_poses)
        seen: list[torch.Tensor] = []
        points = recipe.teacher.points
        recipe.teacher.points = lambda kpts, known: seen.append(kpts) or points(kpts, known)  # noqa: B023
        first, second = (losses(recipe, each) for each in (given, other))
        assert not torch.equal(first["bones"], second["bones"])
        assert torch.equal(*seen) == (teacher_poses == "true_kpts")


def test_2d_of_an_unknown_kind_is_refused(parts: dict[str, Path]) -> None:
    with pytest.raises(OccposeError, match="true_kpts or kpts, got 'joints'"):
        teacher(parts, poses="joints").losses(batch())


def test_the_student_sees_guesses_and_is_told_which_they_are(
    parts: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, given, taken = student(parts), batch(), []
    points = recipe.model.points_and_elevation
    monkeypatch.setattr(
        recipe.model, "points_and_elevation", lambda kpts, seen: taken.append((kpts, seen)) or points(kpts, seen)
    )
    losses(recipe, given)
    ((kpts, seen),) = taken
    visible = given["visible"][:, 0] > 0
    missing = (~visible).sum(dim=1)
    assert set(missing.tolist()) == set(range(6)), "as many as the data say, in one batch"
    assert torch.equal(seen[..., 0] > 0, visible)
    filled = recipe.filling.answer(given["true_kpts"], given["visible"])["filled"]
    assert torch.equal(filled[visible], given["true_kpts"][:, 0][visible])
    assert not torch.isclose(filled, given["true_kpts"][:, 0]).all(dim=-1)[~visible].any()
    torch.testing.assert_close(kpts, normalise(filled, torch.ones_like(visible)))


def test_the_teacher_of_the_student_sees_the_complete_pose(parts: dict[str, Path]) -> None:
    recipe, given = student(parts, masked=False), batch()
    recipe.model.load_state_dict(recipe.teacher.state_dict())
    everything = {**given, "visible": torch.ones_like(given["visible"])}
    assert float(losses(recipe, everything)["distilled"]) == pytest.approx(0.0, abs=1e-5)
    found = losses(recipe, given)["distilled"]
    filled, seen = recipe._fill(given)
    lifted = recipe.model.points(normalise(filled, torch.ones_like(seen[..., 0]) > 0), seen)
    complete = recipe.teacher.points(complete_poses(given, "true_kpts"), torch.ones_like(seen))
    expected = [
        np.linalg.norm((mine - theirs).detach().numpy().reshape(51))
        for mine, theirs in zip(centred(lifted), centred(complete), strict=True)
    ]
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-4)
    assert found > 0.01


@pytest.mark.parametrize("masked", [False, True])
def test_what_the_student_learns_is_what_runs_behind_the_filling_network(parts: dict[str, Path], masked: bool) -> None:
    recipe, given = student(parts, masked, poses="kpts"), batch()
    joined = FillThenLift.of(recipe.filling, recipe.model.eval())
    with torch.no_grad():
        expected = recipe.model.lift(*recipe._fill(given))["joints_root_m"]
        answer = joined(given["kpts"], given["visible"])["joints_root_m"]
    torch.testing.assert_close(answer, expected)


def test_learning_rates_fall_as_published(parts: dict[str, Path]) -> None:
    assert [teacher(parts).learning_rate_factor(epoch) for epoch in (0, 1, 2)] == pytest.approx([1, 0.95, 0.95**2])
    factors = [student(parts).learning_rate_factor(epoch) for epoch in (0, 50, 51, 53)]
    assert factors == pytest.approx([1, 1, 0.95, 0.95**3])


def test_validation_figures_forgive_scale_but_no_reflection() -> None:
    given = batch()
    joints = given["joints_root_m"][:, 0]
    scaled = figures(0.3 * joints, given)
    assert scaled["n_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    mirrored = figures(joints * torch.tensor([-1.0, 1.0, 1.0]), given)
    assert mirrored["pa_mpjpe_mm"] > 5
    noisy = joints + 0.1 * torch.randn_like(joints)
    expected = 1e3 * metrics.n_mpjpe(noisy.numpy(), joints.numpy())
    assert figures(noisy, given)["n_mpjpe_mm"] == pytest.approx(expected)


def test_the_same_seed_trains_the_same_student(parts: dict[str, Path]) -> None:
    first, second = (losses(student(parts), batch()) for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(("option", "other"), [pytest.param("teacher", "filling"), pytest.param("filling", "teacher")])
def test_a_file_of_another_kind_is_one_sentence(option: str, other: str, parts: dict[str, Path]) -> None:
    with pytest.raises(OccposeError, match=rf"model\.{option}: .* holds a"):
        StudentRecipe(**{**parts, option: parts[other]}, config=SMALL)


def test_an_unknown_size_of_the_flow_is_one_sentence() -> None:
    with pytest.raises(OccposeError, match=r"a flow has no \['hiden'\]; known: "):
        FlowRecipe(config={"hiden": 3})


def test_recipes_need_no_display() -> None:
    code = "import sys, training.recipes.student, training.recipes.flow; sys.exit('tkinter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
