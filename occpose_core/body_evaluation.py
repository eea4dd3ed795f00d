"""How far models are from the true bodies of people in images; docs/sefd.md explains it.

All models get the same: the 2D joints of one simulated detector (or of the set's own), and the same crop around those
joints, never around labels. Poses and meshes are compared in the camera's axes, each from its own pelvis; nothing of
the truth reaches a model, not its scale either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias, cast

import numpy as np

from occpose_core.body.joints import H36M17_IN_SMPL30, available30
from occpose_core.body_truth import POSED, TrueBodies, TrueBodyModel, orientations
from occpose_core.camera import PersonView, rays_from_px, view_of
from occpose_core.crops import person_crop
from occpose_core.detector_errors import corrupt
from occpose_core.errors import OccposeError
from occpose_core.imagesets.pictures import read_edges, read_picture
from occpose_core.imagesets.types import ImagePerson, ImageSet
from occpose_core.metrics import angle_errors_deg, joint_errors, pa_joint_errors
from occpose_core.runtime.engine import Engine, views_for
from occpose_core.runtime.image_engine import ImageEngine, is_teacher, network_images
from occpose_core.skeleton import H36M17

AnyEngine: TypeAlias = Engine | ImageEngine

MIN_SEEN = 4  # joints: of people who show fewer nothing is asked, as in the pipeline
OCCLUDED_SHARE = 0.3  # of a person's labelled joints that are hidden
# The 14 joints of LSP, on which 3DPW's published figures are made.
LSP14 = tuple(joint for joint in H36M17.joints if joint not in ("pelvis", "spine", "nose"))
_LSP14 = [H36M17.index(joint) for joint in LSP14]
_HIDDEN_MISSED = 0.8  # of the hidden joints: a detector says nothing of them; of the others it guesses
_LEAST_DETECTED = 0.05  # score of a set's own 2D joints, as published evaluations have it
_BATCH = 16


class BodyEvaluationError(OccposeError):
    """Nobody in an image set can be evaluated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """N people whom a detector has seen, with true bodies.

    rays: (N, 17, 2), 0 where score is. score: (N, 17). hidden: (N, 17) bool, labelled and behind something. occluded:
    (N,) bool. unseen: how many more people there were.
    """

    people: Sequence[ImagePerson]
    rays: np.ndarray
    score: np.ndarray
    hidden: np.ndarray
    occluded: np.ndarray
    unseen: int

    def __len__(self) -> int:
        return len(self.people)


@dataclass(frozen=True, kw_only=True, eq=False)
class BodyErrors:
    """Of N people; NaN where a model does not say, or the truth is not known.

    joints_m, pa_joints_m: (N, 14) of LSP14, from the pelvis and after each pose's best similarity. vertices_m: (N,)
    mean over the mesh. angles_deg: (N, 22) of the orientations of POSED.
    """

    joints_m: np.ndarray
    pa_joints_m: np.ndarray
    vertices_m: np.ndarray
    angles_deg: np.ndarray


