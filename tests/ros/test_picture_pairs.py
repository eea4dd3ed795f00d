"""Keypoints get the image that they were seen in, before or after them, and nobody loses their place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.skeleton import H36M17
from occpose_core.types import People2D
from occpose_ros.adapters import KeypointsArray
from occpose_ros.bag import Record
from occpose_ros.parameters import NodeParameters
from occpose_ros.replay.items import Image, Item
from occpose_ros.replay.picture_pairs import PicturePairs

MS = 1_000_000
NOBODY = People2D(ids=(), xy_px=np.zeros((0, len(H36M17.joints), 2)), score=np.zeros((0, len(H36M17.joints))))


def image(stamp_ms: int, at_ms: int | None = None, **dropped: int) -> Image:
    """Keypoints of a stamp that were received at a time, at once if none is given."""
    stamp_ns = stamp_ms * MS
    received_ns = stamp_ns if at_ms is None else at_ms * MS
    size: dict[str, Any] = {"frame_id": "camera", "layout": "coco17", "width": 640, "height": 480}
    keypoints = KeypointsArray(stamp_ns=stamp_ns, people=NOBODY, dropped=dropped, **size)
    record = Record(topic="/keypoints", msgtype="", stamp_ns=received_ns, raw=b"")
    return Image(record=record, keypoints=keypoints)


def other(at_ms: int) -> Record:
    return Record(topic="/tf", msgtype="", stamp_ns=at_ms * MS, raw=b"")


def picture(stamp_ms: int, at_ms: int | None = None) -> Record:
    sec, nanosec = divmod(stamp_ms * MS, 10**9)
    raw = b"\0\1\0\0" + sec.to_bytes(4, "little") + nanosec.to_bytes(4, "little")
    received_ns = (stamp_ms if at_ms is None else at_ms) * MS
    return Record(topic="/image", msgtype="", stamp_ns=received_ns, raw=raw)


def passed(received: Iterable[Image | Record], **parameters: Any) -> list[tuple[str, int, int | None]]:
    """What comes out: what it is, the time in its stamp or of its reception, and the stamp of its picture, in ms."""
    pairs = PicturePairs(NodeParameters(**parameters))
    out: list[Item] = []
    for one in received:
        if isinstance(one, Record) and one.topic == "/image":
            out += pairs.came(one)
        else:
            out += pairs.on_time(one.record.stamp_ns if isinstance(one, Image) else one.stamp_ns)
            out += pairs.sent([one])
    return [told(item) for item in [*out, *pairs.rest()]]


def told(item: Item) -> tuple[str, int, int | None]:
    if isinstance(item, Record):
        return "other", item.stamp_ns // MS, None
    assert isinstance(item, Image) and item.keypoints is not None
    nanosec = None if item.picture is None else int.from_bytes(item.picture.raw[8:12], "little")
    return "image", item.keypoints.stamp_ns // MS, None if nanosec is None else nanosec // MS


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        pytest.param([picture(100), image(100)], [("image", 100, 100)], id="picture first"),
        pytest.param([image(100), picture(100, 150)], [("image", 100, 100)], id="picture later"),
        pytest.param(
            [image(100), other(201), picture(100, 210)], [("image", 100, None), ("other", 201, None)], id="too late"
        ),
        pytest.param([picture(95), picture(104), image(100)], [("image", 100, 104)], id="the nearest"),
        pytest.param([picture(90), image(100)], [("image", 100, None)], id="not near enough"),
        pytest.param(
            [image(100), other(110), image(133), picture(133, 140)],
            [("image", 100, None), ("other", 110, None), ("image", 133, 133)],
            id="a later one has its picture",
        ),
        pytest.param(
            [image(100), picture(133, 134), image(133), other(140)],
            [("image", 100, None), ("image", 133, 133), ("other", 140, None)],
            id="a later one finds its picture",
        ),
        pytest.param(
            [image(100), other(110), picture(100, 120), image(133), other(140)],
            [("image", 100, 100), ("other", 110, None), ("image", 133, None), ("other", 140, None)],
            id="in turn",
        ),
        pytest.param([picture(100), image(100, no_stamp=1)], [("image", 100, None)], id="no stamp of its own"),
    ],
)
def test_pairs(received: list[Image | Record], expected: list[tuple[str, int, int | None]]) -> None:
    assert passed(received) == expected


def test_parameters_decide_how_long_and_how_near() -> None:
    late = [image(100), other(250), picture(100, 260)]
    assert passed(late, image_wait_s=0.2)[0] == ("image", 100, 100)
    assert passed(late, image_wait_s=0.0)[0] == ("image", 100, None)
    near = [picture(70), image(100)]
    assert passed(near, slop_s=0.05)[0] == ("image", 100, 70)
    many = [picture(100), picture(200), picture(300), image(100, 301)]
    assert passed(many, queue_size=2)[0] == ("image", 100, None)
    assert passed(many, queue_size=3)[0] == ("image", 100, 100)


@given(st.lists(st.tuples(st.sampled_from("kpo"), st.integers(0, 40), st.integers(0, 300)), max_size=30))
def test_all_items_come_out_in_their_order(events: list[tuple[str, int, int]]) -> None:
    now_ms, received = 0, []
    for kind, step_ms, before_ms in events:
        now_ms += step_ms
        stamp_ms = max(0, now_ms - before_ms)
        made = {"k": image(stamp_ms, now_ms), "p": picture(stamp_ms, now_ms), "o": other(now_ms)}
        received.append(made[kind])
    put_in = [told(one)[:2] for one in received if not (isinstance(one, Record) and one.topic == "/image")]
    out = passed(received)
    assert [item[:2] for item in out] == put_in
    assert all(at is None or abs(at - stamp) < 10 for _, stamp, at in out)
