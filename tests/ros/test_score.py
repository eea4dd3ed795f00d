"""Scoring of recorded answers, on messages whose errors are known by construction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from occpose_core.baselines import VELOCITY_S
from occpose_core.skeleton import H36M17, SKELETONS
from occpose_core.types import Origin, State
from occpose_ros.bag import typestore
from occpose_ros.message_types import MessageTypes, header_to_msg
from occpose_ros.scoring.messages import score_messages as score

TYPES = MessageTypes.from_rosbags(typestore())
RATE_HZ = 30
FRAMES = 40
WRIST = H36M17.index("left_wrist")
POSE_M = np.random.default_rng(0).normal(0.0, 0.3, (17, 3)) * (np.arange(17) > 0)[:, None]


def stamp_ns(frame: int) -> int:
    return 10**9 + round(frame * 1e9 / RATE_HZ)


def true_pose(frame: int) -> np.ndarray:
    """A person 4 m away whose left wrist moves to the side at 0.6 m/s."""
    pose = POSE_M + [0.0, 0.0, 4.0]
    pose[WRIST] += [0.6 * frame / RATE_HZ, 0.0, 0.0]
    return pose


def skeletons(frame: int, pose_m: np.ndarray, origin: np.ndarray, person: str = "7") -> Any:
    answer = TYPES.Skeleton3D(
        id=person,
        state=int(State.TRACKED),
        position=pose_m.astype(np.float32).ravel(),
        std_dev=np.full(17, 0.05, np.float32),
        origin=origin.astype(np.uint8),
        xy=np.zeros(34, np.float32),
        height=1.7,
        metric=False,
    )
    header = header_to_msg(stamp_ns(frame), "camera", TYPES)
    return TYPES.Skeleton3DArray(header=header, layout="h36m17", people=[answer], lost_ids=[], latency_ms=0.0)


def keypoints(frame: int, visible: np.ndarray, layout: str = "h36m17", person: str = "7") -> Any:
    count = len(SKELETONS[layout].joints)
    detected = TYPES.Keypoints2D(
        id=person, xy=np.full(2 * count, 100, np.float32), score=np.where(visible, 0.9, 0.0).astype(np.float32)
    )
    header = header_to_msg(stamp_ns(frame), "camera", TYPES)
    return TYPES.Keypoints2DArray(header=header, layout=layout, width=640, height=480, people=[detected])


def recording(hidden_from: int) -> tuple[list[Any], list[Any], list[Any]]:
    """The left wrist is hidden from a frame on; the answers are right, but for 3 m of depth and a still hidden wrist
    that is 0.1 m off."""
    given, answers, truth = [], [], []
    for frame in range(FRAMES):
        visible = np.ones(17, dtype=bool)
        visible[WRIST] = frame < hidden_from
        pose = true_pose(frame) + [0.0, 0.0, 3.0]
        if frame >= hidden_from:
            pose[WRIST, 1] += 0.1
        given.append(keypoints(frame, visible))
        answers.append(skeletons(frame, pose, np.where(visible, Origin.MEASURED, Origin.FILLED)))
        truth.append(skeletons(frame, true_pose(frame), np.where(visible, Origin.MEASURED, Origin.FILLED)))
    return given, answers, truth


def test_errors_are_root_relative_by_group_and_distance_is_apart() -> None:
    figures = score(*recording(hidden_from=20)).figures
    assert figures["mpjpe_mm"]["visible"] == pytest.approx(0.0, abs=1e-2)
    assert figures["mpjpe_mm"]["hidden"] == pytest.approx(100.0, abs=1e-2)
    assert np.isnan(figures["mpjpe_mm"]["not_in_layout"])
    assert figures["joints"] == {"all": 17 * 40, "visible": 17 * 40 - 20, "hidden": 20, "not_in_layout": 0}
    assert figures["root_error_mm"] == pytest.approx(3000.0, abs=1e-2)
    assert figures["frames"] == {"total": 40, "with_people": 40, "answered": 40}


@pytest.mark.parametrize(
    ("radii", "p50", "p90"), [((), 0.0, 1.0), (((1.2, 1.9),), 0.0, 0.0), (((2.1, 3.0),), 1.0, 1.0)], ids=str
)
def test_intervals_are_those_of_the_model(radii: tuple[Any, ...], p50: float, p90: float) -> None:
    figures = score(*recording(hidden_from=20), "", *radii).figures  # a hidden wrist is 2 sigma off
    assert figures["calibration"] == {"visible": {"p50": 1.0, "p90": 1.0}, "hidden": {"p50": p50, "p90": p90}}


def test_hold_keeps_the_last_measured_answer_and_velocity_moves_it_on() -> None:
    baselines = score(*recording(hidden_from=20)).figures["baselines"]
    # The wrist goes on at 20 mm a frame: 20, 40, ... 400 mm from where it was held.
    assert baselines["hold"]["hidden"] == pytest.approx(np.mean(20.0 * np.arange(1, 21)), abs=1e-2)
    assert baselines["hold"]["visible"] == pytest.approx(0.0, abs=1e-2)
    assert baselines["constant_velocity"]["hidden"] == pytest.approx(0.0, abs=1e-2)
    assert baselines["mean_pose"]["hidden"] > 0


def test_a_joint_never_measured_has_the_mean_pose_in_all_baselines() -> None:
    baselines = score(*recording(hidden_from=0)).figures["baselines"]
    assert baselines["hold"]["hidden"] == pytest.approx(baselines["mean_pose"]["hidden"])
    assert baselines["constant_velocity"]["hidden"] == pytest.approx(baselines["mean_pose"]["hidden"])


def test_velocity_is_taken_over_a_while_and_survives_missing_frames() -> None:
    given, answers, truth = recording(hidden_from=20)
    gap = {19 - round(VELOCITY_S * RATE_HZ) + 1, 25}  # not the frame that velocity starts from
    answers = [answer for frame, answer in enumerate(answers) if frame not in gap]
    figures = score(given, answers, truth).figures
    assert figures["baselines"]["constant_velocity"]["hidden"] == pytest.approx(0.0, abs=1e-2)
    assert figures["frames"] == {"total": 40, "with_people": 40, "answered": 38}


def test_joints_that_the_layout_lacks_count_apart() -> None:
    _, answers, truth = recording(hidden_from=20)
    given = [keypoints(frame, np.ones(17, dtype=bool), "coco17") for frame in range(FRAMES)]
    scored = score(given, answers, truth)
    lacking = {H36M17.joints[j] for j in np.flatnonzero(scored.pairs.groups["not_in_layout"][0])}
    assert lacking == {"spine", "head_top"}
    # The detector gives the wrist, but the truth says that it cannot see it.
    assert scored.figures["joints"]["hidden"] == 20


def test_people_are_matched_by_stamp_and_id_and_without_common_ids_by_place() -> None:
    given, answers, truth = recording(hidden_from=20)
    shifted = [skeletons(frame + 1000, true_pose(frame), np.zeros(17)) for frame in range(FRAMES)]
    strangers = [skeletons(frame, true_pose(frame), np.zeros(17), person="8") for frame in range(FRAMES)]
    aside = [skeletons(frame, true_pose(frame) + [3.0, 0.0, 0.0], np.zeros(17), person="8") for frame in range(FRAMES)]
    near = [skeletons(frame, true_pose(frame) + [0.0, 0.0, 0.2], np.zeros(17)) for frame in range(FRAMES)]
    assert score(given, near, truth).pairs.has_truth.all()
    assert score(given, near, strangers).pairs.has_truth.all()
    assert not score(given, near, shifted).pairs.has_truth.any()
    assert not score(given, near, aside).pairs.has_truth.any()


def test_flicker_is_the_mean_acceleration() -> None:
    """A joint that jumps 1 mm up and down at 30 Hz accelerates with 4 mm a squared frame."""
    given, answers, truth = [], [], []
    for frame in range(FRAMES):
        pose = true_pose(frame)
        pose[:, 1] += 0.001 * (-1) ** frame
        given.append(keypoints(frame, np.ones(17, dtype=bool)))
        answers.append(skeletons(frame, pose, np.zeros(17)))
        truth.append(skeletons(frame, true_pose(frame), np.zeros(17)))
    figures = score(given, answers, truth).figures
    assert figures["flicker_m_s2"]["measured"] == pytest.approx(0.004 * RATE_HZ**2, rel=1e-3)
    assert figures["flicker_m_s2"]["truth"] == pytest.approx(0.0, abs=1e-2)
    assert np.isnan(figures["flicker_m_s2"]["filled"])


def test_bone_drift_is_zero_for_a_stiff_body_and_not_for_one_that_breathes() -> None:
    origin = np.zeros(17)
    given = [keypoints(frame, np.ones(17, dtype=bool)) for frame in range(FRAMES)]
    stiff = [skeletons(frame, true_pose(0), origin) for frame in range(FRAMES)]
    breathing = [skeletons(frame, true_pose(0) * (1 + 0.1 * (-1) ** frame), origin) for frame in range(FRAMES)]
    assert score(given, stiff, []).figures["bone_length_drift"] == pytest.approx(0.0, abs=1e-6)
    assert score(given, breathing, []).figures["bone_length_drift"] == pytest.approx(0.1, rel=1e-3)


def test_nothing_recorded_is_no_error() -> None:
    figures = score([], [], []).figures
    assert figures["frames"] == {"total": 0, "with_people": 0, "answered": 0}
    assert np.isnan(figures["mpjpe_mm"]["all"])
