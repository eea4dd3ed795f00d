"""Every system goes through all its phases, resumes, and ends in a model that runs; wrong options are one sentence."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from occpose_core.checkpoint import load_checkpoint
from occpose_core.errors import OccposeError
from occpose_core.runtime import load
from tests.training.h36m_files import write_h36m
from training import cli, systems
from training.checkpoints import AtomicCheckpointIO, lock
from training.literature import command as literature
from training.phases import CONFIGS, SYSTEMS, Variant

# What makes the networks of systems that learn from motion small; their recipes and the order of phases stay.
_ELEPOSE = [
    "flow.model.init_args.config.hidden=8",
    "flow.model.init_args.component_poses=64",
    *(f"{phase}.model.init_args.config.hidden=8" for phase in ("teacher", "student")),
    "filling.model.init_args.config.channels=8",
]
_STRIDED = [
    *(f"pretrain.model.init_args.config.{each}" for each in ("channels=8", "blocks=1", "embedding=8")),
    *(
        f"{phase}.model.init_args.config.{each}"
        for phase in ("transfer", "finetune")
        for each in ("channels=8", "blocks=1", "embedding=8", "hidden=16")
    ),
]
_SMALL = {
    "occluded-hpe": _ELEPOSE,
    "posegraphnet": ["train.model.init_args.config.channels=8"],
    "strided-posegraph": _STRIDED,
    "htnet": ["train.model.init_args.config.channels=24", "train.model.init_args.config.blocks=1"],
    "lcn": ["train.model.init_args.config.channels=4"],
}
_WINDOW = {"strided-posegraph": ["--window=27"]}


@pytest.fixture(autouse=True)
def few_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the usual number takes longer than all these trainings."""
    monkeypatch.setattr("training.data.masks.MASKS_PER_PATTERN", 16)


def arguments(system: str, data_file: Path, runs: Path, *more: str) -> list[str]:
    return [
        system,
        f"--data.files=['{data_file}']",
        f"--runs={runs}",
        "--batch=8",
        "--data.workers=0",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        "--trainer.num_sanity_val_steps=0",
        *(f"--set={each}" for each in _SMALL[system]),
        *_WINDOW.get(system, []),
        *more,
    ]


def counted(called: list[str]) -> systems.Train:
    """The training command, in this process; notes the names of the phases."""

    def run(argv: list[str]) -> int:
        called.extend(each.removeprefix("--name=") for each in argv if each.startswith("--name="))
        return cli.main(argv)

    return run


