"""Figures of recordings without truth: what changes when joints are hidden on top of a recording.

The run over the recording as it is stands in for the truth, where it had measured a joint. What is hidden on top is
then "hidden", the rest "visible"; all other words mean what they mean in `score`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from occpose_core.metrics import CHI3_RADII
from occpose_core.pipeline import PipelineOutput
from occpose_core.skeleton import H36M17
from occpose_core.types import Origin, State
from occpose_ros.adapters import KeypointsArray
from occpose_ros.scoring.matching import Sightings, nearest
from occpose_ros.scoring.pairs import pair
from occpose_ros.scoring.score import Score, score, score_of
from occpose_ros.scoring.sums import SELF_CONSISTENCY
from occpose_ros.scoring.truth_rows import Truth

_J = len(H36M17.joints)


@dataclass(frozen=True, kw_only=True, eq=False)
class Occluded:
    """A recording with joints hidden on top.

    detected: what is left. before: everybody in the recording as it was, N rows in the camera's pixels. hidden: (N, J)
    bool, given before and not now.
    """

    detected: list[KeypointsArray]
    before: Sightings
    hidden: np.ndarray


def self_consistency(
    reference: Sequence[PipelineOutput],
    answers: Sequence[PipelineOutput],
    occluded: Occluded,
    interval_radii: tuple[float, float] = CHI3_RADII,
) -> Score:
    """How far answers to an occluded recording are from those to the recording as it is.

    reference: answers of the same model to the recording as it is. answers: to what is left of it. Keys begin with
    "self_consistency."; coverage is the share of people, seen in the reference, whom the answers have too.
    """
    truth = _reference(reference, occluded)
    pairs, _ = pair(occluded.detected, answers, truth)
    covered = {"coverage": (float(pairs.followed.sum()), float(len(truth.ids)))}
    return score_of(pairs, covered, interval_radii, prefix=f"{SELF_CONSISTENCY}.")


def score_occluded(
    reference: Sequence[PipelineOutput],
    answers: Sequence[PipelineOutput],
    occluded: Occluded,
    truth: Truth | None,
    interval_radii: tuple[float, float] = CHI3_RADII,
) -> Score:
    """Everything about answers to an occluded recording: the score against the truth, and the self-consistency.

    Pairs and errors are those against the truth if there is one, else against the reference.
    """
    scored = score(occluded.detected, answers, truth, interval_radii)
    consistency = self_consistency(reference, answers, occluded, interval_radii)
    shown = consistency if truth is None else scored
    names = {**scored.pieces, **consistency.pieces}
    return Score(
        figures={**scored.figures, **consistency.figures},
        sums={**scored.sums, **consistency.sums},
        intervals={**scored.intervals, **consistency.intervals},
        pieces={name: {**scored.pieces.get(name, {}), **consistency.pieces.get(name, {})} for name in names},
        pairs=shown.pairs,
        errors_m=shown.errors_m,
    )


def answered_people(answers: Sequence[PipelineOutput], states: Sequence[State] = tuple(State)) -> Sightings:
    """Everybody whom answers have in one of the states, one row each, in the camera's pixels."""
    rows = [(output.stamp_ns, each) for output in answers for each in output.skeletons if each.state in states]
    origin = np.array([each.origin for _, each in rows], dtype=np.uint8).reshape(-1, _J)
    return Sightings(
        stamp_ns=np.array([stamp_ns for stamp_ns, _ in rows], dtype=np.int64),
        ids=[each.id for _, each in rows],
        xy=np.array([each.kpts_px for _, each in rows], dtype=np.float64).reshape(-1, _J, 2),
        known=origin != Origin.UNKNOWN,
    )


def _reference(reference: Sequence[PipelineOutput], occluded: Occluded) -> Truth:
    """The reference as truth about those who are seen in it, and of each only where it had measured something."""
    people = answered_people(reference, (State.TRACKED,))
    tracked = [each for output in reference for each in output.skeletons if each.state == State.TRACKED]
    measured = np.array([each.origin for each in tracked], dtype=np.uint8).reshape(-1, _J) == Origin.MEASURED
    seen = np.ones(measured.shape, dtype=bool)
    row_of = nearest(occluded.before, people)
    found = row_of >= 0
    np.logical_and.at(seen, row_of[found], ~occluded.hidden[found])
    return Truth(
        stamp_ns=people.stamp_ns,
        ids=tuple(people.ids),
        joints_cam_m=np.array([each.joints_cam_m for each in tracked], dtype=np.float64).reshape(-1, _J, 3),
        known=measured,
        seen=seen,
        named=False,
    )
