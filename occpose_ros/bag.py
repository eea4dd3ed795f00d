"""Rosbag2 files without ROS: read and write them, with the message definitions that they carry.

A bag is a single `.mcap` or `.db3` file, or the folder that `ros2 bag record` makes. Times are integer nanoseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import (
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from occpose_core.files import refuse_existing
from occpose_ros.bag_damage import DAMAGE, BagError, failure, message_failure
from occpose_ros.message_definitions import PACKAGE, Definitions, definition_files, types_from_files, typestore

KEYPOINTS_TYPE = f"{PACKAGE}/msg/Keypoints2DArray"
SKELETONS_TYPE = f"{PACKAGE}/msg/Skeleton3DArray"
SKELETON_INFO_TYPE = f"{PACKAGE}/msg/SkeletonInfo"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
MARKERS_TYPE = "visualization_msgs/msg/MarkerArray"
TF_TYPE = "tf2_msgs/msg/TFMessage"
_MOST_NAMED = 30  # topics in a sentence

__all__ = [
    "CAMERA_INFO_TYPE",
    "KEYPOINTS_TYPE",
    "MARKERS_TYPE",
    "PACKAGE",
    "SKELETONS_TYPE",
    "SKELETON_INFO_TYPE",
    "TF_TYPE",
    "BagError",
    "BagReader",
    "BagWriter",
    "Channel",
    "Record",
    "definition_files",
    "typestore",
]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One message of a bag: received at `stamp_ns` (the recorder's clock, not the header's stamp).

    message: what `raw` says; None as long as nobody has unpacked it.
    """

    topic: str
    msgtype: str
    stamp_ns: int
    raw: bytes
    message: Any = None


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A topic as a bag describes it: the text and hash of its message type; whether it is for late joiners, too."""

    topic: str
    msgtype: str
    definition: str
    digest: str
    latched: bool


class BagReader:
    """Read a bag in time order; a context manager. Raises BagError.

    message_files: .msg files and packages of them, for messages whose definitions the bag does not carry.
    """

    def __init__(self, path: Path | str, message_files: Sequence[Path | str] = ()) -> None:
        self.path = Path(path)
        self._message_files = tuple(message_files)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> BagReader:
        self._check_path()
        files = types_from_files(self._message_files)
        with self._damage():
            self._reader = self._stack.enter_context(Reader(self.path))
            self._connections = list(self._reader.connections)
            carried = {
                c.msgtype: c.msgdef for c in self._connections if c.msgdef.format != MessageDefinitionFormat.NONE
            }
            self._definitions = Definitions(self.path, carried, files)
            self.topics = {connection.topic: connection.msgtype for connection in self._connections}
        if self._reader.message_count == 0:
            self._stack.close()
            raise BagError(f"{self.path} holds no messages; record it again while the topics are being published")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _check_path(self) -> None:
        if not self.path.exists():
            raise BagError(f"{self.path} does not exist; give the path of a .mcap file or a rosbag2 folder")
        if self.path.is_dir() and not (self.path / "metadata.yaml").is_file():
            raise BagError(
                f"{self.path} is a folder without metadata.yaml, so not a rosbag2; give a folder that"
                " `ros2 bag record` made, or a .mcap file"
            )
        if self.path.is_file() and self.path.suffix == ".zstd":
            raise BagError(f"{self.path} is a compressed part of a bag; give its folder, where metadata.yaml is")
        if self.path.is_file() and self.path.stat().st_size == 0:
            raise BagError(f"{self.path} is not a readable ROS 2 bag (it has 0 bytes): nothing was recorded")
        if self.path.is_file() and self.path.suffix not in (".mcap", ".db3"):
            raise BagError(
                f"{self.path} ends neither in .mcap nor in .db3; convert other recordings to rosbag2 first"
                " (for ROS 1: `rosbags-convert --src BAG --dst FOLDER`)"
            )

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except BagError:
            raise
        except (OSError, *DAMAGE) as error:
            raise failure(self.path, error) from None

    def topics_of(self, msgtype: str) -> list[str]:
        """All topics of a message type, in alphabetical order."""
        return sorted(topic for topic, known in self.topics.items() if known == msgtype)

    def contents(self) -> str:
        """What topics there are, and of what types, for a sentence."""
        there = [f"{topic} ({known})" for topic, known in sorted(self.topics.items())]
        more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
        return ", ".join(there[:_MOST_NAMED]) + more

    def topic_of(self, msgtype: str, wanted: str | None = None, option: str = "") -> str:
        """The only topic of a message type, or `wanted` if it has that type; BagError names what is there.

        option: of the command, by which users name the topic.
        """
        if wanted is not None:
            known = self.topics.get(wanted)
            if known is None:
                raise BagError(f"{self.path} has no topic {wanted!r}; it has {self.contents()}")
            if known != msgtype:
                raise BagError(
                    f"topic {wanted} of {self.path} is of type {known}, not {msgtype}; choose another of"
                    f" {self.contents()}"
                )
            return wanted
        found = self.topics_of(msgtype)
        if not found:
            raise BagError(f"{self.path} has no topic of type {msgtype}; it has {self.contents()}")
        if len(found) > 1:
            by = f" with {option}" if option else ""
            raise BagError(
                f"{self.path} has {len(found)} topics of type {msgtype}: {', '.join(found)}; name one of them{by}"
            )
        return found[0]

    def channel(self, topic: str) -> Channel:
        """How the bag describes a topic."""
        msgtype = self.topics[topic]
        with self._damage():
            return channel_of(topic, msgtype, self._definitions.store_for(msgtype), self.latched(topic))

    def latched(self, topic: str) -> bool:
        """Whether the topic was published for late joiners, too."""
        profiles = [
            profile
            for connection in self._connections
            if connection.topic == topic
            for profile in getattr(connection.ext, "offered_qos_profiles", ())
        ]
        return any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)

    def count(self, topics: Collection[str]) -> int:
        """How many messages these topics hold."""
        return sum(connection.msgcount for connection in self._connections if connection.topic in topics)

    @property
    def begin_ns(self) -> int:
        """When the first message was received."""
        return self._reader.start_time

    @property
    def end_ns(self) -> int:
        """When the last message was received."""
        return self._reader.end_time - 1  # theirs is one behind the last

    def records(self, topics: Collection[str] | None = None, begin_ns: int | None = None) -> Iterator[Record]:
        """The messages of some topics (None: all) in the order in which they were received, not unpacked.

        begin_ns: only those received then or later.
        """
        wanted = [c for c in self._connections if topics is None or c.topic in topics]
        if not wanted:
            return
        with self._damage():
            for connection, stamp_ns, raw in self._reader.messages(wanted, start=begin_ns):
                yield Record(topic=connection.topic, msgtype=connection.msgtype, stamp_ns=stamp_ns, raw=raw)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Record]:
        """The messages of some topics (None: all) in the order in which they were received, unpacked."""
        for record in self.records(topics):
            yield replace(record, message=self.unpack(record))

    def unpack(self, record: Record) -> Any:
        """What a message of this bag says."""
        try:  # not `with self._damage()`, which takes as long as a small message
            return self._definitions.store_for(record.msgtype).deserialize_cdr(record.raw, record.msgtype)
        except BagError:
            raise
        except DAMAGE as error:
            raise message_failure(self.path, record.topic, record.raw, error) from None


def channel_of(topic: str, msgtype: str, store: Typestore, latched: bool) -> Channel:
    """A topic of a type that the store knows."""
    definition, _ = store.generate_msgdef(msgtype, ros_version=2)
    digest = store.hash_rihs01(msgtype)
    return Channel(topic=topic, msgtype=msgtype, definition=definition, digest=digest, latched=latched)


def _qos(latched: bool) -> Qos:
    never = QosTime(2147483647, 4294967295)
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        never,
        never,
        QosLiveliness.AUTOMATIC,
        never,
        False,
    )


class BagWriter:
    """Write a single-file MCAP bag; a context manager.

    The file appears under its name only when it is complete. Missing folders are made; an existing file is
    overwritten only with `force`. Raises BagError or OutputError.
    """

    def __init__(self, path: Path | str, *, force: bool = False) -> None:
        self.path = Path(path)
        if self.path.suffix != ".mcap":
            raise BagError(f"output bag {self.path} must end in .mcap")
        self._force = force

    def __enter__(self) -> BagWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            refuse_existing(self.path, self._force)
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.stem}-", dir=self.path.parent))
        except OSError as error:
            raise BagError(f"cannot write to {self.path.parent}: {error.strerror}; choose another folder") from None
        self._writer = Writer(self._folder / "bag", version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections: dict[str, Any] = {}
        self._finished = False
        return self

    def finish(self) -> None:
        """Complete the file, still under its temporary name; nothing can be written any more."""
        self._writer.close()
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self._writer.abort()
                return
            if not self._finished:
                self.finish()
            os.replace(self._folder / "bag" / "bag.mcap", self.path)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, channel: Channel) -> None:
        """Describe a topic, once, before anything is appended to it."""
        self._connections[channel.topic] = self._writer.add_connection(
            channel.topic,
            channel.msgtype,
            msgdef=channel.definition,
            rihs01=channel.digest,
            offered_qos_profiles=[_qos(channel.latched)],
        )

    def append(self, topic: str, stamp_ns: int, raw: bytes) -> None:
        """Append a serialised message to an open topic."""
        self._writer.write(self._connections[topic], stamp_ns, raw)

    def write(self, topic: str, message: Any, stamp_ns: int, *, latched: bool = False) -> None:
        """Append a message built from `typestore()`. latched: its topic is transient-local, as `skeleton_info` is."""
        store, msgtype = typestore(), message.__msgtype__
        if topic not in self._connections:
            self.open(channel_of(topic, msgtype, store, latched))
        self.append(topic, stamp_ns, bytes(store.serialize_cdr(message, msgtype)))

    def copy(self, record: Record, reader: BagReader) -> None:
        """Append a message of another bag as it is, whatever its type."""
        if record.topic not in self._connections:
            self.open(reader.channel(record.topic))
        self.append(record.topic, record.stamp_ns, record.raw)
