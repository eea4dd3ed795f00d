"""Motion capture files in the OccKP-1 format (docs/evaluation.md, "Data files")."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from occpose_core.dataset import read_sequences
from training.data.clip import Clip


def read_clips(files: Sequence[Path], split: str) -> list[Clip]:
    """All clips of one split (train, val, test); each file is a source. Raises DatasetError."""
    return [
        Clip(
            name=motion.name,
            subject=motion.subject,
            source=str(file),
            rate_hz=motion.rate_hz,
            joints_world_m=motion.joints_world_m.astype("float32"),
        )
        for file in files
        for motion in read_sequences(file).of_split(split)
    ]
