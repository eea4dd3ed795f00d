"""What every data set yields: one person's recorded motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """joints_world_m: (F, J, 3) float32, `h36m17`, z up, floor near z = 0. source: what its share is counted by."""

    name: str
    subject: str
    source: str
    rate_hz: float
    joints_world_m: np.ndarray
