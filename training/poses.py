"""Single poses out of training windows, and what is measured of them."""

from __future__ import annotations

from torch import Tensor

from occpose_core import metrics
from occpose_core.errors import OccposeError
from occpose_core.models.elepose import normalise
from training.data.batch import Batch


def newest(batch: Batch, poses: str) -> Tensor:
    """Keypoints (B, J, 2) of the newest frame, hidden joints included. poses: "true_kpts" or "kpts"."""
    if poses not in ("true_kpts", "kpts"):
        raise OccposeError(f"model.poses must be true_kpts or kpts, got {poses!r}")
    return batch[poses][:, -1]


def complete_poses(batch: Batch, poses: str) -> Tensor:
    """Complete poses (B, J, 2) of the newest frame, normalised for the label-free lifter."""
    kpts = newest(batch, poses)
    return normalise(kpts)


def figures(joints_m: Tensor, batch: Batch) -> dict[str, float]:
    """Errors in mm of joints (B, J, 3) whose scale is arbitrary."""
    predicted = joints_m.float().cpu().numpy()
    target = batch["joints_root_m"][:, -1].cpu().numpy()
    return {
        "n_mpjpe_mm": 1e3 * metrics.n_mpjpe(predicted, target),
        "pa_mpjpe_mm": 1e3 * metrics.pa_mpjpe(predicted, target),
    }
