"""What a reader sees first: one sentence, and the figures that decide, with their intervals."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from occpose_ros.report.report_run import ReportRun, bounds, compared, figure
from occpose_ros.report.tables import answered_share, baseline_name


@dataclass(frozen=True, kw_only=True)
class Card:
    """A figure as people read it: value with its unit, below it the interval or what it means."""

    label: str
    value: str
    unit: str = ""
    note: str = ""


def shown(value: float, digits: int = 0) -> str:
    """A number, "-" for none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def interval_text(interval: Sequence[float | None] | None) -> str:
    """Such as "95 %: 88 to 98", nothing for none."""
    low, high = bounds(interval)
    if not math.isfinite(low + high):
        return ""
    return f"95 %: {low:.0f} to {high:.0f}"


def sentence(run: ReportRun) -> str:
    """The result in words, nothing if nothing was compared with anything."""
    hidden = figure(run.section, "mpjpe_mm.hidden")
    baselines = {name: figure(run.section, f"baselines.{name}.hidden") for name in run.section.get("baselines") or {}}
    baselines = {name: value for name, value in baselines.items() if math.isfinite(value)}
    if not baselines or not math.isfinite(hidden):
        return ""
    best = min(baselines, key=lambda name: baselines[name])
    joints = "Hidden joints are" if run.against_truth else "Joints hidden on top are"
    return f"{joints} {hidden:.0f} mm off, {_beside(hidden, baselines[best], baseline_name(best))}."


def _beside(value: float, other: float, name: str) -> str:
    share = 100.0 * (1.0 - value / other) if other else 0.0
    than = f"the best simple baseline ({name}, {other:.0f} mm)"
    if round(share) == 0:
        return f"as much as {than}"
    return f"{abs(share):.0f} % {'less' if share > 0 else 'more'} than {than}"


def cards(run: ReportRun) -> list[Card]:
    """The cards of a run that have a value."""
    errors = _error_cards(run) if compared(run.section) else []
    made = [*errors, _answered(run), _found_again(run), *_other_cards(run)]
    return [card for card in made if card.value != "-"]


def _error_cards(run: ReportRun) -> list[Card]:
    bias = 100 * figure(run.section, "depth_bias")
    notes = {"root_error_mm": f"depth {bias:+.1f} %" if math.isfinite(bias) else ""}
    hidden = "Hidden joints" if run.against_truth else "Hidden on top"
    return [
        Card(
            label=label,
            value=shown(figure(run.section, key)),
            unit="mm",
            note=", ".join(filter(None, [interval_text(run.interval(key)), notes.get(key)])),
        )
        for label, key in (
            (hidden, "mpjpe_mm.hidden"),
            ("Visible joints", "mpjpe_mm.visible"),
            ("Position", "root_error_mm"),
        )
    ]


def _answered(run: ReportRun) -> Card:
    answered, asked = (figure(run.figures, f"frames.{name}") for name in ("answered", "with_people"))
    note = f"{answered:.0f} of {asked:.0f} frames with people"
    return Card(label="Answered", value=_percent(answered_share(run.figures)), unit="%", note=note)


def _found_again(run: ReportRun) -> Card:
    share = figure(run.figures, "self_consistency.coverage")
    return Card(label="Found again", value=_percent(share), unit="%", note="of the people as recorded")


def _percent(share: float) -> str:
    return shown(100.0 * share, 1 if share < 1.0 else 0)


def _other_cards(run: ReportRun) -> list[Card]:
    filled, measured = (shown(figure(run.section, f"flicker_m_s2.{name}"), 1) for name in ("filled", "measured"))
    p50, p95, p99 = (shown(figure(run.figures, f"latency_ms.p{percent}"), 1) for percent in (50, 95, 99))
    count = shown(figure(run.section, "id_switches.count"))
    per_minute = shown(figure(run.section, "id_switches.per_minute"), 1)
    drift = shown(100 * figure(run.section, "bone_length_drift"), 1)
    speed = figure(run.figures, "speed_x_realtime")
    return [
        Card(label="Id switches", value=count, note=f"{per_minute} per person and minute"),
        Card(label="Bone lengths", value=drift, unit="%", note="drift: deviation over mean"),
        Card(label="Flicker, filled", value=filled, unit="m/s²", note=f"measured {measured}"),
        Card(label="Latency p95", value=p95, unit="ms", note=f"p50 {p50}, p99 {p99}"),
        Card(label="Speed", value=shown(speed, 0 if speed > 10 else 1), unit="× real time"),
    ]


def summary_html(run: ReportRun) -> str:
    """Sentence and cards; every string is escaped."""
    said = sentence(run)
    lead = f'<p class="lead">{html.escape(said)}</p>' if said else ""
    items = (
        f"<div><dt>{html.escape(card.label)}</dt><dd><strong>{html.escape(card.value)}</strong>"
        f" <span>{html.escape(card.unit)}</span></dd><dd>{html.escape(card.note)}</dd></div>"
        for card in cards(run)
    )
    return f'{lead}<dl class="cards">{"".join(items)}</dl>'
