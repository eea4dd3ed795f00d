"""Rosbag2 files without ROS: read and write them, with the message definitions that they carry.

A bag is a single `.mcap` or `.db3` file, or the folder that `ros2 bag record` makes. Times are integer nanoseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import sys
import tempfile
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, ReaderError, StoragePlugin, Writer
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from ruamel.yaml.error import YAMLError

from occpose_core.errors import OccposeError
from occpose_core.files import refuse_existing

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

PACKAGE = "occpose_ros"
KEYPOINTS_TYPE = f"{PACKAGE}/msg/Keypoints2DArray"
SKELETONS_TYPE = f"{PACKAGE}/msg/Skeleton3DArray"
SKELETON_INFO_TYPE = f"{PACKAGE}/msg/SkeletonInfo"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
MARKERS_TYPE = "visualization_msgs/msg/MarkerArray"
TF_TYPE = "tf2_msgs/msg/TFMessage"

# What the reading library raises for files that are damaged in one way or another.
_DAMAGE = (
    AnyReaderError,
    ArithmeticError,
    ReaderError,
    SerdeError,
    TypesysError,
    AssertionError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    YAMLError,
    ZstdError,
    apsw.Error,
    struct.error,
)


class BagError(OccposeError):
    """A bag is missing, damaged, foreign, empty, lacks a topic, or would be overwritten."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One message of a bag: received at `stamp_ns` (the recorder's clock, not the header's stamp)."""

    topic: str
    msgtype: str
    stamp_ns: int
    raw: bytes
    message: Any


def definition_files() -> list[Path]:
    """The text files of occpose's own messages: beside this module when installed, in `msg/` in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "definitions", here.parent / "msg"):
        files = sorted(folder.glob("*.msg"))
        if files:
            return files
    raise BagError(
        f"occpose's message definitions are neither in {here / 'definitions'} nor in {here.parent / 'msg'};"
        " install occpose again"
    )


@lru_cache(maxsize=1)
def typestore() -> Typestore:
    """ROS 2's standard message types and occpose's own."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in definition_files():
        store.register(get_types_from_msg(path.read_text(encoding="utf-8"), f"{PACKAGE}/msg/{path.stem}"))
    return store


class BagReader:
    """Read a bag in time order; a context manager. Raises BagError."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> BagReader:
        self._check_path()
        with self._damage():
            self._reader = self._stack.enter_context(AnyReader([self.path], default_typestore=typestore()))
            self.topics = {connection.topic: connection.msgtype for connection in self._reader.connections}
            self.typestore = self._reader.typestore
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
        if self.path.is_file() and self.path.suffix not in (".mcap", ".db3"):
            raise BagError(
                f"{self.path} ends neither in .mcap nor in .db3; convert other recordings to rosbag2 first"
                " (for ROS 1: `rosbags-convert --src BAG --dst FOLDER`)"
            )

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except OccposeError:
            raise
        except OSError as error:
            raise BagError(
                f"{self.path} cannot be read: {error.strerror or error}; check the path and its rights"
            ) from None
        except _DAMAGE as error:
            reason = textwrap.shorten(str(error), 120, placeholder=" ...").rstrip(".") or type(error).__name__
            raise BagError(
                f"{self.path} is not a readable ROS 2 bag ({reason}); if a recording was cut off, try"
                " `mcap recover` or `ros2 bag reindex`, else record it again"
            ) from None

    def topics_of(self, msgtype: str) -> list[str]:
        """All topics of a message type, in alphabetical order."""
        return sorted(topic for topic, known in self.topics.items() if known == msgtype)

    def topic_of(self, msgtype: str, wanted: str | None = None) -> str:
        """The only topic of a message type, or `wanted` if it has that type; BagError names what is there."""
        there = ", ".join(f"{topic} ({known})" for topic, known in sorted(self.topics.items()))
        if wanted is not None:
            known = self.topics.get(wanted)
            if known is None:
                raise BagError(f"{self.path} has no topic {wanted!r}; it has {there}")
            if known != msgtype:
                raise BagError(
                    f"topic {wanted} of {self.path} is of type {known}, not {msgtype}; choose another of {there}"
                )
            return wanted
        found = self.topics_of(msgtype)
        if not found:
            raise BagError(f"{self.path} has no topic of type {msgtype}; it has {there}")
        if len(found) > 1:
            raise BagError(
                f"{self.path} has {len(found)} topics of type {msgtype}: {', '.join(found)}; name one of them"
            )
        return found[0]

    def latched(self, topic: str) -> bool:
        """Whether the topic was published for late joiners, too."""
        profiles = [
            profile
            for connection in self._reader.connections
            if connection.topic == topic
            for profile in getattr(connection.ext, "offered_qos_profiles", ())
        ]
        return any(profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles)

    def count(self, topics: Collection[str]) -> int:
        """How many messages these topics hold."""
        return sum(connection.msgcount for connection in self._reader.connections if connection.topic in topics)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Record]:
        """The messages of some topics (None: all) in the order in which they were received."""
        wanted = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not wanted:
            return
        with self._damage():
            for connection, stamp_ns, raw in self._reader.messages(wanted):
                message = self._reader.deserialize(raw, connection.msgtype)
                yield Record(
                    topic=connection.topic, msgtype=connection.msgtype, stamp_ns=stamp_ns, raw=raw, message=message
                )


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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._writer.close()
                os.replace(self._folder / "bag" / "bag.mcap", self.path)
            else:
                self._writer.abort()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _connection(self, topic: str, msgtype: str, store: Typestore, latched: bool) -> Any:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, msgtype, typestore=store, offered_qos_profiles=[_qos(latched)]
            )
        return self._connections[topic]

    def write(self, topic: str, message: Any, stamp_ns: int, *, latched: bool = False) -> None:
        """Append a message built from `typestore()`. latched: its topic is transient-local, as `skeleton_info` is."""
        store = typestore()
        connection = self._connection(topic, message.__msgtype__, store, latched)
        self._writer.write(connection, stamp_ns, bytes(store.serialize_cdr(message, message.__msgtype__)))

    def copy(self, record: Record, reader: BagReader) -> None:
        """Append a message of another bag as it is, whatever its type."""
        latched = record.topic not in self._connections and reader.latched(record.topic)
        connection = self._connection(record.topic, record.msgtype, reader.typestore, latched)
        self._writer.write(connection, record.stamp_ns, record.raw)
