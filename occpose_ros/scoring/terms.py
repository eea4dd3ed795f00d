"""What each answer adds to each figure: a sum and a count, by row of Pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from occpose_core.geometry import bone_lengths_m
from occpose_core.metrics import n_joint_errors, pa_joint_errors
from occpose_core.skeleton import H36M17
from occpose_core.types import Origin
from occpose_ros.scoring.pairs import Pairs
from occpose_ros.scoring.poses import root_relative, second_difference, unmeasured_s
from occpose_ros.scoring.sums import BY_OCCLUSION, OCCLUSION_SPANS_S, SWITCHES

MM_PER_M = 1000.0
_PELVIS = H36M17.index("pelvis")
_FEWEST_ALIGNED = 4  # joints: fewer fit after any alignment

Term = tuple[np.ndarray, np.ndarray]  # (N,) sums, (N,) counts


def over(values: np.ndarray, mask: np.ndarray) -> Term:
    """Sum and count by row of the values under the mask; both (N,) or (N, J)."""
    of_row = tuple(range(1, mask.ndim))
    return np.where(mask, values, 0.0).sum(axis=of_row), mask.sum(axis=of_row).astype(np.float64)


def terms(pairs: Pairs, errors_m: Mapping[str, np.ndarray], interval_radii: tuple[float, float]) -> dict[str, Term]:
    """Dotted key -> what each row adds. errors_m: of the system ("occpose") and of each baseline, (N, J)."""
    return {
        **_errors(pairs, errors_m),
        **_aligned(pairs),
        **_place(pairs),
        **_calibration(pairs, errors_m["occpose"], interval_radii),
        **_by_occlusion(pairs, errors_m),
        **_steadiness(pairs),
        SWITCHES: (pairs.switched.astype(np.float64), pairs.followed * (pairs.frame_ns / 60e9)),
        "metric": over(pairs.metric.astype(np.float64), np.ones(len(pairs.metric), dtype=bool)),
    }


def _errors(pairs: Pairs, errors_m: Mapping[str, np.ndarray]) -> dict[str, Term]:
    names = {"occpose": "mpjpe_mm", **{name: f"baselines.{name}" for name in errors_m if name != "occpose"}}
    found = {
        f"{names[name]}.{group}": over(errors * MM_PER_M, mask)
        for name, errors in errors_m.items()
        for group, mask in pairs.groups.items()
    }
    for j, joint in enumerate(H36M17.joints):
        for group, mask in pairs.groups.items():
            found[f"per_joint_mm.{joint}.{group}"] = over(errors_m["occpose"][:, j] * MM_PER_M, mask[:, j])
    return found


def _aligned(pairs: Pairs) -> dict[str, Term]:
    """Errors after the best alignment over the joints whose truth is known."""
    answers_m, truth_m = root_relative(pairs.joints_cam_m), root_relative(pairs.truth_cam_m)
    ways: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "pa_mpjpe_mm": pa_joint_errors,
        "n_mpjpe_mm": n_joint_errors,
    }
    errors_mm = {name: np.zeros(pairs.known.shape) for name in ways}
    enough = pairs.known & (pairs.known.sum(axis=1) >= _FEWEST_ALIGNED)[:, None]
    patterns, pattern_of = np.unique(enough, axis=0, return_inverse=True)
    for number, joints in enumerate(patterns):
        rows = np.flatnonzero(pattern_of.ravel() == number)
        cells = np.ix_(rows, np.flatnonzero(joints))
        if joints.any():
            for name, errors_of in ways.items():
                errors_mm[name][cells] = errors_of(answers_m[cells], truth_m[cells]) * MM_PER_M
    return {name: over(errors, enough) for name, errors in errors_mm.items()}


def _place(pairs: Pairs) -> dict[str, Term]:
    """Of the pelvis, and of how the whole pose accelerates against the truth."""
    error_m = pairs.joints_cam_m - pairs.truth_cam_m
    depth, true_depth = pairs.joints_cam_m[:, _PELVIS, 2], pairs.truth_cam_m[:, _PELVIS, 2]
    accel_error_m = second_difference(pairs, root_relative(np.where(pairs.known[..., None], error_m, np.nan)))
    return {
        "root_error_mm": over(np.linalg.norm(error_m[:, _PELVIS], axis=-1) * MM_PER_M, pairs.has_truth),
        "depth_bias": over(depth / np.where(pairs.has_truth, true_depth, 1.0) - 1.0, pairs.has_truth),
        "accel_error_mm": over(accel_error_m * MM_PER_M, np.isfinite(accel_error_m)),
    }


def _calibration(pairs: Pairs, errors_m: np.ndarray, interval_radii: tuple[float, float]) -> dict[str, Term]:
    """Shares of errors within the intervals that sigma promises; see occpose_core.metrics.calibration."""
    no_root = np.arange(len(H36M17.joints)) != _PELVIS
    return {
        f"calibration.{group}.{share}": over(
            (errors_m <= radius * pairs.sigma_m).astype(np.float64), pairs.groups[group] & no_root
        )
        for group in ("visible", "hidden")
        for share, radius in zip(("p50", "p90"), interval_radii, strict=True)
    }


def _by_occlusion(pairs: Pairs, errors_m: Mapping[str, np.ndarray]) -> dict[str, Term]:
    """Errors of hidden joints by the time since they were last measured."""
    since_s, hidden = unmeasured_s(pairs), pairs.groups["hidden"]
    found = {}
    for index, (from_s, to_s) in enumerate(OCCLUSION_SPANS_S):
        if from_s is None:
            mask = hidden & np.isnan(since_s)
        else:
            mask = hidden & (since_s > from_s) & (since_s <= (np.inf if to_s is None else to_s))
        for name, errors in errors_m.items():
            found[f"{BY_OCCLUSION}.{index}.{name}_mm"] = over(errors * MM_PER_M, mask)
    return found


def _steadiness(pairs: Pairs) -> dict[str, Term]:
    """Mean acceleration of absolute joints where measured, where filled, and of the truth; and of each person and bone
    the standard deviation of its length over its mean, in the person's first row."""
    per_second = (1e9 / pairs.frame_ns) ** 2
    answers = second_difference(pairs, pairs.joints_cam_m) * per_second
    truth = second_difference(pairs, np.where(pairs.known[..., None], pairs.truth_cam_m, np.nan)) * per_second
    measured, finite = pairs.origin == Origin.MEASURED, np.isfinite(answers)
    drift, bones = np.zeros(len(pairs.track)), np.zeros(len(pairs.track))
    for run in pairs.runs():
        lengths_m = bone_lengths_m(pairs.joints_cam_m[run])
        drift[run.start] = (lengths_m.std(axis=0) / np.maximum(lengths_m.mean(axis=0), 1e-6)).sum()
        bones[run.start] = lengths_m.shape[-1]
    return {
        "flicker_m_s2.measured": over(answers, finite & measured),
        "flicker_m_s2.filled": over(answers, finite & ~measured),
        "flicker_m_s2.truth": over(truth, np.isfinite(truth)),
        "bone_length_drift": (drift, bones),
    }
