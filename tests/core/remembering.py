"""A lifter that remembers, in closed form and in two forms of which one must equal the other."""

import dataclasses

import numpy as np

from occpose_core.runtime.engine import Lifted
from tests.core.cardboard import JOINTS, CardboardEngine


class RememberingEngine(CardboardEngine):
    """Lifts each joint's mean keypoint over the frames of its window in which it was visible, the newest most.

    streaming: take one frame at a time instead of the window. The state holds how many frames there were, and the x, y
    and score of the last, newest last. `steps` counts the frames, and `calls` has those that were lifted.
    """

    def __init__(self, window: int, streaming: bool, **options: object) -> None:
        super().__init__(window, **options)
        self.steps = 0
        size = (window - 1) * JOINTS * 3 + 1 if streaming else 0
        self.info = dataclasses.replace(self.info, streaming=streaming, state_size=size)

    def run(
        self,
        kpts: np.ndarray,
        visible: np.ndarray,
        state: np.ndarray | None = None,
        only_state: bool = False,
        dt_s: np.ndarray | None = None,
    ) -> Lifted:
        assert (state is not None) == self.info.streaming
        if state is None:
            return self._lift(kpts, visible)
        assert state.shape == (len(kpts), self.info.state_size) and state.dtype == np.float32
        assert dt_s is not None and dt_s.shape == (len(kpts),) and dt_s.dtype == np.float32 and (dt_s > 0).all()
        self.steps += len(kpts)
        frame = np.concatenate([kpts, visible[..., None]], axis=-1)  # (B, 1, J, 3)
        past = state[:, 1:].reshape(len(kpts), -1, JOINTS, 3)
        window = np.concatenate([np.where(state[:, 0, None, None, None] > 0, past, frame), frame], axis=1)
        lifted = Lifted() if only_state else self._lift(window[..., :2], window[..., 2])
        new = np.concatenate([state[:, :1] + 1, window[:, 1:].reshape(len(kpts), -1)], axis=1)
        return dataclasses.replace(lifted, state=new)

    def _lift(self, kpts: np.ndarray, visible: np.ndarray) -> Lifted:
        with np.errstate(invalid="ignore"):  # nothing was visible
            return super().run(*_mean(kpts, visible))


def _mean(kpts: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B, 1, J, 2) and (B, 1, J): means over the window, and what was visible in it at all."""
    age = np.arange(1, kpts.shape[1] + 1)[:, None]
    weight = (visible * age)[..., None].astype(np.float64)
    total = weight.sum(axis=1, keepdims=True)
    mean = (weight * kpts).sum(axis=1, keepdims=True) / np.where(total > 0, total, 1)
    return mean.astype(np.float32), (total[..., 0] > 0).astype(np.float32)
