"""Keypoints and the images that they were seen in, brought together as the node does it.

Most images are there before their keypoints. Keypoints go on in the order in which they came: at once when their image
is there, without one when `image_wait_s` of the bag's time is over or when later ones have theirs.
"""

from __future__ import annotations

import contextlib
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from occpose_ros.bag import Record
from occpose_ros.message_types import NANOSECONDS, stamp_ns_from_cdr
from occpose_ros.parameters import NodeParameters
from occpose_ros.replay.items import Image, Item


class PicturePairs:
    """Finds the picture of each Image by its stamp; other items keep their place among them."""

    def __init__(self, parameters: NodeParameters) -> None:
        self._pictures: deque[tuple[int, Record]] = deque(maxlen=parameters.queue_size)
        self._slop_ns = round(parameters.slop_s * NANOSECONDS)
        self._wait_ns = round(parameters.image_wait_s * NANOSECONDS)
        self._waiting: deque[Item] = deque()  # the first is an Image

    def came(self, record: Record) -> Iterator[Item]:
        """Take a picture; what waited for it. One that ends before its stamp is nobody's."""
        with contextlib.suppress(struct.error):
            self._pictures.append((stamp_ns_from_cdr(record.raw), record))
        found = [place for place, item in enumerate(self._waiting) if self._paired(item) is not item]
        yield from self._let_go(found[-1] + 1 if found else 0)

    def sent(self, items: Iterable[Item]) -> Iterator[Item]:
        """Take items; those that need not wait, and what they put an end to the waiting of."""
        for item in items:
            paired = self._paired(item)
            if paired is not item:
                yield from self._let_go(len(self._waiting))
                yield paired
            elif self._waiting or _wants_picture(item):
                self._waiting.append(item)
            else:
                yield item

    def on_time(self, now_ns: int) -> Iterator[Item]:
        """Those that have waited long enough at a time of the bag."""
        over = [
            place
            for place, item in enumerate(self._waiting)
            if isinstance(item, Image) and now_ns - item.record.stamp_ns >= self._wait_ns
        ]
        yield from self._let_go(over[-1] + 1 if over else 0)

    def rest(self) -> Iterator[Item]:
        """All that still waits."""
        yield from self._let_go(len(self._waiting))

    def _let_go(self, count: int) -> Iterator[Item]:
        """The first so many, and what waited only for its turn behind them."""
        while self._waiting and (count > 0 or not _wants_picture(self._waiting[0])):
            count -= 1
            yield self._paired(self._waiting.popleft())

    def _paired(self, item: Item) -> Item:
        """The Image with the picture whose stamp is nearest, if one is near enough; else the item itself."""
        if not isinstance(item, Image) or not _wants_picture(item):
            return item
        assert item.keypoints is not None
        stamp_ns = item.keypoints.stamp_ns
        near = [(abs(of_ns - stamp_ns), place) for place, (of_ns, _) in enumerate(self._pictures)]
        off_ns, place = min(near, default=(self._slop_ns, 0))
        return replace(item, picture=self._pictures[place][1]) if off_ns < self._slop_ns else item


def _wants_picture(item: Item) -> bool:
    """Of keypoints without a stamp of their own nobody knows the image."""
    return isinstance(item, Image) and item.keypoints is not None and "no_stamp" not in item.keypoints.dropped
