"""What a replay reads: everything that is copied, and keypoints as the pipeline takes them.

`read` gives it in this process, `ReadingProcess` has another one do so, meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

from occpose_core.errors import OccposeError
from occpose_core.types import Camera
from occpose_ros.adapters import (
    KeypointsArray,
    RejectedMessageError,
    camera_from_msg,
    keypoints_from_occpose_msg,
    match_camera,
)
from occpose_ros.bag import (
    CAMERA_INFO_TYPE,
    KEYPOINTS_TYPE,
    MARKERS_TYPE,
    SKELETONS_TYPE,
    TF_TYPE,
    BagError,
    BagReader,
    Channel,
    Record,
)
from occpose_ros.helper_process import HelperProcess, Line
from occpose_ros.message_types import cdr_behind_stamp
from occpose_ros.replay.answer_writer import OUTPUTS
from occpose_ros.replay.images import RecentImages

_TRUTH_PREFIX = "/ground_truth"
_AHEAD = 128  # items
_AHEAD_WITH_IMAGES = 4  # for they are large
_BATCH = 32  # items that are handed over at once: each hand-over costs as much as a few of them


@dataclass(frozen=True, kw_only=True)
class Topics:
    """The topics of a bag that a replay reads: truth is None if there is none, image if there is no image model."""

    keypoints: str
    camera_info: str
    truth: str | None
    image: str | None = None


@dataclass(frozen=True, kw_only=True)
class Image:
    """A message of keypoints. keypoints: in the pixels of the camera; or None, a reason and a sentence that says why
    the message was refused. picture: the message of the image that they were seen in, if it is wanted and known."""

    record: Record
    keypoints: KeypointsArray | None
    reason: str = ""
    refusal: str = ""
    picture: Record | None = None


Item = Channel | Camera | Image | Record


def find_topics(
    bag: BagReader, keypoints: str | None = None, camera_info: str | None = None, truth: str | None = None
) -> Topics:
    """The topics to read, by name where given, else by type; completed keypoints and answers of a run before are not
    input. Raises BagError."""
    found = [topic for topic in bag.topics_of(KEYPOINTS_TYPE) if topic not in OUTPUTS]
    if keypoints is None and len(found) == 1:
        keypoints = found[0]
    true = [topic for topic in bag.topics_of(SKELETONS_TYPE) if topic.startswith(_TRUTH_PREFIX)]
    if truth is None and len(true) == 1:
        truth = true[0]
    if not bag.topics_of(CAMERA_INFO_TYPE):
        raise BagError(
            f"{bag.path} has no topic of type {CAMERA_INFO_TYPE}, and 3D needs the camera: record camera_info too, or"
            " make the bag with `occpose import-keypoints`"
        )
    return Topics(
        keypoints=bag.topic_of(KEYPOINTS_TYPE, keypoints),
        camera_info=bag.topic_of(CAMERA_INFO_TYPE, camera_info),
        truth=bag.topic_of(SKELETONS_TYPE, truth) if truth is not None else None,
    )


def read(bag: BagReader, topics: Topics, layout: str = "", rectified: bool = False) -> Iterator[Item]:
    """Everything in the order in which it was received: a Channel before the first message of each topic, a Camera
    where CameraInfo says something new, keypoints as Image, all other messages but images as Record.

    The first is the camera of the first CameraInfo, which is also that of keypoints before it. layout: replaces the
    messages' own, if given. rectified: the keypoints are of a rectified image. Raises BagError and CameraError.
    """
    items = _read(bag, topics, layout, rectified)
    yield next(items)
    # Many at once: what reads and what lifts push each other's code and data out of the processor's caches.
    at_once = _AHEAD if topics.image is None else _AHEAD_WITH_IMAGES
    while ahead := list(islice(items, at_once)):
        yield from ahead


def _read(bag: BagReader, topics: Topics, layout: str, rectified: bool) -> Iterator[Item]:
    first = next(bag.records([topics.camera_info]), None)
    if first is None:
        raise BagError(f"{bag.path} has no message on {topics.camera_info}; record it together with the keypoints")
    camera, said = camera_from_msg(bag.unpack(first), rectified), cdr_behind_stamp(first.raw)
    yield camera
    others = [topic for topic in bag.topics_of(MARKERS_TYPE) if topic not in OUTPUTS] + bag.topics_of(TF_TYPE)
    opened: set[str] = set()
    pictures = RecentImages()
    wanted = [topics.keypoints, topics.camera_info, *filter(None, [topics.truth, topics.image]), *others]
    for record in bag.records(wanted):
        if record.topic == topics.image:
            pictures.add(record)
            continue
        if record.topic not in opened:
            opened.add(record.topic)
            yield bag.channel(record.topic)
        yield _image(bag, record, camera, layout, pictures) if record.topic == topics.keypoints else record
        # A driver says the same with every image: what is said again is not unpacked.
        if record.topic == topics.camera_info and cdr_behind_stamp(record.raw) != said:
            camera, said = camera_from_msg(bag.unpack(record), rectified), cdr_behind_stamp(record.raw)
            yield camera


def _image(bag: BagReader, record: Record, camera: Camera, layout: str, pictures: RecentImages) -> Image:
    try:
        keypoints = match_camera(keypoints_from_occpose_msg(bag.unpack(record), layout), camera)
    except RejectedMessageError as error:
        return Image(record=record, keypoints=None, reason=error.reason, refusal=str(error))
    return Image(record=record, keypoints=keypoints, picture=pictures.at(keypoints.stamp_ns))


class ReadingProcess:
    """`read` in a process of its own; a context manager, to be iterated once.

    It begins to read on when the first item was taken. Raises what `read` and BagReader do.
    """

    def __init__(self, path: Path, topics: Topics, layout: str = "", rectified: bool = False) -> None:
        self._path = path
        self._what = (topics, layout, rectified)

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


def _serve(line: Line, path: Path, topics: Topics, layout: str, rectified: bool) -> None:
    """The other process: sends lists of items, an empty one at the end, or what went wrong."""
    try:
        with BagReader(path) as bag:
            items = read(bag, topics, layout, rectified)
            line.send([next(items)])
            line.recv()
            while batch := list(islice(items, _BATCH)):
                line.send(batch)
        line.send([])
    except OccposeError as error:
        line.send(error)
    except (EOFError, ConnectionError):  # nobody wants more
        return
