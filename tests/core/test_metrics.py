"""Metrics against hand-made cases, and the properties that define them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import cauchy, chi

from occpose_core import metrics
from occpose_core.skeleton import H36M17

J = len(H36M17.joints)
PELVIS = H36M17.index("pelvis")


def poses(seed: int, *shape: int) -> np.ndarray:
    """Root-relative poses of human size."""
    joints = np.random.default_rng(seed).normal(0.0, 0.4, size=(*shape, J, 3))
    return joints - joints[..., PELVIS, None, :]


def rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def test_mpjpe_is_the_mean_euclidean_distance() -> None:
    target = poses(0, 4)
    predicted = target + np.array([0.03, 0.0, 0.04])
    assert metrics.mpjpe(predicted, target) == pytest.approx(0.05)


def test_mask_selects_joints_and_an_empty_one_gives_nan() -> None:
    target = poses(0, 2)
    predicted = target.copy()
    predicted[0, 3] += [0.1, 0.0, 0.0]
    mask = np.zeros((2, J), dtype=bool)
    assert np.isnan(metrics.mpjpe(predicted, target, mask))
    mask[0, 3] = mask[1, 3] = True
    assert metrics.mpjpe(predicted, target, mask) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("predicted", "target"),
    [
        pytest.param(np.zeros((2, J, 3)), np.zeros((3, J, 3)), id="other number of frames"),
        pytest.param(np.zeros((2, J, 2)), np.zeros((2, J, 2)), id="2D"),
    ],
)
def test_poses_that_do_not_fit_are_refused(predicted: np.ndarray, target: np.ndarray) -> None:
    with pytest.raises(metrics.MetricError, match="one shape"):
        metrics.mpjpe(predicted, target)


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10.0))
def test_pa_joint_errors_forgive_a_reflection_only_if_asked(seed: int, scale: float) -> None:
    target = poses(seed, 3)
    mirrored = scale * target * [-1.0, 1.0, 1.0] @ rotation(seed).T
    assert metrics.pa_joint_errors(mirrored, target, reflect=True).max() == pytest.approx(0.0, abs=1e-9)
    assert metrics.pa_joint_errors(mirrored, target).mean(axis=-1).min() > 0.01


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10.0))
def test_norm_ratio_forgives_scale_but_takes_a_worse_one_than_least_squares(seed: int, scale: float) -> None:
    target = poses(seed, 3)
    assert metrics.norm_ratio_joint_errors(scale * target, target).max() == pytest.approx(0.0, abs=1e-9)
    predicted = target + 0.3 * poses(seed + 1, 3)
    by_norm, by_squares = (
        (errors**2).sum(axis=-1)
        for errors in (metrics.norm_ratio_joint_errors(predicted, target), metrics.n_joint_errors(predicted, target))
    )
    assert (by_norm >= by_squares - 1e-12).all()
    assert metrics.norm_ratio_joint_errors(0 * target, target) == pytest.approx(np.linalg.norm(target, axis=-1))


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10.0))
def test_pa_mpjpe_ignores_similarity_transforms(seed: int, scale: float) -> None:
    target = poses(seed, 3)
    moved = scale * target @ rotation(seed).T + np.array([1.0, -2.0, 3.0])
    assert metrics.pa_mpjpe(moved, target) == pytest.approx(0.0, abs=1e-9)


def test_pa_mpjpe_never_reflects() -> None:
    target = poses(1, 5)
    assert metrics.pa_mpjpe(target * [-1, 1, 1], target) > 0.05


def test_pa_mpjpe_aligns_each_sample_by_itself() -> None:
    target = poses(2, 2)
    predicted = np.stack([target[0] @ rotation(3).T, 2 * target[1] @ rotation(4).T])
    assert metrics.pa_mpjpe(predicted, target) == pytest.approx(0.0, abs=1e-9)


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10.0))
def test_n_mpjpe_ignores_scale_but_not_rotation(seed: int, scale: float) -> None:
    target = poses(seed, 2)
    assert metrics.n_mpjpe(scale * target, target) == pytest.approx(0.0, abs=1e-9)
    assert metrics.n_mpjpe(target[..., [1, 2, 0]], target) > 0.01


def test_n_mpjpe_uses_the_least_squares_scale() -> None:
    predicted, target = poses(5, 1), poses(6, 1)
    best = metrics.n_joint_errors(predicted, target)
    scale = (predicted * target).sum() / (predicted**2).sum()
    square = ((scale * predicted - target) ** 2).sum()
    assert (best**2).sum() == pytest.approx(square)
    for other in (0.9 * scale, 1.1 * scale):
        assert square < ((other * predicted - target) ** 2).sum()


def test_n_mpjpe_of_a_pose_without_extent_is_finite() -> None:
    target = poses(7, 1)
    assert metrics.n_mpjpe(np.zeros_like(target), target) == pytest.approx(metrics.mpjpe(0 * target, target))


@pytest.mark.parametrize(
    ("metric", "motion", "expected"),
    [
        pytest.param(metrics.mpjve, "constant offset", 0.0, id="velocity ignores an offset"),
        pytest.param(metrics.mpjve, "drift", 0.01, id="velocity sees a drift"),
        pytest.param(metrics.accel_error, "drift", 0.0, id="acceleration ignores a drift"),
        pytest.param(metrics.accel_error, "jitter", 0.04, id="acceleration sees jitter"),
    ],
)
def test_temporal_errors(metric, motion: str, expected: float) -> None:
    frames = 10
    target = poses(8, frames)
    steps = {
        "constant offset": np.full(frames, 0.01),
        "drift": 0.01 * np.arange(frames),
        "jitter": 0.01 * (-1.0) ** np.arange(frames),
    }[motion]
    predicted = target + steps[:, None, None] * np.array([1.0, 0.0, 0.0])
    assert metric(predicted, target) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("error_m", "pck", "auc"),
    [
        pytest.param(0.0, 1.0, 1.0, id="perfect"),
        pytest.param(0.15, 1.0, 1 / 31, id="at the threshold"),
        pytest.param(0.1501, 0.0, 0.0, id="just outside"),
        pytest.param(0.0751, 1.0, 15 / 31, id="half way"),
    ],
)
def test_pck_and_auc(error_m: float, pck: float, auc: float) -> None:
    errors = np.full((3, J), error_m)
    assert metrics.pck(errors) == pytest.approx(pck)
    assert metrics.auc(errors) == pytest.approx(auc)


def test_calibration_radii_are_the_chi_quantiles() -> None:
    assert list(metrics.CHI3_RADII) == pytest.approx([chi.ppf(0.5, 3), chi.ppf(0.9, 3)])


@pytest.mark.parametrize(
    ("claimed", "p50", "p90"),
    [
        pytest.param(1.0, 0.5, 0.9, id="calibrated"),
        pytest.param(0.5, chi.cdf(0.5 * chi.ppf(0.5, 3), 3), chi.cdf(0.5 * chi.ppf(0.9, 3), 3), id="too sure"),
        pytest.param(2.0, chi.cdf(2 * chi.ppf(0.5, 3), 3), chi.cdf(2 * chi.ppf(0.9, 3), 3), id="too shy"),
    ],
)
def test_calibration_of_gaussian_errors(claimed: float, p50: float, p90: float) -> None:
    rng = np.random.default_rng(9)
    sigma = rng.uniform(0.01, 0.1, size=(40_000, 1))
    errors = np.linalg.norm(sigma[..., None] * rng.standard_normal((40_000, 1, 3)), axis=-1)
    share = metrics.calibration(errors, claimed * sigma)
    assert share["p50"] == pytest.approx(p50, abs=0.01)
    assert share["p90"] == pytest.approx(p90, abs=0.01)


def test_calibration_by_the_radii_of_a_law_with_heavy_tails() -> None:
    rng = np.random.default_rng(10)
    errors = np.abs(rng.standard_cauchy((40_000, 1)))
    radii = float(cauchy.ppf(0.75)), float(cauchy.ppf(0.95))
    share = metrics.calibration(errors, np.ones_like(errors), radii=radii)
    assert (share["p50"], share["p90"]) == (pytest.approx(0.5, abs=0.01), pytest.approx(0.9, abs=0.01))
    assert metrics.calibration(errors, np.ones_like(errors))["p90"] < 0.8


def test_bootstrap_interval_is_seeded_and_holds_the_mean() -> None:
    rng = np.random.default_rng(10)
    counts = rng.integers(1, 50, size=30)
    sums = counts * rng.normal(1.0, 0.1, size=30)
    low, high = metrics.bootstrap_interval(sums, counts, seed=3)
    assert (low, high) == metrics.bootstrap_interval(sums, counts, seed=3)
    assert (low, high) != metrics.bootstrap_interval(sums, counts, seed=4)
    assert low < sums.sum() / counts.sum() < high
    assert high - low < 0.2


def test_bootstrap_covers_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    inside = 0
    for trial in range(200):
        counts = np.full(40, 10)
        low, high = metrics.bootstrap_interval(
            counts * rng.normal(0.0, 1.0, size=40), counts, seed=trial, resamples=400
        )
        inside += low < 0.0 < high
    assert 0.88 <= inside / 200 <= 0.99


def test_bootstrap_without_counts_is_nan() -> None:
    assert np.isnan(metrics.bootstrap_interval(np.zeros(3), np.zeros(3))).all()


@given(seed=st.integers(0, 10_000), angle_deg=st.one_of(st.floats(0.0, 180.0), st.floats(0.0, 1e-3)))
def test_the_angle_between_rotations_is_that_of_the_turn_between_them(seed: int, angle_deg: float) -> None:
    target, axis = rotation(seed), rotation(seed + 1)[0]
    predicted = Rotation.from_rotvec(np.radians(angle_deg) * axis).as_matrix() @ target
    assert metrics.angle_errors_deg(predicted, target) == pytest.approx(angle_deg, abs=1e-6, rel=1e-6)


def test_angles_need_rotations_of_one_shape() -> None:
    with pytest.raises(metrics.MetricError, match="rotations of one shape"):
        metrics.angle_errors_deg(np.zeros((2, 3, 3)), np.zeros((2, 3)))
