"""How fast a recording is replayed, on all cores and on one."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from occpose_ros.bag import BagWriter
from occpose_ros.bench.round_trip import film
from occpose_ros.replay.run import ReplayError

_RATE_HZ = 30


def replay_figures(
    model: str, images: Sequence[Any], camera_info: Any, seconds: float, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Replay images, over and over at 30 Hz, with markers: on one core, and on two where there are.

    model: as `occpose replay --model` takes it. images: Keypoints2DArray messages. camera_info: said with every image.
    seconds: length of the recording. say: hears what is next. Raises ReplayError.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="occpose-bench-") as folder:
        recording = Path(folder) / "recording.mcap"
        _record(recording, images, camera_info, seconds)
        for cores in (1, 2):
            with _on_cores(cores) as enough:
                if enough:
                    say(f"measuring a replay, cores: {cores}")
                    row = {"people": len(images[0].people), "cores": cores, "seconds": seconds}
                    rows.append(row | {"x_realtime": _x_realtime(model, recording, Path(folder) / f"on_{cores}")})
    return rows


def _record(path: Path, images: Sequence[Any], camera_info: Any, seconds: float) -> None:
    with BagWriter(path) as bag:
        for record in itertools.islice(film(images, _RATE_HZ), round(seconds * _RATE_HZ)):
            camera = replace(camera_info, header=replace(record.message.header, frame_id=camera_info.header.frame_id))
            bag.write("/camera_info", camera, record.stamp_ns)
            bag.write(record.topic, record.message, record.stamp_ns)


def _x_realtime(model: str, recording: Path, folder: Path) -> float:
    """Seconds of the recording for each second of the replay; of the command itself, for this process is full."""
    command = [sys.executable, "-m", "occpose_ros.cli", "replay", str(recording), "--out", str(folder)]
    done = subprocess.run([*command, "--model", model], capture_output=True, text=True)
    if done.returncode:
        raise ReplayError(f"a replay could not be measured: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
    figures = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return float(figures["speed_x_realtime"])


@contextlib.contextmanager
def _on_cores(cores: int) -> Iterator[bool]:
    """Meanwhile this process and those that it starts have so many cores; whether there are as many."""
    if not hasattr(os, "sched_setaffinity"):  # not Linux
        yield False
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield len(before) >= cores
    finally:
        os.sched_setaffinity(0, before)
