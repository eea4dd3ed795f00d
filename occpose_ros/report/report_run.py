"""What a page is told of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from occpose_ros.scoring.score import Score


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportRun:
    """One model over one bag, as recorded or with joints hidden on top.

    pattern: how joints were hidden on top, "" for as recorded. figures: as in report.json. intervals: 95 %, dotted
    key of a figure -> (low, high). score: for playback and curves; None leaves those out. latencies_ms: of each step.
    """

    model: str
    pattern: str
    figures: Mapping[str, Any]
    intervals: Mapping[str, Sequence[float]]
    score: Score | None
    latencies_ms: Sequence[float]

    @property
    def label(self) -> str:
        """What the run is called on the page."""
        return f"{self.model}, {self.pattern or 'as recorded'}"


def figure(figures: Mapping[str, Any], key: str) -> float:
    """The figure under a dotted key such as "mpjpe_mm.hidden"; NaN if it is missing, null or not one number."""
    value: Any = figures
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else float("nan")
