"""OccKP-1 results as tables for the terminal and a page with curves: error over occlusion length, per-joint bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from occpose_core.charts import DrawnPerson, Scene, bar_chart, line_chart, people_chart
from occpose_core.evaluation import Scores
from occpose_core.metrics import joint_errors
from occpose_core.placing import SCALES
from occpose_core.report import Cell, Picture, Report, Table
from occpose_core.skeleton import H36M17

Result = Mapping[str, Any]

_HOW_TO_READ = (
    "MPJPE of root-relative poses in mm; hidden = joints that the model did not see. Beside it, for the same joints:"
    " the training-mean pose, the model's own last answer held or moved on, and the same model with nothing hidden."
)
_OTHER_NOTE = (
    "mm; limb ends = MPJPE of wrists and ankles, all and hidden ones; MPJVE per frame, acceleration per frame squared;"
    " root = position of the pelvis, the person taken to be 1.70 m tall; in 50 % / 90 % = share of hidden joints'"
    " errors inside the interval that sigma promises; answered, PCK (at 150 mm) and AUC in %."
)
_PLACE_NOTE = (
    "Distance of the pelvis from its true place in mm, as the pipeline puts it, with a scale that is assumed (1.70 m),"
    " learned from the ground that the feet stand on, or known; how many scales of the ground were metric, and the"
    " error of those; median error of the depth in %, + is too far."
)
# Pictures are drawn for the most lifelike pattern that was measured.
_PICTURED = ("natural", "layout", "limb-run", "k-missing")


def tables(results: Sequence[Result]) -> list[Table]:
    """Tables for every camera rig and 2D input: errors beside the baselines, the other figures, and absolute places."""
    settings = list(dict.fromkeys((r["rig"], r["input"], r["mode"]) for r in results))
    made: list[Table] = []
    for setting in settings:
        rows = [r for r in results if (r["rig"], r["input"], r["mode"]) == setting]
        where = "{} cameras, {} 2D input, {}".format(*setting)
        made.append(_error_table(f"Error: {where}", rows))
        made.append(_other_table(f"Other figures: {where}", rows))
        made.append(_place_table(f"Absolute place: {where}", rows))
    return made


def _error_table(title: str, results: Sequence[Result]) -> Table:
    columns = (
        "model",
        "pattern",
        "frames",
        "all",
        "visible",
        "hidden",
        "95 %",
        "mean pose",
        "hold",
        "const. vel.",
        "clean",
    )
    rows: list[tuple[Cell, ...]] = []
    for r in results:
        hidden = [r["baselines"][name]["hidden"] for name in ("mean_pose", "hold", "constant_velocity", "clean")]
        low, high = r["mpjpe_interval_mm"]["hidden"]
        interval = "-" if np.isnan(low) else f"{low:.1f} to {high:.1f}"
        rows.append((r["model"], r["pattern"], r["frames"], *r["mpjpe_mm"].values(), interval, *hidden))
    return Table(title=title, columns=columns, rows=tuple(rows), note=_HOW_TO_READ)


def _other_table(title: str, results: Sequence[Result]) -> Table:
    columns = (
        "model",
        "pattern",
        "PA",
        "N",
        "limb ends",
        "hidden",
        "MPJVE",
        "accel.",
        "root",
        "answered %",
        "in 50 %",
        "in 90 %",
        "PCK %",
        "AUC %",
    )
    rows: list[tuple[Cell, ...]] = []
    for r in results:
        ends = (r["limb_end_mm"]["all"], r["limb_end_mm"]["hidden"])
        errors = (r["pa_mpjpe_mm"], r["n_mpjpe_mm"], *ends, r["mpjve_mm"], r["accel_error_mm"], r["root_error_mm"])
        inside = r["calibration"]["hidden"]
        shares = (r["coverage"], inside["p50"], inside["p90"], r["pck150"]["all"], r["auc"]["all"])
        rows.append((r["model"], r["pattern"], *errors, *(100 * share for share in shares)))
    return Table(title=title, columns=columns, rows=tuple(rows), note=_OTHER_NOTE)


def _place_table(title: str, results: Sequence[Result]) -> Table:
    columns = ("model", "pattern", *SCALES, "metric %", "if metric", *(f"depth {name} %" for name in SCALES))
    rows: list[tuple[Cell, ...]] = []
    for r in results:
        place = r["place"]
        errors = (*place["error_mm"].values(), 100 * place["metric"], place["metric_error_mm"])
        rows.append((r["model"], r["pattern"], *errors, *(100 * bias for bias in place["depth_bias"].values())))
    return Table(title=title, columns=columns, rows=tuple(rows), note=_PLACE_NOTE)


def pictured_pattern(patterns: Sequence[str]) -> str | None:
    """The pattern to draw pictures of, or None if nothing worth a picture was measured."""
    for kind in _PICTURED:
        for pattern in patterns:
            if pattern.partition("(")[0] == kind:
                return pattern
    return None


def page(results: Sequence[Result], examples: Sequence[Scene], text: str) -> Report:
    """The whole page. examples: scenes of one model's answers (example_scenes); all may be empty."""
    pictured = pictured_pattern([r["pattern"] for r in results])
    first = next((r for r in results if r["pattern"] == pictured), None)
    chosen = [r for r in results if first and all(r[key] == first[key] for key in ("pattern", "rig", "input"))]
    pictures: list[Picture] = []
    if examples and first:
        caption = (
            f"{first['model']} under {pictured}: answers better than 90 %, 50 % and 10 % of all, by hidden joints."
        )
        pictures.append(people_chart("Answers beside the truth", examples, caption))
    if chosen:
        pictures += [_length_chart(chosen), _joint_chart(chosen)]
    runs = [r for r in results if r["pattern"].startswith("limb-run(") and first and r["rig"] == first["rig"]]
    if runs:
        pictures.append(_limb_run_chart([r for r in runs if r["input"] == runs[0]["input"]]))
    return Report(title="OccKP-1", text=text, tables=tuple(tables(results)), pictures=tuple(pictures))


