"""What a reader sees first: one sentence, and the figures that decide, with their intervals."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occpose_ros.report.report_run import figure
from occpose_ros.report.tables import baseline_name


@dataclass(frozen=True, kw_only=True)
class Card:
    """A figure as people read it: value with its unit, below it the interval and what it means."""

    label: str
    value: str
    unit: str = ""
    note: str = ""


def shown(value: float, digits: int = 0) -> str:
    """A number, "-" for none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def interval_text(interval: Sequence[float] | None, digits: int = 0) -> str:
    """Such as "95 %: 88 to 98", nothing for none."""
    if interval is None or any(bound is None or not math.isfinite(bound) for bound in interval):
        return ""
    return f"95 %: {interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def sentence(figures: Mapping[str, Any]) -> str:
    """The result in words, nothing if nothing was compared with anything."""
    hidden = figure(figures, "mpjpe_mm.hidden")
    baselines = {name: figure(figures, f"baselines.{name}.hidden") for name in figures.get("baselines") or {}}
    baselines = {name: value for name, value in baselines.items() if math.isfinite(value)}
    if math.isfinite(hidden) and baselines:
        best = min(baselines, key=lambda name: baselines[name])
        return f"Hidden joints are {hidden:.0f} mm off, {_compared(hidden, baselines[best], baseline_name(best))}."
    return ""


def _compared(value: float, other: float, name: str) -> str:
    share = 100.0 * (1.0 - value / other) if other else 0.0
    than = f"the best simple baseline ({name}, {other:.0f} mm)"
    if round(share) == 0:
        return f"as much as {than}"
    return f"{abs(share):.0f} % {'less' if share > 0 else 'more'} than {than}"


def cards(figures: Mapping[str, Any], intervals: Mapping[str, Sequence[float]]) -> list[Card]:
    """The cards of a run that have a value."""

    def errors(label: str, key: str, note: str = "") -> Card:
        said = ", ".join(filter(None, [interval_text(intervals.get(key)), note]))
        return Card(label=label, value=shown(figure(figures, key)), unit="mm", note=said)

    p50, p95, p99 = (shown(figure(figures, f"latency_ms.p{percent}"), 1) for percent in (50, 95, 99))
    bias = 100 * figure(figures, "depth_bias")
    made = [
        errors("Hidden joints", "mpjpe_mm.hidden"),
        errors("Visible joints", "mpjpe_mm.visible"),
        errors("Position", "root_error_mm", f"depth {bias:+.1f} %" if math.isfinite(bias) else ""),
        _answered(figures),
        Card(
            label="Bone lengths",
            value=shown(100 * figure(figures, "bone_length_drift"), 1),
            unit="%",
            note="drift: deviation over mean",
        ),
        Card(
            label="Flicker, filled",
            value=shown(figure(figures, "flicker_m_s2.filled"), 1),
            unit="m/s²",
            note=f"measured {shown(figure(figures, 'flicker_m_s2.measured'), 1)}",
        ),
        Card(label="Latency p95", value=p95, unit="ms", note=f"p50 {p50}, p99 {p99}"),
        Card(label="Speed", value=shown(figure(figures, "speed_x_realtime"), 1), unit="× real time"),
    ]
    return [card for card in made if card.value != "-"]


def _answered(figures: Mapping[str, Any]) -> Card:
    answered, asked = figure(figures, "frames.answered"), figure(figures, "frames.with_people")
    share = 100.0 * answered / asked if asked else math.nan
    note = f"{answered:.0f} of {asked:.0f} frames with people" if asked > 0 else ""
    return Card(
        label="Answered", value=shown(math.floor(share) if math.isfinite(share) else share), unit="%", note=note
    )


def cards_html(made: Sequence[Card]) -> str:
    """The cards as a list of terms; every string is escaped."""
    items = (
        f"<div><dt>{html.escape(card.label)}</dt><dd><strong>{html.escape(card.value)}</strong>"
        f" <span>{html.escape(card.unit)}</span></dd><dd>{html.escape(card.note)}</dd></div>"
        for card in made
    )
    return f'<dl class="cards">{"".join(items)}</dl>' if made else ""
