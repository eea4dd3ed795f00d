"""The One-Euro filter on time stamps: little lag when fast, little jitter when slow.

Casiez, Roussel, Vogel, "1 Euro Filter: a simple speed-based low-pass filter for noisy input in interactive systems",
CHI 2012. The speed is that of the whole vector, not of each coordinate, so that the answer does not depend on the axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class OneEuro:
    """A first-order low-pass whose cutoff rises with speed; the caller keeps the state, so any number runs at once.

    min_cutoff_hz: cutoff at rest; 0 turns the filter off. beta: added cutoff per speed (Hz per m/s).
    rate_cutoff_hz: of the low-pass on the speed; 1 as in the paper.
    """

    min_cutoff_hz: float
    beta: float
    rate_cutoff_hz: float = 1.0

    def step(
        self,
        value: np.ndarray,
        previous: np.ndarray,
        previous_rate: np.ndarray,
        dt_s: np.ndarray,
        trust: np.ndarray | float = 1.0,
        unit_m: np.ndarray | float = 1.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Filter one sample of (...) vectors.

        value, previous, previous_rate: (..., C) new sample, last answer and its rate of change per second. dt_s: (...)
        seconds since the last answer, > 0; inf starts anew. trust: (...) in (0, 1], multiplies the cutoff. unit_m:
        (...) metres per unit of value, for values not in metres. Returns the answer and its rate, (..., C) each.
        """
        rate = previous_rate + _gain(self.rate_cutoff_hz, dt_s) * ((value - previous) / dt_s[..., None] - previous_rate)
        if self.min_cutoff_hz == 0:
            return value, rate
        speed_mps = np.linalg.norm(rate, axis=-1) * unit_m
        gain = _gain((self.min_cutoff_hz + self.beta * speed_mps) * trust, dt_s)
        return previous + gain * (value - previous), rate


def _gain(cutoff_hz: np.ndarray | float, dt_s: np.ndarray) -> np.ndarray:
    """Share of the new sample in the answer of a first-order low-pass, (..., 1)."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2.0 * np.pi * cutoff_hz * dt_s)))[..., None]
