"""What data sets with real cameras yield: one person filmed by one camera, in 2D and in 3D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occpose_core.dataset import DatasetError
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera

_JOINTS = len(H36M17.joints)


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One person before one camera, `h36m17`, T frames.

    name: unique in its data set. action: what tables of errors pool by. kpts_px: (T, J, 2) float32 pixels, as detected
    or as the data set has them, of no meaning where the score is 0. score: (T, J) float32 in [0, 1], 0 = missing; None
    if all joints are given without scores. joints_cam_m: (T, J, 3) float32, absolute, in the camera's frame. split:
    train, val or test. Raises DatasetError if the arrays do not fit each other.
    """

    name: str
    subject: str
    action: str
    camera_name: str
    rate_hz: float
    kpts_px: np.ndarray
    score: np.ndarray | None
    joints_cam_m: np.ndarray
    camera: Camera
    split: str

    def __post_init__(self) -> None:
        frames = len(self.joints_cam_m)
        shapes = (self.kpts_px.shape, self.joints_cam_m.shape, None if self.score is None else self.score.shape)
        if shapes[:2] != ((frames, _JOINTS, 2), (frames, _JOINTS, 3)) or shapes[2] not in (None, (frames, _JOINTS)):
            raise DatasetError(
                f"recording {self.name!r}: expected 2D (T, {_JOINTS}, 2), 3D (T, {_JOINTS}, 3) and scores"
                f" (T, {_JOINTS}), got {shapes[0]}, {shapes[1]} and {shapes[2]}"
            )
        if not np.isfinite(self.joints_cam_m).all():
            raise DatasetError(f"recording {self.name!r} has 3D joints that are not finite")

    def __len__(self) -> int:
        return len(self.joints_cam_m)

    @property
    def visible(self) -> np.ndarray:
        """(T, J) float32: the score, 1 where there are none."""
        if self.score is None:
            return np.ones(self.kpts_px.shape[:-1], dtype=np.float32)
        return np.asarray(self.score, dtype=np.float32)
