"""Errors of 3D poses, under the names that the literature uses. Metres in, metres out; float64 inside.

Poses are (..., J, 3) and root-relative unless a name says otherwise; the root counts as a joint, with error 0, as in
published figures. A `mask` (..., J) bool selects the joints that count; without any the mean is NaN.
"""

from __future__ import annotations

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.geometry import procrustes_align

PCK_THRESHOLD_M = 0.150
# AUC of MPI-INF-3DHP: mean PCK over 31 thresholds from 0 to 150 mm
_AUC_THRESHOLDS_M = np.linspace(0.0, PCK_THRESHOLD_M, 31)

# Radii, in sigmas, of the balls that hold 50 % and 90 % of an isotropic 3D Gaussian: quantiles of the chi distribution
# with three degrees of freedom, sqrt(chi2.ppf(p, 3)).
CHI3_RADII = (1.5381722544550522, 2.5002777108094065)


class MetricError(OccposeError):
    """Predicted and true poses do not fit each other."""


def joint_errors(predicted_m: np.ndarray, target_m: np.ndarray) -> np.ndarray:
    """Euclidean distance of every joint: two (..., J, 3) -> (..., J) float64. Raises MetricError."""
    if predicted_m.shape != target_m.shape or predicted_m.shape[-1] != 3:
        raise MetricError(f"expected two poses of one shape (..., J, 3), got {predicted_m.shape} and {target_m.shape}")
    return np.asarray(np.linalg.norm(predicted_m.astype(np.float64) - target_m, axis=-1))


def masked_mean(values: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean of the values under the mask (of the same shape), NaN where there is none."""
    chosen = values if mask is None else values[mask]
    return float(chosen.mean()) if chosen.size else float("nan")


def mpjpe(predicted_m: np.ndarray, target_m: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean per-joint position error, "protocol #1" in many papers."""
    return masked_mean(joint_errors(predicted_m, target_m), mask)


def pa_joint_errors(predicted_m: np.ndarray, target_m: np.ndarray, reflect: bool = False) -> np.ndarray:
    """Joint errors (..., J) after each pose's best similarity transform; `reflect`: of mirror images too."""
    return joint_errors(procrustes_align(predicted_m, target_m, reflect=reflect), target_m)


def pa_mpjpe(predicted_m: np.ndarray, target_m: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Procrustes-aligned MPJPE, "protocol #2": every pose is aligned by itself, over all joints, never reflected."""
    return masked_mean(pa_joint_errors(predicted_m, target_m), mask)


def n_joint_errors(predicted_m: np.ndarray, target_m: np.ndarray) -> np.ndarray:
    """Joint errors (..., J) after each root-relative pose's least-squares scale (Rhodin et al. 2018)."""
    predicted = predicted_m.astype(np.float64)
    power = (predicted**2).sum(axis=(-2, -1), keepdims=True)
    scale = (predicted * target_m).sum(axis=(-2, -1), keepdims=True) / np.where(power > 0, power, 1.0)
    return joint_errors(scale * predicted, target_m)


def n_mpjpe(predicted_m: np.ndarray, target_m: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Scale-normalised MPJPE."""
    return masked_mean(n_joint_errors(predicted_m, target_m), mask)


def norm_ratio_joint_errors(predicted_m: np.ndarray, target_m: np.ndarray) -> np.ndarray:
    """Joint errors (..., J) after each root-relative pose is given its target's norm; some papers' N-MPJPE."""
    predicted = predicted_m.astype(np.float64)
    size = np.linalg.norm(predicted, axis=(-2, -1), keepdims=True)
    scale = np.linalg.norm(target_m.astype(np.float64), axis=(-2, -1), keepdims=True) / np.where(size > 0, size, 1.0)
    return joint_errors(scale * predicted, target_m)


def mpjve(predicted_m: np.ndarray, target_m: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean per-joint velocity error: MPJPE of first differences along the frames (..., T, J, 3), metres per frame.

    mask: (..., T - 1, J).
    """
    return mpjpe(np.diff(predicted_m, axis=-3), np.diff(target_m, axis=-3), mask)


def accel_error(predicted_m: np.ndarray, target_m: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Acceleration error: MPJPE of second differences along the frames (..., T, J, 3), metres per frame squared.

    mask: (..., T - 2, J).
    """
    return mpjpe(np.diff(predicted_m, n=2, axis=-3), np.diff(target_m, n=2, axis=-3), mask)


def angle_errors_deg(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Angle of the turn between two rotations: (..., 3, 3) -> (...) float64 degrees, 0 to 180. Raises MetricError.

    Of the joints' orientations in the camera's axes it is MPJAE, as in the 3DPW challenge (von Marcard et al., 2018).
    """
    if predicted.shape != target.shape or predicted.shape[-2:] != (3, 3):
        raise MetricError(f"expected rotations of one shape (..., 3, 3), got {predicted.shape} and {target.shape}")
    # |A - B|^2 = 8 sin^2(angle / 2) is exact for small angles, too, where the trace is not
    square = np.square(predicted.astype(np.float64) - target).sum(axis=(-2, -1))
    return np.asarray(np.degrees(2 * np.arctan2(np.sqrt(square), np.sqrt(np.maximum(8.0 - square, 0.0)))))


def pck(errors_m: np.ndarray, mask: np.ndarray | None = None, threshold_m: float = PCK_THRESHOLD_M) -> float:
    """Share of joints (..., J) whose error is within the threshold, in [0, 1]."""
    return masked_mean((errors_m <= threshold_m).astype(np.float64), mask)


def auc(errors_m: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Area under the PCK curve: mean PCK over 31 thresholds from 0 to 150 mm, in [0, 1]."""
    return float(np.mean([pck(errors_m, mask, threshold) for threshold in _AUC_THRESHOLDS_M]))


def calibration(
    errors_m: np.ndarray,
    sigma_m: np.ndarray,
    mask: np.ndarray | None = None,
    radii: tuple[float, float] = CHI3_RADII,
) -> dict[str, float]:
    """Share of joint errors inside the 50 % and 90 % intervals that sigma promises: {"p50": ..., "p90": ...}.

    errors_m, sigma_m: (..., J) m. radii: of the two intervals, in sigmas, as the model has them. Without any a joint's
    error is taken as an isotropic 3D Gaussian with standard deviation sigma along each axis, so that error / sigma is
    chi-distributed with three degrees of freedom. A calibrated model scores 0.5 and 0.9; less means that it is too
    sure. Leave the root out: its error is 0 by definition.
    """
    inside = (masked_mean((errors_m <= radius * sigma_m).astype(np.float64), mask) for radius in radii)
    return dict(zip(("p50", "p90"), inside, strict=True))


def bootstrap_interval(
    sums: np.ndarray, counts: np.ndarray, seed: int = 0, resamples: int = 1000, coverage: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean over everything, resampling whole sequences.

    sums, counts: (S,) per sequence, sum of the errors and how many; frames of one sequence are not independent, so a
    sequence is drawn as a whole. Returns (low, high), NaN without any count.
    """
    kept = counts > 0
    sums, counts = sums[kept].astype(np.float64), counts[kept].astype(np.float64)
    if not len(counts):
        return float("nan"), float("nan")
    rng = np.random.Generator(np.random.Philox(key=seed))
    draws = rng.integers(len(counts), size=(resamples, len(counts)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)
