"""How fast this machine trains; in a process of its own, for training stands beside occpose_ros and needs torch."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from occpose_core.errors import OccposeError

_NEEDED = ("torch", "lightning", "jsonargparse", "tensorboard", "safetensors", "training")


class TrainingSpeedError(OccposeError):
    """Training could not be measured."""


def training_missing() -> str:
    """The first thing that training needs and that is not installed; empty if it can be measured."""
    return next((f"{name} is not installed" for name in _NEEDED if importlib.util.find_spec(name) is None), "")


def training_speed(seconds: float, more: Sequence[str] = ()) -> dict[str, Any]:
    """What `python -m training throughput` measures in so many seconds, after a start of about ten.

    more: arguments of fit. Returns config: what is trained; sequences_per_s and poses_per_s: how many it takes; steps
    and seconds: in which this was counted; device and threads: what it runs on. Raises TrainingSpeedError.
    """
    spec = importlib.util.find_spec("training")
    if spec is None or spec.origin is None:
        raise TrainingSpeedError("the package training is not installed: pip install 'occpose[train]'")
    command = [sys.executable, "-m", "training", "throughput", "--seconds", str(seconds), *more]
    done = subprocess.run(command, cwd=Path(spec.origin).parents[1], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise TrainingSpeedError(f"training could not be measured: {reason}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
