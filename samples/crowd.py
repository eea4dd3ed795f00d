"""A crowd in the room of the sample bag, what a 2D detector says of it, and detectors that confuse people.

People walk to and fro on lanes at different distances, so that they pass before each other all the time. A joint is
hidden if it is outside the image, behind another person's body, or a wrist behind the own trunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scene
from motion import Walker, best_loop, clip_from_positions

from occpose_core.camera import px_from_cam
from occpose_core.dataset import Sequences
from occpose_core.errors import OccposeError
from occpose_core.simulation import detect

RATE_HZ = 30
MIN_JOINTS = 4  # with fewer the detector sees no person
DETECTION_THRESHOLD = 0.3
_WALKS = ("02_01", "49_01", "05_01", "12_01", "12_02", "39_01", "39_02", "39_03")
_FADE = 12
_SIDES_M = (-1.8, 1.8)
_NEAREST_LANE_M, _LANE_M = 3.2, 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class Crowd:
    """P people in T frames: joints_cam_m (P, T, J, 3), the truth; true_px, xy_px (P, T, J, 2); score (P, T, J)."""

    joints_cam_m: np.ndarray
    true_px: np.ndarray
    xy_px: np.ndarray
    score: np.ndarray

    @property
    def detected(self) -> np.ndarray:
        """(P, T) bool: the detector sees the person."""
        return np.asarray((self.score > 0).sum(axis=-1) >= MIN_JOINTS)

    @property
    def present(self) -> np.ndarray:
        """(P, T) bool: at least half of the joints are in the image, seen or not."""
        inside = ((self.true_px >= 0) & (self.true_px < [scene.CAMERA.width, scene.CAMERA.height])).all(axis=-1)
        return np.asarray(inside.mean(axis=-1) >= 0.5)


def _path(recording_world_m: np.ndarray, lane_m: float, frames: int, rng: np.random.Generator) -> np.ndarray:
    begin, end = best_loop(recording_world_m, fade=_FADE, shortest=28)
    walk = clip_from_positions(recording_world_m, begin, end, fade=_FADE)
    side = int(rng.integers(2))
    walker = Walker(walk, (float(rng.uniform(*_SIDES_M)), lane_m), np.pi * side, fade=_FADE)
    poses: list[np.ndarray] = []
    while len(poses) < frames:
        side = 1 - side
        poses += walker.walk_to((_SIDES_M[side], lane_m + float(rng.uniform(-0.1, 0.1))), reach_m=0.6)
    return np.array(poses[:frames])


def make_crowd(sequences: Sequences, people: int, frames: int, seed: int) -> Crowd:
    """Let people walk for some frames at RATE_HZ; OccposeError if the data lack a walk."""
    rng = np.random.default_rng(seed)
    paths = []
    for person in range(people):
        name = _WALKS[(person + seed) % len(_WALKS)]
        found = np.flatnonzero(sequences.name == name)
        if not len(found):
            raise OccposeError(f"{sequences.path} has no sequence {name!r}; give the CMU data file")
        lane_m = _NEAREST_LANE_M + _LANE_M * person
        paths.append(_path(sequences.motion(int(found[0])).joints_world_m, lane_m, frames, rng))
    joints = np.array([scene.cam_from_world(path) for path in paths])
    true_px = px_from_cam(joints, scene.CAMERA)
    xy_px, score, given = detect("detector", true_px, RATE_HZ, rng)
    inside = ((true_px >= 0) & (true_px < [scene.CAMERA.width, scene.CAMERA.height])).all(axis=-1)
    hidden = np.array([scene.hidden_by_own_trunk(person) for person in joints])
    for behind, person in enumerate(joints):
        for before in range(people):
            if before != behind:
                hidden[behind] |= scene.hidden_by_person(person, joints[before])
    score = score * (inside & ~hidden & given)
    return Crowd(
        joints_cam_m=joints, true_px=true_px, xy_px=xy_px, score=np.where(score < DETECTION_THRESHOLD, 0.0, score)
    )


# --- detectors: (P, T) bool detected, near (T, P) nearest other person, rng -> (P, T) ids as strings

Naming = Callable[[Crowd, np.random.Generator], np.ndarray]


def _steady(crowd: Crowd, rng: np.random.Generator) -> np.ndarray:
    people, frames = crowd.detected.shape
    return np.repeat(np.arange(people)[:, None], frames, axis=1).astype(str)


def _nearest(crowd: Crowd, person: int, frame: int) -> int:
    """The person detected nearest in the image."""
    centre = crowd.true_px[:, frame].mean(axis=1)
    away = np.linalg.norm(centre - centre[person], axis=-1)
    away[person], away[~crowd.detected[:, frame]] = np.inf, np.inf
    return int(away.argmin()) if np.isfinite(away).any() else person


def _swapping(crowd: Crowd, rng: np.random.Generator, per_s: float = 0.2) -> np.ndarray:
    """Somebody and the nearest other exchange their ids for good, so often for each person."""
    names = _steady(crowd, rng)
    for frame in range(1, names.shape[1]):
        for person in np.flatnonzero((rng.random(len(names)) < per_s / RATE_HZ) & crowd.detected[:, frame]):
            other = _nearest(crowd, person, frame)
            names[[person, other], frame:] = names[[other, person], frame:]
    return names


def _renaming(crowd: Crowd, rng: np.random.Generator, per_s: float = 0.2, fresh_after: int = 10) -> np.ndarray:
    """A new id so often for each person, and for everybody who was not detected for so many frames."""
    names = np.zeros(crowd.detected.shape, dtype=np.int64)
    count = 0
    for person, detected in enumerate(crowd.detected):
        unseen = fresh_after
        for frame, there in enumerate(detected):
            if there and (unseen >= fresh_after or rng.random() < per_s / RATE_HZ):
                count += 1
                names[person, frame:] = count
            unseen = 0 if there else unseen + 1
    return names.astype(str)


def _indices(crowd: Crowd, rng: np.random.Generator) -> np.ndarray:
    """The number of the detection in the frame, in an order that changes all the time."""
    names = np.zeros(crowd.detected.shape, dtype=np.int64)
    for frame, detected in enumerate(crowd.detected.T):
        names[detected, frame] = rng.permutation(detected.sum())
    return names.astype(str)


def _counting(crowd: Crowd, rng: np.random.Generator) -> np.ndarray:
    """A new id for everybody in every frame."""
    people, frames = crowd.detected.shape
    return np.arange(people * frames).reshape(frames, people).T.astype(str)


def _none(crowd: Crowd, rng: np.random.Generator) -> np.ndarray:
    return np.full(crowd.detected.shape, "")


NAMINGS: dict[str, Naming] = {
    "steady": _steady,
    "swaps": _swapping,
    "new ids": _renaming,
    "order of detections": _indices,
    "all new each frame": _counting,
    "none": _none,
}
