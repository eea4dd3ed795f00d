"""How good recorded answers are: skeletons against the true ones of the same bag, matched by stamp and id.

Poses are compared root-relative in the camera's axes. A joint is
    not in layout   if the detector's layout cannot give it at all (spine and head top of COCO),
    visible         if the detector gave it and the truth calls it MEASURED,
    hidden          otherwise.
The baselines use the system's own answers: a joint as it was answered when last measured (hold), moved on at constant
velocity, and the training-mean pose turned to the person. A joint never measured before has the mean pose in all three.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from occpose_core.baselines import constant_velocity, hold, mean_pose_view_m, velocity_start
from occpose_core.camera import rays_from_cam, view_of
from occpose_core.geometry import bone_lengths_m
from occpose_core.metrics import CHI3_RADII, calibration, joint_errors, masked_mean, n_joint_errors, pa_joint_errors
from occpose_core.pipeline import PipelineOutput
from occpose_core.skeleton import H36M17
from occpose_core.types import Origin
from occpose_ros.adapters import KeypointsArray
from occpose_ros.scoring.pairs import GROUPS, Pairs, pair
from occpose_ros.scoring.truth import Truth

__all__ = ["GROUPS", "MM_PER_M", "Pairs", "Score", "baselines", "score"]

MM_PER_M = 1000.0
_J = len(H36M17.joints)
_PELVIS = H36M17.index("pelvis")


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """figures: as in report.json, millimetres. pairs: what they were made from. errors_m: of the system and of each
    baseline, name -> (N, J), NaN without truth."""

    figures: dict[str, Any]
    pairs: Pairs
    errors_m: dict[str, np.ndarray]


def _root_relative(joints_cam_m: np.ndarray) -> np.ndarray:
    return joints_cam_m - joints_cam_m[..., _PELVIS : _PELVIS + 1, :]


def _mean_pose_cam_m(joints_cam_m: np.ndarray) -> np.ndarray:
    """(N, J, 3) the training-mean pose, turned from the view of each answered person to the camera's axes."""
    rays = rays_from_cam(joints_cam_m)
    return view_of(rays, np.ones(rays.shape[:-1], dtype=bool)).to_cam(mean_pose_view_m()[None].astype(np.float64))


def baselines(pairs: Pairs) -> dict[str, np.ndarray]:
    """Root-relative poses (N, J, 3), camera axes, of each baseline."""
    answers_m = _root_relative(pairs.joints_cam_m)
    never_m = _mean_pose_cam_m(pairs.joints_cam_m)
    frame_ns = pairs.frame_ns
    found = {"mean_pose": never_m, "hold": never_m.copy(), "constant_velocity": never_m.copy()}
    for run in pairs.runs():
        frame = np.rint((pairs.stamp_ns[run] - pairs.stamp_ns[run.start]) / frame_ns).astype(np.int64)
        # Answers on a regular grid of frames; a gap holds the answer before it.
        row_of_frame = np.searchsorted(frame, np.arange(frame[-1] + 1), side="right") - 1
        grid_m = answers_m[run][row_of_frame]
        measured = pairs.origin[run] == Origin.MEASURED
        last = np.maximum.accumulate(np.where(measured, frame[:, None], -1), axis=0)
        before = velocity_start(last, np.zeros(len(frame), dtype=np.int64), 1e9 / frame_ns)
        found["hold"][run] = hold(grid_m, last, never_m[run])
        found["constant_velocity"][run] = constant_velocity(grid_m, last, before, frame, never_m[run])
    return found


def _by_group(errors_m: np.ndarray, groups: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: masked_mean(errors_m, mask) * MM_PER_M for name, mask in groups.items()}


def _second_difference(pairs: Pairs, joints_m: np.ndarray) -> np.ndarray:
    """(N, J) length of the second difference over this frame and the two before, NaN where a frame is missing."""
    frame_ns = pairs.frame_ns
    found = np.full((len(joints_m), _J), np.nan)
    for run in pairs.runs():
        regular = np.abs(np.diff(pairs.stamp_ns[run]) - frame_ns) < 0.2 * frame_ns
        lengths = np.linalg.norm(np.diff(joints_m[run], n=2, axis=0), axis=-1)
        found[run][2:] = np.where((regular[:-1] & regular[1:])[:, None], lengths, np.nan)
    return found


def _finite_mean(values: np.ndarray, mask: np.ndarray | None = None) -> float:
    finite = np.isfinite(values)
    return masked_mean(values, finite if mask is None else finite & mask)


