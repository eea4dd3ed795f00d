"""What a page is told of a run, and how figures are found in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occpose_ros.scoring.score import Score

_CONSISTENCY = "self_consistency"


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportRun:
    """One model over one bag, as recorded or with joints hidden on top; or over many bags.

    pattern: how joints were hidden on top, "" for as recorded. figures: as in report.json. intervals: 95 %, dotted
    key of a figure -> (low, high). score: for playback and curves; None leaves those out. latencies_ms: of each step.
    """

    model: str
    pattern: str
    figures: Mapping[str, Any]
    intervals: Mapping[str, Sequence[float | None]]
    score: Score | None
    latencies_ms: Sequence[float]

    @property
    def label(self) -> str:
        """What the run is called on the page."""
        return f"{self.model}, {self.pattern or 'as recorded'}"

    @property
    def section(self) -> Mapping[str, Any]:
        """The figures that say how good the run is: against the truth, else against the run as recorded."""
        return section(self.figures)

    @property
    def against_truth(self) -> bool:
        """Whether those figures are against the truth."""
        return compared(self.figures)

    def interval(self, key: str) -> Sequence[float | None] | None:
        """That of a figure of `section`."""
        return self.intervals.get(key if self.section is self.figures else f"{_CONSISTENCY}.{key}")


def compared(figures: Mapping[str, Any]) -> bool:
    """Whether figures have errors in them: whether a joint was compared with anything."""
    return figure(figures, "joints.all") > 0


def section(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of figures that says how good a run is: without truth those against the run as recorded."""
    consistency = figures.get(_CONSISTENCY)
    return consistency if isinstance(consistency, Mapping) and not compared(figures) else figures


def figure(figures: Mapping[str, Any], key: str) -> float:
    """The figure under a dotted key such as "mpjpe_mm.hidden"; NaN if it is missing, null or not one number."""
    value: Any = figures
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else math.nan


def bounds(interval: Sequence[float | None] | None) -> tuple[float, float]:
    """The two ends of an interval, NaN where it is not known."""
    low, high = interval or (None, None)
    return (math.nan if low is None else low, math.nan if high is None else high)
