"""The page over many bags: what all of them say together, and the way to each one's own page."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from occpose_core import __version__
from occpose_core.report import Table, format_cell, table_html
from occpose_ros.report.curves import Chart, charts, numbers
from occpose_ros.report.document import document
from occpose_ros.report.report_run import ReportRun, figure, section
from occpose_ros.report.runs import of_run, run_choice, runs_table
from occpose_ros.report.summary import summary_html
from occpose_ros.report.tables import comparison_tables, tables

_SCRIPTS = ("page.js", "legend.js", "charts.js", "runs.js", "sort.js", "pooled.js")
# Columns of the list of bags: name, key, factor, decimals.
_COLUMNS = (
    ("hidden, mm", "mpjpe_mm.hidden", 1, 1),
    ("visible, mm", "mpjpe_mm.visible", 1, 1),
    ("position, mm", "root_error_mm", 1, 0),
    ("id switches", "id_switches.count", 1, 0),
    ("flicker, m/s²", "flicker_m_s2.filled", 1, 1),
    ("bone drift, %", "bone_length_drift", 100, 1),
    ("latency p95, ms", "latency_ms.p95", 1, 1),
    ("× real time", "speed_x_realtime", 1, 1),
)


def pooled_page(report: Mapping[str, Any]) -> str:
    """The page of a report over bags (the schema of report.json); it links to <bag>/report.html beside it."""
    runs = [_run(pooled) for pooled in report["pooled"]]
    title = f"occpose replay: {_bags_in_words(len(report['bags']))}"
    body = [
        f"<header><h1>{title}</h1><p>{html.escape(_text(report))}</p>{run_choice(runs)}</header><main>",
        *(of_run(index, summary_html(run)) for index, run in enumerate(runs)),
        runs_table(runs),
        _failures(report["failed"]),
        *map(table_html, comparison_tables(report["comparison"])),
        _baseline(report.get("baseline")),
        '<section id="charts" aria-label="Charts"></section>',
        *(of_run(index, _bags(report["bags"], run)) for index, run in enumerate(runs)),
        *(of_run(index, "".join(map(table_html, tables(run.figures)))) for index, run in enumerate(runs)),
        _settings(report["settings"]),
        f'</main><footer class="note">occpose {html.escape(__version__)}</footer>',
    ]
    data = {"runs": [{"charts": _charts(run, runs, report["bags"])} for run in runs]}
    return document(title, "\n".join(filter(None, body)), data, _SCRIPTS)


def _run(pooled: Mapping[str, Any]) -> ReportRun:
    """One entry of "pooled"; latencies are told as how often each was measured."""
    counts = pooled["figures"].get("latency_ms", {}).get("counts", {})
    return ReportRun(
        model=pooled["model"],
        pattern=pooled["pattern"],
        figures=pooled["figures"],
        intervals=pooled["intervals"],
        score=None,
        latencies_ms=[float(name) for name, count in counts.items() for _ in range(count)],
    )


def _text(report: Mapping[str, Any]) -> str:
    minutes = sum(bag["seconds"] for bag in report["bags"]) / 60.0
    failed = len(report["failed"])
    note = f" {_bags_in_words(failed)} failed." if failed else ""
    over = "bags" if len(report["bags"]) > 1 else "10-second pieces of each person"
    return f"{minutes:.1f} minutes of recordings; intervals are over {over}.{note}"


def _bags_in_words(count: int) -> str:
    return f"{count} bag{'s' * (count != 1)}"


def _of(bag: Mapping[str, Any], run: ReportRun) -> Mapping[str, Any] | None:
    """The figures of a bag in a run, None if it has none."""
    same = (each for each in bag["runs"] if (each["model"], each["pattern"]) == (run.model, run.pattern))
    return next((each["figures"] for each in same), None)


def _worst_first(
    bags: Sequence[Mapping[str, Any]], run: ReportRun
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    known = [(bag, figures) for bag in bags if (figures := _of(bag, run)) is not None]
    return sorted(known, key=lambda each: -_or_zero(_value(each[1], "mpjpe_mm.hidden")))


def _value(figures: Mapping[str, Any], key: str) -> float:
    value = figure(section(figures), key)
    return value if math.isfinite(value) else figure(figures, key)


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _link(bag: Mapping[str, Any]) -> str:
    return f"./{quote(bag['bag'], errors='surrogateescape')}/report.html"


def _charts(run: ReportRun, runs: Sequence[ReportRun], bags: Sequence[Mapping[str, Any]]) -> list[Chart]:
    others = [other for other in runs if other is not run and other.pattern == run.pattern]
    made = [_bags_chart(_worst_first(bags, run)), *charts(run, others, 0)]
    return [chart for chart in made if chart["series"]]


def _bags_chart(known: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Chart:
    """A dot a bag and joint group, the worst bag first; each leads to the bag's page."""
    series = []
    for group in ("visible", "hidden"):
        values = numbers([_value(figures, f"mpjpe_mm.{group}") for _, figures in known])
        if any(value is not None for value in values):
            series.append({"name": f"{group} joints", "role": group, "x": list(range(1, len(known) + 1)), "y": values})
    return {
        "kind": "dots",
        "title": "Error of each bag",
        "note": "The worst first; a click opens the bag's page.",
        "x": "bags",
        "y": "MPJPE, mm",
        "series": series,
        "names": [bag["bag"] for bag, _ in known],
        "links": [_link(bag) for bag, _ in known],
    }