@pytest.mark.parametrize("form", ["paper", "masked"])
@pytest.mark.parametrize("system", _SMALL)
def test_a_system_goes_through_its_phases_once(system: str, form: str, data_file: Path, tmp_path: Path) -> None:
    called: list[str] = []
    given = arguments(system, data_file, tmp_path, f"--form={form}", "--budget=32", "--no-export")
    assert systems.main(given, counted(called)) == 0
    phases = [phase.name for phase in SYSTEMS[system].phases]
    assert called == phases

    folder = next(tmp_path.iterdir())
    model, info = load_checkpoint(folder / phases[-1] / f"{phases[-1]}.safetensors")
    assert (info.form, info.window) == (form, 27 if system in _WINDOW else 1)
    assert info.training["poses"] > 0
    kpts = torch.randn(1, info.window, 17, 2, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(model(kpts, torch.ones(kpts.shape[:-1]))["joints_root_m"]).all()

    assert systems.main(given, counted(called)) == 0
    assert called == phases, "what is finished is not run again"


@pytest.fixture(scope="module")
def half_done(data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """A system whose third phase, of many epochs, has not begun; and its folder."""
    runs = tmp_path_factory.mktemp("runs")
    lengths = [f"{phase}.trainer.{each}" for phase in ("flow", "teacher", "student") for each in _LENGTH]
    given = arguments("occluded-hpe", data_file, runs, *(f"--set={each}" for each in lengths))
    given += ["--set=filling.trainer.max_epochs=12", "--set=filling.trainer.limit_train_batches=60"]
    given += ["--data.validation_windows=16"]
    done: list[str] = []

    def until_filling(argv: list[str]) -> int:
        return 99 if "--name=filling" in argv else counted(done)(argv)

    assert systems.main(given, until_filling) == 99
    assert done == ["flow", "teacher"]
    return given, runs / "filling-elepose"


_LENGTH = ("max_epochs=1", "limit_train_batches=2")


def started(given: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "training", "system", *given],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )


def epoch(checkpoint: Path) -> int:
    """The last finished one; -1 = none."""
    return int(torch.load(checkpoint, weights_only=True)["epoch"]) if checkpoint.exists() else -1


def await_epoch(checkpoint: Path, number: int, process: subprocess.Popen[str]) -> None:
    while epoch(checkpoint) < number:
        assert process.poll() is None, process.communicate()[0]


@pytest.mark.timeout(900)  # eight starts of a process that imports torch
def test_a_killed_system_loses_at_most_the_running_epoch(
    half_done: tuple[list[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given, folder = half_done
    checkpoint = folder / "filling" / "last.ckpt"

    process = started(given)
    await_epoch(checkpoint, 1, process)
    process.kill()
    process.communicate()
    lock(checkpoint.parent).close()  # waits until the phase's own process is gone too
    killed_after = epoch(checkpoint)

    process = started(given)
    await_epoch(checkpoint, killed_after + 1, process)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate()
    assert process.returncode == 130, told
    assert f"resuming from {checkpoint}" in told
    assert "interrupted; the same command goes on" in told
    assert "Traceback" not in told
    assert "flow: finished" in told and "teacher: finished" in told
    interrupted_after = epoch(checkpoint)
    assert killed_after < interrupted_after < 11

    epochs: list[int] = []
    save = AtomicCheckpointIO.save_checkpoint

    def noted(self: AtomicCheckpointIO, checkpoint: dict[str, Any], path: Path, storage_options: Any = None) -> None:
        if Path(path).parent.name == "filling":
            epochs.append(checkpoint["epoch"])
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", noted)
    called: list[str] = []
    assert systems.main(given, counted(called)) == 0
    assert called == ["filling", "student"], "finished phases are not run again"
    assert epochs == list(range(interrupted_after + 1, 12)), "no finished epoch is run again"
    engine = load(folder / "filling-elepose.onnx", backend="onnxruntime")
    assert engine.info.outputs == ("joints_root_m", "filled")


def test_a_failing_phase_ends_the_system(tmp_path: Path, data_file: Path) -> None:
    assert systems.main(arguments("occluded-hpe", data_file, tmp_path), lambda argv: 2) == 2


def test_every_phase_has_its_configuration() -> None:
    for name, system in SYSTEMS.items():
        for phase in (*system.phases, *([system.refine] if system.refine else [])):
            for masked in (False, True):
                assert (CONFIGS / name / phase.config(Variant(masked=masked))).is_file()
                earlier = {each.name for each in system.phases}
                assert set(phase.files.values()) <= earlier


def test_the_commands_of_all_phases_can_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["strided-posegraph", "--causal", "--refine", "--budget=1.2e6", "--set=transfer.data.seed=7"]
    assert systems.main([*given, "--dry-run", "--data.files=['a b.npz']"]) == 0
    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert [command[:4] for command in commands] == [["python", "-m", "training", "fit"]] * 4
    budgets = [int(each.split("=")[1]) for command in commands for each in command if each.startswith("--budget")]
    assert sum(budgets) == pytest.approx(1.2e6, abs=4)
    transfer, finetune = commands[1:3]
    assert "--data.files=['a b.npz']" in transfer
    assert "--data.init_args.window.look_ahead=0" in transfer
    assert transfer[-1] == "--data.seed=7" and finetune[-1] != "--data.seed=7"
    init = "--model.init_args.init=runs/strided-posegraph-81-causal/transfer/transfer.safetensors"
    assert init in finetune


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param("htnet --window 27", "single-frame system", id="window"),
        pytest.param("htnet --causal", "single-frame system", id="causal"),
        pytest.param("lcn --refine", "no refine phase", id="refine"),
        pytest.param("strided-posegraph --window 28", "27, 81, 243, 351", id="length of window"),
        pytest.param("lcn --budget -1", "no number of poses", id="negative budget"),
        pytest.param("lcn --budget nan", "no number of poses", id="budget that is no number"),
        pytest.param("lcn --budget 1e6 --trainer.max_epochs=3", "leave out --trainer.max_epochs=3", id="two lengths"),
        pytest.param("lcn --set tune.data.seed=3", "a phase of train", id="unknown phase"),
        pytest.param("lcn --set train.data.seed", "PHASE.OPTION=VALUE", id="no value"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(given: str, told: str) -> None:
    with pytest.raises(OccposeError, match=re.escape(told)):
        systems.main([*given.split(), "--dry-run"])


def test_torchrun_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(OccposeError, match="torchrun starts single phases"):
        systems.main(["lcn", "--dry-run"])


def test_other_options_do_not_pass_for_a_finished_training(tmp_path: Path) -> None:
    given = ["lcn", f"--runs={tmp_path}", "--data.files=['a.npz']"]
    assert systems.main([*given, "--budget=1e6"], lambda argv: 5) == 5
    assert systems.main([*given, "--budget=1e6", "--trainer.devices=2"], lambda argv: 5) == 5
    with pytest.raises(OccposeError, match=r"other options \(budget: .*--fresh"):
        systems.main([*given, "--budget=2e6"], lambda argv: 5)
    assert systems.main([*given, "--budget=2e6", "--fresh"], lambda argv: 5) == 5


def test_a_system_leaves_a_run_of_one_phase_alone(tmp_path: Path) -> None:
    (tmp_path / "lcn").mkdir()
    (tmp_path / "lcn" / "last.ckpt").touch()
    with pytest.raises(OccposeError, match="holds a single phase that `fit` trained; give another --name"):
        systems.main(["lcn", "--form=masked", f"--runs={tmp_path}", "--data.files=['a.npz']"], lambda argv: 5)


@pytest.mark.parametrize("page", ["training.md", "systems.md"])
def test_documented_commands_are_understood(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (CONFIGS.parents[1] / "docs" / page).read_text("utf-8").replace("\\\n", " ")
    commands = re.findall(r"^    python -m training system (\w.*)$", text, flags=re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        assert systems.main([*shlex.split(command), "--dry-run"]) == 0
        assert "--data.files $DATA" in capsys.readouterr().out.replace("'", "")


def documented_rows() -> dict[str, tuple[list[str], list[str]]]:
    """System -> its commands in docs/systems.md that reproduce a paper's row: train, measure."""
    text = (CONFIGS.parents[1] / "docs" / "systems.md").read_text("utf-8").replace("\\\n", " ")
    exports = dict(re.findall(r'^    export (\w+)="(.*)"$', text, flags=re.MULTILINE))
    rows = re.findall(r"^\|.*`python -m training system (.*)` \| `python -m training literature (.*)` \|$", text, re.M)
    filled = [[re.sub(r"\$(\w+)", lambda found: exports[found[1]], command).split() for command in row] for row in rows]
    return {train[0]: (train, measure) for train, measure in filled}


@pytest.mark.parametrize("system", _SMALL)
def test_a_papers_row_is_one_command_to_train_and_one_to_measure(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, detected = write_h36m(tmp_path, ["S1", "S8", "S9"], ["Walking 1"], frames=12, noise_px=2.0)
    detected.rename("data_2d_h36m_cpn_ft_h36m_dbb.npz")
    train, measure = documented_rows()[system]
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2"]
    small = [each for each in arguments(system, tmp_path, tmp_path) if each.startswith(("--set", "--trainer"))]
    if system == "strided-posegraph":
        small += [each.replace("finetune.", "refine.") for each in small if "finetune." in each]
    assert systems.main([*train, *small, *short, "--batch=8", "--data.workers=0"], cli.main) == 0
    told = capsys.readouterr()
    assert "not exported, as it takes the papers' image coordinates" in told.err
    assert literature.main([*measure, "--every=6"]) == 0
    assert "Walking" in capsys.readouterr().out
