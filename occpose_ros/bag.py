"""Rosbag2 files without ROS: read and write them, with the message definitions that they carry.

A bag is a single `.mcap` or `.db3` file, or the folder that `ros2 bag record` makes. Times are integer nanoseconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import MessageDefinitionFormat, QosDurability
from rosbags.rosbag2 import Reader

from occpose_ros.bag_damage import DAMAGE, BagError, failure, message_failure
from occpose_ros.bag_records import (
    CAMERA_INFO_TYPE,
    KEYPOINTS_TYPE,
    MARKERS_TYPE,
    SKELETON_INFO_TYPE,
    SKELETONS_TYPE,
    TF_TYPE,
    Channel,
    Record,
    channel_of,
)
from occpose_ros.bag_writer import BagWriter
from occpose_ros.message_definitions import PACKAGE, Definitions, definition_files, types_from_files, typestore

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
    "channel_of",
    "definition_files",
    "typestore",
]


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
    def packed(self) -> bool:
        """Whether the bag had to be unpacked into a folder for temporary files, as every reader does it for itself."""
        return self._reader.compression_mode == "file"

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
