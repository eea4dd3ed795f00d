"""What passes between the rooms: cameras, keypoints in, skeletons out. Frozen, keyword-only, validated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import overload

import numpy as np

from occpose_core.errors import OccposeError

DISTORTION_COEFFICIENTS = {
    "none": (0,),
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (4,),
}
_SHORTEST_NORMAL = 1e-6  # shorter ones have no direction


class CameraError(OccposeError):
    """The camera is uncalibrated, contradictory or of an unknown model."""


class KeypointsError(OccposeError):
    """2D keypoints have the wrong shape or range."""


class SkeletonError(OccposeError):
    """A 3D skeleton's arrays do not have one entry for each joint."""


class GroundError(OccposeError):
    """A ground plane is not a plane."""


class State(IntEnum):
    """Whether a person is seen now or kept alive by prediction; values of Skeleton3D.msg."""

    TRACKED = 0
    OCCLUDED = 1


class ScaleSource(IntEnum):
    """Where a person's metric scale comes from: nowhere (1.70 m), the ground plane, or a known height."""

    ASSUMED = 0
    GROUND = 1
    KNOWN = 2


class Origin(IntEnum):
    """Where a joint comes from; values of Skeleton3D.msg. An UNKNOWN position is finite but not to be used."""

    MEASURED = 0
    FILLED = 1
    UNKNOWN = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """Intrinsics of a camera; the frame is optical (x right, y down, z forward).

    width, height: of the image that pixel coordinates refer to. K: (3, 3) float64, pixels. D: distortion coefficients
    in OpenCV's order for `distortion_model` (a key of DISTORTION_COEFFICIENTS). Raises CameraError.
    """

    width: int
    height: int
    K: np.ndarray
    D: np.ndarray = field(default_factory=lambda: np.zeros(0))
    distortion_model: str = "none"
    frame_id: str = "camera_optical_frame"

    def __post_init__(self) -> None:
        K = np.asarray(self.K, dtype=np.float64)
        D = np.asarray(self.D, dtype=np.float64).ravel()
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "D", D)
        if self.width <= 0 or self.height <= 0:
            raise CameraError(f"image size must be positive, got {self.width} x {self.height}")
        if K.shape != (3, 3) or not np.isfinite(K).all():
            raise CameraError(f"K must be a finite 3 x 3 matrix, got shape {K.shape}: {K.tolist()}")
        if K[0, 0] <= 0 or K[1, 1] <= 0:
            raise CameraError(f"focal lengths are {K[0, 0]:g}, {K[1, 1]:g}: the camera is not calibrated")
        allowed = DISTORTION_COEFFICIENTS.get(self.distortion_model)
        if allowed is None:
            known = ", ".join(DISTORTION_COEFFICIENTS)
            raise CameraError(f"unknown distortion model {self.distortion_model!r}; known: {known}")
        if len(D) not in allowed or not np.isfinite(D).all():
            raise CameraError(
                f"{self.distortion_model} takes {' or '.join(map(str, allowed))} finite coefficients, got {D.tolist()}"
            )

    @cached_property
    def distorted(self) -> bool:
        """Whether any distortion coefficient is not zero (or the model is a fisheye, which zeros do not turn off)."""
        return bool(np.any(self.D)) or self.distortion_model == "equidistant"

    def same_as(self, other: Camera) -> bool:
        """Whether pixels of both cameras mean the same rays in the same frame."""
        return (
            (self.width, self.height, self.distortion_model, self.frame_id)
            == (other.width, other.height, other.distortion_model, other.frame_id)
            and np.array_equal(self.K, other.K)
            and np.array_equal(self.D, other.D)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class GroundPlane:
    """The ground in the axes of a camera's optical frame: points p with normal_cam . p = -distance_m.

    normal_cam: (3,) float64, the direction up; its length is made 1. distance_m: of the camera above the ground, along
    the normal; negative for a camera below it. Raises GroundError.
    """

    normal_cam: np.ndarray
    distance_m: float

    def __post_init__(self) -> None:
        normal = np.asarray(self.normal_cam, dtype=np.float64)
        length = float(np.linalg.norm(normal)) if normal.shape == (3,) else math.nan
        if not (math.isfinite(length) and length > _SHORTEST_NORMAL and math.isfinite(self.distance_m)):
            raise GroundError(
                "a ground plane needs a normal of three numbers that are not all 0, and a distance,"
                f" got {normal.tolist()} and {self.distance_m}"
            )
        object.__setattr__(self, "normal_cam", normal / length)


@dataclass(frozen=True, kw_only=True, eq=False)
class Keypoints2D:
    """One person's 2D keypoints in `h36m17`.

    id: the detector's track id, "" = none. xy_px: (J, 2) float32, pixels, x right / y down, of no meaning where the
    score is 0. score: (J,) float32 in [0, 1], 0 = missing. Raises KeypointsError.
    """

    id: str = ""
    xy_px: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        xy_px = np.asarray(self.xy_px, dtype=np.float32)
        score = np.asarray(self.score, dtype=np.float32)
        object.__setattr__(self, "xy_px", xy_px)
        object.__setattr__(self, "score", score)
        if xy_px.ndim != 2 or xy_px.shape[-1] != 2 or score.shape != xy_px.shape[:1]:
            raise KeypointsError(f"expected xy_px (J, 2) and score (J,), got {xy_px.shape} and {score.shape}")
        _check_values(xy_px, score)

    @property
    def visible(self) -> np.ndarray:
        """(J,) bool."""
        return np.asarray(self.score > 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class People2D(Sequence[Keypoints2D]):
    """The 2D keypoints of P people in `h36m17`, in one array each: an object a person costs more than all numbers.

    ids, xy_px (P, J, 2) and score (P, J): as in Keypoints2D. Raises KeypointsError.
    """

    ids: Sequence[str]
    xy_px: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        people = len(self.ids)
        if self.score.shape[:1] != (people,) or self.xy_px.shape != (*self.score.shape, 2):
            raise KeypointsError(
                f"expected xy_px ({people}, J, 2) and score ({people}, J), got {self.xy_px.shape} and"
                f" {self.score.shape}"
            )
        _check_values(self.xy_px, self.score)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, which: int) -> Keypoints2D: ...
    @overload
    def __getitem__(self, which: slice) -> People2D: ...
    def __getitem__(self, which: int | slice) -> Keypoints2D | People2D:
        xy_px, score = self.xy_px[which], self.score[which]
        if isinstance(which, slice):
            return People2D(ids=self.ids[which], xy_px=xy_px, score=score)
        return Keypoints2D(id=self.ids[which], xy_px=xy_px, score=score)


def _check_values(xy_px: np.ndarray, score: np.ndarray) -> None:
    """Raise KeypointsError unless scores (..., J) lie in [0, 1] and visible joints are somewhere."""
    if score.size and not (score.min() >= 0 and score.max() <= 1):  # NaN is neither
        raise KeypointsError(f"scores must lie in [0, 1], got {score.min():g} to {score.max():g}")
    if not np.isfinite(xy_px).all() and not np.isfinite(xy_px[score > 0]).all():
        raise KeypointsError("a visible joint has a coordinate that is not finite; give missing joints score 0")


@dataclass(frozen=True, kw_only=True, eq=False)
class Skeleton3D:
    """One person's completed 3D skeleton in `h36m17`, camera optical frame.

    joints_cam_m: (J, 3) m, finite. sigma_m: (J,) m, one standard deviation. origin: (J,) uint8 of Origin.
    kpts_px: (J, 2) the completed 2D pose. height_m: stature used for the metric scale; scale_source: where it comes
    from; metric: False if it was assumed or is not sure enough yet. Raises SkeletonError.
    """

    id: str
    state: State
    joints_cam_m: np.ndarray
    sigma_m: np.ndarray
    origin: np.ndarray
    kpts_px: np.ndarray
    height_m: float
    metric: bool
    scale_source: ScaleSource = ScaleSource.ASSUMED

    def __post_init__(self) -> None:
        shapes = (self.joints_cam_m.shape, self.sigma_m.shape, self.origin.shape, self.kpts_px.shape)
        joints = len(self.sigma_m)
        if shapes != ((joints, 3), (joints,), (joints,), (joints, 2)):
            raise SkeletonError(f"expected joints (J, 3), sigma (J,), origin (J,) and keypoints (J, 2), got {shapes}")
