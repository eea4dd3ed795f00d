"""yolo_msgs/DetectionArray, of yolo_ros: a list of joints for each detection, without those that were not seen.

Joints have a number, counted from 1, and come in any order; coordinates are pixels. yolo_ros leaves out joints that
score less than its threshold for detections. A detection without joints is a thing, not a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from occpose_ros.adapters.keypoints import KeypointsArray, check_crowd, counts, people_from_arrays, skeleton_of
from occpose_ros.message_types import stamp_ns_from_msg

LAYOUT = "coco17"
# A list longer than this many times its layout is no person, and not worth reading.
_MAX_REPEATS = 2


def keypoints_from_yolo_msg(msg: Any, layout: str = "", first_joint_id: int = 1) -> KeypointsArray:
    """Read yolo_msgs/DetectionArray; raises RejectedMessageError.

    layout: what the joint numbers mean, empty: `coco17`. first_joint_id: the number of the first joint. It is never
    guessed: a list without its first and last joint looks the same either way. With 1, a person with a joint 0 is left
    out and counted. Of joints with the same number, the one with the highest score holds.
    """
    skeleton = skeleton_of(layout or LAYOUT)
    check_crowd(len(msg.detections))
    dropped: Counter[str] = Counter()
    people = _people(msg.detections, _MAX_REPEATS * len(skeleton.joints), dropped)
    row, joint, xy_px, score = _columns([person.keypoints.data for person in people])
    kept = np.ones(len(people), dtype=bool)
    if first_joint_id > 0:
        kept[row[joint == 0]] = False
    dropped["zero_based_ids"] = len(people) - int(kept.sum())
    joint -= first_joint_id
    xy_px, score = _grid(row, joint, xy_px, score, (len(people), len(skeleton.joints)), dropped)
    ids = [person.id for person, keep in zip(people, kept, strict=True) if keep]
    return KeypointsArray(
        stamp_ns=stamp_ns_from_msg(msg.header.stamp),
        frame_id=msg.header.frame_id,
        layout=skeleton.name,
        width=0,
        height=0,
        people=people_from_arrays(ids, xy_px[kept], score[kept], skeleton, dropped),
        dropped=counts(dropped),
    )


def _people(detections: Sequence[Any], longest: int, dropped: Counter[str]) -> list[Any]:
    """The detections with joints; a person without any, and one with more than could be, is counted."""
    lengths = [len(detection.keypoints.data) for detection in detections]
    dropped["no_keypoints"] = sum(
        not length and detection.class_name == "person" for length, detection in zip(lengths, detections, strict=True)
    )
    dropped["wrong_joint_count"] = sum(length > longest for length in lengths)
    return [detection for length, detection in zip(lengths, detections, strict=True) if 0 < length <= longest]


def _columns(lists: Sequence[Sequence[Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of all joints: (N,) person, (N,) joint number, (N, 2) coordinates and (N,) scores."""
    joints = list(chain.from_iterable(lists))
    points = [joint.point for joint in joints]
    row = np.repeat(np.arange(len(lists)), [len(points) for points in lists])
    number = np.array([joint.id for joint in joints], dtype=np.int64)
    xy_px = np.array([[point.x for point in points], [point.y for point in points]], dtype=np.float64).T
    return row, number, xy_px, np.array([joint.score for joint in joints], dtype=np.float64)


def _grid(
    row: np.ndarray,
    joint: np.ndarray,
    xy_px: np.ndarray,
    score: np.ndarray,
    shape: tuple[int, int],
    dropped: Counter[str],
) -> tuple[np.ndarray, np.ndarray]:
    """(P, J, 2) and (P, J) float32: each joint at its place, the others with score 0."""
    known = np.flatnonzero((joint >= 0) & (joint < shape[1]))
    # of equal numbers the last one holds
    worth = np.where(np.isfinite(score), score, -np.inf)
    known = known[np.argsort(worth[known], kind="stable")]
    row, joint = row[known], joint[known]
    all_xy_px, all_scores = np.zeros((*shape, 2), dtype=np.float32), np.zeros(shape, dtype=np.float32)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is found later
        all_xy_px[row, joint], all_scores[row, joint] = xy_px[known], score[known]
    dropped["unknown_joint_id"] = len(score) - len(known)
    taken = np.zeros(shape, dtype=bool)
    taken[row, joint] = True
    dropped["duplicate_joint"] = len(known) - int(taken.sum())
    return all_xy_px, all_scores
