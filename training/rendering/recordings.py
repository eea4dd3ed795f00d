"""Which recorded poses become people: those of one split's subjects, rare subjects as often as frequent ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from occpose_core.dataset import DatasetError, Sequences
from occpose_core.skeleton import H36M17


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedPose:
    """joints_world_m: (17, 3) float64, `h36m17`, z up, the pelvis above the origin."""

    joints_world_m: np.ndarray
    subject: str
    sequence: str
    frame: int


class Recordings:
    """The recordings of one split. Raises DatasetError if no file has any.

    shares: of the drawn poses, one for each file; those of files without this split go to the others. None: files have
    the shares that their numbers of subjects give them.
    """

    def __init__(self, files: Sequence[Sequences], split: str, shares: Sequence[float] | None = None) -> None:
        self._files = [(file, _by_subject(file, split)) for file in files]
        subjects = [len(rows) for _, rows in self._files]
        share = np.array([given if count else 0.0 for given, count in zip(shares or subjects, subjects, strict=True)])
        if not share.sum() > 0:
            raise DatasetError(
                f"no data file has recordings of split {split!r}; give a file that has, or set its images to 0"
            )
        self._shares = share / share.sum()

    def draw(self, rng: np.random.Generator) -> RecordedPose:
        """A random frame of a random subject, turned and mirrored at random."""
        file, by_subject = self._files[int(rng.choice(len(self._files), p=self._shares))]
        rows = by_subject[int(rng.integers(len(by_subject)))]
        lengths = file.length[rows]
        row = int(rng.choice(rows, p=lengths / lengths.sum()))
        frame = int(rng.integers(file.length[row]))
        joints = file.positions_world_m[int(file.start[row]) + frame].astype(np.float64)
        return RecordedPose(
            joints_world_m=_turned(joints, rng),
            subject=str(file.subject[row]),
            sequence=str(file.name[row]),
            frame=frame,
        )


def _by_subject(file: Sequences, split: str) -> list[np.ndarray]:
    """Indices of each subject's recordings."""
    here = file.split == split
    return [np.flatnonzero(here & (file.subject == subject)) for subject in sorted(set(file.subject[here].tolist()))]


def _turned(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        joints = joints[H36M17.mirror] * [-1.0, 1.0, 1.0]
    joints = joints - joints[H36M17.index("pelvis")] * [1.0, 1.0, 0.0]
    angle = rng.uniform(-np.pi, np.pi)
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.asarray(joints @ np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]]))
