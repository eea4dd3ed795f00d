"""The metric scale of people: how tall each is, from a known height, from the ground they stand on, or assumed.

One camera sees shapes, not sizes: a placed person may be blown up about the camera by any factor. The network gives
everybody some size; occpose keeps a mean of it, and scales the person to a stature that is
    known     told by the user, for everybody or for an id,
    ground    learned from feet that stand on a known plane, or
    assumed   1.70 m, and then the skeleton is not called metric.

Ground. Blown up by s, the lower foot of somebody who stands must be on the plane: its ankle, on the ray r (z = 1) at
the depth z that the network's size gives, lies s z (-n . r) below a camera that is h above the plane, and the sole s a
farther down, so s = h / (z (-n . r) + a). In logarithms the errors of s are those of the ray (which weigh the more, the
flatter the camera looks at the foot), of the height of the ankle above the ground, and of the foot's depth relative to
the body, all of known size. A foot in the air looks farther away, never nearer: a measurement is either right or too
large, and a mixture of both is its likelihood. What is kept of a person is the log likelihood of a grid of statures, so
that jumps, steps and swapped feet leave no trace, and children need not be near the prior. Neighbouring frames err
alike, so a frame counts as the share of CORRELATION_S that it lasts; hidden feet count for nothing.

All functions work on rows of people, (R, ...); what is kept of them are arrays of dtype SIZE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.geometry import (
    ANKLE_HEIGHT_M,
    CHAIN_ENDS,
    CHAIN_STARTS,
    STATURE_WEIGHTS,
    chain_bones,
    lengths,
)
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M, PipelineConfig
from occpose_core.skeleton import H36M17
from occpose_core.types import GroundPlane, ScaleSource

# Statures that are thought of, in steps of 1 %. Adults are 1.70 m tall, give or take 6 %; a few people are others.
_LOG_STATURES = np.arange(np.log(0.8), np.log(2.3), 0.01)
_ADULT_SD, _OTHERS, _OTHERS_SD = 0.06, 0.02, 0.25
# Measurements: a foot in the air, how far off it then seems, gross errors (density per unit of log stature).
_IN_THE_AIR, _AIR_SD, _GROSS = 0.3, 0.3, 0.02
_ANKLE_HEIGHT_SD_M = 0.03  # heels lift, shoes differ, and so do definitions of the ankle
_RAY_SD = 0.0075  # of an ankle, over the larger side of the person's box: as detectors have it
_LARGEST_SD = 0.3  # measurements less certain say nothing
_STANDING = 0.85  # the hips are so many leg lengths above the lower ankle of people who stand or walk
_FOOT_UP = 0.03  # a foot that much of the stature above the other one is in the air
_LOWEST_CAMERA_M = 0.1
CORRELATION_S = 0.5
_FORGET_S = 120.0  # of measurements: grounds end, ids go over to others
_BELIEVED_S = 2.0  # of the measurements of somebody who comes back
# What is common to all measurements of a person, such as the network's idea of their build, and does not average out.
_COMMON_SD = 0.025
METRIC_SD = 0.05  # scales that are surer than this are called metric
_UNSEEN = 0.001  # the least weight of a bone; else it is the square of the squared share that lies across the view
_TINY = 1e-9

_ANKLES, _KNEES, _HIPS = (H36M17.indices(f"left_{part}", f"right_{part}") for part in ("ankle", "knee", "hip"))


def _log_prior() -> np.ndarray:
    """(G,) of adults, and of some others who are taller or much smaller."""
    deviation = _LOG_STATURES - np.log(ASSUMED_HEIGHT_M)
    parts = ((1 - _OTHERS, _ADULT_SD), (_OTHERS, _OTHERS_SD))
    return np.asarray(np.log(sum(share / sd * np.exp(-0.5 * (deviation / sd) ** 2) for share, sd in parts)))


_LOG_PRIOR = _log_prior()

# What is kept of a person's size. Zeros are a person without a past.
# bone_m, bone_weight: (8,) mean lengths, in the network's metres times its gain, of the bones from sole to crown, and
# how much they are made of; log_likelihood: of the statures, by what was seen of feet on the ground; ground_s: for how
# long that was seen.
SIZE = np.dtype(
    [
        ("bone_m", np.float64, (len(CHAIN_ENDS),)),
        ("bone_weight", np.float64, (len(CHAIN_ENDS),)),
        ("log_likelihood", np.float64, _LOG_STATURES.shape),
        ("ground_s", np.float64),
    ]
)


_HEIGHT = next(item for item in fields(PipelineConfig) if item.name == "target_height_m").metadata
HEIGHT_RANGE_M: tuple[float, float] = (_HEIGHT["low"], _HEIGHT["high"])  # of statures that are believed


class ScaleError(OccposeError):
    """A known height makes no sense."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """Poses of R people in the network's metres, placed by them, and what they were made from.

    joints_root: (R, J, 3) camera axes. root: (R, 3). sigma: (R, J). rays: (R, J, 2), of any value where not visible.
    visible: (R, J) bool.
    """

    joints_root: np.ndarray
    root: np.ndarray
    sigma: np.ndarray
    rays: np.ndarray
    visible: np.ndarray

    @cached_property
    def bones(self) -> np.ndarray:
        """(R, 8, 3) from the sole to the crown, as in geometry.chain_bones."""
        return chain_bones(self.joints_root)

    @cached_property
    def bone_m(self) -> np.ndarray:
        """(R, 8) their lengths."""
        return lengths(self.bones)

    @property
    def stature_m(self) -> np.ndarray:
        """(R,) by these poses alone."""
        return np.asarray(self.bone_m @ STATURE_WEIGHTS)

    def at(self, rows: slice | np.ndarray) -> Placed:
        """Some of them."""
        return Placed(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})


@dataclass(frozen=True, kw_only=True, eq=False)
class Heights:
    """Statures of R people: height_m (R,); source (R,) of ScaleSource; sd (R,), relative, inf where it is assumed."""

    height_m: np.ndarray
    source: np.ndarray
    sd: np.ndarray

    @property
    def metric(self) -> np.ndarray:
        """(R,) bool: sure enough to be relied on."""
        return np.asarray(self.sd < METRIC_SD)


def check_heights(by_id_m: Mapping[str, float]) -> None:
    """Raise ScaleError if a height is not that of a person in metres."""
    low_m, high_m = HEIGHT_RANGE_M
    for name, height_m in by_id_m.items():
        if not low_m <= height_m <= high_m:
            raise ScaleError(f"the height of {name!r} must lie in {low_m:g} to {high_m:g} m, got {height_m:g}")


def known_heights_m(ids: Sequence[str], of_all_m: float | None, by_id_m: Mapping[str, float]) -> np.ndarray:
    """(R,) known statures, NaN where none is: of the id, else of everybody."""
    return np.array([by_id_m.get(name, of_all_m or np.nan) for name in ids], dtype=np.float64)


def heights(size: np.ndarray, known_m: np.ndarray) -> Heights:
    """How tall people (R,) of dtype SIZE are taken to be; known_m: (R,), NaN where not known."""
    known = np.isfinite(known_m)
    learned = (size["ground_s"] > 0) & ~known
    found = Heights(
        height_m=np.where(known, known_m, ASSUMED_HEIGHT_M),
        source=np.full(len(size), ScaleSource.ASSUMED.value, dtype=np.uint8),
        sd=np.where(known, 0.0, np.inf),
    )
    found.source[known], found.source[learned] = ScaleSource.KNOWN, ScaleSource.GROUND
    if learned.any():
        found.height_m[learned], found.sd[learned] = _learned(size["log_likelihood"][learned])
    return found


def _learned(log_likelihood: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean statures (R,) m and their relative standard deviations (R,), by the likelihoods (R, G)."""
    log_posterior = _LOG_PRIOR + log_likelihood
    weight = np.exp(log_posterior - log_posterior.max(axis=-1, keepdims=True))
    weight /= weight.sum(axis=-1, keepdims=True)
    mean = weight @ _LOG_STATURES
    variance = np.maximum(weight @ _LOG_STATURES**2 - mean**2, 0.0) + _COMMON_SD**2
    return np.exp(mean), np.sqrt(variance)


