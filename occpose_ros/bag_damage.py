"""That a bag is damaged: what the reading library raises, in one way or another, and what users are told."""

from __future__ import annotations

import errno
import re
import struct
import sys
import tempfile
import textwrap
from pathlib import Path

import apsw
from rosbags.rosbag2 import ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError
from ruamel.yaml.error import YAMLError

from occpose_core.errors import OccposeError

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

DAMAGE = (
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
# What the library says -> what can be done.
_REMEDIES = {
    "seems to be empty": "nothing was recorded; record it again",
    "File magic is invalid": "whatever its name says, it is no MCAP file",
    "file is not a database": "whatever its name says, it is no SQLite file",
    "Profile is not ros2": "it was recorded by something else; convert it to rosbag2 first",
    "files are missing": "copy its whole folder, or make a new metadata.yaml of what there is with `ros2 bag reindex`",
    "File end magic is invalid": "the recording was cut off, or the copy of it; try `mcap recover`",
    "is malformed": "the recording was cut off, or the copy of it; try `sqlite3 FILE .recover`",
}
_REMEDY = "it is damaged; copy or record it again"
_FOLDERS = re.compile(r"'/[^']*/(?=[^'/]+')")
_ZSTD = b"\x28\xb5\x2f\xfd"  # what a message begins with that is compressed by itself


class BagError(OccposeError):
    """A bag is missing, damaged, foreign, empty, lacks a topic, or would be overwritten."""


def reason_of(error: BaseException) -> str:
    """What the library says of the damage, in a few words; its files without their folders, which may be long."""
    said = _FOLDERS.sub("'", str(error))
    return textwrap.shorten(said, 120, placeholder=" ...").rstrip(".") or type(error).__name__


def _refusal(error: BaseException | None) -> OSError | None:
    """What the system said, if that is why the library gave up."""
    return error if error is None or isinstance(error, OSError) else _refusal(error.__cause__)


def failure(path: Path, error: BaseException) -> BagError:
    """A sentence about a bag that could not be read."""
    error = _refusal(error) or error
    if isinstance(error, OSError):
        if error.errno == errno.ENOSPC:
            return BagError(
                f"{path} is compressed, and {tempfile.gettempdir()} has no room to unpack it: let TMPDIR name a folder"
                " that has"
            )
        return BagError(f"{path} cannot be read: {error.strerror or error}; check the path and its rights")
    if isinstance(error, ReaderError) and "Cannot open database" in str(error) and set(str(path)) & set("?#%"):
        return BagError(f"{path} cannot be opened, for SQLite takes no ?, # and % in names: rename it")
    remedy = next((remedy for fault, remedy in _REMEDIES.items() if fault in str(error)), _REMEDY)
    return BagError(f"{path} is not a readable ROS 2 bag ({reason_of(error)}): {remedy}")


def message_failure(path: Path, topic: str, raw: bytes, error: BaseException) -> BagError:
    """A sentence about a message that could not be unpacked."""
    if raw[:4] == _ZSTD and path.is_file():
        return BagError(
            f"{path} has messages that are compressed one by one, as metadata.yaml tells: give the folder of the bag"
            " that it belongs to"
        )
    return BagError(
        f"a message on {topic} of {path} cannot be unpacked ({reason_of(error)}): it is damaged, or its definition"
        " is of another version"
    )


def misfit(path: Path, topic: str, error: AttributeError) -> BagError:
    """A sentence about messages that lack what occpose reads of them; any other error is raised again."""
    if not hasattr(error.obj, "__msgtype__"):
        raise error
    return BagError(
        f"messages on {topic} of {path} are of another version than occpose reads: {error.obj.__msgtype__} has no field"
        f" {error.name!r}"
    )