def _length_chart(results: Sequence[Result]) -> Picture:
    """Hidden-joint error over the time since a joint was last seen, with the first model's baselines."""
    first = results[0]
    bins = [row for row in first["by_occlusion_s"] if row["from_s"] is not None]
    up_to_s = np.array([row["to_s"] for row in bins])
    series = {r["model"]: (up_to_s, _column(r, "model_mm", len(bins))) for r in results}
    for name in ("mean_pose", "hold"):
        series[name.replace("_", " ")] = (up_to_s, _column(first, f"{name}_mm", len(bins)))
    highest = np.nanmax([y for _, y in series.values()], initial=1.0)
    series["constant velocity"] = (up_to_s, _column(first, "constant_velocity_mm", len(bins)))
    caption = f"Hidden joints under {first['pattern']}, {first['rig']} cameras, {first['input']} 2D input."
    title, x_label = "Error over occlusion length", "time since last seen, up to s"
    # constant velocity grows without bound: the chart ends where the others do
    top = 1.4 * float(highest)
    return line_chart(title, x_label, "MPJPE, mm", series, caption, ticks=up_to_s.tolist(), top=top)


def _column(result: Result, key: str, count: int) -> np.ndarray:
    return np.array([row[key] for row in result["by_occlusion_s"][:count]], dtype=np.float64)


def _joint_chart(results: Sequence[Result]) -> Picture:
    series = {
        r["model"]: np.array([r["per_joint_mm"][joint]["hidden"] for joint in H36M17.joints], dtype=np.float64)
        for r in results
    }
    caption = f"Error of each joint while it is hidden under {results[0]['pattern']}; the pelvis is the root, error 0."
    labels = [joint.replace("_", " ") for joint in H36M17.joints]
    return bar_chart("Error of each joint", "MPJPE, mm", labels, series, caption)


def _limb_run_chart(results: Sequence[Result]) -> Picture:
    """Error of a hidden limb over how long it has been hidden, one line a limb group, first model."""
    series: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for result in (r for r in results if r["model"] == results[0]["model"]):
        group, seconds = result["pattern"].removeprefix("limb-run(").removesuffix(")").split(",")
        x, y = series.get(group, (np.zeros(0), np.zeros(0)))
        series[group] = (np.append(x, float(seconds)), np.append(y, result["mpjpe_mm"]["hidden"]))
    caption = f"{results[0]['model']}, limb hidden up to the scored frame."
    ticks = sorted({float(second) for x, _ in series.values() for second in x})
    return line_chart("Error of a hidden limb", "hidden for, s", "MPJPE, mm", series, caption, ticks=ticks)


def example_scenes(scores: Scores) -> list[Scene]:
    """A good, a median and a bad answer, by the error of hidden joints: the 10th, 50th and 90th percentile."""
    frames = np.flatnonzero(scores.hidden.sum(axis=1) >= 2)
    if not len(frames):
        return []
    hidden = scores.hidden[frames]
    errors = joint_errors(scores.predicted_m[frames], scores.target_m[frames])
    errors = (errors * hidden).sum(axis=1) / hidden.sum(axis=1)
    order = np.argsort(errors, kind="stable")
    scenes = []
    for percentile in (10, 50, 90):
        at = int(order[round((len(order) - 1) * percentile / 100)])
        frame = int(frames[at])
        person = DrawnPerson(
            joints_cam_m=scores.predicted_m[frame],
            filled=scores.hidden[frame],
            truth_cam_m=scores.target_m[frame],
        )
        scenes.append(Scene(label=f"{errors[at] * 1000:.0f} mm", people=(person,)))
    return scenes
