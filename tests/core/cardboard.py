"""A lifter in closed form, and people for whom it is right: flat figures that face the camera.

It fits an upright figure of mean Human3.6M lengths to the visible keypoints by least squares (scale and shift), takes
visible joints where they are and hidden ones from the figure. What depends on shape rather than on a trained network,
the pipeline's tests check with it exactly.
"""

import numpy as np

from occpose_core.camera import px_from_cam
from occpose_core.checkpoint import ModelInfo
from occpose_core.runtime.engine import Lifted
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, Keypoints2D

JOINTS = len(H36M17.joints)
CAMERA = Camera(width=1280, height=720, K=np.array([[800.0, 0, 640], [0, 800, 360], [0, 0, 1]]))
STATURE_M = 1.703

_UP = {"pelvis": 0, "hip": 0, "knee": -0.443, "ankle": -0.897, "spine": 0.233, "thorax": 0.49, "nose": 0.611,
       "head_top": 0.726, "shoulder": 0.49, "elbow": 0.211, "wrist": -0.041}  # fmt: skip
_OUT = {"hip": 0.133, "knee": 0.133, "ankle": 0.133, "shoulder": 0.151, "elbow": 0.151, "wrist": 0.151}


def _figure() -> np.ndarray:
    """(J, 3) m relative to the pelvis, camera axes; the person faces the camera, so left is at positive x."""
    joints = np.zeros((JOINTS, 3))
    for index, joint in enumerate(H36M17.joints):
        side, _, part = joint.partition("_")
        sign, name = {"left": (1, part), "right": (-1, part)}.get(side, (0, joint))
        joints[index] = sign * _OUT.get(name, 0.0), -_UP[name], 0.0
    return joints


FIGURE = _figure()


class CardboardEngine:
    """The lifter; `calls` keeps what it was given. sigma, filled: whether to give them, as some models do."""

    backend = "numpy"
    reason = "it is made of cardboard"

    def __init__(self, window: int = 1, sigma: float | None = None, filled: bool = False) -> None:
        outputs = ("joints_root_m", *(["sigma_m"] if sigma else []), *(["filled"] if filled else []))
        self.info = ModelInfo(
            name="cardboard", family="cardboard", form="own", config={}, parameters=0, outputs=outputs, window=window
        )
        self.sigma, self.filled = sigma, filled
        self.calls: list[tuple[np.ndarray, np.ndarray]] = []

    def run(self, kpts: np.ndarray, visible: np.ndarray) -> Lifted:
        self.calls.append((kpts.copy(), visible.copy()))
        assert kpts.dtype == visible.dtype == np.float32
        kpts, seen = kpts[:, -1].astype(np.float64), visible[:, -1, :, None] > 0
        weight = seen / seen.sum(axis=1, keepdims=True)
        flat = np.broadcast_to(FIGURE[:, :2], kpts.shape)
        kpts_mean, flat_mean = ((weight * x).sum(axis=1, keepdims=True) for x in (kpts, flat))
        spread = flat - flat_mean
        gain = (weight * spread * (kpts - kpts_mean)).sum(axis=(1, 2)) / (weight * spread**2).sum(axis=(1, 2))
        fitted = gain[:, None, None] * spread + kpts_mean
        completed = np.where(seen, kpts, fitted)
        metres = (completed - completed[:, :1]) / gain[:, None, None]
        joints = np.concatenate([metres, np.zeros_like(metres[..., :1])], axis=-1).astype(np.float32)
        sigma = np.where(seen[..., 0], self.sigma, 3 * self.sigma).astype(np.float32) if self.sigma else None
        return Lifted(joints_root_m=joints, sigma_m=sigma, filled=completed.astype(np.float32) if self.filled else None)


def standing(*root, camera=CAMERA, id="", score=None, hidden=(), figure=FIGURE):
    """Keypoints of a cardboard person with the pelvis at root (m, camera frame)."""
    score = np.ones(JOINTS, dtype=np.float32) if score is None else np.array(score, dtype=np.float32)
    score[H36M17.indices(*hidden)] = 0
    return Keypoints2D(id=id, xy_px=px_from_cam(figure + np.array(root, dtype=float), camera), score=score)
