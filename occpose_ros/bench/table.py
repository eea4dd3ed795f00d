"""The figures of `occpose bench` as one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from occpose_core.report import Cell, Table

_COLUMNS = ("", "on", "people", "Hz", "p50", "p95", "p99", "jitter", "CPU %", "lost", "p50 x", "p95 x", "p99 x")
_NOTE = (
    "Milliseconds, and how many times its floor a row takes: torch over the exported model, a step over its network"
    " alone, node over echo. These ratios count. jitter: mean second difference of the times of receipt. lost:"
    " messages that were not answered."
)
_QUANTILES = ("p50", "p95", "p99")
_Row = tuple[Cell, ...]


def bench_table(figures: Mapping[str, Any]) -> Table:
    """Models, pipeline, image models, node; what was not measured is not there."""
    rows = (*_models(figures), *_pipeline(figures), *_bodies(figures), *_node(figures))
    return Table(title="Speed", columns=_COLUMNS, rows=rows, note=_NOTE, digits=2)


def _times(of: Mapping[str, Any]) -> Iterator[float]:
    return (of[f"{quantile}_ms"] for quantile in _QUANTILES)


def _ratios(of: Mapping[str, float] | None) -> Iterator[float | None]:
    return (of[quantile] if of else None for quantile in _QUANTILES)


def _models(figures: Mapping[str, Any]) -> Iterator[_Row]:
    for of in figures["models"]:
        over = of.get("over_exported")
        yield (of["model"], of["engine"], of["people"], None, *_times(of), None, None, None, *_ratios(over))


def _pipeline(figures: Mapping[str, Any]) -> Iterator[_Row]:
    for of in figures["pipeline"]:
        for name, title, over in (("network", "its network alone", None), ("step", "pipeline step", "over_network")):
            ratios = _ratios(of[over] if over else None)
            yield (title, figures["model"], of["people"], None, *_times(of[name]), None, None, None, *ratios)


def _bodies(figures: Mapping[str, Any]) -> Iterator[_Row]:
    for of in figures["bodies"]:
        for part, title in (("crops", "its crops"), ("network", "its network alone"), ("step", "step with image")):
            yield (title, of["model"], of["people"], None, *_times(of[part]), *[None] * 6)


def _node(figures: Mapping[str, Any]) -> Iterator[_Row]:
    for of in figures["node"]:
        for name, over in (("echo", None), ("node", "over_echo")):
            on, node = "" if name == "echo" else figures["model"], of[name]
            watched = (node["jitter_ms"]["mean"], node["cpu_percent"], node["unanswered"])
            ratios = _ratios(of[over] if over else None)
            yield (name, on, of["people"], of["rate_hz"], *_times(node), *watched, *ratios)


def sentences(figures: Mapping[str, Any]) -> list[str]:
    """What stands below the table: replay and training, and why something was not measured."""
    said = [
        f"replay, people: {of['people']}, cores: {of['cores']}: {of['x_realtime']:.1f} x real time"
        for of in figures["replay"]
    ]
    if training := figures["training"]:
        said.append(
            f"training {training['config']} on {training['device']}, threads: {training['threads']}:"
            f" {training['sequences_per_s']:.1f} sequences a second, {training['poses_per_s']:.0f} poses a second"
        )
    return said + [f"{what}: not measured ({why})" for what, why in figures["not_measured"].items()]
