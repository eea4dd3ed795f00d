"""The page of a bag: summary, 3D playback, charts and tables of every run. A single file that needs no network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from occpose_core import __version__
from occpose_core.report import table_html
from occpose_ros.report.curves import charts
from occpose_ros.report.document import document, fill
from occpose_ros.report.moments import Moment, moments_html, worst_moments
from occpose_ros.report.playback import begin_ns_of, playback, skeleton
from occpose_ros.report.pooled import pooled_page
from occpose_ros.report.report_run import ReportRun
from occpose_ros.report.runs import of_run, run_choice, runs_table
from occpose_ros.report.summary import summary_html
from occpose_ros.report.tables import tables

__all__ = ["ReportRun", "bag_page", "pooled_page"]

PLAYBACK_BYTES = 6_000_000  # of the playback of all runs together
_SCRIPTS = (
    *("page.js", "legend.js", "charts.js", "runs.js"),
    *("people.js", "follow.js", "orbit.js", "steer.js", "stage.js", "timeline.js", "player.js"),
    "bag.js",
)


def bag_page(title: str, text: str, runs: Sequence[ReportRun]) -> str:
    """The page of one bag; the reader chooses which run it shows.

    title: such as the bag's name. text: what was run, in a sentence. runs: at least one, the first is shown first.
    """
    scores = [run.score for run in runs if run.score is not None and len(run.score.pairs.stamp_ns)]
    begin_ns, limit_bytes = begin_ns_of(scores), PLAYBACK_BYTES // max(len(scores), 1)
    moments = [worst_moments(run.score, begin_ns) if run.score in scores else [] for run in runs]
    links = "".join(of_run(index, moments_html(of, index)) for index, of in enumerate(moments))
    body = [
        f"<header><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>{run_choice(runs)}</header><main>",
        *(of_run(index, summary_html(run)) for index, run in enumerate(runs)),
        fill("player.html", moments=links) if scores else "",
        runs_table(runs),
        '<section id="charts" aria-label="Charts"></section>',
        *(of_run(index, "".join(map(table_html, tables(run.figures)))) for index, run in enumerate(runs)),
        f'</main><footer class="note">occpose {html.escape(__version__)}</footer>',
    ]
    data = {
        "skeleton": skeleton(),
        "runs": [_run_data(run, runs, of, begin_ns, limit_bytes) for run, of in zip(runs, moments, strict=True)],
    }
    return document(title, "\n".join(filter(None, body)), data, _SCRIPTS)


def _run_data(
    run: ReportRun, runs: Sequence[ReportRun], moments: Sequence[Moment], begin_ns: int, limit_bytes: int
) -> dict[str, Any]:
    others = [other for other in runs if other is not run and other.pattern == run.pattern]
    played = run.score is not None and len(run.score.pairs.stamp_ns) > 0
    return {
        "truth": "Truth" if run.against_truth else "As recorded",
        "playback": playback(run.score, begin_ns, limit_bytes) if run.score is not None and played else None,
        "moments": [moment.seconds for moment in moments],
        "charts": charts(run, others, begin_ns),
    }
