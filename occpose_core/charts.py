"""Pictures for reports, drawn with matplotlib and returned as SVG text. No display, no global state.

Colours are Okabe and Ito's, which colour-blind people can tell apart; series differ by marker and dash as well.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from occpose_core.report import Picture
from occpose_core.skeleton import H36M17

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MEASURED_COLOUR, FILLED_COLOUR, TRUTH_COLOUR = "#0072B2", "#D55E00", "#8C8C8C"
_KEY = "Blue dots: measured joints. Orange rings and dashed bones: filled joints. Grey, dotted: the truth, where known."


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnPerson:
    """One person in a scene.

    joints_cam_m: (17, 3) m, `h36m17`, optical frame. filled: (17,) bool. truth_cam_m: the true joints, or None.
    """

    joints_cam_m: np.ndarray
    filled: np.ndarray
    truth_cam_m: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What one small picture shows: a label such as "12.4 s", and the people in it."""

    label: str
    people: tuple[DrawnPerson, ...]


def line_chart(
    title: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, tuple[np.ndarray, np.ndarray]],
    caption: str = "",
    *,
    ticks: Sequence[float] = (),
    top: float | None = None,
) -> Picture:
    """One line a series, name -> (x, y); NaN leaves a gap.

    ticks: makes x logarithmic, with these labels. top: end of the y axis; lines may leave the chart there.
    """
    figure = _figure(3.6)
    axes = figure.add_subplot()
    for index, (name, (x, y)) in enumerate(series.items()):
        colour, dash = COLOURS[index % len(COLOURS)], _DASHES[index % len(_DASHES)]
        marker = MARKERS[index % len(MARKERS)] if len(x) <= 12 else None
        axes.plot(x, y, label=name, marker=marker, color=colour, linestyle=dash, linewidth=1.6)
    _finish(axes, x_label, y_label, legend=len(series) > 1)
    axes.set_ylim(bottom=0, top=top)
    if ticks:
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    return Picture(title=title, svg=_svg(figure), caption=caption)


def bar_chart(
    title: str, y_label: str, labels: Sequence[str], series: Mapping[str, np.ndarray], caption: str = ""
) -> Picture:
    """Groups of bars side by side, one group a label, one colour a series: name -> (len(labels),)."""
    figure = _figure(3.8)
    axes = figure.add_subplot()
    at, width = np.arange(len(labels)), 0.8 / max(len(series), 1)
    hatches = ("", "//", "..", "xx", "\\\\", "oo", "--")
    for index, (name, heights) in enumerate(series.items()):
        offset = (index - (len(series) - 1) / 2) * width
        colour, hatch = COLOURS[index % len(COLOURS)], hatches[index % len(hatches)]
        axes.bar(at + offset, heights, width, label=name, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5)
    axes.set_xticks(at, labels, rotation=60, ha="right")
    _finish(axes, "", y_label, legend=len(series) > 1)
    return Picture(title=title, svg=_svg(figure), caption=caption)


def people_chart(title: str, scenes: Sequence[Scene], caption: str = "") -> Picture:
    """People in 3D at a few moments, three to a row: bones, measured joints as dots, filled joints as open rings."""
    columns = min(3, max(len(scenes), 1))
    rows = -(-len(scenes) // columns)
    figure = _figure(3.0 * rows)
    for index, scene in enumerate(scenes):
        axes: Any = figure.add_subplot(rows, columns, index + 1, projection="3d")
        for person in scene.people:
            _draw_person(axes, person)
        _frame_people(axes, scene)
    return Picture(title=title, svg=_svg(figure), caption=" ".join(filter(None, [caption, _KEY])))


def _upright(joints_cam_m: np.ndarray) -> np.ndarray:
    """Optical frame (x right, y down, z forward) -> the plot's axes (x right, y away, z up)."""
    return np.stack([joints_cam_m[..., 0], joints_cam_m[..., 2], -joints_cam_m[..., 1]], axis=-1)


def _draw_person(axes: Any, person: DrawnPerson) -> None:
    joints, filled = _upright(person.joints_cam_m), person.filled.astype(bool)
    if person.truth_cam_m is not None:
        for bone in H36M17.bones:
            axes.plot(*_upright(person.truth_cam_m)[list(bone)].T, color=TRUTH_COLOUR, linewidth=1.0, linestyle=":")
    for bone in H36M17.bones:
        guessed = filled[list(bone)].any()
        colour, dash = (FILLED_COLOUR, "--") if guessed else (MEASURED_COLOUR, "-")
        axes.plot(*joints[list(bone)].T, color=colour, linestyle=dash, linewidth=1.5)
    axes.scatter(*joints[~filled].T, s=9, color=MEASURED_COLOUR, depthshade=False)
    axes.scatter(
        *joints[filled].T, s=26, facecolors="white", edgecolors=FILLED_COLOUR, linewidths=1.4, depthshade=False
    )


def _frame_people(axes: Any, scene: Scene) -> None:
    """Equal scales on all axes around everyone, seen a little from above and beside the camera."""
    axes.set_title(scene.label, fontsize=10)
    if scene.people:
        shown = [person.joints_cam_m for person in scene.people]
        shown += [person.truth_cam_m for person in scene.people if person.truth_cam_m is not None]
        joints = _upright(np.concatenate(shown))
        centre = (joints.max(axis=0) + joints.min(axis=0)) / 2
        half = max(float((joints.max(axis=0) - joints.min(axis=0)).max()) / 2, 0.5) * 1.05
        axes.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half))
        axes.set(zlim=(centre[2] - half, centre[2] + half))
    axes.set_box_aspect((1, 1, 1), zoom=1.25)
    axes.view_init(elev=12, azim=-70)
    axes.locator_params(nbins=3)
    axes.tick_params(labelsize=6, pad=-3)
    axes.set_xlabel("right, m", fontsize=7, labelpad=-8)
    axes.set_ylabel("away, m", fontsize=7, labelpad=-8)


def _figure(height_in: float) -> Figure:
    from matplotlib.figure import Figure  # only reports draw

    return Figure(figsize=(7.2, height_in), layout="constrained")


def _finish(axes: Any, x_label: str, y_label: str, legend: bool) -> None:
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False, fontsize=9)


def _svg(figure: Figure) -> str:
    """The figure as an `<svg>` element; equal figures give equal text."""
    from matplotlib import rc_context

    stream = io.StringIO()
    with rc_context({"svg.hashsalt": "occpose", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = stream.getvalue()
    return text[text.index("<svg") :]
