"""A page shows one of several runs at a time: what chooses it, and what belongs to it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from occpose_ros.report.report_run import ReportRun


def of_run(index: int, content: str) -> str:
    """Shown while the run is chosen; the first is, to begin with."""
    return f'<div data-run="{index}"{" hidden" if index else ""}>{content}</div>' if content else ""


def run_choice(runs: Sequence[ReportRun]) -> str:
    """What chooses the run, if there are several."""
    if len(runs) < 2:
        return ""
    options = "".join(f'<option value="{index}">{html.escape(run.label)}</option>' for index, run in enumerate(runs))
    return f'<label class="choice">Run <select id="run">{options}</select></label>'
