"""Runs to make pages of: the sample, answered by the shipped model."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import DEFAULT_MODEL, load
from occpose_ros.adapters import camera_from_msg, keypoints_from_occpose_msg
from occpose_ros.bag import CAMERA_INFO_TYPE, KEYPOINTS_TYPE, SKELETONS_TYPE, BagReader
from occpose_ros.report.page import ReportRun
from occpose_ros.report.tables import latency_figures
from occpose_ros.scoring.score import score
from occpose_ros.scoring.truth_rows import truth_from_msgs

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"


@cache
def sample_run(seconds: float) -> ReportRun:
    """The beginning of the sample, answered by the default model."""
    with BagReader(SAMPLE) as bag:
        first = {kind: [] for kind in (CAMERA_INFO_TYPE, KEYPOINTS_TYPE, SKELETONS_TYPE)}
        for record in bag.messages():
            if record.msgtype in first and record.stamp_ns - bag.begin_ns < seconds * 1e9:
                first[record.msgtype].append(record.message)
    camera = camera_from_msg(first[CAMERA_INFO_TYPE][0])
    detected = [keypoints_from_occpose_msg(message) for message in first[KEYPOINTS_TYPE]]
    engine = load(DEFAULT_MODEL)
    pipeline = PosePipeline(engine)
    answers = [pipeline.step(given.people, given.stamp_ns, camera) for given in detected]
    scored = score(detected, answers, truth_from_msgs(first[SKELETONS_TYPE]), engine.info.interval_radii)
    latencies_ms = [0.5 + 0.01 * (number % 40) for number in range(len(answers))]
    figures = {
        **scored.figures,
        "latency_ms": latency_figures(latencies_ms),
        "speed_x_realtime": 40.0,
        "dropped": {},
    }
    return ReportRun(
        model=DEFAULT_MODEL,
        pattern="",
        figures=figures,
        intervals=scored.intervals,
        score=scored,
        latencies_ms=latencies_ms,
    )


def with_more_people(run: ReportRun, people: int) -> ReportRun:
    """The same run with everybody repeated, each 1.3 m to the right of and 0.9 m behind the one before."""
    pairs = run.score.pairs
    copies = people // len(pairs.ids)
    number = np.repeat(np.arange(copies), len(pairs.stamp_ns))
    columns: dict[str, Any] = {
        column.name: np.concatenate([getattr(pairs, column.name)] * copies)
        for column in dataclasses.fields(pairs)
        if column.name != "ids"
    }
    shift_m = (number[:, None] * [1.3, 0.0, 0.9])[:, None]
    columns |= {name: columns[name] + shift_m for name in ("joints_cam_m", "truth_cam_m")}
    columns |= {"track": columns["track"] + len(pairs.ids) * number, "ids": tuple(map(str, range(people)))}
    errors_m = {name: np.concatenate([errors] * copies) for name, errors in run.score.errors_m.items()}
    scored = dataclasses.replace(run.score, pairs=type(pairs)(**columns), errors_m=errors_m)
    return dataclasses.replace(run, score=scored)
