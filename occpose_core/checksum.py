"""The checksum at the end of an exported model file: a bit that a disk or a copy flipped is noticed.

An ONNX file is a protobuf message, and two messages one behind the other are one with the fields of both. So the
checksum is one more entry of the metadata, always the file's last bytes, and it covers all that is before it: graph,
weights and the other metadata. Nothing needs to be parsed to check it, and every reader of ONNX can read such a file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from occpose_core.checkpoint import ModelFileError

_KEY = b"sha256"
_METADATA_PROPS, _ENTRY_KEY, _ENTRY_VALUE = b"\x72", b"\x0a", b"\x12"  # fields 14 of ModelProto, 1 and 2 of its entries


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + bytes([len(content)]) + content  # lengths below 128 are one byte


def _entry(content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(content).hexdigest().encode()
    return _field(_METADATA_PROPS, _field(_ENTRY_KEY, _KEY) + _field(_ENTRY_VALUE, digest))


_LENGTH = len(_entry(b""))


def with_checksum(content: bytes) -> bytes:
    """The file of a serialised ONNX model that has no checksum yet."""
    return content + _entry(content)


def check(content: bytes, path: Path) -> None:
    """Raise ModelFileError if a model file, read from path, is not as it was written."""
    if _entry(memoryview(content)[:-_LENGTH]) != content[-_LENGTH:]:
        raise ModelFileError(f"{path} is not as it was exported: its checksum does not fit; get it or export it again")