def network_stature_m(size: np.ndarray) -> np.ndarray:
    """(R,) mean stature of people in the network's metres."""
    return np.asarray(size["bone_m"] @ STATURE_WEIGHTS)


def observe(
    size: np.ndarray,
    poses: Placed,
    ground: GroundPlane | None,
    dt_s: np.ndarray,
    time_s: float,
    gain: float | np.ndarray = 1.0,
) -> np.ndarray:
    """Take the poses of R people into what is known of their size.

    size: (R,) of SIZE. ground: what they stand on, if that is known. dt_s: (R,) since the poses before. time_s: time
    constant of the network's idea of a person's size. gain: what that is multiplied by, ModelInfo.stature_gain, for all
    or (R, 1).
    """
    now = _average_bones(size, poses, dt_s, time_s, gain)
    return now if ground is None else _learn_from_ground(now, poses, ground, dt_s)


def _average_bones(
    size: np.ndarray, poses: Placed, dt_s: np.ndarray, time_s: float, gain: float | np.ndarray
) -> np.ndarray:
    """Take poses into the mean bone lengths: of all frames at first, of the last time_s later.

    Bones that point at the camera, and those of hidden joints, come out too short, so they count less.
    """
    toward = poses.root / lengths(poses.root)[:, None]
    along = (poses.bones @ toward[..., None])[..., 0] / np.maximum(poses.bone_m, _TINY)
    across = 1.0 - along * along
    seen = poses.visible.take(CHAIN_ENDS, axis=-1) & poses.visible.take(CHAIN_STARTS, axis=-1)
    new = dt_s[:, None] * np.maximum(seen * across * across, _UNSEEN)
    before_m, weight = size["bone_m"], size["bone_weight"] * np.exp(dt_s / -time_s)[:, None] + new
    now = size.copy()
    now["bone_weight"], now["bone_m"] = weight, before_m + new / weight * (gain * poses.bone_m - before_m)
    return now


