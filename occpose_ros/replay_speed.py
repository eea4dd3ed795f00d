"""How fast a recording is replayed, on all cores and on one."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import Engine
from occpose_ros.answer_process import answers_bag
from occpose_ros.bag import BagReader, BagWriter
from occpose_ros.replay import find_topics, replay
from occpose_ros.round_trip import film

_RATE_HZ = 30


def replay_figures(
    engine: Engine, images: Sequence[Any], camera_info: Any, seconds: float, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Replay images, over and over at 30 Hz, with markers: on one core, and on two where there are.

    images: Keypoints2DArray messages. camera_info: said with every image. seconds: length of the recording. say: hears
    what is next.
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
                    rows.append(row | {"x_realtime": _x_realtime(engine, recording, Path(folder) / "out.mcap")})
    return rows


def _record(path: Path, images: Sequence[Any], camera_info: Any, seconds: float) -> None:
    with BagWriter(path) as bag:
        for record in itertools.islice(film(images, _RATE_HZ), round(seconds * _RATE_HZ)):
            camera = replace(camera_info, header=replace(record.message.header, frame_id=camera_info.header.frame_id))
            bag.write("/camera_info", camera, record.stamp_ns)
            bag.write(record.topic, record.message, record.stamp_ns)


def _x_realtime(engine: Engine, recording: Path, output: Path) -> float:
    """Seconds of the recording for each second that `occpose replay` would take for it."""
    with BagReader(recording) as bag:
        topics = find_topics(bag)
        with answers_bag(output, bag.count([topics.keypoints]), force=True) as target:
            seen = replay(bag, topics, PosePipeline(engine), target)
    return seen.bag_s / seen.wall_s


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
