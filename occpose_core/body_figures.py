"""From the errors of bodies in images to figures with intervals, and to tables. Millimetres and degrees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.body_evaluation import LSP14, BodyErrors, Seen
from occpose_core.body_truth import POSED
from occpose_core.metrics import bootstrap_interval
from occpose_core.report import Cell, Table
from occpose_core.skeleton import H36M17

MM_PER_M = 1000.0
# Joints whose orientation 2D joints say little of: nothing that is detected lies beyond them.
ENDS = tuple(joint for joint in POSED if joint.endswith(("head", "wrist", "ankle")))
_ENDS = [POSED.index(joint) for joint in ENDS]
_LSP14 = H36M17.indices(*LSP14)

# Values of each person, of whichever joints they are made of, and which of them count.
Values = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure: its key in JSON, its name in tables, and what it is the mean of, values and mask (N, K)."""

    key: str
    name: str
    values: Callable[[BodyErrors, Seen], Values]


def _joints(errors: BodyErrors, seen: Seen) -> Values:
    return errors.joints_m * MM_PER_M, np.isfinite(errors.joints_m)


def _pa_joints(errors: BodyErrors, seen: Seen) -> Values:
    return errors.pa_joints_m * MM_PER_M, np.isfinite(errors.pa_joints_m)


def _vertices(errors: BodyErrors, seen: Seen) -> Values:
    return errors.vertices_m[:, None] * MM_PER_M, np.isfinite(errors.vertices_m[:, None])


def _hidden_joints(errors: BodyErrors, seen: Seen) -> Values:
    return errors.joints_m * MM_PER_M, np.isfinite(errors.joints_m) & seen.hidden[:, _LSP14]


def _angles(errors: BodyErrors, seen: Seen) -> Values:
    return errors.angles_deg, np.isfinite(errors.angles_deg)


def _end_angles(errors: BodyErrors, seen: Seen) -> Values:
    return errors.angles_deg[:, _ENDS], np.isfinite(errors.angles_deg[:, _ENDS])


METRICS = (
    Metric(key="mpjpe_mm", name="MPJPE", values=_joints),
    Metric(key="pa_mpjpe_mm", name="PA-MPJPE", values=_pa_joints),
    Metric(key="mpvpe_mm", name="MPVPE", values=_vertices),
    Metric(key="hidden_mpjpe_mm", name="hidden joints", values=_hidden_joints),
    Metric(key="mpjae_deg", name="rotation", values=_angles),
    Metric(key="ends_deg", name="ends", values=_end_angles),
)
# Group -> (N,) bool, who is in it.
GROUPS: dict[str, Callable[[Seen], np.ndarray]] = {
    "all": lambda seen: np.ones(len(seen), dtype=bool),
    "occluded": lambda seen: seen.occluded,
    "not occluded": lambda seen: ~seen.occluded,
}
_NOTE = (
    "MPJPE, PA-MPJPE (14 joints) and MPVPE in mm, each from its own pelvis; hidden joints = MPJPE of those behind"
    " something; rotation = angle of the orientations of 22 joints in degrees (MPJAE), ends = of head, wrists and"
    " ankles alone. In brackets 95 % intervals over images. Occluded: 30 % of a person's joints or more are hidden."
)


def figures_of(errors: Mapping[str, BodyErrors], seen: Seen, seed: int = 0) -> list[dict[str, Any]]:
    """Of each model (by name) in each group that has people: means, intervals, and how they differ from the first's.

    Differences are of the same people, so that their intervals are far narrower than those of the means.
    """
    scene = np.unique([person.scene for person in seen.people], return_inverse=True)[1]
    first = next(iter(errors.values()))
    results = []
    for group, who in GROUPS.items():
        chosen = who(seen)
        if not chosen.any():
            continue
        head = {"group": group, "people": int(chosen.sum()), "scenes": len(np.unique(scene[chosen]))}
        for model, of_model in errors.items():
            figures, differences = {}, {}
            for metric in METRICS:
                values, counted = metric.values(of_model, seen)
                figures[metric.key] = _mean(values, counted & chosen[:, None], scene, seed)
                base, base_counted = metric.values(first, seen)
                both = counted & base_counted & chosen[:, None]
                differences[metric.key] = _mean(values - base, both, scene, seed)
            results.append({"model": model, **head, **figures, "minus_first": differences})
    return results


def _mean(values: np.ndarray, counted: np.ndarray, scene: np.ndarray, seed: int) -> dict[str, float]:
    """Mean of the values (N, K) that count, with its interval over scenes (N,); NaN where there are none."""
    counts = np.bincount(scene, counted.sum(axis=1))
    sums = np.bincount(scene, np.where(counted, values, 0.0).sum(axis=1))
    low, high = bootstrap_interval(sums, counts, seed)
    total = counts.sum()
    return {"mean": float(sums.sum() / total) if total else float("nan"), "low": low, "high": high}


def tables(results: Sequence[Mapping[str, Any]]) -> list[Table]:
    """A table for each group, and of several models another of their differences."""
    made = []
    for group in dict.fromkeys(result["group"] for result in results):
        rows = [result for result in results if result["group"] == group]
        title = "{group}: {people} people in {scenes} images".format(**rows[0])
        made.append(_table(f"Errors, {title}", rows, rows))
        if len(rows) > 1:
            differences = [row["minus_first"] for row in rows]
            made.append(_table(f"Less those of {rows[0]['model']}, {title}", rows[1:], differences[1:]))
    return made


def _table(title: str, rows: Sequence[Mapping[str, Any]], figures: Sequence[Mapping[str, Any]]) -> Table:
    cells: list[tuple[Cell, ...]] = [
        (row["model"], *(_cell(each[metric.key]) for metric in METRICS))
        for row, each in zip(rows, figures, strict=True)
    ]
    return Table(title=title, columns=("model", *(metric.name for metric in METRICS)), rows=tuple(cells), note=_NOTE)


def _cell(figure: Mapping[str, float]) -> str:
    return "-" if np.isnan(figure["mean"]) else "{mean:.1f} ({low:.1f} to {high:.1f})".format(**figure)