def _flicker_m_s2(pairs: Pairs) -> dict[str, float]:
    """Mean acceleration of absolute joints where measured, where filled, and of the truth."""
    per_second = (1e9 / pairs.frame_ns) ** 2
    answers = _second_difference(pairs, pairs.joints_cam_m) * per_second
    measured = pairs.origin == Origin.MEASURED
    truth = _second_difference(pairs, pairs.truth_cam_m) * per_second
    return {
        "measured": _finite_mean(answers, measured),
        "filled": _finite_mean(answers, ~measured),
        "truth": _finite_mean(truth),
    }


def _bone_length_drift(pairs: Pairs) -> float:
    """Mean over people and bones of the standard deviation of a bone's length over its mean."""
    drift = []
    for run in pairs.runs():
        lengths_m = bone_lengths_m(pairs.joints_cam_m[run])
        drift.append(lengths_m.std(axis=0) / np.maximum(lengths_m.mean(axis=0), 1e-6))
    return float(np.mean(drift)) if drift else float("nan")


def _against_truth(
    pairs: Pairs, errors_m: Mapping[str, np.ndarray], interval_radii: tuple[float, float]
) -> dict[str, Any]:
    groups, known = pairs.groups, pairs.has_truth
    answers_m, truth_m = _root_relative(pairs.joints_cam_m)[known], _root_relative(pairs.truth_cam_m)[known]
    root_error_m = np.linalg.norm((pairs.joints_cam_m - pairs.truth_cam_m)[known, _PELVIS], axis=-1)
    depth = np.stack([pairs.joints_cam_m[known, _PELVIS, 2], pairs.truth_cam_m[known, _PELVIS, 2]], axis=-1)
    of = {name: _by_group(errors, groups) for name, errors in errors_m.items()}
    mpjpe_mm = of.pop("occpose")
    best = min(figures["hidden"] for figures in of.values())
    error_m = _root_relative(pairs.joints_cam_m - pairs.truth_cam_m)
    no_root = np.arange(_J) != _PELVIS
    return {
        "mpjpe_mm": mpjpe_mm,
        "baselines": of,
        "hidden_below_best_baseline": 1.0 - mpjpe_mm["hidden"] / best,
        "joints": {name: int(mask.sum()) for name, mask in groups.items()},
        "pa_mpjpe_mm": masked_mean(pa_joint_errors(answers_m, truth_m)) * MM_PER_M,
        "n_mpjpe_mm": masked_mean(n_joint_errors(answers_m, truth_m)) * MM_PER_M,
        "root_error_mm": masked_mean(root_error_m) * MM_PER_M,
        "depth_bias": float(np.mean(depth[:, 0] / depth[:, 1] - 1.0)) if known.any() else float("nan"),
        "accel_error_mm": _finite_mean(_second_difference(pairs, error_m)) * MM_PER_M,
        "calibration": {
            name: calibration(errors_m["occpose"], pairs.sigma_m, groups[name] & no_root, interval_radii)
            for name in ("visible", "hidden")
        },
        "per_joint_mm": {
            joint: _by_group(errors_m["occpose"][:, j], {name: mask[:, j] for name, mask in groups.items()})
            for j, joint in enumerate(H36M17.joints)
        },
    }


def score(
    detected: Sequence[KeypointsArray],
    answers: Sequence[PipelineOutput],
    truth: Truth | None,
    interval_radii: tuple[float, float] = CHI3_RADII,
) -> Score:
    """Figures of answers.

    detected: what went in. answers: what came out. truth: or None; then every error is NaN, and coverage, flicker and
    bone drift remain. interval_radii: of the model that answered, see ModelInfo.
    """
    pairs, coverage = pair(detected, answers, truth)
    target_m = _root_relative(pairs.truth_cam_m)
    poses_m = {"occpose": _root_relative(pairs.joints_cam_m), **baselines(pairs)}
    errors_m = {name: joint_errors(pose_m, target_m) for name, pose_m in poses_m.items()}
    figures = {
        "frames": dataclasses.asdict(coverage),
        **_against_truth(pairs, errors_m, interval_radii),
        "flicker_m_s2": _flicker_m_s2(pairs),
        "bone_length_drift": _bone_length_drift(pairs),
        "people": len(pairs.ids),
        "metric": float(np.mean(pairs.metric)) if len(pairs.metric) else float("nan"),
    }
    return Score(figures=figures, pairs=pairs, errors_m=errors_m)
