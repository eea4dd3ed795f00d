"""Runs go on as if nothing had happened, with rates and figures; a kill while a checkpoint is written costs none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer

from occpose_core.checkpoint import load_checkpoint
from tests.training.short_fit import CONFIGS, short_fit
from training.checkpoints import AtomicCheckpointIO, lock
from training.cli import main
from training.recipes.lift import LiftRecipe


def run(data_file: Path, folder: Path, *more: str) -> int:
    small = ("--name=model", "--model.init_args.config={masked: true, channels: 4}")
    return main(short_fit("lift", data_file, folder, *small, *more))


class _Stop(Exception):
    """As good as a kill: nothing of the run is told."""


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Epoch and learning rate of every step."""
    seen: list[tuple[int, float]] = []
    step = LiftRecipe.training_step

    def noted(self: LiftRecipe, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        seen.append((self.current_epoch, self.optimizers().param_groups[0]["lr"]))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(LiftRecipe, "training_step", noted)
    return seen


@pytest.mark.parametrize("killed_at", [1, 3, 4], ids=["first epoch", "middle of an epoch", "start of an epoch"])
def test_a_killed_run_goes_on_with_the_rate_of_its_epoch(
    killed_at: int,
    data_file: Path,
    tmp_path: Path,
    rates: list[tuple[int, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths = ("--trainer.max_epochs=4", "--model.init_args.decay=0.5", "--schedule_epochs=2")
    assert run(data_file, tmp_path / "whole", *lengths) == 0
    whole = list(rates)
    assert [round(rate / whole[0][1], 6) for _, rate in whole] == [1, 1, 0.25, 0.25, 0.0625, 0.0625, 0.015625, 0.015625]

    rates.clear()
    with monkeypatch.context() as patched:
        step = LiftRecipe.training_step

        def dies(self: LiftRecipe, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
            if len(rates) == killed_at:
                raise _Stop
            return step(self, batch, batch_idx)

        patched.setattr(LiftRecipe, "training_step", dies)
        with pytest.raises(_Stop):
            run(data_file, tmp_path / "killed", *lengths)
    rates.clear()
    assert run(data_file, tmp_path / "killed", *lengths) == 0
    assert rates == whole[killed_at // 2 * 2 :]
    first, second = (
        load_checkpoint(tmp_path / each / "model" / "model.safetensors")[1] for each in ("whole", "killed")
    )
    assert first.training["steps"] == second.training["steps"] == 8


def test_a_run_that_is_killed_after_its_last_epoch_writes_its_model_with_figures(
    data_file: Path, tmp_path: Path
) -> None:
    assert run(data_file, tmp_path) == 0
    model = tmp_path / "model" / "model.safetensors"
    training = load_checkpoint(model)[1].training
    model.unlink()
    assert run(data_file, tmp_path) == 0
    assert load_checkpoint(model)[1].training == training
    assert "val_mpjpe_mm" in training["figures"]


_KILLED_WHILE_WRITING = """
import os, signal, sys, torch
from training.checkpoints import AtomicCheckpointIO
save = torch.save
def half(checkpoint, file):
    save(checkpoint, file)
    file.flush()
    os.truncate(file.fileno(), 100)
    os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
AtomicCheckpointIO().save_checkpoint({"epoch": 2}, sys.argv[1])
"""


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path: Path) -> None:
    path, io = tmp_path / "run" / "last.ckpt", AtomicCheckpointIO()
    io.save_checkpoint({"epoch": 1}, path)
    command = [sys.executable, "-c", _KILLED_WHILE_WRITING, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parents[1])}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert io.load_checkpoint(path, weights_only=True) == {"epoch": 1}
    io.save_checkpoint({"epoch": 3}, path)
    assert io.load_checkpoint(path, weights_only=True) == {"epoch": 3}
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


def test_runs_write_their_checkpoints_so(data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Any] = []
    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda self, *args, **more: (used.append(self), fit(self, *args, **more)))
    assert run(data_file, tmp_path) == 0
    assert isinstance(used[0].strategy.checkpoint_io, AtomicCheckpointIO)


_HOLDS = """
import sys
from pathlib import Path
from training.checkpoints import lock
held = lock(Path(sys.argv[1]))
print("holds", flush=True)
sys.stdin.read()
"""


def test_a_folder_is_for_one_process_at_a_time(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CONFIGS.parents[1])}
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(tmp_path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin and other.stdout
    assert other.stdout.readline() == "holds\n"
    got = threading.Event()
    waiting = threading.Thread(target=lambda: (lock(tmp_path).close(), got.set()))
    waiting.start()
    told = ""
    while "waiting for another process" not in told:
        told += capfd.readouterr().err
    assert not got.is_set()
    other.kill()
    other.communicate()
    waiting.join(timeout=60)
    assert got.is_set()
