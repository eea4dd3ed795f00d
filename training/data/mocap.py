"""Motion capture in the OccKP-1 format (docs/evaluation.md, "Data files"), or in shards made of such files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from occpose_core.dataset import DatasetError, read_sequences
from training.data.clip import Clip
from training.data.shards import read_shards


def read_clips(files: Sequence[Path], split: str) -> list[Clip]:
    """All clips of one split (train, val, test); each file, or folder of shards, is a source. Raises DatasetError."""
    return [clip for file in files for clip in (read_shards if file.is_dir() else _read_file)(file, split)]


def shares_of(files: Sequence[Path], shares: Sequence[float] | None) -> dict[str, float]:
    """Share of each source, given in the order of the files; empty without shares. Raises DatasetError."""
    if shares and len(shares) != len(files):
        raise DatasetError(f"{len(shares)} shares are given for {len(files)} files; give one for each file, or none")
    return dict(zip(map(str, files), shares or (), strict=False))


def _read_file(file: Path, split: str) -> list[Clip]:
    return [
        Clip(
            name=motion.name,
            subject=motion.subject,
            source=str(file),
            rate_hz=motion.rate_hz,
            joints_world_m=motion.joints_world_m.astype("float32"),
        )
        for motion in read_sequences(file).of_split(split)
    ]
