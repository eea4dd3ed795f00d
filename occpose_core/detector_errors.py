"""What 2D detectors do wrong, how often, and how sure of it they are: one place for the benchmark and for training.

Two forms of the same statistics. For recordings (occpose_core/simulation.py) errors last for some frames and are of the
milder rates. For single images each joint is one of five, with probabilities that depend on the joint and on how many
joints there are; "object keypoint similarity" (OKS, COCO's) says how far away each is:

    good        OKS beyond 0.85             inversion   beyond 0.5 at the other side's joint
    jitter      0.85 to 0.5                 swap        beyond 0.5 at a near person's joint, or that's other side
    miss        0.5 to 0.1 from its own or one of those, and no nearer to any

Sources: Ronchi and Perona, Benchmarking and error diagnosis in multi-instance pose estimation, ICCV 2017; Moon et al.,
PoseFix, CVPR 2019, whose table this is; the similarity and its constants: cocodataset.org.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from occpose_core.body.joints import SMPL30, SMPL30_MIRROR
from occpose_core.skeleton import H36M17, get_skeleton

# --- recordings: `h36m17`, a frame -----------------------------------------------------------------------------------

LIMB_END = np.array([1.5 if joint.endswith(("wrist", "ankle")) else 1.0 for joint in H36M17.joints])
EVENT_S = 0.2  # mean duration of a gross error
# stationary probabilities of gross errors per joint: the milder ends of the table below
JITTER, INVERSION, MISS = 0.10 * LIMB_END, 0.015, 0.04 * LIMB_END
JITTER_SD = 0.03  # of the person's box


def score_of_error(error: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scores as detectors give them for errors relative to the person's box: high and noisy, lower for large errors.

    Fit to measured confidences: a / (d + a) + b d + N(-0.005, 0.14) with a = 0.028, b = 1.1.
    """
    score = 0.028 / (error + 0.028) + 1.1 * error + rng.normal(-0.005, 0.14, size=error.shape)
    return np.clip(score, 0.05, 1.0)


# --- single images: SMPL's joints and the head's ---------------------------------------------------------------------

GOOD, JITTERED, INVERTED, SWAPPED, MISSED = range(5)


@dataclass(frozen=True, kw_only=True)
class JointErrors:
    """How often a detector errs at one joint, and what it takes for near.

    jitter: with at most 10 of COCO's 17 joints in the picture, with more. miss: with at most 5, at most 10, more.
    inversion. swap: alone, and beside people that overlap. sigma: COCO's constant, share of the root of the area.
    """

    jitter: tuple[float, float]
    miss: tuple[float, float, float]
    inversion: float
    swap: tuple[float, float]
    sigma: float


_NOSE = JointErrors(jitter=(0.15, 0.10), miss=(0.15, 0.10, 0.02), inversion=0.01, swap=(0.01, 0.02), sigma=0.026)
_FACE = replace(_NOSE, jitter=(0.20, 0.15), sigma=0.025)
_ARM = JointErrors(jitter=(0.20, 0.15), miss=(0.25, 0.15, 0.10), inversion=0.03, swap=(0.06, 0.15), sigma=0.072)
_SHOULDER = replace(_ARM, miss=(0.20, 0.13, 0.05), sigma=0.079)
_HIP = JointErrors(jitter=(0.25, 0.20), miss=(0.25, 0.15, 0.10), inversion=0.06, swap=(0.03, 0.10), sigma=0.107)
_KNEE = replace(_HIP, jitter=(0.15, 0.10), sigma=0.087)
_ANKLE = replace(_KNEE, miss=(0.20, 0.13, 0.05), sigma=0.089)
_WRIST = replace(_ARM, sigma=0.062)
_HEAD = replace(_NOSE, sigma=0.08)
# by the name without its side; joints that COCO lacks are as the nearest that it has
ERRORS: dict[str, JointErrors] = {
    "nose": _NOSE,
    "eye": _FACE,
    "ear": replace(_FACE, sigma=0.035),
    "head": _HEAD,
    "head_top": _HEAD,
    **dict.fromkeys(("neck", "collar", "shoulder"), _SHOULDER),
    "elbow": _ARM,
    **dict.fromkeys(("wrist", "hand"), _WRIST),
    **dict.fromkeys(("pelvis", "spine1", "spine2", "spine3", "hip"), _HIP),
    "knee": _KNEE,
    **dict.fromkeys(("ankle", "foot"), _ANKLE),
}
_OF_JOINT = tuple(ERRORS[joint.removeprefix("left_").removeprefix("right_")] for joint in SMPL30)
_IN_COCO = np.isin(SMPL30, get_skeleton("coco17").joints)
_TWO_SIDED = np.asarray(np.arange(len(SMPL30)) != SMPL30_MIRROR)
_SIGMA = np.array([joint.sigma for joint in _OF_JOINT])
# OKS = exp(-d^2 / (2 area (2 sigma)^2)): the distances at which it is 0.85, 0.5 and 0.1, for an area of 1
_NEAR, _HALF, _FAR = (2 * _SIGMA * np.sqrt(-2 * np.log(similarity)) for similarity in (0.85, 0.5, 0.1))
# from and to which distance each of the five lies from what it is taken for: (5, 30)
_FROM = np.stack([0 * _NEAR, _NEAR, 0 * _NEAR, 0 * _NEAR, _HALF])
_TO = np.stack([_NEAR, _HALF, _HALF, _HALF, _FAR])
_TRIES = 12
_UNREPORTED = 0.5  # of missed joints: a detector that sees nothing says nothing, or guesses
_ELSEWHERE = 0.25  # how much rarer a miss lies about another joint than about its own


