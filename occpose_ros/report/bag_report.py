"""The report of a replay or a live run: figures as JSON, a table for the terminal, a page with pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from occpose_core.charts import DrawnPerson, Scene, bar_chart, line_chart, people_chart
from occpose_core.metrics import masked_mean
from occpose_core.report import Cell, Picture, Report, Table
from occpose_core.skeleton import H36M17
from occpose_core.types import Origin
from occpose_ros.scoring.score import GROUPS, MM_PER_M, Score

_NAMES = {"mean_pose": "mean pose", "constant_velocity": "constant velocity"}
_GROUP_NAMES = ("all joints", "visible", "hidden", "not in layout")
_SCENES = 6
_MOSTLY_SEEN = 7  # hidden joints at most
_MAX_POINTS = 400  # of a curve: more than a screen shows


def latency_figures(latencies_ms: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 of latencies, NaN without any."""
    values = np.asarray(latencies_ms, dtype=np.float64)
    return {f"p{p}": float(np.percentile(values, p)) if len(values) else math.nan for p in (50, 95, 99)}


def error_table(figures: Mapping[str, Any]) -> Table:
    """MPJPE of the system and of the baselines over the joint groups."""
    rows: list[tuple[Cell, ...]] = [("occpose", *(figures["mpjpe_mm"][group] for group in GROUPS))]
    rows += [(_NAMES.get(name, name), *(of[group] for group in GROUPS)) for name, of in figures["baselines"].items()]
    return Table(
        title="Error (MPJPE, mm)",
        columns=("", *_GROUP_NAMES),
        rows=tuple(rows),
        note="Root-relative. Baselines: own answers, held or moved on since a joint was last measured."
        "\nNot in layout: joints that the detector never gives.",
    )


def run_table(figures: Mapping[str, Any]) -> Table:
    """Everything that needs no truth, and how fast it was."""
    frames, flicker, latency = figures["frames"], figures["flicker_m_s2"], figures["latency_ms"]
    share = 100.0 * frames["answered"] / frames["with_people"] if frames["with_people"] else math.nan
    rows: tuple[tuple[Cell, ...], ...] = (
        ("frames", frames["total"], ""),
        ("frames with people", frames["with_people"], ""),
        ("of them answered", share, "%"),
        ("track ids", figures["people"], ""),
        ("flicker of measured joints", flicker["measured"], "m/s² (mean acceleration)"),
        ("flicker of filled joints", flicker["filled"], "m/s²"),
        ("acceleration of the truth", flicker["truth"], "m/s²"),
        ("bone length drift", 100.0 * figures["bone_length_drift"], "% (sd over mean)"),
        ("metric scale", 100.0 * figures["metric"], "% of the answered people"),
        ("distance to the true position", figures["root_error_mm"], "mm (pelvis)"),
        ("of it along the view", 100.0 * figures["depth_bias"], "% of the depth, mean (+ = too far)"),
        ("latency p50", latency["p50"], "ms"),
        ("latency p95", latency["p95"], "ms"),
        ("latency p99", latency["p99"], "ms"),
        ("speed", figures["speed_x_realtime"], "x real time"),
        *((f"left out: {reason.replace('_', ' ')}", count, "") for reason, count in figures["dropped"].items()),
    )
    return Table(title="Run", columns=("", "value", "unit"), rows=rows)


def tables(figures: Mapping[str, Any]) -> tuple[Table, ...]:
    """For the terminal and the page; without truth there is no error table."""
    errors = (error_table(figures),) if figures["joints"]["all"] else ()
    return (*errors, run_table(figures))


def _seconds(stamps_ns: np.ndarray) -> np.ndarray:
    return (stamps_ns - stamps_ns.min()) * 1e-9


def _people_picture(score: Score) -> Picture:
    """Of each sixth of the recording the moment when most joints are filled in people who are mostly seen."""
    pairs = score.pairs
    filled = pairs.origin != Origin.MEASURED
    stamps, frame = np.unique(pairs.stamp_ns, return_inverse=True)
    # People of whom little is seen show how the network fails rather than how it fills.
    hidden = (filled & pairs.in_layout).sum(axis=1)
    weight = np.bincount(frame, weights=np.where(hidden > _MOSTLY_SEEN, -1, hidden))
    moments = [part[np.argmax(weight[part])] for part in np.array_split(np.arange(len(stamps)), _SCENES) if len(part)]
    scenes = []
    for moment in moments:
        rows = np.flatnonzero(frame == moment)
        truth = [pairs.truth_cam_m[row] if pairs.has_truth[row] else None for row in rows]
        people = tuple(
            DrawnPerson(joints_cam_m=pairs.joints_cam_m[row], filled=filled[row], truth_cam_m=true)
            for row, true in zip(rows, truth, strict=True)
        )
        scenes.append(Scene(label=f"{_seconds(stamps)[moment]:.1f} s", people=people))
    return people_chart("People in 3D", scenes, "Moments with several filled joints.")


def _time_picture(score: Score) -> Picture:
    """Errors over time, averaged over so many frames that the curve can be read."""
    seconds = _seconds(score.pairs.stamp_ns)
    count = max(1, min(_MAX_POINTS, int(seconds.max() * 4)))
    edges = np.linspace(0.0, seconds.max() + 1e-9, count + 1)
    middle, bin_of = (edges[:-1] + edges[1:]) / 2, np.clip(np.digitize(seconds, edges) - 1, 0, count - 1)
    groups = score.pairs.groups
    curves = {
        "visible joints": (score.errors_m["occpose"], groups["visible"]),
        "hidden joints": (score.errors_m["occpose"], groups["hidden"]),
        "hidden joints, held": (score.errors_m["hold"], groups["hidden"]),
    }
    series = {}
    for name, (errors_m, mask) in curves.items():
        values = [masked_mean(errors_m[bin_of == b], mask[bin_of == b]) * MM_PER_M for b in range(count)]
        series[name] = (middle, np.array(values))
    return line_chart("Error over time", "seconds", "mm", series)


def _joint_picture(score: Score) -> Picture:
    per_joint = score.figures["per_joint_mm"]
    series = {group: np.array([per_joint[joint][group] for joint in H36M17.joints]) for group in ("visible", "hidden")}
    return bar_chart("Error by joint", "mm", [joint.replace("_", " ") for joint in H36M17.joints], series)


def make_report(title: str, text: str, figures: Mapping[str, Any], score: Score) -> Report:
    """The page. figures: those of the score together with frames, latency, speed, model and engine."""
    pictures: list[Picture] = []
    if len(score.pairs.stamp_ns):
        pictures.append(_people_picture(score))
    if figures["joints"]["all"]:
        pictures += [_time_picture(score), _joint_picture(score)]
    summary: tuple[tuple[str, Cell], ...] = (
        ("visible joints, mm", figures["mpjpe_mm"]["visible"]),
        ("hidden joints, mm", figures["mpjpe_mm"]["hidden"]),
        ("latency p95, ms", figures["latency_ms"]["p95"]),
        ("model", figures["model"]),
        ("engine", figures["engine"]),
    )
    return Report(title=title, text=text, summary=summary, tables=tables(figures), pictures=tuple(pictures))
