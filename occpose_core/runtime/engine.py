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
    """

    joints_root_m: np.ndarray | None = None
    sigma_m: np.ndarray | None = None
    filled: np.ndarray | None = None


class Engine(Protocol):
    """A loaded model. `backend` names what runs it and on which device."""

    info: ModelInfo
    backend: str

    def run(self, kpts: np.ndarray, visible: np.ndarray) -> Lifted:
        """Answer for the newest frame.

        kpts: (B, T, J, 2) in the person view, finite, of any value where hidden. visible: (B, T, J), 0 = missing.
        """
        ...
