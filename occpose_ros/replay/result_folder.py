"""The folder of a bag's results: they appear together, when all of them are complete."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from occpose_core.files import OutputError, make_folder

REPORT, PAGE = "report.json", "report.html"
_UNFINISHED = ".unfinished-"


def bag_name(label: str, labels: Sequence[str]) -> str:
    """Name of the bag with the answers of one of several models."""
    return "output.mcap" if len(labels) == 1 else f"output_{label.replace('/', '_')}.mcap"


def result_files(labels: Sequence[str]) -> list[str]:
    """Names of all files that a replay with these models leaves; that which says that it is complete is the last."""
    return [*(bag_name(label, labels) for label in labels), PAGE, REPORT]


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A hidden folder within `folder`, which is made. What is in it at the end replaces files of the same names there,
    REPORT last; if something goes wrong, nothing does, and what was made is taken away. Raises OutputError."""
    made = not folder.exists()
    make_folder(folder)
    try:
        hidden = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}; choose another folder") from None
    try:
        yield hidden
        for path in sorted(hidden.iterdir(), key=lambda path: path.name == REPORT):
            os.replace(path, folder / path.name)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        if made:
            _remove_if_empty(folder)
        raise
    shutil.rmtree(hidden, ignore_errors=True)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Meanwhile no other replay writes into the folder, which is made, and taken away if it is empty in the end.

    The lock ends with this process, however that does. Raises OutputError if another replay is at it.
    """
    made = not folder.exists()
    make_folder(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)
        if made:
            _remove_if_empty(folder)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"another replay is writing to {folder}: wait until it has ended, or name another folder"
        ) from None
    except OSError:  # a file system without locks
        return


def clear(folder: Path, *, keep: bool = False) -> None:
    """Take away what processes that were killed have left of unfinished results. keep: the folder, even if empty."""
    for hidden in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(hidden, ignore_errors=True)
    if not keep:
        _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