def _bags(bags: Sequence[Mapping[str, Any]], run: ReportRun) -> str:
    """All bags of a run as a table that can be sorted; the worst first."""
    known = _worst_first(bags, run)
    columns = [column for column in _COLUMNS if any(math.isfinite(_value(figures, column[1])) for _, figures in known)]
    names = ["bag", "seconds", *(name for name, *_ in columns)]
    head = "".join(f'<th><button type="button">{html.escape(name)}</button></th>' for name in names)
    rows = "".join(
        f'<tr><td><a href="{html.escape(_link(bag))}">{html.escape(bag["bag"])}</a></td>{_number(bag["seconds"], 1)}'
        + "".join(_number(factor * _value(figures, key), digits) for _, key, factor, digits in columns)
        + "</tr>"
        for bag, figures in known
    )
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<h2>Bags</h2><div class="scroll">{table}</div>'


def _number(value: float, digits: int) -> str:
    return f'<td class="number">{format_cell(value, digits)}</td>'


def _failures(failed: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(f"<li><b>{html.escape(each['bag'])}</b>: {html.escape(each['reason'])}</li>" for each in failed)
    return f"<h2>Bags that failed</h2><ul>{items}</ul>" if items else ""


def _baseline(baseline: Mapping[str, Any] | None) -> str:
    """What got worse and better since an earlier report."""
    if not baseline:
        return ""
    changes = [change for change in baseline["changes"] if change["verdict"] != "same"]
    changes.sort(key=lambda change: change["verdict"] != "worse")
    rows = tuple(
        (each["verdict"], each["model"], each["pattern"] or "as recorded", each["figure"], each["before"], each["now"])
        for each in changes
    )
    same = len(baseline["changes"]) - len(changes)
    near = f"{100 * baseline['tolerance']:g} % or 1 mm"
    note = f"{same} figures are within {near} of what they were, over {_bags_in_words(baseline['bags'])}."
    for key, where in (("only_now", "now"), ("only_before", "in the earlier report")):
        if baseline[key]:
            note += f"\nOnly {where}, so not compared: {'; '.join(baseline[key])}."
    columns = ("", "model", "recording", "figure", "before", "now")
    return table_html(Table(title=f"Since {baseline['path']}", columns=columns, rows=rows, note=note, digits=2))


def _settings(settings: Mapping[str, Any]) -> str:
    text = html.escape(json.dumps(settings, indent=2, ensure_ascii=False, default=str))
    return f"<details><summary>Settings</summary><pre>{text}</pre></details>"
