"""From scored frames to the figures of OccKP-1: JSON with the protocol's keys, millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np

from occpose_core.evaluation import Scores
from occpose_core.metrics import (
    auc,
    bootstrap_interval,
    calibration,
    joint_errors,
    masked_mean,
    n_joint_errors,
    pa_joint_errors,
    pck,
)
from occpose_core.placing import SCALES
from occpose_core.skeleton import H36M17

MM_PER_M = 1000.0
# Edges of the curve error over occlusion length, seconds since a joint was last seen.
OCCLUSION_EDGES_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
_PELVIS = H36M17.index("pelvis")
_LIMB_ENDS = [index for index, joint in enumerate(H36M17.joints) if joint.endswith(("wrist", "ankle"))]


def figures_of(scores: Scores, seed: int = 0) -> dict[str, Any]:
    """All figures of one model under one pattern, to 0.0001 mm."""
    errors_m = joint_errors(scores.predicted_m, scores.target_m)
    masks = {"all": np.ones_like(scores.hidden), "visible": ~scores.hidden, "hidden": scores.hidden}
    baseline_errors_m = {name: joint_errors(pose, scores.target_m) for name, pose in scores.baselines.items()}
    figures = {
        "frames": len(errors_m),
        "mpjpe_mm": _by_mask(errors_m, masks),
        "limb_end_mm": _by_mask(errors_m[:, _LIMB_ENDS], {name: mask[:, _LIMB_ENDS] for name, mask in masks.items()}),
        "mpjpe_interval_mm": {name: _interval_mm(errors_m, mask, scores.shot, seed) for name, mask in masks.items()},
        "pa_mpjpe_mm": masked_mean(pa_joint_errors(scores.predicted_m, scores.target_m)) * MM_PER_M,
        "n_mpjpe_mm": masked_mean(n_joint_errors(scores.predicted_m, scores.target_m)) * MM_PER_M,
        "mpjve_mm": _derivative_error_mm(scores, 1),
        "accel_error_mm": _derivative_error_mm(scores, 2),
        "root_error_mm": masked_mean(scores.root_error_m, np.isfinite(scores.root_error_m)) * MM_PER_M,
        "place": _place(scores),
        "coverage": float(scores.answered.mean()),
        "calibration": _calibration(errors_m, scores, masks),
        "pck150": {name: pck(errors_m, mask) for name, mask in masks.items()},
        "auc": {name: auc(errors_m, mask) for name, mask in masks.items()},
        "baselines": {name: _by_mask(errors, masks) for name, errors in baseline_errors_m.items()},
        "by_occlusion_s": _by_occlusion_length(errors_m, baseline_errors_m, scores),
        "per_joint_mm": {
            joint: {
                "all": masked_mean(errors_m[:, index]) * MM_PER_M,
                "hidden": masked_mean(errors_m[:, index], scores.hidden[:, index]) * MM_PER_M,
            }
            for index, joint in enumerate(H36M17.joints)
        },
        "by_pattern": _by_pattern(errors_m, masks, scores.pattern),
    }
    return {name: _rounded(value) for name, value in figures.items()}


def _place(scores: Scores) -> dict[str, Any]:
    """Of the pelvis' place by each source of the scale: its mean error, the median error of its depth as a share; and
    how many scales of the ground were metric, and how far off those were."""
    known = np.isfinite(scores.place_error_m[:, 0])
    errors_m, depth = scores.place_error_m[known], scores.depth[known]
    metric = scores.metric[known]
    return {
        "error_mm": {name: masked_mean(errors_m[:, k]) * MM_PER_M for k, name in enumerate(SCALES)},
        "depth_bias": {
            name: float(np.median(depth[:, k]) - 1.0) if len(depth) else float("nan") for k, name in enumerate(SCALES)
        },
        "metric": float(metric.mean()) if len(metric) else float("nan"),
        "metric_error_mm": masked_mean(errors_m[metric, SCALES.index("ground")]) * MM_PER_M,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def _by_mask(errors_m: np.ndarray, masks: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: masked_mean(errors_m, mask) * MM_PER_M for name, mask in masks.items()}


def _by_pattern(errors_m: np.ndarray, masks: dict[str, np.ndarray], pattern: np.ndarray) -> dict[str, Any]:
    """For each of the concrete patterns that the figures are over: how many frames, and their errors."""
    rows = {str(name): pattern == name for name in dict.fromkeys(pattern.tolist())}
    return {
        name: {
            "frames": int(row.sum()),
            "mpjpe_mm": _by_mask(errors_m[row], {mask: chosen[row] for mask, chosen in masks.items()}),
        }
        for name, row in rows.items()
    }


def _interval_mm(errors_m: np.ndarray, mask: np.ndarray, shot: np.ndarray, seed: int) -> list[float]:
    """95 % interval of the masked mean over recordings."""
    sums = np.bincount(shot, weights=(errors_m * mask).sum(axis=1))
    counts = np.bincount(shot, weights=mask.sum(axis=1))
    return [bound * MM_PER_M for bound in bootstrap_interval(sums, counts, seed)]


def _derivative_error_mm(scores: Scores, order: int) -> float:
    """MPJVE (order 1) or acceleration error (order 2) at the scored frames, per frame to that power."""
    error = np.diff(scores.steps_predicted_m - scores.steps_target_m, n=order, axis=1)[:, -1]
    distance = np.linalg.norm(error, axis=-1)
    return masked_mean(distance, np.isfinite(distance)) * MM_PER_M


def _calibration(errors_m: np.ndarray, scores: Scores, masks: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    known = np.isfinite(scores.sigma_m) & scores.answered[:, None]
    known[:, _PELVIS] = False
    return {
        name: calibration(errors_m, scores.sigma_m, masks[name] & known, scores.interval_radii)
        for name in ("visible", "hidden")
    }


def _by_occlusion_length(
    errors_m: np.ndarray, baseline_errors_m: dict[str, np.ndarray], scores: Scores
) -> list[dict[str, Any]]:
    """Errors of hidden joints by the time since they were last seen; the last row is those never seen in their clip."""
    rows: list[dict[str, Any]] = []
    curves = {"model": errors_m, **baseline_errors_m}
    selections = [
        (low, high, scores.hidden & (scores.hidden_s > low) & (scores.hidden_s <= high))
        for low, high in zip(OCCLUSION_EDGES_S[:-1], OCCLUSION_EDGES_S[1:], strict=True)
    ]
    for low, high, mask in [*selections, (None, None, scores.hidden & np.isnan(scores.hidden_s))]:
        means = {f"{name}_mm": masked_mean(errors, mask) * MM_PER_M for name, errors in curves.items()}
        rows.append({"from_s": low, "to_s": high, "joints": int(mask.sum()), **means})
    return rows
