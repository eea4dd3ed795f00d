"""The scene of the playback: x right, y away from the camera, z up, metres, the floor at z = 0.

A recording need not say how its camera was tilted. Up is then what people say who stand and walk: the mean direction
from their ankles to their thorax; and the floor is as high as their lowest ankles, less a sole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occpose_core.skeleton import H36M17

_ANKLES = [H36M17.index("left_ankle"), H36M17.index("right_ankle")]
_THORAX = H36M17.index("thorax")
_CAMERA_UP = np.array([0.0, -1.0, 0.0])  # y points down in the optical frame
_ANKLE_HEIGHT_M = 0.09
_AGREEMENT = 0.9  # length of the mean of unit vectors: within about 25 degrees of each other


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneFrame:
    """rotation: (3, 3), from the optical frame to the scene's axes. camera_height_m: of the camera above the floor."""

    rotation: np.ndarray
    camera_height_m: float

    def from_cam(self, joints_cam_m: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the optical frame in the scene."""
        return joints_cam_m @ self.rotation.T + [0.0, 0.0, self.camera_height_m]


def scene_frame(joints_cam_m: np.ndarray) -> SceneFrame:
    """The frame in which people (N, 17, 3) stand upright; the camera's own axes if they do not agree on what is up."""
    rotation = _rotation(_up(joints_cam_m))
    ankles_m = (joints_cam_m @ rotation.T)[:, _ANKLES, 2].min(axis=1)
    floor_m = float(np.percentile(ankles_m, 20)) - _ANKLE_HEIGHT_M if len(ankles_m) else 0.0
    return SceneFrame(rotation=rotation, camera_height_m=-floor_m)


def _up(joints_cam_m: np.ndarray) -> np.ndarray:
    """(3,) unit vector of the optical frame."""
    body_m = joints_cam_m[:, _THORAX] - joints_cam_m[:, _ANKLES].mean(axis=1)
    length_m = np.linalg.norm(body_m, axis=-1, keepdims=True)
    if not len(body_m) or not (length_m > 0).all():
        return _CAMERA_UP
    mean = (body_m / length_m).mean(axis=0)
    agreement = float(np.linalg.norm(mean))
    return mean / agreement if agreement > _AGREEMENT else _CAMERA_UP


def _rotation(up: np.ndarray) -> np.ndarray:
    """From the optical frame to x right, y away, z up. A camera that looks straight down has its upper edge away."""
    view = np.array([0.0, 0.0, 1.0]) if abs(up[2]) < 0.99 else _CAMERA_UP
    away = view - up * (view @ up)
    away /= np.linalg.norm(away)
    return np.stack([np.cross(away, up), away, up])
