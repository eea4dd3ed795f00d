"""What the reading library raises for bags that are damaged in one way or another."""

from __future__ import annotations

import struct
import sys
import textwrap

import apsw
from rosbags.highlevel import AnyReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError
from ruamel.yaml.error import YAMLError

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

DAMAGE = (
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


def reason_of(error: BaseException) -> str:
    """What the library says of the damage, in a few words."""
    return textwrap.shorten(str(error), 120, placeholder=" ...").rstrip(".") or type(error).__name__
