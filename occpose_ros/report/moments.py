"""The worst moments of a run: where somebody who has to decide should look first."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_core.types import Origin
from occpose_ros.report.playback import mean_error_m
from occpose_ros.scoring.score import MM_PER_M, Score

_COUNT = 8
_WINDOW_S = 0.5  # a moment lasts so long: one bad frame alone is none
_APART_S = 2.0  # the next moment of the same person


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One person for half a second: when (seconds of the page), who, how bad (an error, or else a sigma), and what."""

    seconds: float
    person: str
    value_mm: float
    what: str
    judged: bool


def worst_moments(score: Score, begin_ns: int) -> list[Moment]:
    """The largest errors first; without truth the moments that the system itself is least sure of."""
    pairs = score.pairs
    judged = bool(pairs.has_truth.any())
    filled = pairs.origin == Origin.FILLED
    counted, values_m = (pairs.known, score.errors_m["occpose"]) if judged else (filled, pairs.sigma_m)
    joint_m = np.where(counted, values_m, np.nan)
    row_m = mean_error_m(score) if judged else np.nan_to_num(joint_m).mean(axis=1)
    seconds = (pairs.stamp_ns - begin_ns) * 1e-9
    smooth_m = np.full(len(row_m), np.nan)
    for run in pairs.runs():
        smooth_m[run] = _moving_mean(row_m[run], seconds[run])
    moments: list[Moment] = []
    for row in _peaks(smooth_m, seconds, pairs.track):
        near = (pairs.track == pairs.track[row]) & (np.abs(seconds - seconds[row]) <= _WINDOW_S / 2)
        joint, joint_mm = _worst_joint(joint_m[near])
        name, hidden = H36M17.joints[joint].replace("_", " "), int(filled[row].sum())
        filled_joints = "all" if hidden == len(H36M17.joints) else str(hidden)
        what = f"{name} {joint_mm:.0f} mm, {filled_joints} joints filled"
        moments.append(
            Moment(
                seconds=round(float(seconds[row]), 2),
                person=pairs.ids[pairs.track[row]],
                value_mm=float(smooth_m[row] * MM_PER_M),
                what=what,
                judged=judged,
            )
        )
    return moments


def moments_html(moments: Sequence[Moment], run: int) -> str:
    """The moments of a run as links into its playback."""
    if not moments:
        return ""
    items = "".join(
        f'<li><a href="#t={moment.seconds:.2f}&amp;run={run}"><b>{_clock(moment.seconds)}</b>'
        f" <span>person {html.escape(moment.person or '?')}</span> <strong>{moment.value_mm:.0f} mm</strong>"
        f" <small>{html.escape(moment.what)}</small></a></li>"
        for moment in moments
    )
    return f"<h2>{'Worst' if moments[0].judged else 'Least certain'} moments</h2><ol>{items}</ol>"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60.0)
    return f"{minutes:.0f}:{rest:04.1f}"


def _moving_mean(values: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Mean of the known values within the window around each row; NaN where the row itself is not known."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    first = np.searchsorted(seconds, seconds - _WINDOW_S / 2, side="left")
    last = np.searchsorted(seconds, seconds + _WINDOW_S / 2, side="right")
    return np.where(known, (sums[last] - sums[first]) / np.maximum(counts[last] - counts[first], 1), np.nan)


def _peaks(values: np.ndarray, seconds: np.ndarray, track: np.ndarray) -> list[int]:
    """Rows of the largest values, apart from each other."""
    left = np.nan_to_num(values, nan=0.0)
    found: list[int] = []
    while len(found) < _COUNT and left.size and left.max() > 0.0:
        row = int(np.argmax(left))
        found.append(row)
        left[(track == track[row]) & (np.abs(seconds - seconds[row]) < _APART_S)] = 0.0
    return found


def _worst_joint(joint_m: np.ndarray) -> tuple[int, float]:
    """Of (N, J), NaN where unknown: the joint with the largest mean, and that mean in millimetres."""
    known = np.isfinite(joint_m)
    mean_m = np.where(known, joint_m, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    joint = int(np.argmax(mean_m))
    return joint, float(mean_m[joint] * MM_PER_M)
