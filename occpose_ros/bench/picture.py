"""The figures of `occpose bench` as one picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from occpose_core.charts import COLOURS, MARKERS

_SIZE_IN = (11.0, 8.0)
_DPI = 120
_CAMERA_HZ = 30


def bench_picture(figures: Mapping[str, Any], title: str) -> bytes:
    """A PNG of four charts: models, pipeline, node, replay. title: of the whole, such as the machine.

    Colours are Okabe and Ito's, which colour-blind people can tell apart; lines differ by marker or dash as well.
    """
    figure = Figure(figsize=_SIZE_IN, layout="constrained", dpi=_DPI)
    figure.suptitle(title, fontsize=9)
    charts: tuple[Callable[[Any, Mapping[str, Any]], None], ...] = (_models, _pipeline, _node, _replay)
    for axes, chart in zip(figure.subplots(2, 2).flat, charts, strict=True):
        chart(axes, figures)
        axes.grid(color="#d0d7de", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _models(axes: Any, figures: Mapping[str, Any]) -> None:
    """Every model as it is shipped, and in torch that of the pipeline."""
    names = list(dict.fromkeys(of["model"] for of in figures["models"]))
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for of in figures["models"]:
        lines.setdefault((of["model"], of["engine"]), []).append((of["people"], of["p50_ms"]))
    for (name, engine), points in lines.items():
        index, eager = names.index(name), engine.startswith("torch")
        if eager and name != figures["model"]:
            continue
        axes.plot(
            *zip(*points, strict=True),
            linestyle="--" if eager else "-",
            linewidth=1.2,
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[(index + index // len(COLOURS)) % len(MARKERS)],  # another one when colours begin again
            markersize=4,
            label=None if eager else name,
        )
    _logarithmic(axes, [of["people"] for of in figures["models"]])
    axes.set(title=f"One call of a model (dashed: {figures['model']} in torch)", xlabel="people", ylabel="p50, ms")
    axes.legend(frameon=False, fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.12))


def _pipeline(axes: Any, figures: Mapping[str, Any]) -> None:
    people = [of["people"] for of in figures["pipeline"]]
    for index, (name, label) in enumerate((("step", "pipeline step"), ("network", "its network alone"))):
        for quantile, line in (("p50", "-"), ("p99", ":")):
            times = [of[name][f"{quantile}_ms"] for of in figures["pipeline"]]
            axes.plot(people, times, line, color=COLOURS[index], marker=MARKERS[index], label=f"{label}, {quantile}")
    for of in figures["pipeline"]:
        at = (of["people"], of["step"]["p50_ms"])
        axes.annotate(f"x {of['over_network']['p50']:.1f}", at, (0, 6), textcoords="offset points", ha="center")
    _logarithmic(axes, people)
    axes.set(title=f"A step of the pipeline ({figures['model']})", xlabel="people", ylabel="ms")
    axes.legend(frameon=False, fontsize=7)


def _node(axes: Any, figures: Mapping[str, Any]) -> None:
    """At the rate that is nearest to a camera's."""
    rates = {of["rate_hz"] for of in figures["node"]}
    rate_hz = min(rates, key=lambda rate: abs(rate - _CAMERA_HZ), default=_CAMERA_HZ)
    rows = [of for of in figures["node"] if of["rate_hz"] == rate_hz]
    people = [of["people"] for of in rows]
    for index, (name, label) in enumerate((("node", "pose_node"), ("echo", "bare echo"))):
        for quantile, line in (("p50", "-"), ("p99", ":")):
            times = [of[name][f"{quantile}_ms"] for of in rows]
            axes.plot(people, times, line, color=COLOURS[index], marker=MARKERS[index], label=f"{label}, {quantile}")
    _logarithmic(axes, people)
    axes.set(title=f"The node at {rate_hz} Hz, over DDS", xlabel="people", ylabel="publication to receipt, ms")
    if rows:
        axes.legend(frameon=False, fontsize=7)


def _replay(axes: Any, figures: Mapping[str, Any]) -> None:
    rows = figures["replay"]
    labels = [f"{of['people']} person, {of['cores']} {'core' if of['cores'] == 1 else 'cores'}" for of in rows]
    bars = axes.barh(labels, [of["x_realtime"] for of in rows], color=COLOURS[2], height=0.5)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set(title="Replay of a recording", xlabel="x real time")


def _logarithmic(axes: Any, people: Sequence[int]) -> None:
    """Both axes, with the numbers of people that were measured."""
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sorted(set(people)), [str(count) for count in sorted(set(people))])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
