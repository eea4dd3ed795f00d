"""Writing a replay's bag in another process.

Making and packing the messages of a person takes about as long as finding out what they say; on two cores both are done
at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from occpose_core.errors import OccposeError
from occpose_core.files import make_folder, refuse_existing
from occpose_core.pipeline import PipelineOutput
from occpose_core.types import Camera
from occpose_ros.bag import BagError, BagWriter, Channel
from occpose_ros.helper_process import HelperProcess, Line, worth_helpers
from occpose_ros.replay.answer_writer import Answers, AnswerWriter

if TYPE_CHECKING:
    from occpose_ros.mesh import CoarseMesh

_BATCH = 64  # jobs that are handed over at once: each hand-over costs as much as a few of them
_POSTPONED = 256  # jobs


_Job = tuple[str, tuple[Any, ...]]


class _Postponed:
    """Takes what Answers says and does it later, many jobs at a time."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._jobs: list[_Job] = []

    def show(self, mesh: CoarseMesh) -> None:
        """See Answers."""
        self._later("show", mesh)

    def open(self, channel: Channel) -> None:
        """See Answers."""
        self._later("open", channel)

    def copy(self, topic: str, stamp_ns: int, raw: bytes) -> None:
        """See Answers."""
        self._later("copy", topic, stamp_ns, raw)

    def answer(self, output: PipelineOutput, camera: Camera, stamp_ns: int) -> None:
        """See Answers."""
        self._later("answer", output, camera, stamp_ns)

    def finish(self) -> None:
        """See Answers."""
        self._at_once = 0
        self._later("finish")

    def _later(self, job: str, *arguments: Any) -> None:
        self._jobs.append((job, arguments))
        if len(self._jobs) >= self._at_once:
            jobs, self._jobs = self._jobs, []
            self._do(jobs)

    def _do(self, jobs: list[_Job]) -> None:
        raise NotImplementedError


class PostponingWriter(_Postponed):
    """An AnswerWriter that is let work now and then: image by image, it and what lifts push each other's code and data
    out of the processor's caches, and both take a sixth longer."""

    def __init__(self, writer: AnswerWriter) -> None:
        super().__init__(_POSTPONED)
        self._writer = writer

    def wait_until_ready(self) -> None:
        """It is."""

    def _do(self, jobs: list[_Job]) -> None:
        for job, arguments in jobs:
            getattr(self._writer, job)(*arguments)


class AnswerProcess(_Postponed):
    """An AnswerWriter in a process of its own; a context manager. Raises BagError or OutputError as BagWriter does.

    The file lies in a hidden folder until it is complete, whatever becomes of the process.
    """

    def __init__(self, path: Path, *, force: bool = False, markers: bool = True) -> None:
        super().__init__(_BATCH)
        self.path = path
        self._force, self._markers = force, markers
        self._ready = False

    def __enter__(self) -> AnswerProcess:
        make_folder(self.path.parent)
        refuse_existing(self.path, self._force)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.stem}-", dir=self.path.parent))
        except OSError as error:
            raise BagError(_unwritable(self.path.parent, error)) from None
        self._helper = HelperProcess(_write, self._folder / self.path.name, self._markers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                os.replace(self._folder / self.path.name, self.path)
        finally:
            self._helper.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """Number of the process."""
        return self._helper.pid

    def wait_until_ready(self) -> None:
        """See Answers."""
        if not self._ready:
            self._hear()
            self._ready = True

    def finish(self) -> None:
        """See Answers."""
        self.wait_until_ready()
        super().finish()
        self._hear()

    def _do(self, jobs: list[_Job]) -> None:
        with contextlib.suppress(OSError):  # of a process that ended it is heard why
            self._helper.line.send(jobs)
            return
        self._hear()

    def _hear(self) -> None:
        """Raise BagError if the process could not do what it was told, or is gone."""
        try:
            failure = self._helper.line.recv()
        except (EOFError, OSError):
            failure = self._helper.end_of(f"writes {self.path}")
        if failure:
            raise BagError(failure)


def _write(line: Line, path: Path, markers: bool) -> None:
    """The other process: does what comes over the line until that is finished, and tells why if it cannot."""
    try:
        line.send(_done(line, path, markers))
    except (EOFError, ConnectionError):  # nobody wants the file any more
        shutil.rmtree(path.parent, ignore_errors=True)


def _done(line: Line, path: Path, markers: bool) -> str:
    """Why it could not be done, "" if it is."""
    try:
        with BagWriter(path) as bag:
            writer = AnswerWriter(bag, markers=markers)
            line.send("")
            job = ""
            while job != "finish":
                for job, arguments in line.recv():
                    getattr(writer, job)(*arguments)
    except OccposeError as error:
        return str(error)
    except ConnectionError:
        raise
    except OSError as error:
        return _unwritable(path.parent.parent, error)
    return ""


def _unwritable(folder: Path, error: OSError) -> str:
    return f"cannot write to {folder}: {error.strerror}; choose another folder"


@contextlib.contextmanager
def answers_bag(
    path: Path, answers: int, *, force: bool = False, markers: bool = True, helpers: bool = True
) -> Iterator[Answers]:
    """A bag for about so many answers; written by another process if that is quicker, and helpers are allowed. Raises
    BagError, OutputError."""
    if helpers and worth_helpers(answers):
        with AnswerProcess(path, force=force, markers=markers) as process:
            yield process
    else:
        with BagWriter(path, force=force) as bag:
            yield PostponingWriter(AnswerWriter(bag, markers=markers))
