"""From the results of bags to what all of them say together: the parts of report.json.

Nothing depends on who was done first: sums are added exactly, and bags stand in the order of their names.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from occpose_ros.replay.results import BagResult, Failure, RunResult, header
from occpose_ros.report.tables import answered_share
from occpose_ros.scoring.intervals import difference, interval_over_bags
from occpose_ros.scoring.sums import Intervals, Sums, add_sums, figures_of_sums

_PERCENTILES = (50, 95, 99)
_OF_MODEL = ("model", "engine", "image_model", "image_engine", "latency_note")

Key = tuple[str, str]  # model and pattern


def make_report(
    settings: Mapping[str, Any], results: Sequence[BagResult], failures: Sequence[Failure] = ()
) -> dict[str, Any]:
    """All of report.json. Beside its lists it has, at the top, the figures of the first model over the recordings as
    they are."""
    results = sorted(results, key=lambda result: result.bag)
    pooled = [_pooled(results, key) for key in keys_of(results)]
    return {
        **header(settings),
        **pooled[0]["figures"],
        "pooled": pooled,
        "bags": [result.to_json() for result in results],
        "failed": [vars(failure) for failure in sorted(failures, key=lambda failure: failure.bag)],
        "comparison": results[0].comparison if len(results) == 1 else _comparison_over_bags(results),
    }


def keys_of(results: Sequence[BagResult]) -> list[Key]:
    """All pairs of model and pattern."""
    return list(dict.fromkeys(run.key for result in results for run in result.runs))


def pooled_figures(results: Sequence[BagResult], key: Key, intervals: Intervals | None = None) -> dict[str, Any]:
    """The figures of one model under one pattern over bags. intervals: of them, if they are known."""
    runs = [run for _, run in _runs(results, key)]
    figures = figures_of_sums(add_sums([run.sums for run in runs]), intervals)
    dropped = sum((Counter(run.figures["dropped"]) for run in runs), Counter[str]())
    said = {name: [run.figures[name] for run in runs if name in run.figures] for name in _OF_MODEL}
    return {
        **figures,
        "coverage": answered_share(figures),
        **pooled_latency([run.figures["latency_ms"]["counts"] for run in runs]),
        "speed_x_realtime": _speed([(result.seconds, run) for result, run in _runs(results, key)]),
        "dropped": {reason: dropped[reason] for reason in sorted(dropped)},
        "resets": sum(run.figures["resets"] for run in runs),
        **{name: ", ".join(dict.fromkeys(words)) for name, words in said.items() if words},
    }


def latency_counts(latencies_s: Sequence[float]) -> dict[str, int]:
    """How often each latency was measured, in milliseconds with two digits: percentiles over bags need all of them."""
    return _in_order(Counter(f"{1000.0 * seconds:.2g}" for seconds in latencies_s))


def pooled_latency(counts: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    """`latency_ms` over all that was counted: percentiles as exact as the counts are."""
    added = sum((Counter(each) for each in counts), Counter[str]())
    if not added:
        return {"latency_ms": {**{f"p{p}": math.nan for p in _PERCENTILES}, "counts": {}}}
    in_order = _in_order(added)
    values, share = [float(name) for name in in_order], np.cumsum(list(in_order.values())) / added.total()
    percentiles = {f"p{p}": values[int(np.searchsorted(share, p / 100.0))] for p in _PERCENTILES}
    return {"latency_ms": {**percentiles, "counts": in_order}}


def comparison(parts: Mapping[Key, Mapping[str, Sums]]) -> list[dict[str, Any]]:
    """Every model against the first, under each pattern.

    parts: of each model and pattern the sums of bags, or of pieces of one, by name; only what both have is compared.
    """
    found = []
    for model, pattern in parts:
        against = next(iter(parts))[0]
        of, other = parts[model, pattern], parts.get((against, pattern), {})
        shared = [name for name in of if name in other]
        if model != against and shared:
            differences = difference({name: of[name] for name in shared}, {name: other[name] for name in shared})
            found.append({"model": model, "against": against, "pattern": pattern, "differences": differences})
    return found


def _comparison_over_bags(results: Sequence[BagResult]) -> list[dict[str, Any]]:
    return comparison({key: {result.bag: run.sums for result, run in _runs(results, key)} for key in keys_of(results)})


def _pooled(results: Sequence[BagResult], key: Key) -> dict[str, Any]:
    runs = [run for _, run in _runs(results, key)]
    intervals = runs[0].intervals if len(runs) == 1 else interval_over_bags([run.sums for run in runs])
    figures = pooled_figures(results, key, intervals)
    return {"model": key[0], "pattern": key[1], "bags": len(runs), "figures": figures, "intervals": intervals}


def _runs(results: Sequence[BagResult], key: Key) -> Iterator[tuple[BagResult, RunResult]]:
    for result in sorted(results, key=lambda result: result.bag):
        run = result.run(key)
        if run is not None:
            yield result, run


def _speed(runs: Sequence[tuple[float, RunResult]]) -> float:
    """Recorded seconds, given with each run, for each second that the runs took."""
    known = [(seconds, run.figures["speed_x_realtime"]) for seconds, run in runs]
    wall_s = sum(seconds / speed for seconds, speed in known if speed > 0)
    return sum(seconds for seconds, _ in known) / wall_s if wall_s else math.nan


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts, key=float)}