def _learn_from_ground(size: np.ndarray, poses: Placed, ground: GroundPlane, dt_s: np.ndarray) -> np.ndarray:
    """Take what the lower feet say about statures into their likelihoods."""
    log_stature, sd = measure(size, poses, ground)
    usable = np.isfinite(log_stature)
    if not usable.any():
        return size
    log_likelihood = _log_likelihood(log_stature[usable, None], sd[usable, None])
    now, new_s = size.copy(), np.minimum(dt_s[usable], CORRELATION_S)
    kept = np.exp(-dt_s[usable] / _FORGET_S)
    now["ground_s"][usable] = kept * size["ground_s"][usable] + new_s
    past = kept[:, None] * size["log_likelihood"][usable]
    now["log_likelihood"][usable] = past + (new_s / CORRELATION_S)[:, None] * log_likelihood
    return now


def remembered(size: np.ndarray) -> np.ndarray:
    """What is left of the sizes (R,) of people who come back under their ids: their statures, believed a little.

    Somebody else may have got the id: then a few seconds on the ground suffice to learn anew.
    """
    left = np.zeros_like(size)
    share = np.minimum(_BELIEVED_S / np.maximum(size["ground_s"], _TINY), 1.0)
    left["log_likelihood"] = share[..., None] * size["log_likelihood"]
    left["ground_s"] = share * size["ground_s"]
    return left


def _log_likelihood(log_stature: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """(R, G) of the statures of the grid, by measurements (R, 1): right, of a foot in the air, or altogether wrong."""
    off = log_stature - _LOG_STATURES
    far_sd = np.hypot(sd, _AIR_SD)
    on_ground = np.exp(-0.5 * (off / sd) ** 2) / sd
    in_the_air = (
        2.0 / (sd + far_sd) * np.exp(-0.5 * (off / np.where(off > 0, far_sd, sd)) ** 2)
    )  # a normal in two pieces
    return np.asarray(np.log((1 - _IN_THE_AIR) * on_ground + _IN_THE_AIR * in_the_air + _GROSS))


def measure(size: np.ndarray, poses: Placed, ground: GroundPlane) -> tuple[np.ndarray, np.ndarray]:
    """Log stature (R,) by which the lower foot is on the ground, NaN where that cannot be told, and its sd (R,)."""
    if ground.distance_m < _LOWEST_CAMERA_M:
        return np.full(len(size), np.nan), np.full(len(size), np.inf)
    rows, stature = np.arange(len(size)), network_stature_m(size)
    joints = poses.joints_root + poses.root[:, None]
    up = joints @ ground.normal_cam  # (R, J) above the camera
    side = np.where(poses.visible[:, _ANKLES], up[:, _ANKLES], np.inf).argmin(axis=-1)
    foot, other = np.array(_ANKLES)[side], np.array(_ANKLES)[1 - side]
    foot_up, depth = up[rows, foot], joints[rows, foot, 2]
    seen = poses.visible[rows, foot]
    ray = np.where(seen[:, None], poses.rays[rows, foot], 0.0)
    below = -(ray @ ground.normal_cam[:2] + ground.normal_cam[2])  # of the camera, at a depth of 1
    standing = up[:, _HIPS].mean(axis=-1) - foot_up > _STANDING * _leg(joints)
    usable = seen & standing & (foot_up - up[rows, other] < _FOOT_UP * stature) & (below > _TINY) & (depth > _TINY)
    below, depth = np.where(usable, below, 1.0), np.where(usable, depth, 1.0)
    sole = ANKLE_HEIGHT_M / ASSUMED_HEIGHT_M * stature
    log_stature = np.log(
        ground.distance_m * stature / (depth * below + sole), where=usable, out=np.full(len(size), np.nan)
    )
    sds = (_RAY_SD * _box(poses) / below, _ANKLE_HEIGHT_SD_M / ground.distance_m, poses.sigma[rows, foot] / depth)
    sd = np.sqrt(sum(np.square(each) for each in sds))
    return np.where(sd < _LARGEST_SD, log_stature, np.nan), sd


def _leg(joints: np.ndarray) -> np.ndarray:
    """(R,) mean length of the legs, ankle to hip."""
    ankle, knee, hip = (joints[:, which] for which in (_ANKLES, _KNEES, _HIPS))
    return np.asarray((lengths(ankle - knee) + lengths(knee - hip)).mean(axis=-1))


def _box(poses: Placed) -> np.ndarray:
    """(R,) larger side of the box around the visible joints, in rays."""
    seen = poses.visible[..., None]
    extent = np.where(seen, poses.rays, -np.inf).max(axis=-2) - np.where(seen, poses.rays, np.inf).min(axis=-2)
    return np.asarray(np.where(np.isfinite(extent), extent, 0.0).max(axis=-1))
