"""Identities for people whose detector gives none: assignment of seen to predicted keypoints, frame by frame."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

# In person sizes (RMS distance of the joints from their centre, about 0.45 m of a standing adult).
_GATE = 0.8  # a match at once: pose change and detector noise
_GATE_PER_S = 3.0  # and for every second unseen: 1.4 m/s that the prediction does not know of
_PREDICTION_S = 0.3  # a velocity is believed for this long
_SIZE_KEPT = 0.98  # per frame: a person who becomes half hidden does not become half as large
_VELOCITY_GAIN = 0.3
_NO_MATCH = 1e6


@dataclass(eq=False)
class _Track:
    id: str
    kpts: np.ndarray  # (J, 2) last known
    known: np.ndarray  # (J,) bool: seen at least once
    size: float
    stamp_ns: int
    velocity: np.ndarray  # (2,) per second

    def predict(self, stamp_ns: int) -> np.ndarray:
        dt_s = (stamp_ns - self.stamp_ns) * 1e-9
        return np.asarray(self.kpts + self.velocity * _PREDICTION_S * (1.0 - np.exp(-dt_s / _PREDICTION_S)))

    def update(self, kpts: np.ndarray, visible: np.ndarray, size: float, stamp_ns: int) -> None:
        both = visible & self.known
        shift = (kpts[both] - self.kpts[both]).mean(axis=0) if both.any() else np.zeros(2)
        dt_s = (stamp_ns - self.stamp_ns) * 1e-9
        self.velocity = self.velocity + _VELOCITY_GAIN * (shift / dt_s - self.velocity)
        self.kpts = np.where(visible[:, None], kpts, self.kpts + shift)
        self.known = self.known | visible
        self.size = max(size, _SIZE_KEPT * self.size)
        self.stamp_ns = stamp_ns


class Tracker:
    """Gives people ids ("t1", "t2", ...) that survive short occlusions and are never used twice."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._count = 0

    def reset(self) -> None:
        """Forget everybody; ids go on counting."""
        self._tracks = []

    def assign(
        self,
        kpts: np.ndarray,
        visible: np.ndarray,
        stamp_ns: int,
        *,
        min_joints: int,
        ttl_s: float,
        taken: Collection[str] = (),
    ) -> list[str]:
        """Ids of the people in one frame.

        kpts: (P, J, 2) in any unit, masked where visible (P, J) is False. stamp_ns: later than at the last call.
        min_joints: visible joints that a new track needs; who has fewer and matches nobody gets the id "". ttl_s: a
        track unseen for longer is dropped. taken: ids that the detector has given to others.
        """
        self._tracks = [t for t in self._tracks if stamp_ns - t.stamp_ns <= ttl_s * 1e9 and t.id not in taken]
        sizes = _sizes(kpts, visible)
        ids = [""] * len(kpts)
        for person, row in self._match(kpts, visible, sizes, stamp_ns):
            self._tracks[row].update(kpts[person], visible[person], float(sizes[person]), stamp_ns)
            ids[person] = self._tracks[row].id
        for person in range(len(kpts)):
            if not ids[person] and visible[person].sum() >= min_joints:
                ids[person] = self._begin(kpts[person], visible[person], float(sizes[person]), stamp_ns, taken)
        return ids

    def _match(self, kpts: np.ndarray, visible: np.ndarray, sizes: np.ndarray, stamp_ns: int) -> list[tuple[int, int]]:
        """(person, track) pairs of the cheapest assignment within the gates."""
        if not len(kpts) or not self._tracks:
            return []
        predicted = np.stack([track.predict(stamp_ns) for track in self._tracks])
        both = visible[:, None] & np.stack([track.known for track in self._tracks])
        distance = np.where(
            both, np.linalg.norm(np.where(both[..., None], kpts[:, None] - predicted, 0.0), axis=-1), 0.0
        )
        size = np.maximum(sizes[:, None], [track.size for track in self._tracks])
        shared = both.sum(axis=-1)
        cost = distance.sum(axis=-1) / np.maximum(shared, 1) / np.maximum(size, np.finfo(float).tiny)
        unseen_s = np.array([stamp_ns - track.stamp_ns for track in self._tracks]) * 1e-9
        possible = (shared > 0) & (cost <= _GATE + _GATE_PER_S * unseen_s)
        pairs = zip(*linear_sum_assignment(np.where(possible, cost, _NO_MATCH)), strict=True)
        return [(person, row) for person, row in pairs if possible[person, row]]

    def _begin(self, kpts: np.ndarray, visible: np.ndarray, size: float, stamp_ns: int, taken: Collection[str]) -> str:
        self._count += 1
        while f"t{self._count}" in taken:
            self._count += 1
        known = np.where(visible[:, None], kpts, 0.0)
        track = _Track(f"t{self._count}", known, visible.copy(), size, stamp_ns, np.zeros(2))
        self._tracks.append(track)
        return track.id


def _sizes(kpts: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """(P,) RMS distance of the visible joints from their centre."""
    weight = visible[..., None] / np.maximum(visible.sum(axis=-1), 1)[:, None, None]
    seen = np.where(visible[..., None], kpts, 0.0)
    centre = (seen * weight).sum(axis=-2, keepdims=True)
    return np.asarray(np.sqrt((((seen - centre) ** 2) * weight).sum(axis=(-1, -2))))
