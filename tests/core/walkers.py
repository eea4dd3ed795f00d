"""Recordings of people who walk in circles, and what a camera sees of them."""

import numpy as np

from occpose_core.clips import Shot, film
from occpose_core.dataset import Motion
from occpose_core.skeleton import H36M17

RATE_HZ = 30.0
_JOINTS = len(H36M17.joints)


def walker(name: str, frames: int) -> Motion:
    """Somebody with swinging limbs, walking a circle of 1 m."""
    rng = np.random.default_rng(len(name) + frames)
    time = np.arange(frames)[:, None, None] / RATE_HZ
    body = np.array([[0.0, 0.0, 0.9]] * _JOINTS) + rng.normal(0.0, 0.3, size=(_JOINTS, 3))
    swing = 0.15 * np.sin(2 * np.pi * time + rng.uniform(0, 6, size=(1, _JOINTS, 3)))
    angle = 0.8 * time
    path = np.concatenate([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    return Motion(name=name, subject="s", description="", rate_hz=RATE_HZ, joints_world_m=body + swing + path)


def filmed() -> list[Shot]:
    """Three of them, of 200, 40 and 130 frames."""
    return [film(walker(f"walk{i}", frames), "train", "noisy") for i, frames in enumerate((200, 40, 130))]
