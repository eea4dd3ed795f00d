"""Built TensorRT plans on disk, so that each is built once on a machine.

A plan can contain code that runs on the host, so only plans that this user has built are read: from a folder that
nobody else can enter. Each lies beside a description with its checksum and the verdict of the accuracy check, and both
are written to a temporary name and renamed. Processes that want to build wait for one another with a lock that the
kernel keeps on the folder (fcntl, of Python itself): it goes with its process, however that ends, and leaves no file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from occpose_core.errors import OccposeError
from occpose_core.files import OutputError, write_atomically
from occpose_core.runtime.preparation import CancelledError

SCHEMA = 1  # of plans and descriptions: what another version of occpose has written is not found
KEPT = 32  # plans; the longest unused goes first
_ABANDONED_S = 3600.0
_LOOK_S = 0.1  # how often it is looked whether a lock is free, or waiting for it cancelled


class CacheError(OccposeError):
    """The cache cannot be used, and why."""


@dataclass(frozen=True, kw_only=True)
class CachedPlan:
    """A plan that was built and checked. metadata: its model's. refused: why it must not serve, empty if it may."""

    plan: bytes
    metadata: str
    refused: str = ""


def default_folder() -> Path:
    """Where the plans are: below XDG_CACHE_HOME, or ~/.cache. Raises CacheError if there is no home."""
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise CacheError("there is no home directory to keep engines in; set XDG_CACHE_HOME") from error
    return root / "occpose" / "engines"


def cache_key(onnx: bytes, facts: dict[str, Any]) -> str:
    """A name for the plan of a model: another one as soon as anything differs that the plan depends on.

    facts: all that, besides the model's file: library and version, GPU and driver, sizes, the builder's level.
    """
    given = {**facts, "schema": SCHEMA, "onnx": hashlib.sha256(onnx).hexdigest()}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()


class EngineCache:
    """The folder, made when something is stored. Raises CacheError where it cannot be read or written."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder

    def read(self, key: str) -> CachedPlan | None:
        """The plan of a key; None if there is none. What is damaged is removed, and is none."""
        description, plan = self._read(f"{key}.json"), self._read(f"{key}.plan")
        if description is None:
            return None  # and what else is there stays: another process may be about to write the description
        cached = _understood(description, plan or b"")
        if cached is None:
            self.discard(key)
        else:
            with contextlib.suppress(OSError):  # a folder that can only be read
                (self.folder / f"{key}.json").touch()
        return cached

    def store(self, key: str, cached: CachedPlan, facts: dict[str, Any]) -> None:
        """Keep a plan; facts: what else its description tells a reader."""
        sha256 = hashlib.sha256(cached.plan).hexdigest()
        described = {**facts, "sha256": sha256, "metadata": cached.metadata, "refused": cached.refused}
        self.write(f"{key}.plan", cached.plan)
        self.write(f"{key}.json", json.dumps(described, indent=2).encode())  # last: without it there is no plan
        self._forget_the_oldest()

    def discard(self, key: str) -> None:
        """Remove what belongs to a key."""
        with contextlib.suppress(OSError):
            for path in self.folder.glob(f"{key}.*"):
                path.unlink(missing_ok=True)

    def read_blob(self, name: str) -> bytes:
        """What `write` has kept under a name, to save time; empty if nothing, or it cannot be read."""
        with contextlib.suppress(CacheError):
            return self._read(name) or b""
        return b""

    def write(self, name: str, content: bytes) -> None:
        """Keep something under a name: it is there whole, or not at all."""
        try:
            self._make_folder()
            write_atomically(self.folder / name, content, force=True)
        except OSError as error:
            raise self._unusable("written", error) from error
        except OutputError as error:
            raise CacheError(f"the engine cache cannot be written: {error}") from error

    @contextlib.contextmanager
    def lock(self, cancelled: threading.Event, waits: Callable[[], None]) -> Iterator[None]:
        """Be the only process that builds; `waits` is called if another one does, and it is waited for.

        One lock for all plans, not one for each: two builds at once would disturb each other's measurements. Raises
        CancelledError soon after the event is set.
        """
        try:
            self._make_folder()
            folder = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            raise self._unusable("written", error) from error
        try:
            while not self._locked(folder):
                waits()
                if cancelled.wait(_LOOK_S):
                    raise CancelledError("cancelled while another process builds")
            yield
        finally:
            os.close(folder)

    def _locked(self, folder: int) -> bool:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # a file system without locks
            raise self._unusable("locked", error) from error
        return True

    def _read(self, name: str) -> bytes | None:
        """The content of a file, None if there is none."""
        try:
            with contextlib.ExitStack() as stack:
                folder = os.open(self.folder, os.O_RDONLY)
                stack.callback(os.close, folder)
                self._check(os.fstat(folder))
                # below that very folder, whatever has its name by now: others may own those above it
                return stack.enter_context(open(name, "rb", opener=partial(os.open, dir_fd=folder))).read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unusable("read", error) from error

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check(self.folder.stat())

    def _check(self, status: os.stat_result) -> None:
        if status.st_uid != os.getuid() or status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CacheError(f"others can enter the engine cache {self.folder}; run: chmod 700 {self.folder}")

    def _unusable(self, how: str, error: OSError) -> CacheError:
        return CacheError(f"the engine cache {self.folder} cannot be {how} ({error.strerror})")

    def _forget_the_oldest(self) -> None:
        with contextlib.suppress(OSError):
            descriptions = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for path in descriptions[:-KEPT]:
                self.discard(path.stem)
            for path in self.folder.glob(".*"):  # of processes that were killed while they wrote
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink(missing_ok=True)


def _understood(description: bytes, plan: bytes) -> CachedPlan | None:
    """A plan with its description, None if one of them is damaged."""
    try:
        described = json.loads(description)
        if hashlib.sha256(plan).hexdigest() != described["sha256"]:
            return None
        return CachedPlan(plan=plan, metadata=described["metadata"], refused=described["refused"])
    except (ValueError, KeyError, TypeError):
        return None
