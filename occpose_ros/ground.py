"""The ground in the camera's axes, by TF: the plane z = 0 of a frame whose z points up."""

from __future__ import annotations

from occpose_core.types import GroundPlane
from occpose_ros.message_types import NANOSECONDS
from occpose_ros.transforms import Transform, TransformBuffer, TransformError

# How long the last plane stands for one that is not known yet: TF often comes later than the image, and until then no
# camera rises or tilts by much.
HOLD_S = 0.5


def plane_of(ground_from_camera: Transform) -> GroundPlane:
    """The plane z = 0 of the ground's frame, seen from the camera."""
    return GroundPlane(normal_cam=ground_from_camera.rotation[2], distance_m=float(ground_from_camera.translation_m[2]))


class Ground:
    """Looks the ground up; not thread-safe. frame: z up, z = 0 is the ground. transforms: where it is looked up."""

    def __init__(self, frame: str, transforms: TransformBuffer) -> None:
        self._frame = frame
        self._transforms = transforms
        self._last: tuple[str, int, GroundPlane] | None = None

    def seen_from(self, camera_frame: str, stamp_ns: int) -> GroundPlane:
        """The ground at that time, or as it was at most HOLD_S away; TransformError if TF does not tell."""
        try:
            plane = plane_of(self._transforms.lookup(self._frame, camera_frame, stamp_ns))
        except TransformError:
            if self._last is None or self._last[0] != camera_frame:
                raise
            if abs(stamp_ns - self._last[1]) > HOLD_S * NANOSECONDS:
                raise
            return self._last[2]
        self._last = (camera_frame, stamp_ns, plane)
        return plane
