"""Which bags are to be replayed, where their results go, and which results are there already.

The same settings and the same recording need not be replayed again. Results of anything else are somebody's: they are
kept unless the user says otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occpose_core import __version__
from occpose_core.files import OutputError
from occpose_ros.replay.bags import Bag
from occpose_ros.replay.result_folder import PAGE, REPORT, clear, result_files
from occpose_ros.replay.results import BagResult, ReportError, SavedReport, read_report

_SAMPLED_BYTES = 1 << 16  # of the beginning and the end of a file: reading all of it takes as long as replaying it


@dataclass(frozen=True, kw_only=True)
class Task:
    """A bag and the folder of its results. fingerprint: of the recording."""

    bag: Bag
    folder: Path
    fingerprint: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of the recording."""
        return int(self.fingerprint["bytes"])


@dataclass(frozen=True, kw_only=True)
class WorkList:
    """What is to do and what is done, each in the order of the bags' names."""

    todo: tuple[Task, ...]
    done: tuple[BagResult, ...]


def fingerprint(path: Path) -> dict[str, Any]:
    """What tells a recording from another one: size, time of the last change, and a digest of the beginnings and ends
    of its files. Of one that cannot be read it is empty."""
    digest, size, mtime_ns = hashlib.blake2b(digest_size=16), 0, 0
    try:
        for file in sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]:
            status = file.stat()
            digest.update(f"{file.relative_to(path).as_posix()}|{status.st_size}|".encode(errors="surrogateescape"))
            with file.open("rb") as stream:
                digest.update(stream.read(_SAMPLED_BYTES))
                stream.seek(max(0, status.st_size - _SAMPLED_BYTES))
                digest.update(stream.read())
            size, mtime_ns = size + status.st_size, max(mtime_ns, status.st_mtime_ns)
    except OSError:  # who replays it will say so
        return {"bytes": 0, "mtime_ns": 0, "digest": ""}
    return {"bytes": size, "mtime_ns": mtime_ns, "digest": digest.hexdigest()}


def same_recording(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two fingerprints are of the same bytes, whenever those were copied."""
    return all(one.get(key) == other.get(key) for key in ("bytes", "digest"))


def make_work_list(
    bags: Sequence[Bag], out: Path, settings: Mapping[str, Any], labels: Sequence[str], force: bool = False
) -> WorkList:
    """What is to do for some bags. One bag has its results in `out`, of several each has a folder there.

    settings: as they stand in a report. labels: of the models. force: do everything, whatever is there. Raises
    OutputError if there are results of other settings or of another recording, or files that are no results.
    """
    if len(bags) > 1:
        _refuse_names(bags)
    todo, done = [], []
    for bag in sorted(bags, key=lambda bag: bag.name):
        folder = (out if len(bags) == 1 else out / bag.name).absolute()  # other machines have another current folder
        if folder.resolve() == bag.path.resolve():
            raise OutputError(f"results would lie between the files of the bag {bag.path}; name another folder")
        task = Task(bag=bag, folder=folder, fingerprint=fingerprint(bag.path))
        found = None if force else _results(task, settings, labels)
        if found is None:
            todo.append(task)
        else:
            done.append(found)
    if len(bags) > 1 and not force:
        _refuse_other_files(out, settings, labels)
    for task in todo:
        clear(task.folder, keep=True)
    return WorkList(todo=tuple(todo), done=tuple(done))


def _refuse_names(bags: Sequence[Bag]) -> None:
    """Raise OutputError if the folder of a bag's results would be where a file over all bags goes."""
    for bag in bags:
        if bag.name.split("/", 1)[0] in (PAGE, REPORT):
            raise OutputError(f"{bag.path} is called as a file of the results, {bag.name}: rename it")


def _refuse_other_files(out: Path, settings: Mapping[str, Any], labels: Sequence[str]) -> None:
    """Raise OutputError if the folder of several bags' results has files that are not over several bags."""
    whole = (out / REPORT).exists()
    for name in result_files(labels):
        if (out / name).exists() and not (whole and name in (PAGE, REPORT)):
            raise OutputError(f"{out / name} exists already; name another folder or add --force to overwrite it")
    refuse_other_report(out / REPORT, settings)


def refuse_other_report(path: Path, settings: Mapping[str, Any]) -> None:
    """Raise OutputError if there is a file that is not the report of a run with the same settings."""
    if path.exists():
        _check_settings(path, _saved(path), settings)


def _results(task: Task, settings: Mapping[str, Any], labels: Sequence[str]) -> BagResult | None:
    """Those that are complete; None if there are none. Raises OutputError if something else is there."""
    names = result_files(labels)
    there = [name for name in names if (task.folder / name).exists()]
    if not there:
        return None
    if there != names:
        raise OutputError(
            f"{task.folder / there[0]} exists already; name another folder or add --force to overwrite it"
        )
    path = task.folder / REPORT
    saved = _saved(path)
    _check_settings(path, saved, settings)
    found = saved.bags[0] if len(saved.bags) == 1 else None
    if found is None or dict(found.fingerprint) != dict(task.fingerprint):
        raise OutputError(
            f"{path} exists already and is of another recording than {task.bag.path}, or of what that was before it was"
            " written again; name another folder or add --force to overwrite it"
        )
    return found


def _differing(now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    """The names of settings that are not the same; if they all are, of the files whose content is not."""
    other = sorted(key for key in {*now, *before} if now.get(key) != before.get(key))
    if other != ["files"] or not isinstance(before.get("files"), Mapping):
        yield from other
        return
    files, former = now["files"], before["files"]
    yield from (f"content of {path}" for path in sorted({*files, *former}) if files.get(path) != former.get(path))


def _saved(path: Path) -> SavedReport:
    try:
        return read_report(path)
    except ReportError as error:
        raise OutputError(f"{error}; or name another folder, or add --force to overwrite it") from None


def _check_settings(path: Path, saved: SavedReport, settings: Mapping[str, Any]) -> None:
    if saved.version != __version__:
        what = f"occpose {saved.version}, this is {__version__}"
    else:
        now = json.loads(json.dumps(settings))  # as it reads from a file
        other = list(_differing(now, saved.settings))
        if not other:
            return
        what = f"other settings ({', '.join(other)})"
    raise OutputError(f"{path} exists already and is of {what}; name another folder or add --force to overwrite it")
