"""What is measured of training: real steps, counted and timed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from occpose_core.dataset import SPLITS, read_sequences
from training.__main__ import main
from training.throughput import write_motion

SMALL = [
    "--model.init_args.config={width: 16, memory: 8, blocks: 1}",
    "--data.batch_size=4",
    "--data.sequence.frames=8",
    "--data.sequence.patterns={natural: 1.0}",
    "--data.workers=0",
    "--trainer.accelerator=cpu",
]


def test_a_short_training_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--seconds", "0.1", *SMALL]) == 0
    figures = json.loads(capsys.readouterr().out)  # and nothing else is there
    assert figures["config"] == "stream/s"
    assert figures["steps"] >= 3
    assert figures["seconds"] >= 0.1
    assert figures["sequences_per_s"] == pytest.approx(4 * figures["steps"] / figures["seconds"])
    assert figures["poses_per_s"] == pytest.approx(8 * figures["sequences_per_s"])


def test_a_training_that_does_not_run_is_no_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", *SMALL, "--data.files=['nothing.npz']"]) == 2
    told = capsys.readouterr()
    assert "nothing.npz" in told.err
    assert not told.out


def test_the_people_are_a_data_file(tmp_path: Path) -> None:
    write_motion(tmp_path / "motion.npz")
    sequences = read_sequences(tmp_path / "motion.npz")
    assert set(sequences.split) == set(SPLITS)
    heights_m = np.ptp(sequences.positions_world_m[..., 2], axis=1)
    assert (heights_m > 1.2).all()
    assert (heights_m < 2.2).all()


def test_a_training_that_ends_too_early_is_no_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", *SMALL, "--trainer.max_steps=2"]) == 2
    told = capsys.readouterr()
    assert "error: the training ended before step 7" in told.err
    assert not told.out
