"""Figures of the sample bag: they stay what they are, and hiding joints on top tells what truth would."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from occpose_core.pipeline import PipelineOutput, PosePipeline
from occpose_core.runtime import load
from occpose_core.types import Camera
from occpose_ros.adapters import KeypointsArray, camera_from_msg, keypoints_from_occpose_msg, match_camera
from occpose_ros.bag import CAMERA_INFO_TYPE, BagReader
from occpose_ros.replay.occluding import occlude
from occpose_ros.scoring.consistency import score_occluded
from occpose_ros.scoring.score import score
from occpose_ros.scoring.truth import Truth, TruthSettings, read_truth

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"
FIGURES = Path(__file__).with_name("two_people_figures.json")
MODEL = "stream-s"
CPU = 1e-3  # how far, relatively, the same network is off on another processor


class Run:
    """The sample with its truth, and what MODEL answers to it."""

    def __init__(self) -> None:
        self.engine = load(MODEL)
        with BagReader(SAMPLE) as bag:
            self.camera: Camera = camera_from_msg(next(bag.messages(bag.topics_of(CAMERA_INFO_TYPE))).message)
            messages = [record.message for record in bag.messages(["/keypoints"])]
            self.detected = [match_camera(keypoints_from_occpose_msg(message), self.camera) for message in messages]
            self.truth: Truth | None = read_truth(bag, TruthSettings(), self.detected)
        self.answers = self.answer(self.detected)

    def answer(self, detected: Sequence[KeypointsArray]) -> list[PipelineOutput]:
        pipeline = PosePipeline(self.engine)
        outputs = (pipeline.step(each.people, each.stamp_ns, self.camera) for each in detected)
        return [output for output in outputs if output.answered]


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def differences(found: Any, wanted: Any, key: str = "") -> list[str]:
    """Keys of figures that are missing or not the same."""
    if isinstance(wanted, dict):
        return [each for name, of in wanted.items() for each in differences(found.get(name), of, f"{key}.{name}")]
    if wanted is None:
        return [] if math.isnan(found) else [key]
    same = found == wanted if isinstance(wanted, int) else found == pytest.approx(wanted, rel=CPU, abs=1e-6)
    return [] if same else [f"{key}: {found} instead of {wanted}"]


def test_figures_of_the_sample_are_what_they_were(run: Run) -> None:
    """two_people_figures.json was written when messages were scored as a whole, before sums were kept."""
    figures = score(run.detected, run.answers, run.truth, run.engine.info.interval_radii).figures
    assert not differences(figures, json.loads(FIGURES.read_text()))
    assert figures["id_switches"] == {"count": 0, "per_minute": 0.0}
    low, high = figures["interval_mm"]["hidden"]
    assert low < figures["mpjpe_mm"]["hidden"] < high


def test_hiding_on_top_tells_what_the_truth_tells(run: Run) -> None:
    """The same joints, against the run as recorded and against the truth: the network beats holding them in both."""
    occluded = occlude(run.detected, run.answers, "natural", "two_people")
    figures = score_occluded(run.answers, run.answer(occluded.detected), occluded, run.truth).figures
    consistency = figures["self_consistency"]
    assert consistency["joints"]["hidden"] > 1000
    assert consistency["coverage"] > 0.95
    assert consistency["mpjpe_mm"]["visible"] < consistency["mpjpe_mm"]["hidden"]
    for found in (consistency, figures):
        assert found["mpjpe_mm"]["hidden"] < 0.8 * found["baselines"]["hold"]["hidden"]
    assert consistency["flicker_m_s2"]["filled"] > 0 and consistency["bone_length_drift"] > 0
