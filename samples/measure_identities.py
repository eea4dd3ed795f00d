"""Count identity switches in simulated crowds, of the detector and of occpose.

    python samples/measure_identities.py --data cmu_h36m17_30fps.npz [--people 2 5 8] [--seconds 20] [--seeds 2]
        [--rate 30] [--model stream-s]

Prints a line for each kind of detector: switches of its own ids, switches of the ids that go out, and the mean error of
the joints relative to the pelvis. A switch is a person whose id is another than the last one (CLEAR MOT: Bernardin and
Stiefelhagen 2008); a person who was hidden for longer than gap_s may have a new id.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import numpy as np
import scene
from crowd import NAMINGS, RATE_HZ, Crowd, make_crowd
from scipy.optimize import linear_sum_assignment

from occpose_core.dataset import read_sequences
from occpose_core.errors import OccposeError
from occpose_core.geometry import stature_m
from occpose_core.pipeline import PosePipeline
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import Engine, load
from occpose_core.types import Keypoints2D

_MATCH = 0.25  # of the person's height in the image: an answer farther away is not this person's


class Switches:
    """Counts switches of P people, frame by frame."""

    def __init__(self, people: int) -> None:
        self.last: list[str | None] = [None] * people
        self.count = 0

    def see(self, person: int, name: str) -> None:
        """A person has this name in this frame."""
        self.count += self.last[person] not in (None, name)
        self.last[person] = name

    def forget(self, people: np.ndarray) -> None:
        """People who have been away for so long that a new name is right."""
        for person in people:
            self.last[person] = None


def matches(true_px: np.ndarray, given_px: np.ndarray, kept: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of people (P, J, 2) and answers (A, J, 2); pairs of `kept` (P, A) stay while they are near enough."""
    away = np.linalg.norm(true_px[:, None] - given_px, axis=-1).mean(axis=-1)
    away = away / np.ptp(true_px[..., 1], axis=-1)[:, None]
    cost = np.where(away > _MATCH, 1e6, np.where(kept, away - 10.0, away))
    return [(p, a) for p, a in zip(*linear_sum_assignment(cost), strict=True) if cost[p, a] < 1e6]


def play(
    crowd: Crowd, names: np.ndarray, engine: Engine, config: PipelineConfig, every: int
) -> tuple[int, int, float, Counter[str]]:
    """Switches of the detector's and of the answered ids, mean joint error (mm), and what was dropped.

    every: of so many frames the detector sees one.
    """
    people, frames = crowd.detected.shape
    theirs, ours, errors, dropped = Switches(people), Switches(people), [], Counter()
    pipe = PosePipeline(engine, config)
    unseen = np.zeros(people)
    for frame in range(0, frames, every):
        unseen = np.where(crowd.detected[:, frame], 0, unseen + every)
        gone = np.flatnonzero(unseen > config.gap_s * RATE_HZ)
        theirs.forget(gone)
        ours.forget(gone)
        there = np.flatnonzero(crowd.detected[:, frame])
        for person in there:
            theirs.see(person, names[person, frame])
        given = [
            Keypoints2D(id=names[p, frame], xy_px=crowd.xy_px[p, frame], score=crowd.score[p, frame]) for p in there
        ]
        output = pipe.step(given, round(frame * 1e9 / RATE_HZ), scene.CAMERA)
        dropped.update(output.dropped)
        if not output.skeletons or not len(there):
            continue
        kept = np.array([[ours.last[p] == s.id for s in output.skeletons] for p in there])
        for row, answer in matches(crowd.true_px[there, frame], np.stack([s.kpts_px for s in output.skeletons]), kept):
            person, skeleton = there[row], output.skeletons[answer]
            ours.see(person, skeleton.id)
            truth, joints = crowd.joints_cam_m[person, frame], skeleton.joints_cam_m
            scale = stature_m(truth) / stature_m(joints)
            errors.append(np.linalg.norm(truth - truth[0] - scale * (joints - joints[0]), axis=-1).mean())
    return theirs.count, ours.count, 1000 * float(np.mean(errors)), dropped


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True, help="CMU data file of OccKP-1 (.npz)")
    parser.add_argument("--people", type=int, nargs="+", default=[2, 5, 8])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rate", type=int, choices=[30, 15, 10, 5], default=30, help="of the detector, Hz")
    parser.add_argument("--model", default="stream-s")
    arguments = parser.parse_args()
    try:
        sequences, engine = read_sequences(arguments.data), load(arguments.model)
        print("people  detector's ids          switches, detector  switches, occpose  error (mm)")
        for people in arguments.people:
            crowds = [make_crowd(sequences, people, arguments.seconds * RATE_HZ, s) for s in range(arguments.seeds)]
            for name, naming in NAMINGS.items():
                named = [(crowd, naming(crowd, np.random.default_rng(7))) for crowd in crowds]
                played = [play(*each, engine, PipelineConfig(), RATE_HZ // arguments.rate) for each in named]
                theirs, ours = (sum(each[i] for each in played) for i in (0, 1))
                error = np.mean([each[2] for each in played])
                print(f"{people:6}  {name:22}  {theirs if name != 'none' else '-':>18}  {ours:17}  {error:10.1f}")
    except OccposeError as error:
        print(f"measure_identities: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
