"""The figures of a replay or a live run as tables, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from occpose_core.report import Cell, Table
from occpose_ros.report.report_run import bounds, compared, figure, section
from occpose_ros.scoring.score import GROUPS

_NAMES = {"mean_pose": "mean pose", "constant_velocity": "constant velocity"}
_GROUP_NAMES = ("all joints", "visible", "hidden", "not in layout")
_NOTE = (
    "Root-relative. Baselines: own answers, held or moved on since a joint was last measured."
    "\nNot in layout: joints that the detector never gives."
)
_CONSISTENCY_NOTE = (
    "Root-relative, against the answers to the recording as it is, where those had measured a joint."
    "\nHidden: joints that were hidden on top of the recording."
)
# Figures of which the difference between models is told.
_COMPARED = {
    "mpjpe_mm.hidden": "hidden joints, mm",
    "mpjpe_mm.visible": "visible joints, mm",
    "root_error_mm": "position, mm",
    "self_consistency.mpjpe_mm.hidden": "hidden on top, mm",
}
# Name, key of the figure, its factor, its unit; a count has no unit and no decimals.
_ROWS = (
    ("frames", "frames.total", 1, ""),
    ("frames with people", "frames.with_people", 1, ""),
    ("track ids", "people", 1, ""),
    ("people found again", "self_consistency.coverage", 100, "% of those as recorded"),
    ("id switches", "id_switches.per_minute", 1, "per person and minute"),
    ("flicker of measured joints", "flicker_m_s2.measured", 1, "m/s² (mean acceleration)"),
    ("flicker of filled joints", "flicker_m_s2.filled", 1, "m/s²"),
    ("flicker of what it is compared with", "flicker_m_s2.truth", 1, "m/s²"),
    ("bone length drift", "bone_length_drift", 100, "% (sd over mean)"),
    ("metric scale", "metric", 100, "% of the answered people"),
    ("position error", "root_error_mm", 1, "mm (pelvis)"),
    ("depth error", "depth_bias", 100, "% of the depth, mean (+ = too far)"),
    ("PA-MPJPE", "pa_mpjpe_mm", 1, "mm"),
    ("N-MPJPE", "n_mpjpe_mm", 1, "mm"),
    ("acceleration error", "accel_error_mm", 1, "mm per frame squared"),
    ("hidden joints inside sigma's 50 %", "calibration.hidden.p50", 100, "%"),
    ("hidden joints inside sigma's 90 %", "calibration.hidden.p90", 100, "%"),
    ("latency p50", "latency_ms.p50", 1, "ms"),
    ("latency p95", "latency_ms.p95", 1, "ms"),
    ("latency p99", "latency_ms.p99", 1, "ms"),
    ("speed", "speed_x_realtime", 1, "x real time"),
)


def baseline_name(name: str) -> str:
    """A baseline as people call it."""
    return _NAMES.get(name, name)


def latency_figures(latencies_ms: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 of latencies, NaN without any."""
    values = np.asarray(latencies_ms, dtype=np.float64)
    return {f"p{p}": float(np.percentile(values, p)) if len(values) else math.nan for p in (50, 95, 99)}


def answered_share(figures: Mapping[str, Any]) -> float:
    """Of the frames with people, those that were answered; NaN without any."""
    asked = figure(figures, "frames.with_people")
    return figure(figures, "frames.answered") / asked if asked else math.nan


def error_table(figures: Mapping[str, Any], title: str, note: str) -> Table:
    """MPJPE of the system and of the baselines over the joint groups. figures: all, or a section."""
    of = {"occpose": "mpjpe_mm", **{baseline_name(name): f"baselines.{name}" for name in figures["baselines"]}}
    cells = {name: [figure(figures, f"{key}.{group}") for group in GROUPS] for name, key in of.items()}
    return Table(
        title=title, columns=("", *_GROUP_NAMES), rows=tuple((name, *row) for name, row in cells.items()), note=note
    )


def run_table(figures: Mapping[str, Any]) -> Table:
    """Everything else that is known, and how fast it was."""
    rows: list[tuple[Cell, ...]] = []
    for name, key, factor, unit in _ROWS:
        value = figure(section(figures), key)
        value = factor * (value if math.isfinite(value) else figure(figures, key))
        if math.isfinite(value):
            rows.append((name, value if unit else int(value), unit))
    if math.isfinite(answered_share(figures)):
        rows.insert(2, ("of them answered", 100.0 * answered_share(figures), "%"))
    rows += [(f"left out: {reason.replace('_', ' ')}", count, "") for reason, count in figures["dropped"].items()]
    return Table(title="Run", columns=("", "value", "unit"), rows=tuple(rows))


def tables(figures: Mapping[str, Any]) -> tuple[Table, ...]:
    """For the terminal and the page; errors against whatever there is to compare with."""
    made = []
    if compared(figures):
        made.append(error_table(figures, "Error (MPJPE, mm)", _NOTE))
    if compared(figures.get("self_consistency") or {}):
        made.append(error_table(figures["self_consistency"], "Hidden on top (MPJPE, mm)", _CONSISTENCY_NOTE))
    return (*made, run_table(figures))


def comparison_tables(comparison: Sequence[Mapping[str, Any]]) -> list[Table]:
    """How far models differ from the first one, for the terminal and the page; none if there is nothing to tell."""
    rows: list[tuple[Cell, ...]] = []
    for each in comparison:
        for key, name in _COMPARED.items():
            found = each["differences"].get(key)
            if found is not None and found["difference"] is not None:
                who = (each["model"], each["against"], each["pattern"] or "as recorded")
                rows.append((*who, name, f"{found['difference']:+.1f}", _sure(found["interval"])))
    table = Table(
        title="Models compared",
        columns=("model", "against", "pattern", "figure", "difference", "95 %"),
        rows=tuple(rows),
        note="Over the same recordings. Below 0 the model is better than the one that it is against;"
        " an interval with 0 in it decides nothing.",
    )
    return [table] if rows else []


def _sure(interval: Sequence[float | None]) -> str:
    low, high = bounds(interval)
    return f"{low:+.1f} to {high:+.1f}" if math.isfinite(low + high) else "-"
