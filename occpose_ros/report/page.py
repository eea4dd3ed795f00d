"""The page of a bag: summary, 3D playback, charts and tables of every run. A single file that needs no network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from occpose_core import __version__
from occpose_core.report import table_html
from occpose_ros.report.curves import charts
from occpose_ros.report.document import document
from occpose_ros.report.moments import Moment, worst_moments
from occpose_ros.report.playback import begin_ns_of, playback, skeleton
from occpose_ros.report.pooled import pooled_page
from occpose_ros.report.report_run import ReportRun
from occpose_ros.report.summary import cards, cards_html, sentence
from occpose_ros.report.tables import tables

__all__ = ["ReportRun", "bag_page", "pooled_page"]

PLAYBACK_BYTES = 6_000_000  # of the playback of all runs together
_SCRIPTS = ("plotly.js", "charts.js", "people.js", "orbit.js", "stage.js", "timeline.js", "player.js", "bag.js")


def bag_page(title: str, text: str, runs: Sequence[ReportRun]) -> str:
    """The page of one bag; the reader chooses which run it shows.

    title: such as the bag's name. text: what was run, in a sentence. runs: at least one, the first is shown first.
    """
    scores = [run.score for run in runs if run.score is not None and len(run.score.pairs.stamp_ns)]
    begin_ns, limit_bytes = begin_ns_of(scores), PLAYBACK_BYTES // max(len(scores), 1)
    moments = [_moments(run, begin_ns) for run in runs]
    data = {
        "skeleton": skeleton(),
        "runs": [
            _run_data(run, runs, of_run, begin_ns, limit_bytes) for run, of_run in zip(runs, moments, strict=True)
        ],
    }
    body = [
        f"<header><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>{_run_choice(runs)}</header>",
        "<main>",
        *(_of_run(index, _summary(run)) for index, run in enumerate(runs)),
        _player([_of_run(index, _moments_html(of, index)) for index, of in enumerate(moments)]) if scores else "",
        '<section id="charts" aria-label="Charts"></section>',
        *(_of_run(index, "".join(map(table_html, tables(run.figures)))) for index, run in enumerate(runs)),
        f'</main><footer class="note">occpose {html.escape(__version__)}</footer>',
    ]
    return document(title, "\n".join(filter(None, body)), data, _SCRIPTS)


def _run_data(
    run: ReportRun, runs: Sequence[ReportRun], moments: Sequence[Moment], begin_ns: int, limit_bytes: int
) -> dict[str, Any]:
    others = [other for other in runs if other is not run and other.pattern == run.pattern]
    played = run.score is not None and len(run.score.pairs.stamp_ns) > 0
    return {
        "label": run.label,
        "playback": playback(run.score, begin_ns, limit_bytes) if run.score is not None and played else None,
        "moments": [{"seconds": moment.seconds, "person": moment.person} for moment in moments],
        "charts": charts(run, others, begin_ns),
    }


def _of_run(index: int, content: str) -> str:
    """Shown while the run is chosen; the first is, to begin with."""
    return f'<div data-run="{index}"{" hidden" if index else ""}>{content}</div>' if content else ""


def _run_choice(runs: Sequence[ReportRun]) -> str:
    if len(runs) < 2:
        return ""
    options = "".join(f'<option value="{index}">{html.escape(run.label)}</option>' for index, run in enumerate(runs))
    return f'<label class="choice">Run <select id="run">{options}</select></label>'


def _summary(run: ReportRun) -> str:
    said = sentence(run.figures)
    return (f'<p class="lead">{html.escape(said)}</p>' if said else "") + cards_html(cards(run.figures, run.intervals))


def _moments(run: ReportRun, begin_ns: int) -> list[Moment]:
    return worst_moments(run.score, begin_ns) if run.score is not None else []


def _moments_html(moments: Sequence[Moment], run: int) -> str:
    """Links into the playback."""
    items = "".join(
        f'<li><a href="#t={moment.seconds:.2f}&amp;run={run}"><b>{_clock(moment.seconds)}</b>'
        f" <span>person {html.escape(moment.person or '?')}</span> <strong>{moment.value_mm:.0f} mm</strong>"
        f"<small>{html.escape(moment.what)}</small></a></li>"
        for moment in moments
    )
    return f"<h2>Worst moments</h2><ol>{items}</ol>" if items else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60.0)
    return f"{minutes:.0f}:{rest:04.1f}"


def _player(moments: Sequence[str]) -> str:
    layers = (
        ("measured", "Measured", "bone solid"),
        ("filled", "Filled", "bone hollow"),
        ("sigma", "Uncertainty", "disc"),
        ("truth", "Truth", "bone dotted"),
        ("labels", "Names", ""),
    )
    toggles = "".join(
        f'<label><input type="checkbox" data-layer="{layer}" checked><i class="{key}"></i>{name}</label>'
        for layer, name, key in layers
    )
    views = "".join(
        f'<button type="button" data-view="{view}">{name}</button>'
        for view, name in (("home", "Home"), ("camera", "Camera"), ("side", "Side"), ("top", "Top"))
    )
    speeds = "".join(
        f'<option value="{speed}"{" selected" if speed == 1 else ""}>{name}×</option>'
        for speed, name in ((0.1, "0.1"), (0.25, "¼"), (0.5, "½"), (1, "1"), (2, "2"), (4, "4"))
    )
    return f"""<section id="player" aria-label="3D playback">
<div class="film">
<div class="stage"><canvas id="stage" tabindex="0" role="img"
 aria-label="People in 3D. Arrow keys turn the view, plus and minus zoom, 0 goes back."></canvas>
<div class="views" role="group" aria-label="View">{views}</div></div>
<canvas id="timeline" aria-hidden="true"></canvas>
<div class="controls"><button type="button" id="play" aria-label="Play">▶</button>
<input type="range" id="seek" min="0" step="any" value="0" aria-label="Time, seconds">
<output id="clock" for="seek"></output>
<label class="speed"><span class="unseen">Speed</span><select id="speed">{speeds}</select></label></div>
<div class="layers" role="group" aria-label="Show">{toggles}</div>
<p class="note" id="said"></p>
</div>
<aside>{"".join(moments)}</aside>
</section>"""
