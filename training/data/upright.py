"""Turns motion of a world with another axis up, and an unknown floor, into one with z up and the floor near z = 0."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from occpose_core.dataset import DatasetError, Motion
from occpose_core.skeleton import H36M17

_THORAX = H36M17.index("thorax")
_ANKLES = H36M17.indices("left_ankle", "right_ankle")
_ANKLE_HEIGHT_M = 0.08  # above the floor, of somebody who stands
_LOWEST_PERCENT = 1.0  # of the frames, lest one bad frame moves the floor
_LEAST_COSINE = 0.7


def stand_upright(motions: Sequence[Motion]) -> list[Motion]:
    """Turn the axis along which most people stand to z, and put the floor below each recording's lowest joints.

    Raises DatasetError if people stand along no axis of the world.
    """
    rotation = _world_from_data(np.concatenate([motion.joints_world_m for motion in motions]))
    return [_grounded(dataclasses.replace(each, joints_world_m=each.joints_world_m @ rotation.T)) for each in motions]


def _world_from_data(joints_m: np.ndarray) -> np.ndarray:
    """(3, 3) rotation of (T, J, 3)."""
    body = joints_m[:, _THORAX] - joints_m[:, _ANKLES].mean(axis=1)
    mean = (body / np.maximum(np.linalg.norm(body, axis=-1, keepdims=True), 1e-9)).mean(axis=0)
    axis = int(np.abs(mean).argmax())
    if abs(mean[axis]) < _LEAST_COSINE:
        raise DatasetError(f"people stand along no axis of the world: from feet to thorax is {mean.round(2).tolist()}")
    up, x = np.sign(mean[axis]) * np.eye(3)[axis], np.eye(3)[(axis + 1) % 3]
    return np.stack([x, np.cross(up, x), up])


def _grounded(motion: Motion) -> Motion:
    lowest = np.percentile(motion.joints_world_m[..., 2].min(axis=1), _LOWEST_PERCENT)
    shift = np.array([0.0, 0.0, _ANKLE_HEIGHT_M - lowest])
    return dataclasses.replace(motion, joints_world_m=motion.joints_world_m + shift)
