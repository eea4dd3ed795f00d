"""The images of a bag, for an image model: each is found by the stamp of the keypoints that were seen in it."""

from __future__ import annotations

import contextlib
import struct
from collections import Counter, deque

import numpy as np

from occpose_core.types import Camera
from occpose_ros.adapters import RejectedMessageError
from occpose_ros.bag import BagError, BagReader, Record
from occpose_ros.message_types import stamp_ns_from_cdr
from occpose_ros.parameters import NodeParameters

# Type of a topic of images -> how its messages are read.
TRANSPORTS = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}
# As the node has them if nobody says otherwise.
_KEPT = NodeParameters.queue_size
_SLOP_NS = round(NodeParameters.slop_s * 1e9)


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


class RecentImages:
    """The last images of a bag that is read; they come before what a detector has seen in them."""

    def __init__(self) -> None:
        self._records: deque[tuple[int, Record]] = deque(maxlen=_KEPT)

    def add(self, record: Record) -> None:
        """Take an image message; one that ends before its stamp is nobody's."""
        with contextlib.suppress(struct.error):
            self._records.append((stamp_ns_from_cdr(record.raw), record))

    def at(self, stamp_ns: int) -> Record | None:
        """The image whose stamp is nearest, if it is near enough."""
        off_ns, record = min(
            ((abs(of_ns - stamp_ns), record) for of_ns, record in self._records),
            key=lambda found: found[0],
            default=(_SLOP_NS, None),
        )
        return record if off_ns < _SLOP_NS else None


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
