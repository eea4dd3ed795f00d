"""Bags of every kind that recorders make are read alike, and what is damaged gets one sentence."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer

from occpose_ros.bag import KEYPOINTS_TYPE, BagError, BagReader, typestore
from occpose_ros.message_types import MessageTypes, header_to_msg
from tests.ros.bag_files import Sent, join, write_folder

TYPES = MessageTypes.from_rosbags(typestore())
MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
KINDS = [
    pytest.param(MCAP, CompressionMode.NONE, id="mcap"),
    pytest.param(MCAP, CompressionMode.STORAGE, id="mcap, compressed chunks"),
    pytest.param(MCAP, CompressionMode.MESSAGE, id="mcap, compressed messages"),
    pytest.param(MCAP, CompressionMode.FILE, id="mcap, compressed file"),
    pytest.param(SQLITE, CompressionMode.NONE, id="sqlite3"),
    pytest.param(SQLITE, CompressionMode.MESSAGE, id="sqlite3, compressed messages"),
    pytest.param(SQLITE, CompressionMode.FILE, id="sqlite3, compressed file"),
]


def sent(stamps_ns: range) -> list[Sent]:
    """Nobody, at these times."""
    nobody: dict[str, Any] = {"layout": "coco17", "width": 640, "height": 480, "people": []}
    return [
        Sent(
            "/keypoints",
            KEYPOINTS_TYPE,
            stamp_ns,
            TYPES.Keypoints2DArray(header=header_to_msg(stamp_ns, "camera", TYPES), **nobody),
        )
        for stamp_ns in stamps_ns
    ]


def stamps_ns(path: Path) -> list[int]:
    """When messages were received, all of which can be unpacked."""
    with BagReader(path) as bag:
        records = list(bag.messages(["/keypoints"]))
        assert bag.count(["/keypoints"]) == len(records)
        assert (bag.begin_ns, bag.end_ns) == (records[0].stamp_ns, records[-1].stamp_ns)
    assert all(record.message.header.stamp.nanosec == record.stamp_ns for record in records)
    return [record.stamp_ns for record in records]


@pytest.mark.parametrize(("storage", "compression"), KINDS)
def test_every_kind_of_bag_is_read(tmp_path: Path, storage: StoragePlugin, compression: CompressionMode) -> None:
    folder = write_folder(tmp_path / "bag", sent(range(1, 5)), storage, compression)
    assert stamps_ns(folder) == [1, 2, 3, 4]
    with BagReader(folder) as bag:
        assert bag.packed == (compression == CompressionMode.FILE)


@pytest.mark.parametrize(("storage", "compression"), KINDS[:-1])
def test_standard_messages_and_our_own_need_no_definitions(
    tmp_path: Path, storage: StoragePlugin, compression: CompressionMode
) -> None:
    folder = write_folder(tmp_path / "bag", sent(range(1, 5)), storage, compression, definitions=False)
    assert stamps_ns(folder) == [1, 2, 3, 4]


@pytest.mark.parametrize(("storage", "compression"), KINDS)
def test_a_split_bag_is_one_bag(tmp_path: Path, storage: StoragePlugin, compression: CompressionMode) -> None:
    spans = (range(1, 4), range(4, 8), range(8, 10))
    parts = [write_folder(tmp_path / f"part{i}", sent(span), storage, compression) for i, span in enumerate(spans)]
    assert stamps_ns(join(tmp_path / "bag", parts)) == list(range(1, 10))


@pytest.mark.parametrize("compression", ["NONE", "LZ4", "ZSTD"])
def test_what_the_mcap_package_writes_is_read(tmp_path: Path, compression: str) -> None:
    package = pytest.importorskip("mcap_ros2.writer", reason="pip install mcap-ros2-support")
    from mcap.writer import CompressionType

    definition, _ = typestore().generate_msgdef(KEYPOINTS_TYPE, ros_version=2)
    path = tmp_path / "theirs.mcap"
    with path.open("wb") as file:
        writer = package.Writer(file, chunk_size=200, compression=CompressionType[compression])
        schema = writer.register_msgdef(KEYPOINTS_TYPE, definition)
        for one in sent(range(1, 30)):
            stamp = {"sec": 0, "nanosec": one.stamp_ns}
            message = {"header": {"stamp": stamp, "frame_id": "camera"}, "layout": "coco17", "width": 1, "height": 1}
            writer.write_message("/keypoints", schema, message, log_time=one.stamp_ns, publish_time=one.stamp_ns)
        writer.finish()
    assert stamps_ns(path) == list(range(1, 30))


@pytest.mark.parametrize("name", ["50% done", "what?", "a#b", "100%25", "ünïcödé", "with space"])
@pytest.mark.parametrize("storage", [MCAP, SQLITE], ids=["mcap", "sqlite3"])
def test_names_have_any_characters_that_the_storage_can_open(tmp_path: Path, storage: StoragePlugin, name: str) -> None:
    folder = write_folder(tmp_path / "plain", sent(range(1, 3)), storage).rename(tmp_path / name)
    if storage == SQLITE and name in ("what?", "a#b", "100%25"):
        with pytest.raises(BagError, match=r"SQLite takes no \?, # and % in names: rename it"):
            stamps_ns(folder)
    else:
        assert stamps_ns(folder) == [1, 2]


def _file_of(folder: Path) -> Path:
    (file,) = (path for path in folder.iterdir() if path.name != "metadata.yaml")
    return file


def _compressed_part(folder: Path) -> Path:
    return _file_of(write_folder(folder / "bag", sent(range(1, 5)), MCAP, CompressionMode.FILE))


def _compressed_messages(folder: Path) -> Path:
    return _file_of(write_folder(folder / "bag", sent(range(1, 5)), MCAP, CompressionMode.MESSAGE))


def _lost_part(folder: Path) -> Path:
    parts = [write_folder(folder / f"part{i}", sent(range(1 + 3 * i, 4 + 3 * i)), MCAP) for i in (0, 1)]
    bag = join(folder / "bag", parts)
    (bag / "bag_1.mcap").unlink()
    return bag


def _cut(storage: StoragePlugin, keep: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        file = _file_of(write_folder(folder / "bag", sent(range(1, 2000)), storage))
        os.truncate(file, round(file.stat().st_size * keep))
        return file.parent

    return make


def _cut_zstd(folder: Path) -> Path:
    file = _file_of(write_folder(folder / "bag", sent(range(1, 2000)), SQLITE, CompressionMode.FILE))
    os.truncate(file, file.stat().st_size // 2)
    return file.parent


def _flipped(folder: Path) -> Path:
    """One byte of a compressed chunk is another: of its head, for rosbags writes no checksums."""
    file = _file_of(write_folder(folder / "bag", sent(range(1, 2000)), MCAP, CompressionMode.STORAGE))
    raw = bytearray(file.read_bytes())
    raw[raw.index(b"\x28\xb5\x2f\xfd") + 5] ^= 0xFF
    file.write_bytes(raw)
    return file


def _other_tables(folder: Path) -> Path:
    with sqlite3.connect(folder / "other.db3") as connection:
        connection.execute("CREATE TABLE visits(url TEXT)")
    return folder / "other.db3"


def _ros1(folder: Path) -> Path:
    raw = _file_of(write_folder(folder / "bag", sent(range(1, 5)), MCAP)).read_bytes()
    (folder / "old.mcap").write_bytes(raw.replace(b"ros2", b"ros1", 1))
    return folder / "old.mcap"


def _text(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / f"text{suffix}").write_text("these are not the bytes of a bag\n" * 100)
        return folder / f"text{suffix}"

    return make


def _short_message(folder: Path) -> Path:
    with Writer(folder / "bag", version=9, storage_plugin=MCAP) as writer:
        connection = writer.add_connection("/keypoints", KEYPOINTS_TYPE, typestore=typestore())
        writer.write(connection, 1, b"\x00\x01\x00\x00\x05\x00")
    return folder / "bag"


def _secret(folder: Path) -> Path:
    file = _file_of(write_folder(folder / "bag", sent(range(1, 5)), MCAP))
    file.unlink()
    file.mkdir()  # what cannot be read, for root too
    return folder / "bag"


BAD = [
    pytest.param(_compressed_part, "compressed part of a bag; give its folder", id="compressed part"),
    pytest.param(_compressed_messages, "compressed one by one", id="compressed messages without metadata"),
    pytest.param(_lost_part, "files are missing.*: copy its whole folder", id="lost part"),
    pytest.param(_cut(MCAP, 0.5), "recording was cut off, .*; try `mcap recover`", id="mcap cut in the middle"),
    pytest.param(_cut(MCAP, 0.999), "recording was cut off, .*; try `mcap recover`", id="mcap cut at the end"),
    pytest.param(
        _cut(SQLITE, 0.5), "recording was cut off, .*; try `sqlite3 FILE .recover`", id="sqlite3 cut in the middle"
    ),
    pytest.param(_cut(MCAP, 0.0), "seems to be empty.: nothing was recorded", id="mcap of zero bytes"),
    pytest.param(_cut(SQLITE, 0.0), "not a readable ROS 2 bag", id="sqlite3 of zero bytes"),
    pytest.param(_cut_zstd, "not a readable ROS 2 bag", id="compressed file cut"),
    pytest.param(_flipped, "not a readable ROS 2 bag", id="flipped byte"),
    pytest.param(_other_tables, "or database missing tables|not a readable", id="database of something else"),
    pytest.param(_short_message, "a message on /keypoints of .* cannot be unpacked", id="short message"),
    pytest.param(_ros1, r"Profile is not ros2\): it was recorded by something else; convert it", id="MCAP of ROS 1"),
    pytest.param(_text(".mcap"), "whatever its name says, it is no MCAP file", id="text as mcap"),
    pytest.param(_text(".db3"), "whatever its name says, it is no SQLite file", id="text as sqlite3"),
    pytest.param(_secret, "Is a directory", id="not to be opened"),
]


@pytest.mark.parametrize(("make", "sentence"), BAD)
def test_what_cannot_be_read_gets_one_sentence(tmp_path: Path, make: Callable[[Path], Path], sentence: str) -> None:
    path = make(tmp_path)
    with pytest.raises(BagError, match=sentence) as caught, BagReader(path) as bag:
        list(bag.messages())
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_full_disk_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed file is unpacked into the folder for temporary files."""
    folder = write_folder(tmp_path / "bag", sent(range(1, 5)), MCAP, CompressionMode.FILE)
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    monkeypatch.setattr("rosbags.rosbag2.reader.Path", lambda *parts: Path("/dev/full"))
    with pytest.raises(BagError, match="has no room to unpack it: let TMPDIR name"), BagReader(folder):
        pass
