"""The training command, for real but short: it trains, resumes, stops politely and writes models that can be used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from occpose_core.checkpoint import load_checkpoint
from occpose_core.runtime import WEIGHTS
from tests.training.short_fit import short_fit
from training.cli import main
from training.data.batch import Batch
from training.data.windows import Windows
from training.losses import gaussian_nll, masked_distance, mpjpe_loss


def run(recipe: str, data_file: Path, folder: Path, *more: str) -> int:
    return main(short_fit(recipe, data_file, folder, *more))


@pytest.fixture(scope="module")
def runs(data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks, trained for two steps."""
    folder = tmp_path_factory.mktemp("runs")
    assert run("filling", data_file, folder) == 0
    assert run("lift", data_file, folder, "--model.init_args.config={channels: 4}") == 0
    return folder


@pytest.mark.parametrize(
    ("name", "family"), [pytest.param("filling-coarse", "filling"), pytest.param("lcn-empty", "lcn")]
)
def test_training_writes_a_model_that_says_what_it_is(runs: Path, name: str, family: str) -> None:
    _, info = load_checkpoint(runs / name / f"{name}.safetensors")
    assert (info.name, info.family, info.training["steps"]) == (name, family, 2)
    assert any(figure.startswith("val") for figure in info.training["figures"])


@pytest.mark.parametrize("clip", ["null", "1.0"])
def test_mixed_precision_trains_with_and_without_clipped_gradients(clip: str, data_file: Path, tmp_path: Path) -> None:
    more = ("--model.init_args.config={channels: 4}", "--trainer.precision=bf16-mixed")
    assert run("lift", data_file, tmp_path, *more, f"--trainer.gradient_clip_val={clip}") == 0


def test_lifter_goes_on_with_the_filling_network(runs: Path, data_file: Path) -> None:
    code = run(
        "lift_filled",
        data_file,
        runs,
        "--model.init_args.config={channels: 4}",
        f"--model.init_args.init={runs / 'lcn-empty' / 'lcn-empty.safetensors'}",
        f"--model.init_args.filling={runs / 'filling-coarse' / 'filling-coarse.safetensors'}",
    )
    assert code == 0
    lifter, info = load_checkpoint(runs / "lcn" / "lcn.safetensors")
    assert not any(name.startswith("filling") for name in lifter.state_dict()), "the frozen network is not in the file"
    assert info.config["channels"] == 4


def test_a_second_run_goes_on_where_the_first_stopped(
    runs: Path, data_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("lift", data_file, runs, "--model.init_args.config={channels: 4}", "--trainer.max_epochs=2")
    assert code == 0
    assert "resuming from" in capsys.readouterr().err
    _, info = load_checkpoint(runs / "lcn-empty" / "lcn-empty.safetensors")
    assert info.training["steps"] == 4


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path, trap: torch.save({"state_dict": trap}, path), id="code"),
        pytest.param(lambda path, trap: path.write_bytes(path.read_bytes()[:1000]), id="truncated"),
        pytest.param(lambda path, trap: path.write_text("hello"), id="text"),
    ],
)
def test_a_damaged_checkpoint_is_one_sentence_and_runs_no_code(
    runs: Path, data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable
) -> None:
    checkpoint = Path(shutil.copytree(runs / "lcn-empty", tmp_path / "lcn-empty")) / "last.ckpt"
    damage(checkpoint, _Trap(tmp_path / "sprung"))
    assert run("lift", data_file, tmp_path, "--model.init_args.config={channels: 4}") == 2
    assert f"cannot resume from {checkpoint}" in capsys.readouterr().err
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        pytest.param("init", "whose weights do not fit", id="another network to start from"),
        pytest.param("filling", "model.filling: .* holds a LCN, not a Filling", id="no filling network"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_one_sentence(
    data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, told: str
) -> None:
    more = ("--model.init_args.config={channels: 4}", f"--model.init_args.{option}={WEIGHTS / 'lcn.safetensors'}")
    assert run("lift", data_file, tmp_path, *more) == 2
    said = capsys.readouterr().err
    assert re.search(told, said) and "Traceback" not in said


def test_a_resumed_run_does_not_see_the_same_windows_again(
    data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[float, ...]] = []
    draw = Windows.draw

    def recorded(self: Windows, rng: np.random.Generator, masks: np.ndarray) -> Batch:
        batch = draw(self, rng, masks)
        drawn.append(tuple(batch["true_kpts"].flatten()[:5].tolist()))
        return batch

    monkeypatch.setattr(Windows, "draw", recorded)
    more = ("--model.init_args.config={channels: 4}", "--trainer.limit_val_batches=0")
    for epochs in (1, 2):
        assert run("lift", data_file, tmp_path, *more, f"--trainer.max_epochs={epochs}") == 0
    assert len(drawn) >= 4
    assert len(set(drawn)) == len(drawn)


def test_a_loss_that_is_not_finite_stops_with_the_step(
    data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(
        "lift",
        data_file,
        tmp_path,
        "--model.init_args.config={masked: true, channels: 4, max_norm: 0}",
        "--model.init_args.learning_rate=1e30",
        "--trainer.limit_train_batches=20",
        "--trainer.gradient_clip_val=null",
    )
    assert code == 2
    message = capsys.readouterr().err
    assert "loss is" in message
    assert "step" in message


def test_wrong_data_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "motion.npz"
    path.write_text("no data")
    result = subprocess.run(
        [sys.executable, "-m", "training", *short_fit("lift", path, tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 2
    assert str(path) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_model_file_is_one_sentence(
    data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("lift", data_file, tmp_path, f"--model.init_args.init={tmp_path / 'nothing.safetensors'}") == 2
    error = capsys.readouterr().err
    assert "error: no model file at" in error and "nothing.safetensors" in error


def test_losses_are_what_their_names_say() -> None:
    joints = torch.zeros(2, 3, 3)
    target = torch.tensor([3.0, 0.0, 4.0]).expand(2, 3, 3)
    assert mpjpe_loss(joints, target) == 5
    mask = torch.tensor([[1, 0, 0], [0, 0, 0]])
    assert masked_distance(joints, target, mask) == 5
    assert masked_distance(joints, target, torch.zeros(2, 3)) == 0


def test_the_likelihood_is_best_for_the_true_spread_and_moves_no_joint() -> None:
    torch.manual_seed(0)
    target = 0.2 * torch.randn(20_000, 1, 3)
    joints = torch.zeros(20_000, 1, 3, requires_grad=True)
    losses = {sigma: gaussian_nll(joints, target, torch.full((20_000, 1), sigma)) for sigma in (0.1, 0.2, 0.4)}
    assert min(losses, key=lambda sigma: losses[sigma].item()) == 0.2
    assert not losses[0.2].requires_grad
