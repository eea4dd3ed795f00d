"""Write bags without ROS."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from occpose_core.files import refuse_existing
from occpose_ros.bag_damage import BagError
from occpose_ros.bag_records import Channel, Record, channel_of
from occpose_ros.message_definitions import typestore

if TYPE_CHECKING:
    from occpose_ros.bag import BagReader


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