@lru_cache(maxsize=16)
def _probabilities(at_most_5: bool, at_most_10: bool, crowded: bool) -> np.ndarray:
    """(30, 5) of good, jitter, inversion, swap, miss."""
    table = np.zeros((len(SMPL30), 5))
    for row, joint in zip(table, _OF_JOINT, strict=True):
        row[JITTERED] = joint.jitter[0 if at_most_10 else 1]
        row[INVERTED] = joint.inversion
        row[SWAPPED] = joint.swap[1 if crowded else 0]
        row[MISSED] = joint.miss[0 if at_most_5 else 1 if at_most_10 else 2]
        row[GOOD] = 1 - row.sum()
    return table


def probabilities(visible: np.ndarray, overlapping: int) -> np.ndarray:
    """(30, 5) probabilities of GOOD, JITTERED, INVERTED, SWAPPED, MISSED, as if each were possible.

    visible: (30,) bool, the joints in the picture. overlapping: how many people's boxes overlap this one's.
    """
    count = int(np.count_nonzero(visible & _IN_COCO))
    crowded = (count <= 10 and overlapping > 0) or (count <= 15 and overlapping >= 3)
    return _probabilities(count <= 5, count <= 10, crowded)


def corrupt(
    kpts_px: np.ndarray,
    visible: np.ndarray,
    others_px: np.ndarray,
    area: float,
    rng: np.random.Generator,
    others_visible: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What a detector may say of one person in one image.

    kpts_px: (30, 2) where the joints are, in any unit. visible: (30,) bool, those to be given at all. others_px:
    (N, 30, 2) of the people who overlap this one, others_visible: (N, 30) bool, all if None. area: of the person's box,
    in that unit squared. Returns (30, 2) and scores (30,) in [0, 1], float32; 0 = missing, at first where not visible.
    """
    partner = SMPL30_MIRROR
    seen = np.ones(others_px.shape[:2], dtype=bool) if others_visible is None else others_visible
    # what a detector may take the joint for: itself, its other side, the others' joints, the others' other sides
    places = np.concatenate([kpts_px[None], kpts_px[None, partner], others_px, others_px[:, partner]])
    known = np.concatenate([visible[None], visible[None, partner], seen, seen[:, partner]])
    known[1] &= _TWO_SIDED
    known[2 + len(seen) :] &= _TWO_SIDED
    kind = _choose(probabilities(visible, len(seen)), known, rng)
    taken_for = _taken_for(kind, known, rng)
    given = _place(kpts_px, places, known, kind, taken_for, np.sqrt(area), rng)
    seen_px = kpts_px[visible]
    size = float((seen_px.max(axis=0) - seen_px.min(axis=0)).max()) if len(seen_px) else 0.0
    error = np.hypot(*(given - kpts_px).T) / (size or 1.0)
    score = score_of_error(np.where(visible, error, 0.0), rng)
    silent = (kind == MISSED) & (rng.random(len(kind)) < _UNREPORTED)
    score[silent | ~visible] = 0.0
    return given.astype(np.float32), score.astype(np.float32)


def _choose(table: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(30,) which of the five each joint is; what is impossible for a joint leaves its share to the rest."""
    table = table.copy()
    table[:, INVERTED] *= known[1]
    table[:, SWAPPED] *= known[2:].any(axis=0)
    limits = table.cumsum(axis=1)
    return np.asarray((rng.random((len(table), 1)) * limits[:, -1:] >= limits[:, :-1]).sum(axis=1))


def _taken_for(kind: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(30,) about which of the places (rows of `known`, (C, 30)) each joint lies."""
    weight = known * _ELSEWHERE
    weight[0] = 1.0
    weight[:2, kind == SWAPPED] = 0.0
    # the smallest of exponential draws over weights falls to each in proportion to its weight
    with np.errstate(divide="ignore"):
        drawn = (rng.standard_exponential(known.shape) / weight).argmin(axis=0)
    fixed = np.where(kind == INVERTED, 1, 0)
    return np.asarray(np.where(kind >= SWAPPED, drawn, fixed))


def _place(
    kpts: np.ndarray,
    places: np.ndarray,
    known: np.ndarray,
    kind: np.ndarray,
    taken_for: np.ndarray,
    unit: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """(30, 2) points of the right distance from what they are taken for that are nearer to nothing else."""
    joints = np.arange(len(kind))
    low, high = _FROM[kind, joints], _TO[kind, joints]
    radius = unit * (low + (high - low) * rng.random((_TRIES, len(kind))))
    angle = 2 * np.pi * rng.random((_TRIES, len(kind)))
    tries = places[taken_for, joints] + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    apart = np.where(kind == MISSED, unit * _HALF, radius)  # (_TRIES, 30)
    ignored = ~known
    ignored[taken_for, joints] = True
    ignored[2:] |= kind == SWAPPED  # whose of the others it is does not matter
    distant = (((tries[:, None] - places) ** 2).sum(axis=-1) > (apart**2)[:, None]) | ignored  # (_TRIES, C, 30)
    fits = distant.all(axis=1)
    first = tries[fits.argmax(axis=0), joints]
    return np.where(fits.any(axis=0)[:, None], first, kpts)
