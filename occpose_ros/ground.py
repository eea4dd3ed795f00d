"""The ground in the camera's axes, by TF: the plane z = 0 of a frame whose z points up."""

from __future__ import annotations

from occpose_core.types import GroundPlane
from occpose_ros.message_types import NANOSECONDS
from occpose_ros.transforms import Transform, TransformBuffer

# How long the newest transform stands for those that are not known yet: TF often comes later than the keypoints, on
# some robots always, and until then no camera rises or tilts by much.
_HOLD_NS = NANOSECONDS // 2


def plane_of(ground_from_camera: Transform) -> GroundPlane:
    """The plane z = 0 of the ground's frame, seen from the camera."""
    return GroundPlane(normal_cam=ground_from_camera.rotation[2], distance_m=float(ground_from_camera.translation_m[2]))


class Ground:
    """Looks the ground up. frame: z up, z = 0 is the ground. transforms: where it is looked up."""

    def __init__(self, frame: str, transforms: TransformBuffer) -> None:
        self._frame = frame
        self._transforms = transforms

    def seen_from(self, camera_frame: str, stamp_ns: int) -> GroundPlane:
        """The ground at that time, or half a second before; TransformError if TF does not tell."""
        return plane_of(self._transforms.lookup(self._frame, camera_frame, stamp_ns, _HOLD_NS))
