"""How good recorded answers are: skeletons against the true ones of the same bag, matched by stamp and person.

Poses are compared root-relative in the camera's axes; `pairs` says which joints count as visible and which as hidden,
`poses` what the baselines are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.metrics import CHI3_RADII, joint_errors
from occpose_core.pipeline import PipelineOutput
from occpose_ros.adapters import KeypointsArray
from occpose_ros.scoring.intervals import PIECE_S, intervals_over
from occpose_ros.scoring.pairs import GROUPS, Coverage, Pairs, pair
from occpose_ros.scoring.poses import baselines, root_relative
from occpose_ros.scoring.sums import Intervals, Sums, add_sums, figures_of_sums
from occpose_ros.scoring.terms import MM_PER_M, Term, terms
from occpose_ros.scoring.truth_rows import Truth

__all__ = ["GROUPS", "MM_PER_M", "Pairs", "Score", "score"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """figures: as in report.json, millimetres. sums: what they are made from, see `sums`. intervals: 95 %, dotted key
    -> (low, high). pieces: the sums of each ten seconds of each person, "id/number" -> sums. pairs: what all was made
    from. errors_m: of the system ("occpose") and of each baseline, name -> (N, J), NaN without truth."""

    figures: dict[str, Any]
    sums: Sums
    intervals: Intervals
    pieces: dict[str, Sums]
    pairs: Pairs
    errors_m: dict[str, np.ndarray]


def score(
    detected: Sequence[KeypointsArray],
    answers: Sequence[PipelineOutput],
    truth: Truth | None,
    interval_radii: tuple[float, float] = CHI3_RADII,
) -> Score:
    """Figures of answers.

    detected: what went in, in the camera's pixels. answers: what came out. truth: or None; then every error is NaN, and
    coverage, flicker and bone drift remain. interval_radii: of the model that answered, see ModelInfo.
    """
    pairs, coverage = pair(detected, answers, truth)
    return score_of(pairs, totals(pairs, coverage), interval_radii)


def score_of(pairs: Pairs, more: Sums, interval_radii: tuple[float, float], prefix: str = "") -> Score:
    """The score of pairs. more: sums that are not of single answers. prefix: of all keys."""
    target_m = root_relative(pairs.truth_cam_m)
    poses_m = {"occpose": root_relative(pairs.joints_cam_m), **baselines(pairs)}
    errors_m = {name: joint_errors(pose_m, target_m) for name, pose_m in poses_m.items()}
    pieces = _pieces(pairs, {f"{prefix}{key}": of for key, of in terms(pairs, errors_m, interval_radii).items()})
    nothing = dict.fromkeys(pieces.keys, (0.0, 0.0))
    sums = add_sums([nothing, *pieces.parts.values(), {f"{prefix}{key}": of for key, of in more.items()}])
    intervals = intervals_over(list(pieces.parts.values()))
    return Score(
        figures=figures_of_sums(sums, intervals),
        sums=sums,
        intervals=intervals,
        pieces=pieces.parts,
        pairs=pairs,
        errors_m=errors_m,
    )


def totals(pairs: Pairs, coverage: Coverage) -> Sums:
    """Sums that are not of single answers."""
    frames = {f"frames.{name}": (float(count), 1.0) for name, count in vars(coverage).items()}
    return {**frames, "people": (float(len(pairs.ids)), 1.0)}


@dataclass(frozen=True, kw_only=True)
class _Pieces:
    keys: tuple[str, ...]
    parts: dict[str, Sums]


def _pieces(pairs: Pairs, of_rows: Mapping[str, Term]) -> _Pieces:
    """The terms of each person's rows added up over ten seconds each."""
    keys = tuple(of_rows)
    number = (pairs.stamp_ns // round(PIECE_S * 1e9)).astype(np.int64)
    found, piece_of = np.unique(np.stack([pairs.track, number], axis=1), axis=0, return_inverse=True)
    piece_of = piece_of.ravel()
    table = [[np.bincount(piece_of, values, len(found)).tolist() for values in of_rows[key]] for key in keys]
    names = [f"{pairs.ids[track]}/{piece}" for track, piece in found.tolist()]
    parts = {
        name: {key: (total[piece], count[piece]) for key, (total, count) in zip(keys, table, strict=True)}
        for piece, name in enumerate(names)
    }
    return _Pieces(keys=keys, parts=parts)
