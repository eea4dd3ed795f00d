"""True poses where time begins anew: a bag that was recorded while another was played in a loop, or a simulation that
was started again. There the same stamp means several moments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from occpose_ros.scoring.truth_rows import Truth


def in_laps(truth: Truth, stamps_ns: Sequence[int], times_ns: Sequence[int]) -> Truth:
    """The truth at times that no two moments share.

    stamps_ns, times_ns: of each image, in the order in which they were received. What is said once of a person and
    stamp holds in each lap; what is said once a lap, in its own.
    """
    if list(stamps_ns) == list(times_ns):
        return truth
    laps: dict[int, list[int]] = {}
    for stamp_ns, time_ns in dict.fromkeys(zip(stamps_ns, times_ns, strict=True)):
        laps.setdefault(stamp_ns, []).append(time_ns)
    said: dict[tuple[str, int], list[int]] = {}
    for row, key in enumerate(zip(truth.ids, truth.stamp_ns.tolist(), strict=True)):
        said.setdefault(key, []).append(row)
    chosen: list[tuple[int, int]] = []
    for (_, stamp_ns), rows in said.items():
        times = laps.get(stamp_ns, [])
        each, rest = divmod(len(rows), max(1, len(times)))
        for lap, time_ns in enumerate(times):
            chosen += [(time_ns, row) for row in (rows if rest else rows[lap * each : (lap + 1) * each])]
    row_of = [row for _, row in chosen]
    return dataclasses.replace(
        truth,
        stamp_ns=np.array([time_ns for time_ns, _ in chosen], dtype=np.int64),
        ids=tuple(truth.ids[row] for row in row_of),
        joints_cam_m=truth.joints_cam_m[row_of],
        known=truth.known[row_of],
        seen=truth.seen[row_of],
    )
