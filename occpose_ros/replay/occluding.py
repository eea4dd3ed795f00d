"""Joints hidden on top of what a recording lacks already, by the patterns of the benchmark.

Whom a joint belongs to, the answers to the recording as it is say, so detectors without ids do as well. A person's mask
depends on the recording's name, the person, the pattern and the seed, and on nobody else in the image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from occpose_core.clips import WINDOW, is_process
from occpose_core.errors import OccposeError
from occpose_core.occlusion import expand, philox, visible_mask
from occpose_core.pipeline import PipelineOutput
from occpose_core.skeleton import H36M17
from occpose_core.types import People2D
from occpose_ros.adapters import KeypointsArray
from occpose_ros.scoring.consistency import Occluded, answered_people
from occpose_ros.scoring.matching import nearest
from occpose_ros.scoring.pairs import sightings
from occpose_ros.scoring.poses import frame_numbers

# Windows are as long as those of OccKP-1, whatever the rate of the recording.
WINDOW_S = WINDOW / 30.0
_NOT_HIDING = {
    "clean": "hides nothing: the run over the recording as it is comes without being asked for",
    "hallucinate": "gives joints in a wrong place, which a recording may do already: choose a pattern that hides",
}


class OccludingError(OccposeError):
    """A pattern cannot be laid over a recording."""


def occluding_patterns(names: Sequence[str]) -> tuple[str, ...]:
    """The concrete patterns that names stand for, each once.

    Raises PatternError, and OccludingError for those that hide nothing.
    """
    for name in names:
        reason = _NOT_HIDING.get(name.partition("(")[0])
        if reason:
            raise OccludingError(f"pattern {name!r} {reason}")
    return tuple(dict.fromkeys(pattern for name in names for pattern in expand(name)))


def occlude(
    detected: Sequence[KeypointsArray], reference: Sequence[PipelineOutput], pattern: str, recording: str, seed: int = 0
) -> Occluded:
    """Hide joints of everybody in a recording by a concrete pattern.

    detected: in the camera's pixels. reference: answers to them. recording: its name. People of whom the reference
    knows nothing at that moment stay as they are. Raises PatternError.
    """
    before, people = sightings(detected), answered_people(reference)
    row_of = nearest(before, people)
    stamps_ns = np.unique(before.stamp_ns)
    steps = np.diff(stamps_ns)
    frame_ns = float(np.median(steps)) if len(steps) else 1e9 / 30.0
    frame_of = frame_numbers(stamps_ns, frame_ns)[np.searchsorted(stamps_ns, before.stamp_ns)]
    frames = int(frame_of.max()) + 1 if len(frame_of) else 0
    names = np.array([people.ids[row] if row >= 0 else "" for row in row_of.tolist()], dtype=object)
    visible = np.ones(before.known.shape, dtype=bool)
    for name in dict.fromkeys(names[row_of >= 0]):
        own = (names == name) & (row_of >= 0)
        visible[own] = person_mask(pattern, frames, 1e9 / frame_ns, recording, name, seed)[frame_of[own]]
    return Occluded(
        detected=_masked(detected, visible),
        before=before,
        hidden=before.known & ~visible,
    )


def person_mask(pattern: str, frames: int, rate_hz: float, recording: str, person: str, seed: int = 0) -> np.ndarray:
    """(frames, J) bool of one person, False = hidden: processes over the whole time, others anew in each window.

    Raises PatternError.
    """
    if is_process(pattern):
        return visible_mask(pattern, frames, rate_hz, philox(recording, person, pattern, 0, seed))
    window = max(1, round(WINDOW_S * rate_hz))
    starts = range(0, frames, window)
    drawn = [visible_mask(pattern, window, rate_hz, philox(recording, person, pattern, at, seed)) for at in starts]
    return np.concatenate([np.ones((0, len(H36M17.joints)), dtype=bool), *drawn])[:frames]


def _masked(detected: Sequence[KeypointsArray], visible: np.ndarray) -> list[KeypointsArray]:
    """The same without what is hidden, and without whom nothing is left of.

    visible: (N, J) bool, the people of one array after the other.
    """
    masked, begin = [], 0
    for keypoints in detected:
        people = keypoints.people
        mask = visible[begin : begin + len(people)]
        begin += len(people)
        score = np.where(mask, people.score, 0.0).astype(np.float32)
        left = np.asarray((score > 0).any(axis=-1) | mask.all(axis=-1))
        xy_px = np.where(mask[..., None], people.xy_px, 0.0).astype(np.float32)
        ids = tuple(name for name, there in zip(people.ids, left, strict=True) if there)
        kept = People2D(ids=ids, xy_px=xy_px[left], score=score[left])
        masked.append(dataclasses.replace(keypoints, people=kept))
    return masked
