"""The charts of a page as data: plain numbers that the page's own script hands to plotly.

A chart is {"kind", "title", "note", "x", "y", "series"}, a series {"name", "role", "x", "y"} with None where there is
nothing. kind: "lines", "steps", "bars", "dots" or "histogram". x and y of a chart: the titles of its axes. The role of
a series ("visible", "hidden", "baseline hold", ...) decides colour and dash. "clock": x is the time of the playback.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_core.types import Origin
from occpose_ros.report.report_run import ReportRun
from occpose_ros.report.tables import baseline_name
from occpose_ros.scoring.score import MM_PER_M, Score

Chart = dict[str, Any]

_MAX_POINTS = 400  # of a curve: more than a screen shows
_POINTS_HZ = 4
_HISTOGRAM_BINS = 60
_SHOWN_LATENCY = 99.5  # percentile: one late step must not hide the rest
_PAIRS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_TOP_DOWN = (
    *("head_top", "nose", "thorax", "spine"),
    *(f"{side}_{joint}" for joint in _PAIRS for side in ("left", "right")),
)


def numbers(values: Sequence[float] | np.ndarray, digits: int = 1) -> list[float | None]:
    """For JSON: rounded, None where there is no finite number."""
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]


def _series(name: str, role: str, x: Sequence[Any], y: Sequence[float] | np.ndarray) -> dict[str, Any]:
    return {"name": name, "role": role, "x": list(x), "y": numbers(y)}


def charts(run: ReportRun, others: Sequence[ReportRun], begin_ns: int) -> list[Chart]:
    """All charts of a run that have something to show. others: of the same pattern, to compare with."""
    made = [
        _time_chart(run.score, begin_ns) if run.score is not None and len(run.score.pairs.stamp_ns) else None,
        _occlusion_chart(run, others),
        _latency_chart(run.latencies_ms),
        _joint_chart(run.section),
    ]
    return [chart for chart in made if chart and chart["series"]]


def _time_chart(score: Score, begin_ns: int) -> Chart:
    """Errors, or without truth what the system thinks of its own errors, averaged so that the curve can be read."""
    pairs = score.pairs
    seconds = (pairs.stamp_ns - begin_ns) * 1e-9
    count = max(1, min(_MAX_POINTS, int(np.ptp(seconds) * _POINTS_HZ)))
    edges = np.linspace(seconds.min(), seconds.max() + 1e-9, count + 1)
    bin_of = np.clip(np.digitize(seconds, edges) - 1, 0, count - 1)
    middle = numbers((edges[:-1] + edges[1:]) / 2, 2)

    def mean_mm(name: str, role: str, values_m: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        sums = np.bincount(bin_of, np.where(mask, values_m, 0.0).sum(axis=1), count)
        counts = np.bincount(bin_of, mask.sum(axis=1), count)
        return _series(name, role, middle, MM_PER_M * sums / np.where(counts > 0, counts, np.nan))

    if pairs.has_truth.any():
        title, y, groups = "Error over time", "MPJPE, mm", pairs.groups
        series = [
            mean_mm("visible joints", "visible", score.errors_m["occpose"], groups["visible"]),
            mean_mm("hidden joints", "hidden", score.errors_m["occpose"], groups["hidden"]),
            mean_mm("hidden joints, held", "baseline hold", score.errors_m["hold"], groups["hidden"]),
        ]
    else:
        title, y, known = "Uncertainty over time", "sigma, mm", np.isfinite(pairs.sigma_m)
        series = [
            mean_mm("measured joints", "visible", pairs.sigma_m, known & (pairs.origin == Origin.MEASURED)),
            mean_mm("filled joints", "hidden", pairs.sigma_m, known & (pairs.origin == Origin.FILLED)),
        ]
    note = "Click a moment to see it in the playback."
    return {"kind": "lines", "title": title, "note": note, "x": "s", "y": y, "series": series, "clock": True}


def _occlusion_rows(run: ReportRun) -> Sequence[Mapping[str, Any]]:
    """Of those with an end; a joint that was never measured has no place on the axis."""
    rows = run.section.get("by_occlusion_s") or ()
    return [row for row in rows if row["to_s"] is not None and row["joints"]]


def _occlusion_chart(run: ReportRun, others: Sequence[ReportRun]) -> Chart:
    """Error of hidden joints over the time since they were last measured."""
    rows = _occlusion_rows(run)
    up_to_s = [row["to_s"] for row in rows]
    keys = [key.removesuffix("_mm") for key in (rows[0] if rows else ()) if key.endswith("_mm")]
    series = [_series(run.model, "hidden", up_to_s, _column(rows, "occpose_mm"))] if rows else []
    for name in (key for key in keys if key != "occpose"):
        series.append(_series(baseline_name(name), f"baseline {name}", up_to_s, _column(rows, f"{name}_mm")))
    for other in others:
        rows = _occlusion_rows(other)
        series.append(_series(other.model, "other", [row["to_s"] for row in rows], _column(rows, "occpose_mm")))
    against = "" if run.against_truth else " Against the answers as recorded."
    return {
        "kind": "steps",
        "title": "Error over occlusion length",
        "note": f"Hidden joints, by the time since they were last measured.{against}",
        "x": "s since last measured, up to",
        "y": "MPJPE, mm",
        "series": series,
    }


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [math.nan if row.get(key) is None else float(row[key]) for row in rows]


def _joint_chart(figures: Mapping[str, Any]) -> Chart | None:
    """Error of each joint but the root, which has none by definition; from head to foot."""
    per_joint = figures.get("per_joint_mm") or {}
    joints = [joint for joint in _TOP_DOWN if joint in per_joint]
    assert set(_TOP_DOWN) == set(H36M17.joints) - {"pelvis"}
    names = {"visible": "visible", "hidden": "hidden", "not_in_layout": "not in layout"}
    series = []
    for group, name in names.items():
        values = [_number(per_joint[joint].get(group)) for joint in joints]
        if np.isfinite(values).any():
            series.append(_series(name, group, [joint.replace("_", " ") for joint in joints], values))
    note = "Root-relative; the pelvis is the root."
    return {"kind": "bars", "title": "Error of each joint", "note": note, "x": "MPJPE, mm", "y": "", "series": series}


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _latency_chart(latencies_ms: Sequence[float]) -> Chart | None:
    """How long steps took; the slowest half of a percent is past the end."""
    values = np.asarray(latencies_ms, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    end = float(np.percentile(values, _SHOWN_LATENCY)) * 1.05
    counts, edges = np.histogram(values, bins=_HISTOGRAM_BINS, range=(0.0, max(end, 1e-3)))
    marks = {p: float(np.percentile(values, p)) for p in (50, 95, 99)}
    late = int((values > edges[-1]).sum())
    return {
        "kind": "histogram",
        "title": "Latency",
        "note": f"{len(values)} steps, dotted: {', '.join(f'p{p} {at:.1f} ms' for p, at in marks.items())}."
        + (f" {late} took longer than shown, up to {values.max():.1f} ms." if late else ""),
        "x": "ms",
        "y": "steps",
        "series": [_series("steps", "visible", numbers((edges[:-1] + edges[1:]) / 2, 3), counts)],
        "marks": list(marks.values()),
    }
