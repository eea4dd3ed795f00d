"""How long a node in another process takes to answer keypoints over DDS, from publication to receipt.

The method is that of ros2_benchmark: messages are made beforehand and sent at fixed rates to a node that is as it
always is; each answer is matched with its message by the stamp.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from occpose_ros.bag import KEYPOINTS_TYPE, SKELETON_INFO_TYPE, SKELETONS_TYPE, Record, typestore
from occpose_ros.live import LiveError, NodeProcess, Player, own_domain
from occpose_ros.message_types import MessageTypes, header_to_msg

_WARM_UP_S = 1.0  # of each rate; at first, messages also wait for discovery
_LEAST = 20  # messages, however short the time
_BEGIN_NS = 1_000_000_000
# Nobody listens to markers here: they are built after the skeletons are out, and the echo has none.
_LISTENED = {"skeletons": SKELETONS_TYPE, "skeleton_info": SKELETON_INFO_TYPE}
_LISTENED_BARE = {"skeletons": SKELETONS_TYPE}


@dataclass(frozen=True, kw_only=True)
class RoundTrip:
    """What a node did with messages of one rate.

    latency_ms: from publication to receipt, of those that were answered. sent: how many there were. jitter_ms: second
    differences of the times of receipt, without sign: 0 of answers that come at even distances. cpu_percent: of one
    core, used by the node.
    """

    latency_ms: list[float]
    sent: int
    jitter_ms: list[float]
    cpu_percent: float

    @property
    def unanswered(self) -> int:
        """Messages without an answer."""
        return self.sent - len(self.latency_ms)


def round_trips(
    images: Sequence[Any],
    camera_info: bytes,
    rates_hz: Sequence[int],
    seconds: float,
    parameters: Mapping[str, str],
    *,
    echo: bool = False,
    say: Callable[[int], None] = lambda rate_hz: None,
) -> dict[int, RoundTrip]:
    """Send images to a new pose_node, or to an echo_node, for so long at each rate, after a second that does not count.

    images: Keypoints2DArray messages, repeated. camera_info: serialised. say: hears the rate that is next. Returns
    rate -> what was measured. Raises LiveError.
    """
    trips: dict[int, RoundTrip] = {}
    begin_ns = _BEGIN_NS
    module, listened = ("bench.echo_node", _LISTENED_BARE) if echo else ("pose_node", _LISTENED)
    with own_domain(), NodeProcess(parameters, module) as node, Player(node.check, listened, bare=echo) as player:
        player.wait_until_ready(camera_info)
        for rate_hz in rates_hz:
            say(rate_hz)
            warm_ups = round(_WARM_UP_S * rate_hz)
            counted = max(_LEAST, round(seconds * rate_hz))
            records = list(itertools.islice(film(images, rate_hz, begin_ns), warm_ups + counted))
            begin_ns = records[-1].stamp_ns + 1_000_000_000  # stamps that went back would reset the pipeline
            trips[rate_hz] = _round_trip(player, node, records, warm_ups)
        code = node.stop()
    if code:
        raise LiveError(f"{module} stopped with exit code {code} instead of 0: {node.last_words()}")
    return trips


def _round_trip(player: Player, node: NodeProcess, records: Sequence[Record], warm_ups: int) -> RoundTrip:
    spent: list[tuple[float, float]] = []  # wall clock and the node's CPU time, s, when counting begins and ends
    sent = itertools.count(1)

    def watch(_: float) -> None:
        if next(sent) in (warm_ups, len(records)):
            spent.append((time.monotonic(), cpu_s(node.pid)))

    player.begin_anew()
    recording = player.play(records, watch)
    came_ns = recording.answered_ns()
    counted = list(zip(records, recording.sent_ns, strict=True))[warm_ups:]
    answered = [(came_ns[record.stamp_ns], sent_ns) for record, sent_ns in counted if record.stamp_ns in came_ns]
    if not answered:
        raise LiveError(f"the node answered none of {len(counted)} messages; leave the machine to the benchmark")
    (began_s, before_s), (ended_s, after_s) = spent
    return RoundTrip(
        latency_ms=[1e-6 * (came - sent) for came, sent in answered],
        sent=len(counted),
        jitter_ms=(1e-6 * np.abs(np.diff(sorted(came for came, _ in answered), n=2))).tolist(),
        cpu_percent=100.0 * (after_s - before_s) / (ended_s - began_s),
    )


def cpu_s(pid: int) -> float:
    """Seconds that a process has spent on all cores so far (Linux)."""
    # behind the name in brackets, which may hold anything: fields 3 to 52, of which 14 and 15 are the times
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def film(images: Sequence[Any], rate_hz: int = 30, begin_ns: int = _BEGIN_NS) -> Iterator[Record]:
    """The images over and over, with rising stamps."""
    store = typestore()
    types = MessageTypes.from_rosbags(store)
    for number, image in enumerate(itertools.cycle(images)):
        stamp_ns = begin_ns + number * 1_000_000_000 // rate_hz
        message = replace(image, header=header_to_msg(stamp_ns, image.header.frame_id, types))
        raw = bytes(store.serialize_cdr(message, KEYPOINTS_TYPE))
        yield Record(topic="/keypoints", msgtype=KEYPOINTS_TYPE, stamp_ns=stamp_ns, raw=raw, message=message)
