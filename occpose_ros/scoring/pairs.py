"""Recorded answers beside what the detector gave and what is true, in columns: what every figure is made from.

A joint is
    not in layout   if the detector's layout cannot give it at all (spine and head top of COCO),
    visible         if the detector gave it and the truth does not call it hidden,
    hidden          otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from occpose_core.camera import rays_from_cam
from occpose_core.pipeline import PipelineOutput
from occpose_core.skeleton import H36M17, SKELETONS, available
from occpose_core.types import Origin
from occpose_ros.adapters import KeypointsArray
from occpose_ros.scoring.matching import Sightings, follow, match, switches
from occpose_ros.scoring.truth_rows import Truth

GROUPS = ("all", "visible", "hidden", "not_in_layout")
_J = len(H36M17.joints)
_PELVIS = H36M17.index("pelvis")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """N answers, sorted by person and time, with the truth of the same stamp and person where there is one.

    stamp_ns: (N,) int64. track: (N,) index of the id. joints_cam_m: (N, J, 3). sigma_m: (N, J). origin: (N, J).
    xy_px: (N, J, 2) the completed 2D pose. state: (N,) of State. metric: (N,) bool. given: (N, J) bool, the detector
    gave the joint. in_layout: (N, J) bool. truth_cam_m: (N, J, 3), NaN where not known. truth_known, truth_seen: (N, J)
    bool, see Truth.
    followed, switched: (N,) bool, the answer covers a true person; who had another id the last time. ids: the track
    ids.
    """

    stamp_ns: np.ndarray
    track: np.ndarray
    joints_cam_m: np.ndarray
    sigma_m: np.ndarray
    origin: np.ndarray
    xy_px: np.ndarray
    state: np.ndarray
    metric: np.ndarray
    given: np.ndarray
    in_layout: np.ndarray
    truth_cam_m: np.ndarray
    truth_known: np.ndarray
    truth_seen: np.ndarray
    followed: np.ndarray
    switched: np.ndarray
    ids: tuple[str, ...]

    @cached_property
    def known(self) -> np.ndarray:
        """(N, J) bool: the joint's truth is known, and the root's, without which nothing is root-relative."""
        finite = np.isfinite(self.truth_cam_m).all(axis=-1)
        return np.asarray(self.truth_known & finite & finite[:, _PELVIS, None])

    @property
    def has_truth(self) -> np.ndarray:
        """(N,) bool: of any joint."""
        return np.asarray(self.known.any(axis=-1))

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """The joint groups of errors, name -> (N, J) bool; joints without truth are in none."""
        visible = self.known & self.in_layout & self.given & self.truth_seen
        hidden = self.known & self.in_layout & ~visible
        return dict(zip(GROUPS, (self.known, visible, hidden, self.known & ~self.in_layout), strict=True))

    @cached_property
    def frame_ns(self) -> float:
        """The usual time from one image to the next."""
        steps = np.diff(np.unique(self.stamp_ns))
        return float(np.median(steps)) if len(steps) else 1e9 / 30.0

    def runs(self) -> list[slice]:
        """The rows of each track."""
        edges = np.flatnonzero(np.diff(self.track)) + 1
        bounds = [0, *edges.tolist(), len(self.track)]
        return [slice(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True) if b > a]


@dataclass(frozen=True, kw_only=True, eq=False)
class Coverage:
    """total: images. with_people: those in which a joint of somebody is given. answered: and everybody of whom one is,
    has a skeleton of the same stamp."""

    total: int
    with_people: int
    answered: int


def pair(
    detected: Sequence[KeypointsArray], answers: Sequence[PipelineOutput], truth: Truth | None
) -> tuple[Pairs, Coverage]:
    """Match what went in, in the camera's pixels, what came out, and what is true; of duplicates the last counts."""
    rows = {(each.id, output.stamp_ns): each for output in answers for each in output.skeletons}
    keys = sorted(rows)
    skeletons = [rows[key] for key in keys]
    ids = tuple(dict.fromkeys(name for name, _ in keys))
    track_of = {name: track for track, name in enumerate(ids)}

    def stack(name: str, *shape: int, dtype: type = np.float64) -> np.ndarray:
        values = [getattr(each, name) for each in skeletons]
        # messages have 32 bits, so that figures of messages and of answers are the same
        narrow = np.float32 if dtype is np.float64 else dtype
        return np.array(values, dtype=narrow).reshape(len(keys), *shape).astype(dtype)

    joints_cam_m, xy_px = stack("joints_cam_m", _J, 3), stack("kpts_px", _J, 2)
    origin = stack("origin", _J, dtype=np.uint8)
    stamp_ns = np.array([stamp for _, stamp in keys], dtype=np.int64)
    names = [name for name, _ in keys]
    in_image = Sightings(stamp_ns=stamp_ns, ids=names, xy=xy_px, known=origin != Origin.UNKNOWN)
    given, in_layout, coverage = _given(detected, in_image)
    true = _true_rows(truth, stamp_ns, names, joints_cam_m)
    pairs = Pairs(
        stamp_ns=stamp_ns,
        track=np.array([track_of[name] for name in names], dtype=np.int64),
        joints_cam_m=joints_cam_m,
        sigma_m=stack("sigma_m", _J),
        origin=origin,
        xy_px=xy_px,
        state=stack("state", dtype=np.uint8),
        metric=stack("metric", dtype=bool),
        given=given,
        in_layout=in_layout,
        ids=ids,
        **true,
    )
    return pairs, coverage


