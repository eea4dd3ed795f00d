"""Training losses. Means over what is asked for, so that their scale does not depend on how much is hidden."""

from __future__ import annotations

import torch
from torch import Tensor


def mpjpe_loss(joints_m: Tensor, target_m: Tensor) -> Tensor:
    """Mean per-joint position error of (B, J, 3), metres."""
    return (joints_m - target_m).norm(dim=-1).mean()


def masked_distance(points: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean Euclidean distance of (B, J, C) over the joints where mask (B, J) is true; 0 if there are none."""
    distance = (points - target).norm(dim=-1)
    return (distance * mask).sum() / mask.sum().clamp(min=1)


def gaussian_nll(joints_m: Tensor, target_m: Tensor, sigma_m: Tensor) -> Tensor:
    """Negative log-likelihood of an isotropic 3D Gaussian around each joint; the positions get no gradient from it."""
    square = (joints_m.detach() - target_m).square().sum(dim=-1)
    return (square / (2 * sigma_m.square()) + 3 * torch.log(sigma_m)).mean()


def laplace_nll(error_m: Tensor, sigma_m: Tensor) -> Tensor:
    """Negative log-likelihood of distances (...) under a 3D Laplace law, exp(-2 |e| / sigma), constants aside.

    sigma is its standard deviation along each axis. Heavier tails than a Gaussian's, so that a few large errors do not
    make all sigmas large.
    """
    return 3 * torch.log(sigma_m) + 2 * error_m / sigma_m


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of (...) by weights of the same shape; 0 if they are all 0."""
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)
