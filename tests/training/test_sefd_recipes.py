"""Every loss and every kind of edges trains; teachers stay as they are, students start from them, runs go on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from occpose_core.catalogue import CATALOGUE
from occpose_core.checkpoint import ModelInfo, load_checkpoint
from occpose_core.models.edges import EDGE_NETWORKS
from occpose_core.models.pose_prior import read_pose_prior
from occpose_core.runtime.image_engine import load_image_model
from training import systems
from training.cli import main
from training.data.batch import Batch
from training.data.images import ImageConfig, PersonImages
from training.data.people import read_people
from training.distillation import DISTILLATION
from training.recipes.distillation import DistillationRecipe
from training.recipes.sefd import SefdRecipe, figures, is_occluded

pytest.importorskip("kornia")
pytest.importorskip("smplx")
from tests.training.rendered_files import write_rendered
from tests.training.short_fit import CONFIGS
from tests.training.short_sefd import NETWORK, SIZE, fit

FIGURES = {f"val_{group}{name}" for group in ("", "occluded_") for name in ("mpjpe_mm", "mpvpe_mm", "rotation_deg")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rendered(tmp_path_factory.mktemp("data") / "rendered")


@pytest.fixture(scope="module")
def teacher(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("teacher")
    assert fit("small/teacher", folder, runs, edge="given", prior_frozen=False) == 0
    return runs / "small-teacher" / "small-teacher.safetensors"


def info_of(path: Path) -> ModelInfo:
    return load_checkpoint(path)[1]


def test_the_teacher_is_written_with_its_figures(teacher: Path) -> None:
    info = info_of(teacher)
    assert (info.family, info.image_size, info.config["edge"]) == ("sefd", SIZE, "given")
    assert info.training["figures"].keys() >= FIGURES | {"train_loss", "train_heat", "train_pose"}
    assert info.training["poses"] == 8


@pytest.mark.parametrize("kind", ["none", "canny", "zero", *EDGE_NETWORKS])
def test_every_kind_of_edges_trains(kind: str, folder: Path, tmp_path: Path) -> None:
    if kind in EDGE_NETWORKS:  # a network that nobody brought gives maps of zeros, and says so
        with pytest.warns(UserWarning, match="all edge maps are zero"):
            assert fit("plain", folder, tmp_path, edge=kind) == 0
    else:
        assert fit("plain", folder, tmp_path, edge=kind) == 0
    assert info_of(tmp_path / "sefd-plain" / "sefd-plain.safetensors").config["edge"] == kind


def test_a_network_of_the_user_makes_the_edges(folder: Path, tmp_path: Path) -> None:
    torch.onnx.export(
        torch.nn.Conv2d(3, 1, 1).eval(), (torch.zeros(2, 3, SIZE, SIZE),), tmp_path / "hed.onnx", dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("people")},), verbose=False,
    )  # fmt: skip
    assert fit("plain", folder, tmp_path, f"--model.init_args.edge_network={tmp_path / 'hed.onnx'}", edge="hed") == 0


@pytest.mark.parametrize("config", ["baseline", "teacher", "small/plain", "small/blind"])
def test_every_configuration_without_a_teacher_trains(config: str, folder: Path, tmp_path: Path) -> None:
    role = {"baseline": {"edge": "none"}, "teacher": {"edge": "given"}, "small/blind": {"edge": "zero", "blind": True}}
    assert fit(config, folder, tmp_path, **role.get(config, {"edge": "canny"})) == 0


@pytest.mark.parametrize("distance", DISTILLATION)
def test_every_distance_to_a_teacher_trains(distance: str, folder: Path, teacher: Path, tmp_path: Path) -> None:
    given = (f"--model.init_args.teacher={teacher}", f"--model.init_args.distance={distance}")
    assert fit("small/student", folder, tmp_path, *given, edge="canny", prior_frozen=False) == 0
    info = info_of(tmp_path / "small-student" / "small-student.safetensors")
    assert info.parameters == info_of(teacher).parameters
    assert info.training["figures"]["train_distilled"] > 0
    assert not any(name.startswith("teacher.") for name in load_checkpoint(
        tmp_path / "small-student" / "small-student.safetensors")[0].state_dict())  # fmt: skip


def test_connections_can_be_chosen(folder: Path, teacher: Path, tmp_path: Path) -> None:
    given = (f"--model.init_args.teacher={teacher}", "--model.init_args.stages={1: 1.0, 2: 0.5}")
    assert fit("student", folder, tmp_path, *given, edge="canny") == 0


@pytest.fixture(scope="module")
def batch(folder: Path) -> Batch:
    people = read_people({"rendered": folder}, "train", "capsules")
    return PersonImages(people, ImageConfig(size=SIZE), 8, 0).draw(np.random.default_rng(0))


def _step(recipe: SefdRecipe, batch: Batch, steps: int = 1) -> list[float]:
    recipe.log = lambda *args, **options: None  # type: ignore[method-assign]
    optimizer = torch.optim.Adam(recipe.parameter_groups(), 2e-3)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = recipe.train().training_step(batch, 0)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_student_starts_as_its_teacher_which_never_changes(teacher: Path, batch: Batch) -> None:
    recipe = DistillationRecipe(teacher, {**NETWORK, "edge": "canny", "prior_frozen": False})
    before, _ = load_checkpoint(teacher)
    expected = before.state_dict()
    for name, value in recipe.model.state_dict().items():
        assert torch.equal(value, expected[name])
    _step(recipe, batch, 2)
    for name, value in recipe.teacher.state_dict().items():
        assert torch.equal(value, expected[name]), "norms must not go on counting either"
    assert not torch.equal(recipe.model.position.weight, recipe.teacher.position.weight)
    assert all(each.grad is None for each in recipe.teacher.parameters())


def test_a_student_may_start_anew(teacher: Path) -> None:
    recipe = DistillationRecipe(teacher, {**NETWORK, "edge": "canny"}, from_scratch=True)
    assert not torch.equal(recipe.model.position.weight, recipe.teacher.position.weight)


def test_a_student_without_the_true_edges_learns_its_teachers_features(teacher: Path, batch: Batch) -> None:
    weights = dict.fromkeys(("heat", "heat_fit", "pose", "shape", "projected", "joints", "joints_fit"), 0.0)
    recipe = DistillationRecipe(teacher, {**NETWORK, "edge": "zero"}, from_scratch=True, weights=weights)
    losses = _step(recipe, batch, 30)
    assert losses[-1] < 0.7 * losses[0]


def test_training_finds_the_bodies_of_a_batch(batch: Batch) -> None:
    torch.manual_seed(0)
    recipe = SefdRecipe({**NETWORK, "edge": "given"}, rotations="matrix", left_out=[])
    truth = recipe.model.body(batch["pose"], batch["shape"])

    def errors() -> dict[str, float]:
        with torch.no_grad():
            found = figures(recipe.answer(batch), truth, batch["pose"])
        return {name: value.mean().item() for name, value in found.items()}

    before = errors()
    _step(recipe, batch, 60)
    after = errors()
    assert all(after[name] < 0.6 * before[name] for name in ("mpjpe_mm", "mpvpe_mm")), (before, after)


def test_figures_are_zero_for_the_truth(batch: Batch) -> None:
    recipe = SefdRecipe({**NETWORK, "edge": "given"})
    truth = recipe.model.body(batch["pose"], batch["shape"])
    answer = {"joints17_m": truth.joints17_m, "vertices_m": truth.vertices_m, "rotations": batch["pose"]}
    assert all(value.abs().max() < 0.05 for value in figures(answer, truth, batch["pose"]).values())


def test_people_are_occluded_from_three_tenths_on() -> None:
    hidden = torch.tensor([[1.0] * 3 + [0.0] * 7, [1.0] * 2 + [0.0] * 8, [1.0] * 3 + [0.0] * 7])
    labelled = torch.ones(3, 10)
    labelled[2, :2] = 0  # what is outside the picture is not hidden by anything
    assert is_occluded({"hidden": hidden, "labelled": labelled}).tolist() == [True, False, False]


def test_rates_of_backbone_and_heads_and_what_is_frozen(tmp_path: Path, folder: Path) -> None:
    assert fit("pose_prior", folder, tmp_path) == 0
    prior = tmp_path / "pose_prior" / "pose_prior.safetensors"
    recipe = SefdRecipe(NETWORK, learning_rate=1e-3, backbone_rate=1e-4, milestones=[2, 4], prior=prior)
    stored = read_pose_prior(prior)
    assert all(torch.equal(recipe.model.prior.state_dict()[name], value) for name, value in stored.items())
    (optimizer,), _ = recipe.configure_optimizers()
    groups = [(group["lr"], {id(each) for each in group["params"]}) for group in optimizer.param_groups]
    assert [rate for rate, _ in groups] == [1e-3, 1e-4]
    assert groups[1][1] == {id(each) for each in recipe.model.backbone.parameters()}
    assert not groups[0][1] & {id(each) for each in recipe.model.prior.parameters()}, "a given prior is frozen"
    assert [recipe.learning_rate_factor(epoch) for epoch in range(5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    learning = SefdRecipe({**NETWORK, "prior_frozen": False}, prior=prior)
    assert all(each.requires_grad for each in learning.model.prior.parameters())


def test_a_run_goes_on_from_its_last_epoch(
    folder: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (f"--model.init_args.teacher={teacher}",)
    network = {"edge": "canny", "prior_frozen": False}
    assert fit("small/student", folder, tmp_path, *given, **network) == 0
    assert fit("small/student", folder, tmp_path, *given, "--trainer.max_epochs=2", **network) == 0
    assert "resuming from" in capsys.readouterr().err
    assert info_of(tmp_path / "small-student" / "small-student.safetensors").training["steps"] == 4


_UNTRAINED = ("--trainer.max_epochs=0", "--trainer.num_sanity_val_steps=0", "--trainer.enable_model_summary=false")


@pytest.mark.parametrize("name", ["crowdnet", "sefd"])
def test_a_catalogued_phase_makes_the_model_of_that_name(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CONFIGS.parents[1])
    entry, untrained = CATALOGUE[name], [f"--data.folder={folder}", f"--runs={tmp_path}", *_UNTRAINED]
    if entry.phase == "student":
        assert main(["fit", f"--config={CONFIGS / 'sefd' / 'teacher.yaml'}", *untrained]) == 0
        untrained.append(f"--model.init_args.teacher={tmp_path / 'sefd-teacher' / 'sefd-teacher.safetensors'}")
    assert main([*shlex.split(entry.command)[3:], *untrained]) == 0
    info = info_of(tmp_path / name / f"{name}.safetensors")
    assert (info.name, info.family, info.form, info.parameters) == (name, entry.family, entry.form, entry.parameters)


def test_a_system_trains_prior_teacher_and_student_and_exports_it(folder: Path, tmp_path: Path) -> None:
    small = []
    for phase, edge in (("teacher", "given"), ("student", "canny")):
        small.append(f"--set={phase}.model.init_args.config={json.dumps({**NETWORK, 'edge': edge})}")
        small.append(f"--set={phase}.data.image.size={SIZE}")
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--data.workers=0"]
    quiet.append("--trainer.num_sanity_val_steps=0")
    given = [f"--data.folder={folder}", f"--runs={tmp_path}", "--budget=48", "--batch=4", "--data.validation_people=8"]
    called: list[str] = []

    def run(argv: list[str]) -> int:
        called.extend(each for each in argv if each.startswith("--name"))
        return main(argv)

    assert systems.main(["sefd", *given, *small, *quiet, "--trainer.accelerator=cpu"], run) == 0
    assert called == ["--name=pose_prior", "--name=teacher", "--name=student"]
    engine = load_image_model(tmp_path / "sefd" / "sefd.onnx", backend="onnxruntime")
    assert (engine.info.name, engine.info.config["edge"]) == ("sefd", "canny")
    prior = read_pose_prior(tmp_path / "sefd" / "pose_prior" / "pose_prior.safetensors")
    student = load_checkpoint(tmp_path / "sefd" / "sefd.safetensors")[0].state_dict()
    assert all(torch.equal(student[f"prior.{name}"], value) for name, value in prior.items()), "frozen all the way"
