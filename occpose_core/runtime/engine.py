"""What every runtime is to the rest of occpose: numpy in, numpy out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from occpose_core.checkpoint import ModelInfo


@dataclass(frozen=True, kw_only=True, eq=False)
class Lifted:
    """A model's answer for B people, in their person views; None where the model has no such output.

    joints_root_m: (B, J, 3) relative to the pelvis. sigma_m: (B, J). filled: (B, J, 2), visible joints as given.
    state: (B, S) what a streaming model keeps of each person, for its next call.
    """

    joints_root_m: np.ndarray | None = None
    sigma_m: np.ndarray | None = None
    filled: np.ndarray | None = None
    state: np.ndarray | None = None


class Engine(Protocol):
    """A loaded model. `backend` names what runs it and on which device."""

    info: ModelInfo
    backend: str

    def run(
        self, kpts: np.ndarray, visible: np.ndarray, state: np.ndarray | None = None, only_state: bool = False
    ) -> Lifted:
        """Answer for the newest frame, or the one that is info.look_ahead_s before it.

        kpts: (B, T, J, 2), T = info.frames, each frame in its own person view, finite, of any value where hidden.
        visible: (B, T, J), 0 = missing, else the detector's score in (0, 1]. state: (B, S), S = info.state_size, as the
        last answer gave it; zeros (or None) for people without a past. only_state: give nothing else, and spend little
        on it: for frames of which no answer is wanted. Models that do not stream ignore both.
        """
        ...
