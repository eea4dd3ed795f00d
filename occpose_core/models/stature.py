"""Standing height of a pose, with gradients: what makes metres of a pose whose scale nobody knows."""

from __future__ import annotations

from torch import Tensor

from occpose_core.geometry import CHAIN_ENDS, CHAIN_STARTS, STATURE_WEIGHTS
from occpose_core.models.pose_model import take


def stature(joints: Tensor) -> Tensor:
    """Standing height (...) of joints (..., J, 3) in the unit given; see geometry.stature_m."""
    lengths = (take(joints, CHAIN_ENDS.tolist(), -2) - take(joints, CHAIN_STARTS.tolist(), -2)).norm(dim=-1)
    # a sum and not a product of matrices, for ONNX Runtime gets (B, 8) @ (8,) wrong
    height: Tensor = (lengths * lengths.new_tensor(STATURE_WEIGHTS.tolist())).sum(dim=-1)
    return height
