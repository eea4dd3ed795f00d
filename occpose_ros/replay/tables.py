"""What a replay prints at its end: one bag's figures, or what several bags, models and patterns say together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from occpose_core.report import Cell, Table
from occpose_ros.replay.baseline import Change, Comparison
from occpose_ros.replay.results import AS_RECORDED
from occpose_ros.report import tables as of_one_run
from occpose_ros.report.report_run import figure
from occpose_ros.scoring.intervals import FEWEST_PARTS

_MOST_BAGS = 20  # rows that are read
_SPEED = "speed_x_realtime"
_WORST = "mpjpe_mm.hidden"  # by which bags are sorted, if it is known
# Column -> figure, decimals are the table's. What no run has is left out.
_COLUMNS: tuple[tuple[str, str], ...] = (
    ("visible, mm", "mpjpe_mm.visible"),
    ("hidden, mm", "mpjpe_mm.hidden"),
    ("position, mm", "root_error_mm"),
    ("hidden on top, mm", "self_consistency.mpjpe_mm.hidden"),
    ("flicker, m/s²", "flicker_m_s2.filled"),
    ("id switches/min", "id_switches.per_minute"),
    ("x real time", _SPEED),
)
# Those with their interval beside them: a line has room for no more.
_WITH_INTERVAL = ("mpjpe_mm.visible", "mpjpe_mm.hidden", "self_consistency.mpjpe_mm.hidden")


def report_tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """The tables of a report.json that was just made."""
    pooled, bags = report["pooled"], report["bags"]
    if len(pooled) == len(bags) == 1:
        yield from of_one_run.tables(pooled[0]["figures"])
        return
    yield _runs_table(pooled, len(bags))
    if len(bags) > 1:
        yield _bags_table(bags, pooled[0])
    yield from of_one_run.comparison_tables(report["comparison"])


def baseline_tables(comparison: Comparison | None) -> Iterator[Table]:
    """What got worse and what better, if something was compared."""
    if comparison is None:
        return
    for verdict in ("worse", "better"):
        changes = comparison.of(verdict)
        if changes:
            yield Table(
                title=f"{verdict.capitalize()} than {comparison.path}",
                columns=("model", "pattern", "figure", "before", "now"),
                rows=tuple(_change_row(change) for change in changes),
                digits=2,
            )


def _change_row(change: Change) -> tuple[Cell, ...]:
    return (change.model, _pattern(change.pattern), change.figure, change.before, change.now)


def _pattern(pattern: str) -> str:
    return "as recorded" if pattern == AS_RECORDED else pattern


def _columns(figures: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Those of which a run has something to say."""
    return [column for column in _COLUMNS if any(math.isfinite(figure(each, column[1])) for each in figures)]


def _runs_table(pooled: Sequence[Mapping[str, Any]], bags: int) -> Table:
    columns = _columns([run["figures"] for run in pooled])
    rows = [
        (run["model"], _pattern(run["pattern"]), *(_with_interval(run, key) for _, key in columns)) for run in pooled
    ]
    over = "bags" if bags > 1 else "10-second pieces of each person"
    return Table(
        title=f"All {bags} bags" if bags > 1 else "Runs",
        columns=("model", "pattern", *(name for name, _ in columns)),
        rows=tuple(rows),
        note=f"In brackets: 95 % intervals over {over}; fewer than {FEWEST_PARTS} have none.",
    )


def _with_interval(run: Mapping[str, Any], key: str) -> Cell:
    value, interval = figure(run["figures"], key), run["intervals"].get(key)
    if not math.isfinite(value):
        return None
    if key not in _WITH_INTERVAL or interval is None or not all(map(math.isfinite, interval)):
        return f"{value:.1f}"
    return f"{value:.1f} ({interval[0]:.1f} to {interval[1]:.1f})"


def _bags_table(bags: Sequence[Mapping[str, Any]], first: Mapping[str, Any]) -> Table:
    """The figures of the first model as recorded by bag, the worst first."""
    runs = [(bag, next((run for run in bag["runs"] if _same(run, first)), None)) for bag in bags]
    known = [(bag, run["figures"]) for bag, run in runs if run is not None]
    columns = _columns([figures for _, figures in known])
    judging = [key for _, key in columns if key != _SPEED]
    worst = _WORST if _WORST in judging else next(iter(judging), "")
    known.sort(key=lambda each: -_or_least(figure(each[1], worst)))
    rows = [
        (bag["bag"], f"{bag['seconds']:.1f}", *(figure(figures, key) for _, key in columns)) for bag, figures in known
    ]
    which = f"The {'worst' if worst else 'first'} {_MOST_BAGS} of {len(rows)}; all are in report.json."
    return Table(
        title=f"Bags, {first['model']}, {_pattern(first['pattern'])}",
        columns=("bag", "seconds", *(name for name, _ in columns)),
        rows=tuple(rows[:_MOST_BAGS]),
        note=which if len(rows) > _MOST_BAGS else "",
    )


def _same(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (run["model"], run["pattern"]) == (other["model"], other["pattern"])


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
