"""Sums and counts, from which every figure is made, so that those of many bags are added and not averaged.

A key is dotted, as figures are nested: "mpjpe_mm.hidden". Sums are added exactly, so their order does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from occpose_core.figures import OCCLUSION_EDGES_S

Sums = dict[str, tuple[float, float]]
Intervals = dict[str, tuple[float, float]]

SELF_CONSISTENCY = "self_consistency"
BY_OCCLUSION = "by_occlusion_s"
SWITCHES = "id_switches.per_minute"
# (from, to] seconds since a joint was last measured; the last two have no end, and joints that never were.
OCCLUSION_SPANS_S: tuple[tuple[float | None, float | None], ...] = (
    *zip(OCCLUSION_EDGES_S[:-1], OCCLUSION_EDGES_S[1:], strict=True),
    (OCCLUSION_EDGES_S[-1], None),
    (None, None),
)
# Figures that are the sum itself; all others are sum / count.
_TOTALS = ("frames.total", "frames.with_people", "frames.answered", "people")


def add_sums(parts: Iterable[Sums]) -> Sums:
    """The sums over several bags, or pieces of one; the same in any order."""
    terms: dict[str, list[tuple[float, float]]] = {}
    for part in parts:
        for key, term in part.items():
            terms.setdefault(key, []).append(term)
    return {key: (math.fsum(total for total, _ in of), math.fsum(n for _, n in of)) for key, of in terms.items()}


def means(sums: Sums) -> dict[str, float]:
    """Each figure by its dotted key, NaN where nothing was counted; without those that are no means."""
    return {key: _mean(term) for key, term in sums.items() if key not in _TOTALS}


def figures_of_sums(sums: Sums, intervals: Intervals | None = None) -> dict[str, Any]:
    """The nested figures of report.json, millimetres where a key says so. intervals: for `interval_mm`."""
    tree = _nested(sums)
    within = _nested(intervals or {})
    consistency = tree.pop(SELF_CONSISTENCY, None)
    figures = _section(tree, within)
    if consistency is not None:
        figures[SELF_CONSISTENCY] = _section(consistency, within.get(SELF_CONSISTENCY, {}))
    return figures


def _mean(term: tuple[float, float]) -> float:
    total, count = term
    return total / count if count else math.nan


def _nested(flat: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, term in flat.items():
        *path, name = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[name] = term
    return tree


def _means(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _means(node) if isinstance(node, dict) else _mean(node) for name, node in tree.items()}


def _section(tree: dict[str, Any], within: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one comparison: with the truth, or with the run in which nothing was hidden on top."""
    by_occlusion, switches = tree.pop(BY_OCCLUSION, {}), tree.pop("id_switches", {})
    totals = {name: tree.pop(name) for name in ("frames", "people") if name in tree}
    found = _means(tree)
    if "frames" in totals:
        found["frames"] = {name: int(term[0]) for name, term in totals["frames"].items()}
    if "people" in totals:
        found["people"] = int(totals["people"][0])
    if "mpjpe_mm" in tree:
        best = min(of["hidden"] for of in found["baselines"].values())
        found["hidden_below_best_baseline"] = 1.0 - found["mpjpe_mm"]["hidden"] / best if best else math.nan
        found["joints"] = {group: int(term[1]) for group, term in tree["mpjpe_mm"].items()}
        found["interval_mm"] = {group: list(bounds) for group, bounds in within.get("mpjpe_mm", {}).items()}
    if by_occlusion:
        found[BY_OCCLUSION] = [_row(index, of) for index, of in sorted(by_occlusion.items())]
    if switches:
        total, minutes = switches["per_minute"]
        count = int(total) if minutes else math.nan  # nobody was followed, so nobody knows
        found["id_switches"] = {"count": count, "per_minute": _mean((total, minutes))}
    return found


def _row(index: str, of: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    from_s, to_s = OCCLUSION_SPANS_S[int(index)]
    joints = int(max(count for _, count in of.values()))
    return {"from_s": from_s, "to_s": to_s, "joints": joints, **{name: _mean(term) for name, term in of.items()}}
