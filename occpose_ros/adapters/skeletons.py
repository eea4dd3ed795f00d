"""Skeletons to messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17, Skeleton
from occpose_core.types import Camera, Origin, Skeleton3D
from occpose_ros.message_types import MessageTypes, header_to_msg

# Standard deviation at which a joint's confidence is one half.
_HALF_CONFIDENCE_SIGMA_M = 0.1


def confidence_of_sigma(sigma_m: np.ndarray) -> np.ndarray:
    """Confidence in (0, 1] that falls as the standard deviation grows: 1 at 0, one half at 0.1 m."""
    return np.asarray(1.0 / (1.0 + np.square(sigma_m / _HALF_CONFIDENCE_SIGMA_M)), dtype=np.float32)


def finite_skeletons(skeletons: Sequence[Skeleton3D], *, metric: bool = True) -> tuple[Skeleton3D, ...]:
    """The skeletons all of whose numbers are finite: nothing else is ever published.

    metric: False if the camera is only assumed, so that nobody's scale is known.
    """
    finite = tuple(skeletons) if _finite(skeletons) else tuple(each for each in skeletons if _finite([each]))
    return finite if metric else tuple(replace(each, metric=False) for each in finite)


def _finite(skeletons: Sequence[Skeleton3D]) -> bool:
    """Whether all numbers are finite, seen at once: one call for everybody costs no more than one for each."""
    arrays = [part for each in skeletons for part in (each.joints_cam_m, each.sigma_m, each.kpts_px)]
    heights_m = [each.height_m for each in skeletons]
    return bool(np.isfinite(np.concatenate([*arrays, heights_m], axis=None)).all())


def _skeleton_to_msg(skeleton: Skeleton3D, types: MessageTypes) -> Any:
    return types.Skeleton3D(
        id=skeleton.id,
        state=int(skeleton.state),
        position=types.sequence(skeleton.joints_cam_m.astype(np.float32, copy=False)),
        std_dev=types.sequence(skeleton.sigma_m.astype(np.float32, copy=False)),
        origin=types.sequence(skeleton.origin.astype(np.uint8, copy=False)),
        xy=types.sequence(skeleton.kpts_px.astype(np.float32, copy=False)),
        height=float(np.float32(skeleton.height_m)),
        metric=bool(skeleton.metric),
    )


def skeletons_to_msg(
    skeletons: Sequence[Skeleton3D],
    lost_ids: Sequence[str],
    *,
    stamp_ns: int,
    frame_id: str,
    types: MessageTypes,
    latency_ms: float = 0.0,
) -> Any:
    """Make occpose_ros/Skeleton3DArray. latency_ms: from receipt of the keypoints to publication."""
    return types.Skeleton3DArray(
        header=header_to_msg(stamp_ns, frame_id, types),
        layout=H36M17.name,
        people=[_skeleton_to_msg(skeleton, types) for skeleton in skeletons],
        lost_ids=list(lost_ids),
        latency_ms=float(np.float32(latency_ms)),
    )


def filled_keypoints_to_msg(
    skeletons: Sequence[Skeleton3D], camera: Camera, *, stamp_ns: int, types: MessageTypes
) -> Any:
    """Make occpose_ros/Keypoints2DArray of the completed 2D poses.

    A joint's score is its confidence by standard deviation, so a filled joint scores less than a measured one; an
    unknown joint scores 0.
    """
    people = []
    for skeleton in skeletons:
        score = np.where(skeleton.origin == Origin.UNKNOWN, 0.0, confidence_of_sigma(skeleton.sigma_m))
        people.append(
            types.Keypoints2D(
                id=skeleton.id,
                xy=types.sequence(skeleton.kpts_px.astype(np.float32)),
                score=types.sequence(score.astype(np.float32)),
            )
        )
    return types.Keypoints2DArray(
        header=header_to_msg(stamp_ns, camera.frame_id, types),
        layout=H36M17.name,
        width=camera.width,
        height=camera.height,
        people=people,
    )


def skeleton_info_to_msg(skeleton: Skeleton, types: MessageTypes) -> Any:
    """Make occpose_ros/SkeletonInfo: what the numbers of a layout mean."""
    return types.SkeletonInfo(
        layout=skeleton.name,
        names=list(skeleton.joints),
        parents=types.sequence(np.array(skeleton.parents, dtype=np.int32)),
        side=types.sequence(skeleton.sides),
    )
