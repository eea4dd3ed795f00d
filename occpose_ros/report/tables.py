"""The figures of a replay or a live run as tables, for the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from occpose_core.report import Cell, Table
from occpose_ros.scoring.score import GROUPS

_NAMES = {"mean_pose": "mean pose", "constant_velocity": "constant velocity"}
_GROUP_NAMES = ("all joints", "visible", "hidden", "not in layout")


def baseline_name(name: str) -> str:
    """A baseline as people call it."""
    return _NAMES.get(name, name)


def latency_figures(latencies_ms: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 of latencies, NaN without any."""
    values = np.asarray(latencies_ms, dtype=np.float64)
    return {f"p{p}": float(np.percentile(values, p)) if len(values) else math.nan for p in (50, 95, 99)}


def error_table(figures: Mapping[str, Any]) -> Table:
    """MPJPE of the system and of the baselines over the joint groups."""
    rows: list[tuple[Cell, ...]] = [("occpose", *(figures["mpjpe_mm"][group] for group in GROUPS))]
    rows += [(baseline_name(name), *(of[group] for group in GROUPS)) for name, of in figures["baselines"].items()]
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
