"""What a replay reads of a bag, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass

from occpose_core.types import Camera
from occpose_ros.adapters import KeypointsArray
from occpose_ros.bag import Channel, Record


@dataclass(frozen=True, kw_only=True)
class Image:
    """What the detector saw in an image.

    record: the message that completed it, which is an Item of its own before. keypoints: in the pixels of the camera;
    or None, a reason and a sentence that says why they were refused. picture: the message of the image that they were
    seen in, if it is wanted and known. calibrated: False if the camera is assumed.
    """

    record: Record
    keypoints: KeypointsArray | None
    reason: str = ""
    refusal: str = ""
    picture: Record | None = None
    calibrated: bool = True


Item = Channel | Camera | Image | Record
