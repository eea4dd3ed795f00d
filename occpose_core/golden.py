"""What detected people look like to a network: stretches of the sample bag's two people, to compare engines on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "weights" / "golden.npz"
STRETCHES = 32
FRAMES = 10  # of a stretch, 1/30 s apart


@cache
def golden() -> tuple[np.ndarray, np.ndarray]:
    """Undistorted rays (STRETCHES, FRAMES, J, 2) of people, and scores (STRETCHES, FRAMES, J), 0 = missing."""
    with np.load(FILE, allow_pickle=False) as file:
        rays, score = file["rays"], file["score"]
    for array in (rays, score):
        array.flags.writeable = False  # all callers get the same
    return rays, score
