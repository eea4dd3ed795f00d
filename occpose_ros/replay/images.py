"""The images of a bag, for an image model."""

from __future__ import annotations

from collections import Counter

import numpy as np

from occpose_core.types import Camera
from occpose_ros.adapters import RejectedMessageError
from occpose_ros.bag import BagError, BagReader, Record

# Type of a topic of images -> how its messages are read.
TRANSPORTS = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}


def image_topic(bag: BagReader, wanted: str | None = None) -> str:
    """The topic of images by name, or the only one there is. Raises BagError."""
    found = sorted(topic for topic, kind in bag.topics.items() if kind in TRANSPORTS)
    if wanted is not None and wanted not in found:
        raise BagError(f"{bag.path} has no images on {wanted!r}; it has some on {', '.join(found) or 'no topic'}")
    if not found:
        raise BagError(f"{bag.path} has no images, which the image model needs: record the camera's image too")
    if wanted is None and len(found) > 1:
        raise BagError(f"{bag.path} has images on {', '.join(found)}: name the detector's with --image")
    return found[0] if wanted is None else wanted


class Pictures:
    """Unpacks and reads images of an open bag."""

    def __init__(self, bag: BagReader) -> None:
        self._bag = bag

    def read(self, record: Record | None, camera: Camera, dropped: Counter[str]) -> np.ndarray | None:
        """The image as the camera's, (H, W, 3) uint8 RGB; None, and counted, if there is none or it cannot be read."""
        from occpose_ros.images import rgb_for_camera

        if record is None:
            dropped["no_image"] += 1
            return None
        try:
            return rgb_for_camera(self._bag.unpack(record), camera, TRANSPORTS[record.msgtype])
        except BagError:
            dropped["bad_image"] += 1
        except RejectedMessageError as error:
            dropped[error.reason] += 1
        return None
