"""What a replay reads: everything that is copied, and keypoints as the pipeline takes them.

`read` gives it in this process, `ReadingProcess` has another one do so, meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType

from occpose_core.errors import OccposeError
from occpose_ros.adapters import RejectedMessageError, match_camera
from occpose_ros.bag import MARKERS_TYPE, TF_TYPE, BagError, BagReader, Record
from occpose_ros.helper_process import HelperProcess, Line
from occpose_ros.replay.answer_writer import OUTPUTS
from occpose_ros.replay.cameras import open_cameras
from occpose_ros.replay.detections import Detected, Detections
from occpose_ros.replay.items import Image, Item
from occpose_ros.replay.picture_pairs import PicturePairs
from occpose_ros.replay.topics import SourceSettings, Topics

_AHEAD = 128  # items
_AHEAD_WITH_IMAGES = 4  # for they are large
_BATCH = 32  # items that are handed over at once: each hand-over costs as much as a few of them


def read(bag: BagReader, topics: Topics, settings: SourceSettings | None = None) -> Iterator[Item]:
    """Everything in the order in which it was received: a Channel before the first message of each topic, a Camera
    where something new is said of it, all messages but images as Record, and an Image behind those that complete what
    the detector saw in one.

    The first is the camera of the first CameraInfo, which is also that of keypoints before it. Raises BagError and
    CameraError.
    """
    items = _read(bag, topics, settings or SourceSettings())
    yield next(items)
    # Many at once: what reads and what lifts push each other's code and data out of the processor's caches.
    at_once = _AHEAD if topics.image is None else _AHEAD_WITH_IMAGES
    while ahead := list(islice(items, at_once)):
        yield from ahead


def _read(bag: BagReader, topics: Topics, settings: SourceSettings) -> Iterator[Item]:
    reading = _Reading(bag, topics, settings)
    yield reading.camera
    others = [topic for topic in bag.topics_of(MARKERS_TYPE) if topic not in OUTPUTS] + bag.topics_of(TF_TYPE)
    given = filter(None, [topics.camera_info, topics.truth, topics.image])
    for record in bag.records([*topics.detections, *given, *others]):
        yield from reading.items(record)
    yield from reading.rest()


class _Reading:
    """Turns the messages of a bag into items. camera: the last one that was told."""

    def __init__(self, bag: BagReader, topics: Topics, settings: SourceSettings) -> None:
        self._bag, self._topics = bag, topics
        self._parameters = settings.parameters
        self._cameras = open_cameras(bag, topics, settings)
        self._detections = Detections(bag, topics, settings.parameters)
        self._sources = frozenset(topics.detections)
        self._pictures = None if topics.image is None else PicturePairs(settings.parameters)
        self._opened: set[str] = set()
        self.camera = self._cameras.first

    def items(self, record: Record) -> Iterator[Item]:
        """What is new with a message; what waits for its image comes later."""
        if self._pictures is None:
            yield from self._items(record)
        elif record.topic == self._topics.image:
            yield from self._pictures.came(record)
        else:
            yield from self._pictures.on_time(record.stamp_ns)
            yield from self._pictures.sent(self._items(record))

    def rest(self) -> Iterator[Item]:
        """What still waits."""
        if self._pictures is not None:
            yield from self._pictures.rest()

    def _items(self, record: Record) -> Iterator[Item]:
        if not self._opened:
            yield from self._cameras.written(record.stamp_ns)
        if record.topic not in self._opened:
            self._opened.add(record.topic)
            yield self._bag.channel(record.topic)
        yield record
        if record.topic in self._sources:
            for detected in self._detections.take(record):
                yield from self._seen(detected, record)
        elif camera := self._cameras.told_by(record):
            self.camera = camera
            yield camera

    def _seen(self, detected: Detected, record: Record) -> Iterator[Item]:
        """An Image, and before it the Camera if it was seen by another."""
        try:
            if isinstance(detected, RejectedMessageError):
                raise detected
            if camera := self._cameras.camera_of(detected):
                self.camera = camera
                yield camera
            parameters = self._parameters
            keypoints = match_camera(
                detected, self.camera, image_width=parameters.image_width, mirror=parameters.mirror
            )
        except RejectedMessageError as error:
            yield Image(record=record, keypoints=None, reason=error.reason, refusal=str(error))
        else:
            yield Image(record=record, keypoints=keypoints, calibrated=self._cameras.calibrated)


class ReadingProcess:
    """`read` in a process of its own; a context manager, to be iterated once.

    It begins to read on when the first item was taken. Raises what `read` and BagReader do.
    """

    def __init__(self, path: Path, topics: Topics, settings: SourceSettings | None = None) -> None:
        self._path = path
        self._what = (topics, settings or SourceSettings())

    def __enter__(self) -> ReadingProcess:
        self._helper = HelperProcess(_serve, self._path, *self._what)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._helper.close()

    @property
    def pid(self) -> int | None:
        """Number of the process."""
        return self._helper.pid

    def __iter__(self) -> Iterator[Item]:
        yield from self._hear()
        with contextlib.suppress(OSError):  # of a process that ended it is heard why
            self._helper.line.send("go")
        while items := self._hear():
            yield from items

    def _hear(self) -> list[Item]:
        try:
            heard: list[Item] | OccposeError = self._helper.line.recv()
        except (EOFError, OSError):
            raise BagError(self._helper.end_of(f"reads {self._path}")) from None
        if isinstance(heard, OccposeError):
            raise heard
        return heard


def _serve(line: Line, path: Path, topics: Topics, settings: SourceSettings) -> None:
    """The other process: sends lists of items, an empty one at the end, or what went wrong."""
    try:
        with BagReader(path, settings.message_files) as bag:
            items = read(bag, topics, settings)
            line.send([next(items)])
            line.recv()
            while batch := list(islice(items, _BATCH)):
                line.send(batch)
        line.send([])
    except OccposeError as error:
        line.send(error)
    except (EOFError, ConnectionError):  # nobody wants more
        return
