"""Recordings for the tests of scoring: people who walk past a camera, what a detector saw, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from occpose_core.camera import px_from_cam
from occpose_core.pipeline import PipelineOutput
from occpose_core.skeleton import H36M17
from occpose_core.types import Origin, People2D, Skeleton3D, State
from occpose_ros.adapters import KeypointsArray
from occpose_ros.scoring.truth_rows import Truth
from tests.ros.people import FRAME_ID, HEIGHT, WIDTH, camera, standing_cam_m

RATE_HZ = 30.0
J = len(H36M17.joints)


def stamp_ns(frame: int) -> int:
    """Of a frame at RATE_HZ."""
    return 10**9 + round(frame * 1e9 / RATE_HZ)


def walk_cam_m(frames: int, x_m: float = 0.0, mps: float = 0.3) -> np.ndarray:
    """(T, J, 3) somebody who walks to the right and swings the arms."""
    time_s = np.arange(frames) / RATE_HZ
    joints = np.repeat(standing_cam_m(x_m)[None], frames, axis=0)
    joints[..., 0] += (mps * time_s)[:, None]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joints[:, H36M17.index(f"{side}_wrist"), 2] += sign * 0.2 * np.sin(2 * np.pi * time_s)
    return joints


def seen_by_detector(
    people: Mapping[str, np.ndarray],
    visible: Mapping[str, np.ndarray] | None = None,
    *,
    named: bool = True,
    layout: str = "h36m17",
) -> list[KeypointsArray]:
    """One message a frame. people: id -> (T, J, 3). visible: id -> (T, J) bool. named: with ids."""
    frames = len(next(iter(people.values())))
    visible = visible or {}
    all_px = {name: px_from_cam(pose, camera()) for name, pose in people.items()}
    arrays = []
    for frame in range(frames):
        xy_px = [all_px[name][frame] for name in people]
        score = [np.where(visible[name][frame], 0.9, 0.0) if name in visible else np.full(J, 0.9) for name in people]
        arrays.append(
            KeypointsArray(
                stamp_ns=stamp_ns(frame),
                frame_id=FRAME_ID,
                layout=layout,
                width=WIDTH,
                height=HEIGHT,
                people=People2D(
                    ids=tuple(name if named else "" for name in people),
                    xy_px=np.array(xy_px, dtype=np.float32).reshape(-1, J, 2),
                    score=np.array(score, dtype=np.float32).reshape(-1, J),
                ),
            )
        )
    return arrays


def answered(
    people: Mapping[str, np.ndarray],
    measured: Mapping[str, np.ndarray] | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> list[PipelineOutput]:
    """An answer to each frame. people: id -> (T, J, 3). measured: id -> (T, J) bool. names: id -> T other ids."""
    frames = len(next(iter(people.values())))
    measured, names, outputs = measured or {}, names or {}, []
    all_px = {name: px_from_cam(pose, camera()).astype(np.float32) for name, pose in people.items()}
    for frame in range(frames):
        skeletons = []
        for name, pose in people.items():
            known = measured[name][frame] if name in measured else np.ones(J, dtype=bool)
            skeletons.append(
                Skeleton3D(
                    id=names[name][frame] if name in names else name,
                    state=State.TRACKED if known.any() else State.OCCLUDED,
                    joints_cam_m=pose[frame].astype(np.float32),
                    sigma_m=np.full(J, 0.05, dtype=np.float32),
                    origin=np.where(known, Origin.MEASURED, Origin.FILLED).astype(np.uint8),
                    kpts_px=all_px[name][frame],
                    height_m=1.7,
                    metric=False,
                )
            )
        outputs.append(PipelineOutput(stamp_ns=stamp_ns(frame), skeletons=tuple(skeletons)))
    return outputs


def true_people(people: Mapping[str, np.ndarray], known: np.ndarray | None = None, *, named: bool = True) -> Truth:
    """people: id -> (T, J, 3). known: (T, J) bool of all of them."""
    frames = len(next(iter(people.values())))
    known = np.ones((frames, J), dtype=bool) if known is None else known
    return Truth(
        stamp_ns=np.tile([stamp_ns(frame) for frame in range(frames)], len(people)),
        ids=tuple(name for name in people for _ in range(frames)),
        joints_cam_m=np.concatenate([np.where(known[..., None], pose, np.nan) for pose in people.values()]),
        known=np.concatenate([known for _ in people]),
        seen=np.ones((len(people) * frames, J), dtype=bool),
        named=named,
    )
