"""Motion sequences from an OccKP-1 data file (.npz): 3D joints of people, split by subject.

positions (F, 17, 3) float32 metres, z up      start, length (S): sequence s is positions[start:start + length]
name, subject, split, description (S)          fps, joints (17), license
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17

SPLITS = ("train", "val", "test")
_KEYS = ("positions", "start", "length", "name", "subject", "split", "description", "fps", "joints", "license")
_PER_SEQUENCE = ("start", "length", "name", "subject", "split", "description")
# `h36m17` has one joint that some files name after both things it may be
_ALIASES = {"neck_nose": "nose"}


class DatasetError(OccposeError):
    """A data file is missing, is of another format or contradicts itself."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """One person's recording. joints_world_m: (T, 17, 3) float64, `h36m17`, z up, floor near z = 0."""

    name: str
    subject: str
    description: str
    rate_hz: float
    joints_world_m: np.ndarray

    def resampled(self, rate_hz: float) -> Motion:
        """The same recording at another rate, linearly interpolated between its frames."""
        if rate_hz == self.rate_hz:
            return self
        frames = len(self.joints_world_m)
        last_s = (frames - 1) / self.rate_hz
        at = np.arange(int(last_s * rate_hz + 1e-9) + 1) / rate_hz * self.rate_hz
        before = np.minimum(at.astype(np.int64), max(frames - 2, 0))
        share = (at - before)[:, None, None]
        after = np.minimum(before + 1, frames - 1)
        joints = (1 - share) * self.joints_world_m[before] + share * self.joints_world_m[after]
        return Motion(
            name=self.name,
            subject=self.subject,
            description=self.description,
            rate_hz=rate_hz,
            joints_world_m=joints,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequences:
    """All recordings of one data file. positions_world_m: (F, 17, 3) float32; the rest: (S,)."""

    path: Path
    sha256: str
    rate_hz: float
    license: str
    positions_world_m: np.ndarray
    start: np.ndarray
    length: np.ndarray
    name: np.ndarray
    subject: np.ndarray
    split: np.ndarray
    description: np.ndarray

    def __len__(self) -> int:
        return len(self.name)

    def motion(self, index: int) -> Motion:
        """The recording with that index."""
        begin = int(self.start[index])
        joints = self.positions_world_m[begin : begin + int(self.length[index])].astype(np.float64)
        return Motion(
            name=str(self.name[index]),
            subject=str(self.subject[index]),
            description=str(self.description[index]),
            rate_hz=self.rate_hz,
            joints_world_m=joints,
        )

    def of_split(self, split: str) -> Iterator[Motion]:
        """The recordings of one split, in file order. Raises DatasetError if there are none."""
        chosen = np.flatnonzero(self.split == split)
        if not len(chosen):
            known = ", ".join(sorted(set(self.split.tolist())))
            raise DatasetError(f"{self.path} has no sequence of split {split!r}; its splits are {known}")
        return (self.motion(int(index)) for index in chosen)


def read_sequences(path: str | Path) -> Sequences:
    """Read an OccKP-1 data file.

    Joints may stand in any order; they are sorted into `h36m17` by name. Raises DatasetError that names the file and
    the key if the file is missing, foreign, truncated or contradicts itself, or if one subject is in two splits.
    """
    path = Path(path)
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        members = _read_members(path)
    except DatasetError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not a whole .npz file"
        raise DatasetError(f"cannot read the data file {path}: {reason}") from error
    positions = _check_positions(path, members)
    _check_sequences(path, members, len(positions))
    return Sequences(
        path=path,
        sha256=sha256,
        rate_hz=float(members["fps"]),
        license=str(members["license"]),
        positions_world_m=positions[:, _joint_order(path, members["joints"])],
        **{key: members[key] for key in _PER_SEQUENCE},
    )


def _read_members(path: Path) -> dict[str, np.ndarray]:
    """Every member once: an npz decompresses at each access. Nothing is ever unpickled."""
    archive = np.load(path, allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DatasetError(f"{path} holds a single array; expected an .npz file with {', '.join(_KEYS)}")
    with archive:
        missing = [key for key in _KEYS if key not in archive.files]
        if missing:
            raise DatasetError(f"{path} lacks the key {missing[0]!r}; an OccKP-1 data file has {', '.join(_KEYS)}")
        return {key: archive[key] for key in _KEYS}


def _check_positions(path: Path, members: dict[str, np.ndarray]) -> np.ndarray:
    positions = members["positions"]
    if positions.ndim != 3 or positions.shape[1:] != (len(H36M17.joints), 3):
        raise DatasetError(
            f"{path}: key 'positions' must have shape (F, {len(H36M17.joints)}, 3), got {positions.shape}"
        )
    if not np.issubdtype(positions.dtype, np.floating) or not np.isfinite(positions).all():
        raise DatasetError(f"{path}: key 'positions' must hold finite floating-point metres, got {positions.dtype}")
    fps = members["fps"]
    if fps.shape != () or not np.issubdtype(fps.dtype, np.number) or not fps > 0:
        raise DatasetError(f"{path}: key 'fps' must be one positive number, got {fps}")
    return np.asarray(positions, dtype=np.float32)


def _check_sequences(path: Path, members: dict[str, np.ndarray], frames: int) -> None:
    shapes = {key: members[key].shape for key in _PER_SEQUENCE}
    if len(set(shapes.values())) != 1 or members["name"].ndim != 1:
        raise DatasetError(f"{path}: keys must have one entry a sequence, got {shapes}")
    for key in ("start", "length"):
        if not np.issubdtype(members[key].dtype, np.integer):
            raise DatasetError(f"{path}: key {key!r} must hold whole numbers, got {members[key].dtype}")
    start, end = members["start"], members["start"] + members["length"]
    wrong = np.flatnonzero((start < 0) | (end > frames) | (members["length"] < 1))
    if len(wrong):
        name, span = str(members["name"][wrong[0]]), f"{start[wrong[0]]} to {end[wrong[0]]}"
        raise DatasetError(f"{path}: sequence {name!r} spans frames {span}, but 'positions' has {frames}")
    unknown = sorted(set(members["split"].tolist()) - set(SPLITS))
    if unknown:
        raise DatasetError(f"{path}: key 'split' must be one of {', '.join(SPLITS)}, got {unknown[0]!r}")
    splits_of: dict[str, str] = {}
    for subject, split in zip(members["subject"].tolist(), members["split"].tolist(), strict=True):
        if splits_of.setdefault(subject, split) != split:
            both = f"{splits_of[subject]!r} and in {split!r}"
            raise DatasetError(f"{path}: subject {subject!r} is in split {both}; give every subject one split")


def _joint_order(path: Path, joints: np.ndarray) -> np.ndarray:
    """(17,) where each `h36m17` joint stands in the file; files may write `Rhip` for right_hip."""
    prefixes = {"L": "left_", "R": "right_"}
    given = [str(name) for name in joints.ravel()]
    names = [_ALIASES.get(name, prefixes.get(name[:1], name[:1]) + name[1:]) for name in given]
    if sorted(names) != sorted(H36M17.joints):
        odd = next(name for name in names if name not in H36M17.joints or names.count(name) > 1)
        raise DatasetError(f"{path}: key 'joints' must name each h36m17 joint once; {odd!r} does not fit")
    return np.array([names.index(name) for name in H36M17.joints])
