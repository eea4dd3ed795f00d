"""The One-Euro filter on time stamps: little lag when fast, little jitter when slow.

Casiez, Roussel, Vogel, "1 Euro Filter: a simple speed-based low-pass filter for noisy input in interactive systems",
CHI 2012. Here the speed is that of the whole vector, not of each coordinate, so that the answer does not depend on the
axes; and it is taken between samples, not from the last answer, so that it is not overestimated and can predict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from occpose_core.geometry import lengths

_TURN = 2.0 * math.pi  # rad/s of 1 Hz


def filtered(*shape: int) -> np.dtype:
    """State of a filter over vectors of this shape: last sample, last answer, rate of change per second.

    Zeros are a state without a past; its first step must be told dt_s = inf.
    """
    return np.dtype([(name, np.float64, shape) for name in ("sample", "answer", "rate")])


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
        sample: np.ndarray,
        past: np.ndarray,
        dt_s: np.ndarray,
        trust: np.ndarray | float = 1.0,
        unit_m: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Filter one new sample (..., C); returns the state after it.

        past: a state, of dtype `filtered(...)`. dt_s: (...) seconds since the last sample, > 0; inf starts anew.
        trust: (...) in (0, 1], multiplies the cutoff. unit_m: (...) metres per unit of samples not in metres.
        """
        rate_hz = 1.0 / dt_s[..., None]  # 0 for a fresh start
        rate, answer = past["rate"], sample
        rate = rate + _gain(_TURN * self.rate_cutoff_hz, rate_hz) * ((sample - past["sample"]) * rate_hz - rate)
        if self.min_cutoff_hz > 0:
            cutoff = (_TURN * self.min_cutoff_hz + _TURN * self.beta * (unit_m * lengths(rate))) * trust
            answer = past["answer"] + _gain(cutoff[..., None], rate_hz) * (sample - past["answer"])
        now = np.empty_like(past)
        now["sample"], now["answer"], now["rate"] = sample, answer, rate
        return now


def _gain(cutoff: np.ndarray | float, rate_hz: np.ndarray) -> np.ndarray:
    """Share of the new sample in the answer of a first-order low-pass, (..., 1); cutoff: rad/s."""
    return np.asarray(cutoff / (cutoff + rate_hz))
