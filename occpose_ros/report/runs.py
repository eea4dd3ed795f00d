"""A page shows one of several runs at a time: what chooses it, what belongs to it, and all of them side by side."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from occpose_ros.report.report_run import ReportRun, bounds, figure

# Columns of the runs side by side: name, key, decimals.
_COLUMNS = (
    ("hidden, mm", "mpjpe_mm.hidden", 0),
    ("visible, mm", "mpjpe_mm.visible", 0),
    ("hidden on top, mm", "self_consistency.mpjpe_mm.hidden", 0),
    ("position, mm", "root_error_mm", 0),
    ("flicker, m/s²", "flicker_m_s2.filled", 1),
    ("latency p95, ms", "latency_ms.p95", 1),
)


def of_run(index: int, content: str) -> str:
    """Shown while the run is chosen; the first is, to begin with."""
    return f'<div data-run="{index}"{" hidden" if index else ""}>{content}</div>' if content else ""


def run_choice(runs: Sequence[ReportRun]) -> str:
    """What chooses the run, if there are several."""
    if len(runs) < 2:
        return ""
    options = "".join(f'<option value="{index}">{html.escape(run.label)}</option>' for index, run in enumerate(runs))
    return f'<label class="choice">Run <select id="run">{options}</select></label>'


def runs_table(runs: Sequence[ReportRun]) -> str:
    """All runs with their main figures, if there are several; a run's name shows it."""
    if len(runs) < 2:
        return ""
    columns = [each for each in _COLUMNS if any(math.isfinite(figure(run.figures, each[1])) for run in runs)]
    head = "".join(f'<th class="number">{html.escape(name)}</th>' for name, *_ in columns)
    rows = "".join(
        f'<tr><td><a href="#run={index}">{html.escape(run.label)}</a></td>'
        + "".join(_cell(run, key, digits) for _, key, digits in columns)
        + "</tr>"
        for index, run in enumerate(runs)
    )
    table = f"<table><thead><tr><th>run</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>Runs</h2><div class="scroll">{table}</div><p class="note">Small: 95 % intervals.</p>'


def _cell(run: ReportRun, key: str, digits: int) -> str:
    value, (low, high) = figure(run.figures, key), bounds(run.intervals.get(key))
    shown = f"{value:.{digits}f}" if math.isfinite(value) else "-"
    interval = f" <small>{low:.{digits}f} to {high:.{digits}f}</small>" if math.isfinite(low + high) else ""
    return f'<td class="number">{shown}{interval}</td>'
