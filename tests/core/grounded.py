"""People on a floor in front of a camera of any height and tilt, as a network of any idea of size would see them."""

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.geometry import ANKLE_HEIGHT_M
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M
from occpose_core.scale import Placed
from occpose_core.skeleton import H36M17
from occpose_core.types import GroundPlane
from tests.core.cardboard import FIGURE, STATURE_M

J = len(H36M17.joints)
LEFT_ANKLE, RIGHT_ANKLE = H36M17.indices("left_ankle", "right_ankle")
KNEES_AND_ANKLES = H36M17.indices("left_knee", "right_knee", "left_ankle", "right_ankle")
_ABOVE_ANKLE_M = -FIGURE[:, 1] + FIGURE[LEFT_ANKLE, 1]


def person_world_m(height_m=STATURE_M, turn=0.0, floor_m=0.0):
    """(J, 3) joints of somebody who stands on the floor at the origin; world z up."""
    upright = np.stack([FIGURE[:, 0], np.zeros(J), _ABOVE_ANKLE_M], axis=-1) * height_m / STATURE_M
    sole_m = ANKLE_HEIGHT_M / ASSUMED_HEIGHT_M * height_m
    return upright @ Rotation.from_euler("z", turn).as_matrix().T + [0, 0, sole_m + floor_m]


def leg_up(joints_world_m, side):
    """The same person with one thigh level and its shank hanging straight down, the foot in the air."""
    joints = joints_world_m.copy()
    hip, knee, ankle = H36M17.indices(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
    thigh, shank = np.linalg.norm(joints[hip] - joints[knee]), np.linalg.norm(joints[knee] - joints[ankle])
    joints[knee] = joints[hip] + [0, -thigh, 0]
    joints[ankle] = joints[knee] - [0, 0, shank]
    return joints


def sitting_world_m(height_m=STATURE_M):
    """Somebody on a high chair, the feet in the air."""
    return leg_up(leg_up(person_world_m(height_m), "left"), "right")


class Room:
    """A camera `height_m` above the floor, `distance_m` before the origin; it looks `pitch` down, rolled by `roll`."""

    def __init__(self, height_m=1.5, distance_m=4.0, pitch=0.2, roll=0.0, pan=0.0):
        self.eye = np.array([0.0, -distance_m, height_m])
        level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # optical axes of a camera that looks along y
        self.cam_from_world = Rotation.from_euler("zxy", [roll, pitch, pan]).as_matrix() @ level
        self.ground = GroundPlane(normal_cam=self.cam_from_world[:, 2], distance_m=height_m)

    def joints_cam_m(self, joints_world_m):
        return (joints_world_m - self.eye) @ self.cam_from_world.T

    def placed(self, joints_world_m, size=1.0, hidden=(), sigma=0.03, garbage=0.0):
        """One person, seen exactly; size: the network's metres per metre."""
        joints = self.joints_cam_m(joints_world_m)
        visible = np.ones(J, dtype=bool)
        visible[list(hidden)] = False
        rays = np.where(visible[:, None], joints[:, :2] / joints[:, 2:], garbage)
        return Placed(
            joints_root=(joints - joints[0])[None] * size,
            root=joints[None, 0] * size,
            sigma=np.full((1, J), sigma * size),
            rays=rays[None],
            visible=visible[None],
        )
