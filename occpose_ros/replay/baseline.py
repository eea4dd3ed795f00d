"""What got better or worse since another replay, so that a check can stop where it got worse."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occpose_core.errors import OccposeError
from occpose_ros.replay.pooling import pooled_figures
from occpose_ros.replay.results import AS_RECORDED, BagResult, SavedReport
from occpose_ros.replay.work_list import same_recording
from occpose_ros.report.report_run import figure

TOLERANCE = 0.02  # share of a figure
LEAST_MM = 1.0  # less is no matter, however good the figure is
_MOST_NAMES = 5  # that are read
# Figures by which a run is judged -> whether more of it is better. None of them depends on the clock of the machine.
JUDGED: dict[str, bool] = {
    "mpjpe_mm.all": False,
    "mpjpe_mm.visible": False,
    "mpjpe_mm.hidden": False,
    "mpjpe_mm.not_in_layout": False,
    "pa_mpjpe_mm": False,
    "n_mpjpe_mm": False,
    "root_error_mm": False,
    "accel_error_mm": False,
    "coverage": True,
    "flicker_m_s2.measured": False,
    "flicker_m_s2.filled": False,
    "bone_length_drift": False,
    "id_switches.per_minute": False,
    "self_consistency.mpjpe_mm.visible": False,
    "self_consistency.mpjpe_mm.hidden": False,
    "self_consistency.coverage": True,
    "self_consistency.id_switches.per_minute": False,
}


class BaselineError(OccposeError):
    """A report cannot be compared with this run."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure of a model under a pattern, then and now. verdict: "better", "worse" or "same"."""

    model: str
    pattern: str
    figure: str
    before: float
    now: float
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """This run and an earlier one, over what both have.

    bags: how many. only_now, only_before: "bag, model, pattern" of what one has. changes: every judged figure.
    """

    path: Path
    tolerance: float
    bags: int
    changes: tuple[Change, ...]
    only_now: tuple[str, ...]
    only_before: tuple[str, ...]

    def of(self, verdict: str) -> list[Change]:
        """The changes of one kind."""
        return [change for change in self.changes if change.verdict == verdict]

    def to_json(self) -> dict[str, Any]:
        """As it stands in a report."""
        return {**vars(self), "path": str(self.path), "changes": [vars(change) for change in self.changes]}

    def summary(self) -> str:
        """What it comes to, in a sentence or two."""
        counts = ", ".join(f"{len(self.of(verdict))} {verdict}" for verdict in ("worse", "better", "same"))
        text = f"Against {self.path}, {self.bags} bag{'s' * (self.bags != 1)}: of {len(self.changes)} figures {counts}."
        for names, where in ((self.only_now, "now"), (self.only_before, "in the baseline")):
            if names:
                more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
                text += f"\nOnly {where}, so not compared: {'; '.join(names[:_MOST_NAMES])}{more}."
        return text


def compare(results: Sequence[BagResult], saved: SavedReport, path: Path, tolerance: float = TOLERANCE) -> Comparison:
    """This run's results with those of another, whose figures are made anew over the bags that both have.

    saved: what the report at `path` says. tolerance: share of a figure by which it may get worse; errors in millimetres
    always may by LEAST_MM. Raises BaselineError if the two have nothing in common.
    """
    before = {bag.bag: bag for bag in saved.bags}
    now = {bag.bag: bag for bag in results}
    _refuse_other_recordings(now, before, path)
    shared = {key: sorted(_bags_with(key, now) & _bags_with(key, before)) for key in _keys(now)}
    changes: list[Change] = []
    for key, bags in shared.items():
        if bags:
            then, today = (pooled_figures([of[bag] for bag in bags], key) for of in (before, now))
            changes += _changes(key, then, today, tolerance)
    if not any(shared.values()):
        raise BaselineError(
            f"{path} has no bag with model and pattern in common with this run: it has"
            f" {'; '.join(_contents(before)) or 'nothing'}"
        )
    return Comparison(
        path=path,
        tolerance=tolerance,
        bags=len(set().union(*shared.values())),
        changes=tuple(changes),
        only_now=_only_in(now, before),
        only_before=_only_in(before, now),
    )


def _refuse_other_recordings(now: Mapping[str, BagResult], before: Mapping[str, BagResult], path: Path) -> None:
    for name in sorted(now.keys() & before.keys()):
        if not same_recording(now[name].fingerprint, before[name].fingerprint):
            raise BaselineError(
                f"{path} was made with another recording of the name {name} than {now[name].path}: make it again, or"
                " rename the recording"
            )


def _keys(bags: Mapping[str, BagResult]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(run.key for bag in bags.values() for run in bag.runs))


def _bags_with(key: tuple[str, str], bags: Mapping[str, BagResult]) -> set[str]:
    return {name for name, bag in bags.items() if bag.run(key) is not None}


def _contents(bags: Mapping[str, BagResult]) -> list[str]:
    return [
        f"{name}, {run.model}, {'as recorded' if run.pattern == AS_RECORDED else run.pattern}"
        for name, bag in sorted(bags.items())
        for run in bag.runs
    ]


def _only_in(one: Mapping[str, BagResult], other: Mapping[str, BagResult]) -> tuple[str, ...]:
    known = set(_contents(other))
    return tuple(name for name in _contents(one) if name not in known)


def _changes(
    of: tuple[str, str], before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float
) -> Iterator[Change]:
    model, pattern = of
    for key, more_is_better in JUDGED.items():
        then, today = figure(before, key), figure(now, key)
        if math.isfinite(then) and math.isfinite(today):
            margin = max(tolerance * abs(then), LEAST_MM if "_mm" in key else 0.0)
            gain = today - then if more_is_better else then - today
            verdict = "better" if gain > margin else "worse" if gain < -margin else "same"
            yield Change(model=model, pattern=pattern, figure=key, before=then, now=today, verdict=verdict)
