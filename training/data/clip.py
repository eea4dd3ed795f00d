"""What every data set yields: one person's recorded motion."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from occpose_core.dataset import DatasetError


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """joints_world_m: (F, J, 3) float32, `h36m17`, z up, floor near z = 0. source: what its share is counted by."""

    name: str
    subject: str
    source: str
    rate_hz: float
    joints_world_m: np.ndarray

    def at_rate(self, rate_hz: float) -> Clip:
        """The same motion at a rate that divides the own one. Raises DatasetError."""
        stride = self.rate_hz / rate_hz
        if stride < 1 or abs(stride - round(stride)) > 1e-6:
            raise DatasetError(
                f"recording {self.name!r} of {self.source} has {self.rate_hz:g} frames a second, of which"
                f" window.rate_hz {rate_hz:g} is no divisor; set it to one"
            )
        return dataclasses.replace(self, rate_hz=rate_hz, joints_world_m=self.joints_world_m[:: round(stride)])
