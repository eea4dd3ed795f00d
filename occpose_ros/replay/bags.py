"""The bags in what users name: a file, the folder of a rosbag2, or a folder with bags somewhere below it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from occpose_ros.bag_damage import BagError

SUFFIXES = (".mcap", ".db3")
_METADATA = "metadata.yaml"
_OF_ROSBAG2 = "rosbag2_bagfile_information"
_OWN_REPORT, _OWN_OUTPUTS = "report.json", "output*.mcap"  # what a replay leaves together in a folder


@dataclass(frozen=True, kw_only=True)
class Bag:
    """A bag. name: short, and no other bag's of the same list; a relative path if need be. path: file or folder."""

    name: str
    path: Path


def find_bags(paths: Sequence[Path | str]) -> list[Bag]:
    """All bags in files and folders, each once, in the order of their paths; folders are looked through to the bottom.

    The outputs of earlier replays are left out, unless they are named themselves. Raises BagError that names a path in
    which there is no bag.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        bags = list(_bags_at(path))
        if not bags:
            raise BagError(f"there is no bag in the folder {path}: no .mcap or .db3 file, and no rosbag2 folder")
        found |= dict.fromkeys(Path(os.path.abspath(bag)) for bag in bags)  # links to one bag are several bags
    return _named(sorted(found))


def _bags_at(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path  # the reader says what is wrong with it, if anything is
    elif _is_rosbag2(path):
        yield path
    else:
        for folder, folders, files in os.walk(path):
            here = Path(folder)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            bags = [name for name in folders if _is_rosbag2(here / name)]
            folders[:] = [name for name in folders if name not in bags]
            own = {file.name for file in here.glob(_OWN_OUTPUTS)} if _OWN_REPORT in files else set()
            yield from (here / name for name in bags)
            yield from (here / name for name in files if _is_bag_file(name) and name not in own)


def _is_bag_file(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def _is_rosbag2(folder: Path) -> bool:
    """Whether there is the metadata of one: what a recorder leaves that crashed are its files."""
    metadata = folder / _METADATA
    try:
        return metadata.is_file() and _OF_ROSBAG2 in metadata.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # the reader says why it cannot be read


def _named(paths: Sequence[Path]) -> list[Bag]:
    """By their own names, and those that share one by where they lie."""
    names = {path: path.stem if path.suffix in SUFFIXES and not path.is_dir() else path.name for path in paths}
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    if shared:
        top = Path(os.path.commonpath([path.parent for path in paths]))
        long = {path: path.relative_to(top) for path, name in names.items() if name in shared}
        short = {path: str(where.with_name(names[path])) for path, where in long.items()}
        twice = {name for name, count in Counter(short.values()).items() if count > 1}  # a.mcap and a.db3
        names |= {path: str(long[path]) if name in twice else name for path, name in short.items()}
    return [Bag(name=names[path], path=path) for path in paths]
