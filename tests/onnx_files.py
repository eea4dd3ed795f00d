"""Exported files that a test has changed on purpose, so that nothing but that is wrong with them."""

from __future__ import annotations

from pathlib import Path

import onnx

from occpose_core.checksum import with_checksum


def save(proto: onnx.ModelProto, path: Path) -> None:
    """Write a changed model with a checksum that fits."""
    entries = [entry for entry in proto.metadata_props if entry.key != "sha256"]
    del proto.metadata_props[:]
    proto.metadata_props.extend(entries)
    path.write_bytes(with_checksum(proto.SerializeToString()))
