"""How far from their true places people are put in OccKP-1 if their scale is assumed, learned from the ground or known.

The estimators are those of the pipeline (scale.py), run through each clip with three frames a second, up to
the scored one. Only the ground plane of the simulated camera is given to `ground`, only the stature to `known`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from occpose_core.clips import Clips, Shot
from occpose_core.geometry import place_root
from occpose_core.pipeline_config import ASSUMED_HEIGHT_M, PipelineConfig
from occpose_core.runtime.engine import DEFAULT_SIGMA_M
from occpose_core.scale import SIZE, Placed, heights, network_stature_m, observe
from occpose_core.skeleton import H36M17
from occpose_core.types import GroundPlane, ScaleSource

EVERY_S = 1 / 3
SCALES = tuple(source.name.lower() for source in ScaleSource)
_PELVIS = H36M17.index("pelvis")


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Of N scored frames and the three SCALES: error_m (N, 3) of the pelvis' place and depth (N, 3), the placed depth
    over the true one, both NaN where the person could not be placed; metric (N,) bool: the ground's scale is sure."""

    error_m: np.ndarray
    depth: np.ndarray
    metric: np.ndarray


def observed_frames(clips: Clips) -> np.ndarray:
    """(M,) flat indices of the frames by which scale is learned, up to the last scored one of each clip."""
    last = np.full(len(clips.start), -1)
    np.maximum.at(last, clips.start[clips.scored], clips.scored)
    frame = np.arange(len(clips.start))
    return np.flatnonzero((frame <= last[clips.start]) & ((frame - clips.start) % _step(clips) == 0))


def place(shots: Sequence[Shot], clips: Clips, joints_m: np.ndarray, sigma_m: np.ndarray, gain: float) -> Places:
    """Place the answers to the scored frames.

    joints_m: (F, J, 3) and sigma_m: (F, J), answers at least to the scored frames and to observed_frames, NaN
    elsewhere. gain: the model's stature_gain.
    """
    root, placed = place_root(joints_m, clips.rays, clips.score)
    poses = Placed(
        joints_root=joints_m,
        root=root,
        sigma=np.where(np.isfinite(sigma_m), sigma_m, np.where(clips.visible, *DEFAULT_SIGMA_M)),
        rays=clips.rays,
        visible=clips.visible,
    )
    stature_m, height_m = (np.full(len(root), np.nan) for _ in range(2))
    metric = np.zeros(len(root), dtype=bool)
    first = np.unique(clips.start[clips.scored])
    for shot in np.unique(clips.shot[first]):
        for now, size in _learn(poses, placed, clips, first[clips.shot[first] == shot], shots[shot].ground, gain):
            found = heights(size, np.full(len(size), np.nan))
            stature_m[now], height_m[now], metric[now] = network_stature_m(size), found.height_m, found.metric
    scored = clips.scored
    learned = scored - (scored - clips.start[scored]) % _step(clips)
    known_m = np.array([shots[shot].stature_m for shot in clips.shot[scored]])
    heights_m = np.stack([np.full(len(scored), ASSUMED_HEIGHT_M), height_m[learned], known_m], axis=-1)
    usable = placed[scored] & (stature_m[learned] > 0)
    scale = np.where(usable, 1.0, np.nan)[:, None] * heights_m / np.where(usable, stature_m[learned], 1.0)[:, None]
    true = clips.joints_cam_m[scored, _PELVIS]
    return Places(
        error_m=np.linalg.norm(scale[..., None] * root[scored, None] - true[:, None], axis=-1),
        depth=scale * root[scored, None, 2] / true[:, None, 2],
        metric=metric[learned],
    )


def _learn(
    poses: Placed, placed: np.ndarray, clips: Clips, first: np.ndarray, ground: GroundPlane, gain: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Go through clips of one shot side by side: frames (K,) and what is known by then of the sizes, (K,) of SIZE.

    poses, placed: of all frames of `clips`. first: (C,) where the clips begin.
    """
    step, time_s = _step(clips), PipelineConfig().stature_time_s
    size, since_s = np.zeros(len(first), SIZE), np.zeros(len(first))
    for ahead in range(0, int((clips.stop[first] - first).max()), step):
        inside = first + ahead < clips.stop[first]
        now = first + ahead
        since_s += step / clips.rate_hz
        rows = np.flatnonzero(inside)
        rows = rows[placed[now[rows]]]
        if len(rows):
            size[rows] = observe(size[rows], poses.at(now[rows]), ground, since_s[rows], time_s, gain)
            since_s[rows] = 0.0
        yield now[inside], size[inside]


def _step(clips: Clips) -> int:
    """Frames between two by which scale is learned."""
    return max(1, round(EVERY_S * clips.rate_hz))
