"""`python -m training throughput`: how many people a second this machine trains on, as JSON.

Runs `fit` for a while, with its own configuration of the default model, on made-up motion: what people do makes no
difference to speed. More arguments are handed on to fit, such as --trainer.precision bf16-mixed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from occpose_core.baselines import mean_pose_view_m
from occpose_core.dataset import SPLITS
from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17
from training.cli import main as fit
from training.data.batch import Batch

CONFIG = Path(__file__).parent / "configs" / "stream" / "s.yaml"
_WARM_UPS = 6  # steps that do not count: memory is taken, batches that were made meanwhile are used up
_LEAST = 3  # steps that count, however long they take
_PEOPLE, _FRAMES, _RATE_HZ = 8, 600, 30.0
_SWAY_M = 0.1


class Stopwatch(Callback):
    """Times the steps of a training, and ends it after so many seconds.

    sequences and poses: that were trained on in `seconds`, in so many steps.
    """

    def __init__(self, at_least_s: float) -> None:
        self._at_least_s, self._done = at_least_s, 0
        self.steps = self.sequences = self.poses = 0
        self.seconds = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """The loss was looked at, so that the step is done on a GPU too."""
        now_s = time.perf_counter()
        self._done += 1
        if self._done <= _WARM_UPS:
            self._begin_s = now_s
            return
        visible = batch["visible"]
        self.steps, self.seconds = self.steps + 1, now_s - self._begin_s
        self.sequences, self.poses = self.sequences + len(visible), self.poses + visible[..., 0].numel()
        trainer.should_stop = self.steps >= _LEAST and self.seconds >= self._at_least_s


def write_motion(path: Path) -> None:
    """An OccKP-1 file with people who stand and sway, in each split."""
    rng = np.random.default_rng(0)
    upright = mean_pose_view_m()[:, [0, 2, 1]] * [1, 1, -1]  # right, forward, up
    phase = np.linspace(0, _FRAMES / _RATE_HZ, _FRAMES)[:, None, None] + rng.uniform(0, 6, (_PEOPLE, 1, *upright.shape))
    joints_m = upright - [0, 0, upright[:, 2].min()] + _SWAY_M * np.sin(phase)
    splits = [SPLITS[index % len(SPLITS)] for index in range(_PEOPLE)]
    np.savez(
        path,
        positions=joints_m.reshape(-1, *upright.shape).astype(np.float32),
        start=np.arange(_PEOPLE) * _FRAMES,
        length=np.full(_PEOPLE, _FRAMES),
        name=[f"sway_{index}" for index in range(_PEOPLE)],
        subject=[f"person_{index}" for index in range(_PEOPLE)],
        description=["sways"] * _PEOPLE,
        split=splits,
        fps=_RATE_HZ,
        joints=H36M17.joints,
        license="public domain",
    )


def _train(stopwatch: Stopwatch, more: list[str]) -> int:
    """Run fit, with more of its arguments, in a folder that is gone afterwards; its exit code."""
    with tempfile.TemporaryDirectory(prefix="occpose-throughput-") as folder, contextlib.redirect_stdout(sys.stderr):
        motion = Path(folder) / "motion.npz"
        write_motion(motion)
        arguments = [
            "fit",
            f"--config={CONFIG}",
            f"--runs={folder}",
            f"--data.files=['{motion}']",
            "--data.sequence.rates_hz={30: 1}",  # masks are drawn once for each rate, which a long run does not notice
            "--trainer.max_epochs=1",
            "--trainer.limit_train_batches=1000000",
            "--trainer.limit_val_batches=0",
            "--trainer.enable_progress_bar=false",
            "--trainer.enable_model_summary=false",
            *more,
        ]
        return fit(arguments, [stopwatch])


def figures_of(stopwatch: Stopwatch) -> dict[str, Any]:
    """What was measured, and on what. Raises OccposeError if the training ended before any step counted."""
    if not stopwatch.steps:
        raise OccposeError(f"the training ended before step {_WARM_UPS + 1}, the first that counts; let it go on")
    return {
        "config": f"{CONFIG.parent.name}/{CONFIG.stem}",
        "steps": stopwatch.steps,
        "seconds": stopwatch.seconds,
        "sequences_per_s": stopwatch.sequences / stopwatch.seconds,
        "poses_per_s": stopwatch.poses / stopwatch.seconds,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the command; fit's exit code if that fails."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m training throughput", description=__doc__, formatter_class=formatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="to measure, after the start (default: %(default)s)")
    args, more = parser.parse_known_args(argv)
    stopwatch = Stopwatch(args.seconds)
    code = _train(stopwatch, more)
    if code == 0:
        print(json.dumps(figures_of(stopwatch)))
    return code
