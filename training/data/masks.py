"""Occlusion masks for training: a bank of each pattern, drawn once, because drawing takes as long as many batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from occpose_core.occlusion import expand, visible_mask

MASKS_PER_PATTERN = 2048


def mask_bank(
    patterns: Sequence[str], frames: int, rate_hz: float, rng: np.random.Generator, count: int = MASKS_PER_PATTERN
) -> np.ndarray:
    """(patterns, count, T, J) bool; a pattern without its argument has all arguments in turn. Raises PatternError."""

    def mask(pattern: str, index: int) -> np.ndarray:
        concrete = expand(pattern)
        return visible_mask(concrete[index % len(concrete)], frames, rate_hz, rng)

    return np.array([[mask(pattern, index) for index in range(count)] for pattern in patterns])


def pick_masks(bank: np.ndarray, shares: Mapping[str, float], count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, T, J) bool of a bank whose patterns are the keys of `shares`, in their shares."""
    share = np.array(list(shares.values()))
    kind = rng.choice(len(bank), size=count, p=share / share.sum())
    return np.asarray(bank[kind, rng.integers(bank.shape[1], size=count)])
