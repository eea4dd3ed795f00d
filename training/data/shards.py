"""Motion in memory-mapped shards, for sets that are larger than memory.

A folder has `index.json` and shards, `SPLIT-NUMBER-DIGEST.npy`: (F, 17, 3) float32 m, `h36m17`, whole recordings one
after the other. Only the frames of a batch are read from disk, and the operating system keeps what fits of the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.dataset import SPLITS, DatasetError, Motion, read_sequences
from occpose_core.files import OutputError, make_folder, write_atomically
from occpose_core.skeleton import H36M17
from training.data.clip import Clip

INDEX = "index.json"
FRAMES_PER_SHARD = 1_000_000  # 200 MB
_FORMAT = "occpose motion shards 1"
_AGAIN = "make the folder anew with `python -m training shards`"


@dataclass(frozen=True, kw_only=True)
class ShardedClip:
    """Where a recording is: `length` frames of a shard from `start` on."""

    name: str
    subject: str
    rate_hz: float
    start: int
    length: int


def write_shards(
    files: Sequence[Path],
    folder: Path,
    frames_per_shard: int = FRAMES_PER_SHARD,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Write OccKP-1 data files as shards; started again after a stop, it goes on with the shards that are missing.

    Raises DatasetError if a file is unreadable, OutputError if the folder holds shards of other files.
    """
    make_folder(folder)
    shards: list[dict[str, Any]] = []
    for file in files:
        sequences = read_sequences(file)
        for split in SPLITS:
            motions = sequences.of_split(split) if (sequences.split == split).any() else iter(())
            for group in _groups(motions, frames_per_shard):
                name = f"{split}-{len(shards):05d}-{_digest(sequences.sha256, split, group)}.npy"
                if not (folder / name).exists():
                    _write_array(folder / name, np.concatenate([each.joints_world_m for each in group]))
                    report(f"written {folder / name}")
                shards.append({"file": name, "split": split, "clips": [asdict(each) for each in _placed(group)]})
    _write_index(folder, shards)


def _groups(motions: Iterator[Motion], frames: int) -> Iterator[list[Motion]]:
    """Recordings in groups of at most so many frames, or of a single one that is longer."""
    group: list[Motion] = []
    for motion in motions:
        if group and sum(len(each.joints_world_m) for each in [*group, motion]) > frames:
            yield group
            group = []
        group.append(motion)
    if group:
        yield group


def _digest(sha256: str, split: str, group: list[Motion]) -> str:
    text = "|".join([sha256, split, *(f"{each.name}:{len(each.joints_world_m)}" for each in group)])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _placed(group: list[Motion]) -> Iterator[ShardedClip]:
    start = 0
    for motion in group:
        length = len(motion.joints_world_m)
        yield ShardedClip(name=motion.name, subject=motion.subject, rate_hz=motion.rate_hz, start=start, length=length)
        start += length


def _write_array(path: Path, joints_m: np.ndarray) -> None:
    """Under a temporary name, then renamed: a shard that is there is whole."""
    handle, temporary = tempfile.mkstemp(prefix=".shard.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.save(stream, joints_m.astype(np.float32), allow_pickle=False)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _write_index(folder: Path, shards: list[dict[str, Any]]) -> None:
    text = json.dumps({"format": _FORMAT, "joints": H36M17.joints, "shards": shards}, indent=1) + "\n"
    path = folder / INDEX
    if not path.exists():
        write_atomically(path, text.encode())
    elif path.read_text("utf-8") != text:
        raise OutputError(f"{folder} holds shards of other files, or of another size; name another folder")


def read_shards(folder: Path, split: str) -> list[Clip]:
    """The clips of one split, memory-mapped, in the order of their files. Raises DatasetError."""
    index = _read_index(folder)
    found = []
    for shard in index["shards"]:
        if shard["split"] != split:
            continue
        joints_m = _map(folder / shard["file"])
        for clip in (ShardedClip(**each) for each in shard["clips"]):
            if clip.start + clip.length > len(joints_m):
                raise DatasetError(f"{folder / shard['file']} is shorter than {INDEX} says; {_AGAIN}")
            part = joints_m[clip.start : clip.start + clip.length]
            found.append(
                Clip(
                    name=clip.name,
                    subject=clip.subject,
                    source=str(folder),
                    rate_hz=clip.rate_hz,
                    joints_world_m=part,
                )
            )
    if not found:
        known = ", ".join(sorted({shard["split"] for shard in index["shards"]}))
        raise DatasetError(f"{folder} has no sequence of split {split!r}; its splits are {known}")
    return found


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        index = json.loads(path.read_text("utf-8"))
        known = index["format"] == _FORMAT and index["joints"] == list(H36M17.joints)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; {_AGAIN}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(f"{path} is not an index of motion shards; {_AGAIN}") from error
    if not known:
        raise DatasetError(f"{path} is of another format than {_FORMAT!r}; {_AGAIN}")
    return dict(index)


def _map(path: Path) -> np.ndarray:
    try:
        joints_m = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read the shard {path}: it is missing or damaged; {_AGAIN}") from error
    if joints_m.ndim != 3 or joints_m.shape[1:] != (len(H36M17.joints), 3) or joints_m.dtype != np.float32:
        raise DatasetError(f"{path} is no shard of motion: {joints_m.dtype} {joints_m.shape}; {_AGAIN}")
    return np.asarray(joints_m) if not isinstance(joints_m, np.memmap) else joints_m
