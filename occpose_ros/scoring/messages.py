"""Scoring of messages: of a node's answers, or of a bag's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from occpose_core.metrics import CHI3_RADII
from occpose_core.pipeline import PipelineOutput
from occpose_core.types import Skeleton3D, State
from occpose_ros.adapters import KeypointsArray, RejectedMessageError, keypoints_from_occpose_msg
from occpose_ros.message_types import stamp_ns_from_msg
from occpose_ros.scoring.score import Score, score
from occpose_ros.scoring.truth_rows import truth_from_msgs


def answer_from_msg(message: Any) -> PipelineOutput:
    """Read occpose_ros/Skeleton3DArray, of h36m17, as the pipeline's answer that it was made from."""
    return PipelineOutput(
        stamp_ns=stamp_ns_from_msg(message.header.stamp),
        skeletons=tuple(_skeleton(person) for person in message.people),
        lost_ids=tuple(message.lost_ids),
    )


def _skeleton(person: Any) -> Skeleton3D:
    return Skeleton3D(
        id=person.id,
        state=State(person.state),
        joints_cam_m=np.asarray(person.position, dtype=np.float32).reshape(-1, 3),
        sigma_m=np.asarray(person.std_dev, dtype=np.float32),
        origin=np.asarray(person.origin, dtype=np.uint8),
        kpts_px=np.asarray(person.xy, dtype=np.float32).reshape(-1, 2),
        height_m=float(person.height),
        metric=bool(person.metric),
    )


def detected_from_msgs(messages: Sequence[Any], layout: str = "") -> list[KeypointsArray]:
    """Read Keypoints2DArray messages; those that are refused are left out."""
    found = []
    for message in messages:
        try:
            found.append(keypoints_from_occpose_msg(message, layout))
        except RejectedMessageError:
            continue
    return found


def score_messages(
    keypoints: Sequence[Any],
    skeletons: Sequence[Any],
    truth: Sequence[Any],
    layout: str = "",
    interval_radii: tuple[float, float] = CHI3_RADII,
) -> Score:
    """`score` of Keypoints2DArray (what went in), Skeleton3DArray (what came out) and Skeleton3DArray (what is true).

    layout: of the keypoints, if it is another than their messages say.
    """
    answers = [answer_from_msg(message) for message in skeletons]
    return score(detected_from_msgs(keypoints, layout), answers, truth_from_msgs(truth), interval_radii)
