"""Writing files so that nobody ever sees half of one, nor loses an old one by accident."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from occpose_core.errors import OccposeError


class OutputError(OccposeError):
    """An output file cannot be written."""


def refuse_existing(path: Path, force: bool) -> None:
    """Raise OutputError if the file exists and may not be overwritten; ask before the work, not after it.

    Devices and pipes never are, for a rename would put a file in their place.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a directory; name a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is a device or a pipe, not a file; name a file")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already; name another file or add --force to overwrite it")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; make it or name another file")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if they are not there. Raises OutputError if that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror}; name another one") from error


def utf8(text: str) -> bytes:
    r"""The text of a file; bytes of file names that are no text stay readable, and in JSON what they are: \udcff."""
    return text.encode(errors="backslashreplace")


def write_atomically(path: Path, content: bytes, force: bool = False) -> None:
    """Write to a temporary name in the same folder, then rename.

    Raises OutputError if the file exists and force is False, or if it cannot be written.
    """
    refuse_existing(path, force)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
