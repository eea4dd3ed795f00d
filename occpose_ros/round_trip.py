"""How long a node in another process takes to answer keypoints over DDS, from publication to receipt."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from occpose_ros.bag import KEYPOINTS_TYPE, SKELETON_INFO_TYPE, SKELETONS_TYPE, Record, typestore
from occpose_ros.live import LiveError, NodeProcess, Player, own_domain
from occpose_ros.message_types import MessageTypes, header_to_msg

RATE_HZ = 30
_WARM_UPS = RATE_HZ  # messages: the first ones also wait for discovery
_LEAST = 20  # messages, however short the time
_BEGIN_NS = 1_000_000_000
# Nobody listens to markers here: they are built after the skeletons are out, and the echo has none.
_LISTENED = {"skeletons": SKELETONS_TYPE, "skeleton_info": SKELETON_INFO_TYPE}
_LISTENED_BARE = {"skeletons": SKELETONS_TYPE}


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """Milliseconds from publication to receipt of each answer, and how many of the messages sent had none."""

    latency_ms: list[float]
    sent: int

    @property
    def drops(self) -> int:
        """Messages without an answer."""
        return self.sent - len(self.latency_ms)


def round_trip(
    images: Sequence[Any], camera_info: bytes, seconds: float, parameters: Mapping[str, str], *, echo: bool = False
) -> RoundTrip:
    """Send images to a new pose_node, or to an echo_node, for so long at 30 Hz, after a second that does not count.

    images: Keypoints2DArray messages, repeated. camera_info: serialised. Raises LiveError.
    """
    records = list(itertools.islice(film(images), _WARM_UPS + max(_LEAST, round(seconds * RATE_HZ))))
    module, listened = ("echo_node", _LISTENED_BARE) if echo else ("pose_node", _LISTENED)
    with own_domain(), NodeProcess(parameters, module) as node, Player(node.check, listened, bare=echo) as player:
        player.wait_until_ready(camera_info)
        recording = player.play(records)
        code = node.stop()
    if code:
        raise LiveError(f"{module} stopped with exit code {code} instead of 0: {node.last_words()}")
    received_ns_of = recording.answered_ns()
    counted = list(zip(records, recording.sent_ns, strict=True))[_WARM_UPS:]
    latency_ms = [
        1e-6 * (received_ns_of[record.stamp_ns] - sent_ns)
        for record, sent_ns in counted
        if record.stamp_ns in received_ns_of
    ]
    if not latency_ms:
        raise LiveError(f"{module} answered none of {len(counted)} messages; leave the machine to the benchmark")
    return RoundTrip(latency_ms=latency_ms, sent=len(counted))


def film(images: Sequence[Any]) -> Iterator[Record]:
    """The images over and over, with rising stamps."""
    store = typestore()
    types = MessageTypes.from_rosbags(store)
    for number, image in enumerate(itertools.cycle(images)):
        stamp_ns = _BEGIN_NS + number * 1_000_000_000 // RATE_HZ
        message = replace(image, header=header_to_msg(stamp_ns, image.header.frame_id, types))
        raw = bytes(store.serialize_cdr(message, KEYPOINTS_TYPE))
        yield Record(topic="/keypoints", msgtype=KEYPOINTS_TYPE, stamp_ns=stamp_ns, raw=raw, message=message)
