"""Random occlusion of windows as StridedPoseGraphFormer is trained with: some joint hides for some frames in a row.

Banik et al., IJCNN 2023. A batch is drawn at once from the generator it is given, so that it is as independent of
other workers' and epochs' batches as that is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17

_JOINTS = len(H36M17.joints)
# How often each joint hides, for `by_joint`; sides are alike.
_WEIGHTS = {
    "pelvis": 11.9,
    "hip": 2.6,
    "knee": 1.6,
    "ankle": 1.0,
    "spine": 2.6,
    "thorax": 3.1,
    "nose": 4.7,
    "head_top": 4.7,
    "shoulder": 3.1,
    "elbow": 3.1,
    "wrist": 4.0,
}


@dataclass(frozen=True, kw_only=True)
class OcclusionWindows:
    """What hides in each training window; the defaults are the published ones.

    joints: drawn for each run or frame, with replacement; 0 hides none. consecutive: runs of `length` frames, between
    one and as many as fit in half of the window, each with joints of its own; else single frames, between none and half
    of the window. by_joint: some joints hide more often than others. overlap: runs may overlap, and then the later one
    alone counts, as published; else they do not, and all of their frames are hidden.
    """

    joints: int = 1
    length: int = 6
    consecutive: bool = True
    by_joint: bool = False
    overlap: bool = True

    def __post_init__(self) -> None:
        if self.joints < 0 or self.length < 1:
            raise OccposeError(f"joints must be 0 or more and length 1 or more, got {self.joints} and {self.length}")

    def sample(self, count: int, frames: int, rng: np.random.Generator) -> np.ndarray:
        """(count, frames, J) bool, False = hidden. OccposeError if half of the frames do not hold one run."""
        if not self.joints:
            return np.ones((count, frames, _JOINTS), dtype=bool)
        run = self._runs(count, frames, rng) if self.consecutive else _scattered(count, frames, rng)
        joints = self._joints((count, max(1, int(run.max()) + 1)), rng)  # (B, R, J)
        hidden = np.take_along_axis(joints, np.maximum(run, 0)[..., None], axis=1)
        return np.asarray(~hidden | (run < 0)[..., None])

    def _joints(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """(*shape, J) bool: which joints hide."""
        names = [joint.removeprefix("left_").removeprefix("right_") for joint in H36M17.joints]
        weight = np.array([_WEIGHTS[name] if self.by_joint else 1.0 for name in names])
        drawn = rng.choice(_JOINTS, size=(*shape, self.joints), p=weight / weight.sum())
        return np.asarray((drawn[..., None] == np.arange(_JOINTS)).any(axis=-2))

    def _runs(self, count: int, frames: int, rng: np.random.Generator) -> np.ndarray:
        """(B, T) number of the run that a frame belongs to, -1 for none."""
        half = frames // 2
        if half <= self.length:
            raise OccposeError(
                f"runs of {self.length} hidden frames need a window of {2 * self.length + 2}, got {frames}"
            )
        runs = rng.integers(self.length, half, size=count) // self.length  # in each window
        start = self._starts(runs, frames, rng)
        at = np.arange(frames) - start[..., None]  # (B, R, T)
        inside = (at >= 0) & (at < self.length) & (np.arange(start.shape[1]) < runs[:, None])[..., None]
        number = np.where(inside, np.arange(start.shape[1])[:, None], -1)
        return np.asarray(number.max(axis=1))

    def _starts(self, runs: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
        """(B, R) first frames of at least `runs` (B,) runs, all different."""
        room = frames - self.length + 1
        places = np.full(len(runs), room) if self.overlap else room - (runs - 1) * (self.length - 1)
        order = np.where(np.arange(room) < places[:, None], rng.random((len(runs), room)), np.inf).argsort(axis=1)
        start = order[:, : runs.max()]
        if self.overlap:
            return start
        # runs of one frame in a shorter window, then each grows and moves the later ones on
        chosen = np.where(np.arange(start.shape[1]) < runs[:, None], start, frames)
        return np.asarray(np.sort(chosen, axis=1) + np.arange(start.shape[1]) * (self.length - 1))


def _scattered(count: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(B, T) the frame's own number for between none and half of the frames, -1 for the others."""
    hidden = rng.integers(frames // 2, size=count)
    rank = rng.random((count, frames)).argsort(axis=1).argsort(axis=1)
    return np.where(rank < hidden[:, None], np.arange(frames), -1)
