"""Short recordings that are cut from the sample, and what two replays of them must share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from occpose_ros.bag import BagReader, BagWriter

SECONDS = 1.5
WALL_CLOCK = ("latency_ms", "speed_x_realtime")  # figures that no two runs share


def cut(source: Path, target: Path, begin_s: float, seconds: float = SECONDS) -> Path:
    """A bag of what the source has from a time on; static transforms hold in all of it."""
    with BagReader(source) as bag, BagWriter(target) as copy:
        begin_ns = bag.begin_ns + round(begin_s * 1e9)
        for record in bag.records():
            if "tf_static" in record.topic or 0 <= record.stamp_ns - begin_ns <= seconds * 1e9:
                copy.copy(record, bag)
    return target


def cuts(source: Path, folder: Path, count: int = 6) -> Path:
    """A folder with bags of different parts of the source."""
    for number in range(count):
        cut(source, folder / f"part_{number}.mcap", begin_s=6.0 + 2.0 * number)
    return folder


def report(folder: Path) -> dict[str, Any]:
    """The report.json of a folder, without what a clock or a path decides."""
    return _timeless(json.loads((folder / "report.json").read_text()))


def _timeless(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: _timeless(value) for key, value in said.items() if key not in (*WALL_CLOCK, "path")}
    return [_timeless(value) for value in said] if isinstance(said, list) else said


def answers(folder: Path) -> dict[str, bytes]:
    """All written bags below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.mcap"))}
