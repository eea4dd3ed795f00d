"""A recording to look at. It is read as it plays: nothing but the newest messages is held."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from occpose_ros.bag import CAMERA_INFO_TYPE, SKELETONS_TYPE, TF_TYPE, BagError, BagReader, Record
from occpose_ros.message_types import NANOSECONDS
from occpose_ros.transforms import TransformBuffer
from occpose_ros.view.playback import Playback
from occpose_ros.view.source import STALE_S, Cameras, Moment, ViewError, moment_of, only_topic

_STALE_NS = round(STALE_S * NANOSECONDS)
_TF_NS = 2 * NANOSECONDS  # so much of TF is read before the place that is jumped to
_LOOK_FOR_BAG_S = 1.0


def answers_topic(bag: BagReader, wanted: str | None = None) -> str | None:
    """The topic of the skeletons in a bag, None if it has none but true ones. Raises BagError and ViewError."""
    if wanted is not None:
        return bag.topic_of(SKELETONS_TYPE, wanted)
    return only_topic(bag.topics_of(SKELETONS_TYPE), f"in {bag.path} ")


class BagSource:
    """The skeletons of a bag, with its camera and TF; a context manager. Raises BagError.

    skeletons: a topic that it has. title: what it is called. with_tf: whether TF is read.
    """

    def __init__(self, path: Path, skeletons: str, *, title: str, with_tf: bool = False) -> None:
        self.title = title
        self.transforms = TransformBuffer()
        self._bag = BagReader(path)
        self._topic = skeletons
        self._with_tf = with_tf
        self._cameras = Cameras()
        self._newest: Record | None = None
        self._moment: tuple[Record, Moment] | None = None
        self._looked_s = time.monotonic()
        self._damage = ""

    def __enter__(self) -> BagSource:
        bag = self._bag.__enter__()
        try:
            moving = [name for name in bag.topics_of(TF_TYPE) if self._with_tf and not name.endswith("tf_static")]
            self._topics = [self._topic, *moving, *bag.topics_of(CAMERA_INFO_TYPE)]
            for record in self._messages_of_static_tf():
                self.transforms.add_msg(bag.unpack(record), static=True)
            self._playback = Playback((bag.end_ns - bag.begin_ns) / NANOSECONDS)
            self.playback: Playback | None = self._playback
            self._go_to(bag.begin_ns)
        except BaseException:
            self._bag.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bag.__exit__(kind, error, trace)

    def _messages_of_static_tf(self) -> Iterator[Record]:
        static = [name for name in self._bag.topics_of(TF_TYPE) if self._with_tf and name.endswith("tf_static")]
        return self._bag.records(static)

    def _go_to(self, stamp_ns: int) -> None:
        """Read on from a little before that time: the answers of that moment, and TF around it."""
        before_ns = _TF_NS if self._with_tf else _STALE_NS
        self._reached_ns = stamp_ns
        self._newest, self._damage = None, ""
        self.transforms.clear()
        self._records = self._bag.records(self._topics, max(stamp_ns - before_ns, self._bag.begin_ns))
        self._next = next(self._records, None)

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises ViewError if the bag is gone."""
        time.sleep(max(seconds, 0.0))
        if time.monotonic() - self._looked_s >= _LOOK_FOR_BAG_S:
            self._looked_s = time.monotonic()
            if not self._bag.path.exists():
                raise ViewError(f"{self._bag.path} is gone, somebody has moved or deleted it; there is nothing to show")

    def moment(self) -> Moment | None:
        """The newest answer of the place that the playback has reached. See Source."""
        now_ns = self._bag.begin_ns + round(self._playback.tick() * NANOSECONDS)
        try:
            self._read_until(now_ns)
        except BagError as error:  # the rest of the bag may be whole: the user can go there
            self._damage, self._next = str(error), None
            self._playback.pause()
        if self._newest is None or now_ns - self._newest.stamp_ns > _STALE_NS:
            return None
        if self._moment is None or self._moment[0] is not self._newest:
            self._moment = self._newest, moment_of(self._bag.unpack(self._newest), self._cameras)
        return self._moment[1]

    def _read_until(self, stamp_ns: int) -> None:
        """Read on to that time, from elsewhere if that is not near."""
        far = not self._reached_ns <= stamp_ns <= self._reached_ns + _TF_NS + _STALE_NS
        if far or (self._damage and stamp_ns != self._reached_ns):
            self._go_to(stamp_ns)
        self._reached_ns = stamp_ns
        while self._next is not None and self._next.stamp_ns <= stamp_ns:
            self._hear(self._next)
            self._next = next(self._records, None)

    def _hear(self, record: Record) -> None:
        if record.topic == self._topic:
            self._newest = record
        elif record.msgtype == TF_TYPE:
            self.transforms.add_msg(self._bag.unpack(record), static=False)
        else:
            self._cameras.hear(record.topic, record.raw, lambda: self._bag.unpack(record))

    def status(self) -> str:
        """See Source."""
        return self._damage or f"{self._topic} of {self.title}"
