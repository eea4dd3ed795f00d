"""Processes that share the work of rendering, and end with the one that started them."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path

from occpose_core.errors import OccposeError
from occpose_core.files import make_folder


class ProcessError(OccposeError):
    """Processes that render died, or are in each other's way."""


@contextlib.contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that are started anew, as those that are forked inherit the threads of torch in any state.

    On the way out what they have begun is finished, and the rest cancelled. Raises ProcessError if one died.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_serve) as found:
        try:
            yield found
        except BrokenExecutor as error:
            raise ProcessError(
                "a process ended early, perhaps for want of memory; start again with fewer --workers"
            ) from error
        finally:
            found.shutdown(wait=True, cancel_futures=True)


def _serve() -> None:
    """Leave Ctrl-C, which goes to all processes of a terminal, to the one that started this; never outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # only pools call this
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder and keep others of this command out of it. Raises ProcessError if one is in it, or OutputError."""
    make_folder(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a disk that knows no locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ProcessError(
                    f"another process renders into {folder}; wait until it is done, or name another folder"
                ) from error
        yield
    finally:
        os.close(handle)
