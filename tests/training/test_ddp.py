"""Two processes over gloo train what one trains: same figures, same files, each goes on from the other's checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from occpose_core.checkpoint import load_checkpoint
from occpose_core.errors import OccposeError
from training.cli import main
from training.data.mocap import read_clips
from training.data.processes import share_of_process
from training.data.windows import WindowConfig, Windows

pytestmark = pytest.mark.timeout(900)  # in a minute on two free cores

ROOT = Path(__file__).parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "training"]
LAUNCHED = ["-m", "training"]
BATCHES = 40


def arguments(name: str, data_file: Path, runs: Path, *more: str, epochs: int = 2) -> list[str]:
    return [
        "fit",
        f"--config={ROOT / 'training' / 'configs' / 'lift.yaml'}",
        f"--name={name}",
        f"--runs={runs}",
        f"--data.files=['{data_file}']",
        "--data.batch_size=64",
        "--data.workers=0",
        "--data.validation_windows=256",
        "--model.init_args.config={masked: true, channels: 8, max_norm: 0.0, dropout: 0.0}",
        f"--trainer.max_epochs={epochs}",
        f"--trainer.limit_train_batches={BATCHES}",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        *more,
    ]


def two(launcher: list[str], given: list[str]) -> str:
    """Run the command with two processes; returns all they say."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, *given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=420, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "Starting with 2 processes" in told
    return told


def training(runs: Path, name: str) -> dict[str, Any]:
    return load_checkpoint(runs / name / f"{name}.safetensors")[1].training


@pytest.fixture(scope="module")
def runs(data_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training by one process and by two."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(arguments("one", data_file, folder)) == 0
    two(TORCHRUN, arguments("two", data_file, folder))
    return folder


def test_the_figures_are_the_same_within_noise(runs: Path, data_file: Path) -> None:
    options = ("--model.init_args.learning_rate=0", "--trainer.limit_train_batches=2")
    assert main(arguments("none", data_file, runs, *options, epochs=1)) == 0
    none, one, both = (training(runs, name) for name in ("none", "one", "two"))
    assert (one["steps"], one["poses"]) == (both["steps"], both["poses"]) == (2 * BATCHES, 2 * BATCHES * 64)
    error_mm = one["figures"]["val_mpjpe_mm"]
    assert error_mm < 0.8 * none["figures"]["val_mpjpe_mm"], "it has learned"
    assert both["figures"]["val_mpjpe_mm"] == pytest.approx(error_mm, rel=0.05)


def test_one_process_writes(runs: Path) -> None:
    def names(name: str) -> list[str]:
        return sorted(path.name.split(".")[0] for path in (runs / name).iterdir())

    assert [each.replace("two", "one") for each in names("two")] == names("one")


def test_either_goes_on_from_the_checkpoint_of_the_other(runs: Path, data_file: Path) -> None:
    assert main(arguments("two", data_file, runs, epochs=3)) == 0
    more = ("--trainer.strategy=ddp", "--trainer.devices=2")
    told = two(LAUNCHED, arguments("one", data_file, runs, *more, epochs=3))
    assert told.count("resuming from") == told.count("model written") == 1
    one, both = training(runs, "one"), training(runs, "two")
    assert one["steps"] == both["steps"] == 3 * BATCHES
    assert one["figures"]["val_mpjpe_mm"] == pytest.approx(both["figures"]["val_mpjpe_mm"], rel=0.05)


def test_processes_draw_different_windows(data_file: Path) -> None:
    clips = read_clips([data_file], "train")
    drawn = [next(iter(Windows(clips, {}, WindowConfig(), 16, 0, rank=rank)))["kpts"] for rank in (0, 1)]
    assert not torch.equal(drawn[0][:1], drawn[1][:1])


def test_a_batch_is_shared_equally_or_refused() -> None:
    third: Any = SimpleNamespace(global_rank=2, world_size=4)
    assert share_of_process(third, 64) == (2, 16)
    assert share_of_process(None, 63) == (0, 63)
    with pytest.raises(OccposeError, match="a batch of 63 cannot be shared by 4"):
        share_of_process(third, 63)
