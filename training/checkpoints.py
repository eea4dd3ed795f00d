"""Files of a training run that survive a kill at any moment, and are read without running code."""

from __future__ import annotations

import fcntl
import os
import pickle
import sys
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from occpose_core.errors import OccposeError

# What torch raises for checkpoints that are cut off, of another format, or hold code.
_DAMAGE = (
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the old checkpoint and then takes its place.

    Lightning's own writes to the system's temporary folder: moved from there to another disk, a checkpoint is copied,
    and a kill while it is copied leaves neither the old one nor the new.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """As CheckpointIO.save_checkpoint."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        with temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)


def check_checkpoint(path: Path) -> None:
    """Raise OccposeError if a checkpoint is damaged, or holds more than numbers: reading it never runs code."""
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        reason = "it is damaged or foreign; start anew with --fresh true"
        raise OccposeError(f"cannot resume from {path}: {reason}") from error


def lock(folder: Path) -> IO[str]:
    """Keep other processes from training in this folder as long as the returned file is open; waits for them first."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / ".lock").open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print(f"waiting for another process that trains in {folder}", file=sys.stderr)
        fcntl.lockf(file, fcntl.LOCK_EX)
    return file