def _detected(person: ImagePerson, there: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The set's own detections where it has them, else simulated ones."""
    if person.detected_px is not None and person.detected_score is not None:
        return person.detected_px, np.where(there & (person.detected_score > _LEAST_DETECTED), person.detected_score, 0)
    missed = person.hidden & (rng.random(len(there)) < _HIDDEN_MISSED)
    seen = person.labelled & there & ~missed
    return corrupt(person.kpts_px, seen, person.others_px, person.area_px, rng, person.others_labelled)


def _labelled(person: ImagePerson, there: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What is not hidden, without errors."""
    return person.kpts_px, np.where(person.labelled & there & ~person.hidden, 1.0, 0.0)


# 2D input -> what says pixels (30, 2) and scores (30,), 0 = missing, of a person; of joints (30,) bool at most.
DETECTORS: dict[str, Callable[[ImagePerson, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]] = {
    "gt": _labelled,
    "detector": _detected,
}


def see(images: ImageSet, seed: int, layout: str, detector: str = "detector", most: int | None = None) -> Seen:
    """What a detector says of the people who have a body that may be trusted.

    layout: of the detector, whose joints are given at most. detector: a key of DETECTORS. most: so many people, spread
    over all. Each person's errors depend on seed and the place in the set alone. Raises BodyEvaluationError if nobody
    is left.
    """
    if detector not in DETECTORS:
        raise BodyEvaluationError(f"of images there is no 2D input {detector!r}; known: {', '.join(DETECTORS)}")
    people = [(place, person) for place, person in enumerate(images) if person.fit_ok]
    if most is not None and most < len(people):
        people = [people[index] for index in np.linspace(0, len(people) - 1, most).round().astype(int)]
    there = available30(layout)
    kept, px, score = [], [], []
    for place, person in people:
        rng = np.random.Generator(np.random.Philox(key=[seed, place]))
        its_px, its_score = DETECTORS[detector](person, there, rng)
        its_px, its_score = its_px[H36M17_IN_SMPL30], its_score[H36M17_IN_SMPL30].astype(np.float32)
        if np.count_nonzero(its_score) >= MIN_SEEN:
            kept.append(person)
            px.append(its_px)
            score.append(its_score)
    if not kept:
        raise BodyEvaluationError(
            f"{images.folder} has nobody in this split with a true body of whom {MIN_SEEN} joints are seen"
        )
    rays = [rays_from_px(_masked(*each), person.camera) for *each, person in zip(px, score, kept, strict=True)]
    labelled = np.stack([person.labelled for person in kept])
    hidden = np.stack([person.hidden for person in kept]) & labelled
    return Seen(
        people=kept,
        rays=np.stack(rays) * (np.stack(score) > 0)[..., None],
        score=np.stack(score),
        hidden=hidden[:, H36M17_IN_SMPL30],
        occluded=hidden.sum(axis=1) >= OCCLUDED_SHARE * np.maximum(labelled.sum(axis=1), 1),
        unseen=len(people) - len(kept),
    )


def _masked(px: np.ndarray, score: np.ndarray) -> np.ndarray:
    return np.where(score[:, None] > 0, px, 0.0)


def errors_of(engine: AnyEngine, seen: Seen, truth: TrueBodyModel, say: Callable[[int], None]) -> BodyErrors:
    """Errors of one model; say: is told how many people are done."""
    parts = []
    for rows in _batches(len(seen)):
        if engine.info.image_size:
            answer = _ask_image_model(cast(ImageEngine, engine), seen, rows)
        else:
            answer = _ask_lifter(cast(Engine, engine), seen, rows)
        parts.append(_errors(answer, truth.of(seen.people[rows]), truth))
        say(rows.stop)
    names = [item.name for item in fields(BodyErrors)]
    return BodyErrors(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _batches(count: int) -> Iterator[slice]:
    for first in range(0, count, _BATCH):
        yield slice(first, min(first + _BATCH, count))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Answer:
    """In the camera's axes: joints_m (B, 17, 3); of image models vertices_m (B, V, 3), orientations (B, 22, 3, 3)."""

    joints_m: np.ndarray
    vertices_m: np.ndarray | None = None
    orientations: np.ndarray | None = None


def _ask_image_model(engine: ImageEngine, seen: Seen, rows: slice) -> _Answer:
    rays, visible = seen.rays[rows], seen.score[rows] > 0
    views = view_of(rays, visible)
    size = engine.info.image_size
    images = network_images(_crops(seen.people[rows], views, size, read_picture))
    edges = _crops(seen.people[rows], views, size, read_edges) if is_teacher(engine) else None
    kpts = views.normalise(rays) * visible[..., None]
    answer = engine.run(images, kpts, visible.astype(np.float32), None if edges is None else network_images(edges))
    turned = answer.rotations.astype(np.float64)
    turned[:, 0] = views.cam_from_view @ turned[:, 0]
    return _Answer(
        joints_m=views.to_cam(answer.joints_root_m),
        vertices_m=views.to_cam(answer.vertices_root_m),
        orientations=orientations(turned),
    )


def _crops(
    people: Sequence[ImagePerson], views: PersonView, size: int, read: Callable[[ImagePerson], np.ndarray]
) -> np.ndarray:
    """(B, size, size, C) uint8; people of one picture follow each other, so that it is read once."""
    crops, path, picture = [], None, np.zeros(0)
    for index, person in enumerate(people):
        if person.image_path != path:
            path, picture = person.image_path, read(person)
        crops.append(person_crop(picture, person.camera, views.at(index), size))
    return np.stack(crops)


def _ask_lifter(engine: Engine, seen: Seen, rows: slice) -> _Answer:
    """A model of keypoints sees somebody who has stood still for as long as it looks back."""
    frames = engine.info.frames
    rays, score = (np.repeat(each[rows][:, None], frames, axis=1) for each in (seen.rays, seen.score))
    visible = score > 0
    views = views_for(engine.info, rays, visible)
    lifted = engine.run(views.normalise(rays) * visible[..., None], score)
    assert lifted.joints_root_m is not None  # the command has refused other models
    return _Answer(joints_m=views.at(-1).to_cam(lifted.joints_root_m))


def _errors(answer: _Answer, true: TrueBodies, truth: TrueBodyModel) -> BodyErrors:
    people = len(true.joints_m)
    joints_m, target_m = answer.joints_m[:, _LSP14], true.joints_m[:, _LSP14]
    known = np.isfinite(target_m).all(axis=(1, 2))
    pa_joints_m = np.full((people, len(LSP14)), np.nan)
    pa_joints_m[known] = pa_joint_errors(joints_m[known], target_m[known])
    vertices_m, angles_deg = np.full(people, np.nan), np.full((people, len(POSED)), np.nan)
    if answer.vertices_m is not None and answer.vertices_m.shape[1] == truth.vertices:
        vertices_m = joint_errors(truth.from_pelvis(answer.vertices_m), true.vertices_m).mean(axis=-1)
    if answer.orientations is not None:
        angles_deg = angle_errors_deg(answer.orientations, true.orientations)
    return BodyErrors(
        joints_m=joint_errors(joints_m, target_m),
        pa_joints_m=pa_joints_m,
        vertices_m=vertices_m,
        angles_deg=angles_deg,
    )
