"""What the 3D playback is made from: everybody's joints in every frame, packed so that a page stays small.

Positions are whole millimetres (more, should somebody be 32 m away), base64 of little-endian arrays. A long recording
is thinned to every n-th frame; the page moves people between those, and says so.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_core.types import Origin, State
from occpose_ros.report.scene import scene_frame
from occpose_ros.scoring.score import MM_PER_M, Pairs, Score

_ARRAYS = {"<i2": "Int16Array", "<u1": "Uint8Array", "<u2": "Uint16Array", "<u4": "Uint32Array", "<f4": "Float32Array"}
_J = len(H36M17.joints)
_INT16_MAX = 32767
_NO_TRUTH = -32768
_NO_ERROR = 65535
_SIGMA_UNIT_M = 0.005
_ROW_BYTES = 160  # of a person in a frame, without truth
_TRUTH_BYTES = 110


def packed(array: np.ndarray, dtype: str) -> dict[str, str]:
    """An array for the page: the name of its JavaScript array, and its little-endian bytes in base64."""
    return {"type": _ARRAYS[dtype], "base64": base64.b64encode(array.astype(dtype).tobytes()).decode()}


def playback(score: Score, begin_ns: int, limit_bytes: int) -> dict[str, Any]:
    """The people of a run, frame by frame; seconds count from begin_ns. limit_bytes: of the arrays, about."""
    pairs, error_m = score.pairs, mean_error_m(score)
    stamps, frame = np.unique(pairs.stamp_ns, return_inverse=True)
    every = _thinning(pairs, limit_bytes)
    rows = np.flatnonzero(frame % every == 0)
    rows = rows[np.argsort(frame[rows], kind="stable")]
    scene = scene_frame(pairs.joints_cam_m[rows])
    joints_m, truth_m = scene.from_cam(pairs.joints_cam_m[rows]), scene.from_cam(pairs.truth_cam_m[rows])
    unit_m = _unit_m(joints_m, truth_m)
    kept = stamps[::every]
    return {
        "every": every,
        "frames": len(stamps),
        "ids": list(pairs.ids),
        "camera_height_m": scene.camera_height_m,
        "camera_axes": scene.rotation.T.tolist(),
        "unit_m": unit_m,
        "sigma_unit_m": _SIGMA_UNIT_M,
        "seconds": packed((kept - begin_ns) * 1e-9, "<f4"),
        "first_row": packed(np.searchsorted(frame[rows] // every, np.arange(len(kept) + 1)), "<u4"),
        "track": packed(pairs.track[rows], "<u2"),
        "joints": packed(_whole_units(joints_m, unit_m), "<i2"),
        "truth": packed(_whole_units(truth_m, unit_m), "<i2") if pairs.has_truth.any() else None,
        "filled": packed(_bits(pairs.origin[rows] == Origin.FILLED), "<u4"),
        "unknown": packed(_bits(pairs.origin[rows] == Origin.UNKNOWN), "<u4"),
        "sigma": packed(np.clip(np.nan_to_num(pairs.sigma_m[rows]) / _SIGMA_UNIT_M, 0, 255).round(), "<u1"),
        "predicted": packed(pairs.state[rows] == State.OCCLUDED, "<u1"),
        "error_mm": packed(_whole_mm(error_m[rows]), "<u2"),
    }


def skeleton() -> dict[str, Any]:
    """The joints' names and the bones, pairs of indices."""
    return {"joints": [joint.replace("_", " ") for joint in H36M17.joints], "bones": [list(b) for b in H36M17.bones]}


def mean_error_m(score: Score) -> np.ndarray:
    """(N,) mean error of the joints whose truth is known, NaN without any."""
    errors_m, known = score.errors_m["occpose"], score.pairs.known
    return np.where(known, errors_m, 0.0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)


def _thinning(pairs: Pairs, limit_bytes: int) -> int:
    row_bytes = _ROW_BYTES + _TRUTH_BYTES * bool(pairs.has_truth.any())
    return max(1, -(-len(pairs.stamp_ns) * row_bytes * 4 // 3 // limit_bytes))


def _unit_m(*positions_m: np.ndarray) -> float:
    """One millimetre, or as many as the farthest coordinate needs."""
    farthest_m = max(float(np.nan_to_num(np.abs(of)).max(initial=0.0)) for of in positions_m)
    return 0.001 * max(1, int(np.ceil(farthest_m * 1000.0 / _INT16_MAX)))


def _whole_units(positions_m: np.ndarray, unit_m: float) -> np.ndarray:
    return np.nan_to_num(np.rint(positions_m / unit_m), nan=_NO_TRUTH)


def _whole_mm(error_m: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.rint(error_m * MM_PER_M).clip(0, _NO_ERROR - 1), nan=_NO_ERROR)


def _bits(mask: np.ndarray) -> np.ndarray:
    """(N, J) bool -> (N,), joint j is bit j."""
    return (mask.astype(np.uint32) << np.arange(_J, dtype=np.uint32)).sum(axis=1)


def begin_ns_of(scores: Sequence[Score]) -> int:
    """The first stamp of all runs, which is second 0 of the page."""
    return min((int(score.pairs.stamp_ns.min()) for score in scores if len(score.pairs.stamp_ns)), default=0)