def sightings(detected: Sequence[KeypointsArray]) -> Sightings:
    """Everybody who is detected, one row each, one message after the other."""
    counts = [len(keypoints.people) for keypoints in detected]
    return Sightings(
        stamp_ns=np.repeat(np.array([keypoints.stamp_ns for keypoints in detected], dtype=np.int64), counts),
        ids=[name for keypoints in detected for name in keypoints.people.ids],
        xy=np.concatenate([np.zeros((0, _J, 2)), *(keypoints.people.xy_px for keypoints in detected)]),
        known=np.concatenate([np.zeros((0, _J), dtype=bool), *(keypoints.people.score > 0 for keypoints in detected)]),
    )


def _given(detected: Sequence[KeypointsArray], answered: Sightings) -> tuple[np.ndarray, np.ndarray, Coverage]:
    """(N, J) bool of the joints that the detector gave of each answered person, (N, J) bool of those that its layout
    has, and the coverage."""
    people = sightings(list({keypoints.stamp_ns: keypoints for keypoints in detected}.values()))
    answer_of = match(people, answered)
    given = np.zeros(answered.known.shape, dtype=bool)
    found = answer_of >= 0
    given[answer_of[found]] = people.known[found]
    layout_of = {keypoints.stamp_ns: keypoints.layout for keypoints in detected}
    everything = np.ones(_J, dtype=bool)  # of messages without people some families do not know the layout
    has = {name: available(SKELETONS[name]) if name in SKELETONS else everything for name in layout_of.values()}
    in_layout = [has.get(layout_of.get(stamp, ""), everything) for stamp in answered.stamp_ns.tolist()]
    shown = people.known.any(axis=-1)
    with_people, missed = set(people.stamp_ns[shown].tolist()), set(people.stamp_ns[shown & ~found].tolist())
    coverage = Coverage(
        total=len(detected), with_people=len(with_people), answered=len(with_people) - len(with_people & missed)
    )
    return given, np.array(in_layout, dtype=bool).reshape(-1, _J), coverage


def _true_rows(
    truth: Truth | None, stamp_ns: np.ndarray, names: Sequence[str], joints_cam_m: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns of Pairs that come from the truth: of the same stamp and id, or if no ids are the same, of the
    person who is at the same place of the image."""
    count = len(stamp_ns)
    truth_cam_m = np.full((count, _J, 3), np.nan)
    known, seen = np.zeros((count, _J), dtype=bool), np.zeros((count, _J), dtype=bool)
    followed, switched = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    if truth is not None and len(truth.ids) and count:
        true = in_view(truth.stamp_ns, truth.ids, truth.joints_cam_m)
        placed = follow(true, in_view(stamp_ns, names, joints_cam_m))
        here = placed >= 0
        followed[placed[here]] = True
        switched[placed[here]] = switches(true, [names[row] if row >= 0 else "" for row in placed.tolist()])[here]
        row_of = {key: row for row, key in enumerate(zip(names, stamp_ns.tolist(), strict=True))}
        if truth.named and set(truth.ids) & set(names):
            keys = zip(truth.ids, truth.stamp_ns.tolist(), strict=True)
            placed = np.array([row_of.get(key, -1) for key in keys], dtype=np.int64)
        here = placed >= 0
        truth_cam_m[placed[here]] = truth.joints_cam_m[here]
        known[placed[here]], seen[placed[here]] = truth.known[here], truth.seen[here]
    return {
        "truth_cam_m": truth_cam_m,
        "truth_known": known,
        "truth_seen": seen,
        "followed": followed,
        "switched": switched,
    }


def in_view(stamp_ns: np.ndarray, ids: Sequence[str], joints_cam_m: np.ndarray) -> Sightings:
    """3D poses as they are seen: joints in front of the camera, as rays."""
    known = np.isfinite(joints_cam_m).all(axis=-1)
    known &= np.where(known, joints_cam_m[..., 2], 0.0) > 0
    rays = rays_from_cam(np.where(known[..., None], joints_cam_m, (0.0, 0.0, 1.0)))
    return Sightings(stamp_ns=stamp_ns, ids=ids, xy=rays, known=known)
