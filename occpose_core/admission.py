"""Which of the people in a message, and which of their joints, the pipeline takes seriously."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from occpose_core.camera import rays_from_px
from occpose_core.errors import OccposeError
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, Keypoints2D, People2D

_J = len(H36M17.joints)


class PeopleError(OccposeError):
    """People do not have the joints of h36m17."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """2D input, a row a person.

    xy_px: (P, J, 2), of any value where a joint is not visible. rays: (P, J, 2) and score: (P, J), 0 there.
    visible: (P, J) bool, score > 0. shown: (P,) how many joints are visible.
    """

    xy_px: np.ndarray
    rays: np.ndarray
    score: np.ndarray
    visible: np.ndarray
    shown: np.ndarray

    def enough(self, config: PipelineConfig) -> np.ndarray:
        """(P,) bool: whether so much is visible that the person can be lifted."""
        return np.asarray(self.shown >= config.min_visible_joints)

    def on_rows(self, rows: np.ndarray, count: int) -> Seen:
        """Person i moved to row rows[i] of `count`; a row of -1 leaves the person out, other rows see nothing."""
        listed = rows.tolist()
        if listed == list(range(count)):
            return self
        kept = rows >= 0 if -1 in listed else slice(None)
        to = rows[kept]

        def moved(values: np.ndarray) -> np.ndarray:
            out = np.zeros((count, *values.shape[1:]), dtype=values.dtype)
            out[to] = values[kept]
            return out

        return Seen(**{name: moved(values) for name, values in vars(self).items()})


def admit(
    people: Sequence[Keypoints2D], config: PipelineConfig, camera: Camera, dropped: Counter[str]
) -> tuple[list[str], Seen]:
    """Ids ("" = none, else unique) and keypoints of the people to go on with, in their order.

    Joints below min_score or too far outside the image become invisible; those a little outside count the less, the
    farther they are, for detectors guess them. Of people with the same id the one with the highest score sum stays.
    `dropped` is counted up. PeopleError.
    """
    ids, xy_px, score = _arrays(people)
    _discount_outside(score, xy_px, config.image_margin, camera)
    score *= score >= config.min_score
    if _repeated(ids):
        chosen = _unique(ids, score.sum(axis=-1), dropped)
        ids, xy_px, score = [ids[person] for person in chosen], xy_px[chosen], score[chosen]
    visible = score > 0
    # through any lens, the ray of the principal point is 0
    rays = rays_from_px(np.where(visible[..., None], xy_px, camera.K[:2, 2]), camera)
    return ids, Seen(xy_px=xy_px, rays=rays, score=score, visible=visible, shown=visible.sum(axis=-1))


def _arrays(people: Sequence[Keypoints2D]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, xy_px (P, J, 2), and score (P, J), which may be written to."""
    if isinstance(people, People2D):
        joints = people.score.shape[1]
        if joints != _J:
            raise PeopleError(f"people have {joints} joints, {H36M17.name} has {_J}: convert the layout first")
        return list(people.ids), people.xy_px, people.score.copy()
    for person in people:
        if person.score.shape != (_J,):
            raise PeopleError(
                f"person {person.id!r} has {len(person.score)} joints, {H36M17.name} has {_J}: convert the layout first"
            )
    xy_px = np.array([person.xy_px for person in people], dtype=np.float32).reshape(-1, _J, 2)
    score = np.array([person.score for person in people], dtype=np.float32).reshape(-1, _J)
    return [person.id for person in people], xy_px, score


def _discount_outside(score: np.ndarray, xy_px: np.ndarray, margin: float, camera: Camera) -> None:
    """Multiply scores (P, J) by 1 in the image, falling to 0 at the margin (in image sizes), and by 0 at NaN."""
    if not len(xy_px) or (
        xy_px.min() >= 0 and xy_px[..., 0].max() <= camera.width and xy_px[..., 1].max() <= camera.height
    ):
        return
    size = np.array([camera.width, camera.height], dtype=np.float32)
    outside = (np.maximum(-xy_px, xy_px - size) / size).max(axis=-1)  # NaN if any is
    margin = max(margin, 1e-6)
    score *= np.where(outside < margin, 1 - np.maximum(outside, 0) / margin, 0)


def _repeated(ids: list[str]) -> bool:
    """Whether several people have one id."""
    named = [name for name in ids if name]
    return len(set(named)) < len(named)


def _unique(ids: list[str], score: np.ndarray, dropped: Counter[str]) -> np.ndarray:
    """Sorted indices of the people who are alone with their id, or the surest of those who share it."""
    best: dict[str, int] = {}
    unique = np.zeros(len(ids), dtype=bool)
    for person in np.argsort(-score, kind="stable").tolist():
        unique[person] = not ids[person] or best.setdefault(ids[person], person) == person
    count(dropped, "duplicate_id", ~unique)
    return unique.nonzero()[0]


def prominence(seen: Seen) -> np.ndarray:
    """(P,) size in the image times mean score: whom to follow if not all can be."""
    visible = seen.visible[..., None]
    low = np.where(visible, seen.xy_px, np.inf).min(axis=1)
    high = np.where(visible, seen.xy_px, -np.inf).max(axis=1)
    size = np.linalg.norm(np.where(np.isfinite(low), high - np.where(np.isfinite(low), low, 0), 0), axis=-1)
    return np.asarray(size * seen.score.mean(axis=-1))


def count(dropped: Counter[str], reason: str, people: np.ndarray) -> None:
    """Add those of `people` (P,) bool who are True to a reason, which appears only if there are any."""
    if found := int(np.count_nonzero(people)):
        dropped[reason] += found
