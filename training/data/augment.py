"""Changes to a person that keep the motion real: mirrored, of other bone lengths, lying. Batched, numpy."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.skeleton import H36M17

# Mean lengths in metres of Human3.6M's bones, by the joint at the far end. Other data sets put hips and shoulders
# elsewhere; a lifter that has seen one convention only loses a third of its accuracy on another.
_H36M_BONE_M = {
    "hip": 0.133,
    "knee": 0.443,
    "ankle": 0.454,
    "spine": 0.233,
    "thorax": 0.257,
    "nose": 0.121,
    "head_top": 0.115,
    "shoulder": 0.151,
    "elbow": 0.279,
    "wrist": 0.252,
}
_BONE_NAMES = [H36M17.joints[child].removeprefix("left_").removeprefix("right_") for _, child in H36M17.bones]
_BONE_M = np.array([_H36M_BONE_M[name] for name in _BONE_NAMES])
_PELVIS = H36M17.index("pelvis")


def mirror(joints_m: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mirror the chosen people: (B, T, J, 3) with (B,) bool; x is negated and left and right are swapped."""
    mirrored = joints_m[:, :, H36M17.mirror] * np.array([-1, 1, 1], dtype=joints_m.dtype)
    return np.where(chosen[:, None, None, None], mirrored, joints_m)


def vary_bones(joints_m: np.ndarray, rng: np.random.Generator, size_sd: float, bone_sd: float) -> np.ndarray:
    """Give each person (B, T, J, 3) bones between their own and Human3.6M's mean lengths, and a stature of their own.

    Both sides get the same factors. The pelvis is scaled with the stature, so that feet stay on the floor.
    """
    count = len(joints_m)
    kinds = sorted(set(_BONE_NAMES))
    kind = np.array([kinds.index(name) for name in _BONE_NAMES])
    size = np.exp(size_sd * rng.standard_normal((count, 1)))
    blend = rng.uniform(size=(count, 1))
    jitter = np.exp(bone_sd * rng.standard_normal((count, len(kinds))))[:, kind]

    parents, children = (np.array(ends) for ends in zip(*H36M17.bones, strict=True))
    bones = joints_m[:, :, children] - joints_m[:, :, parents]  # (B, T, 16, 3)
    length = np.linalg.norm(bones, axis=-1)
    own = np.maximum(length.mean(axis=1), 1e-6)  # (B, 16)
    factor = size * jitter * ((1 - blend) + blend * _BONE_M / own)
    bones = bones * factor[:, None, :, None]
    varied = np.empty_like(joints_m)
    varied[:, :, _PELVIS] = joints_m[:, :, _PELVIS] * size[:, None]
    for bone, (parent, child) in enumerate(H36M17.bones):
        varied[:, :, child] = varied[:, :, parent] + bones[:, :, bone]
    return varied


def tilt(joints_m: np.ndarray, chosen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn the chosen people (B, T, J, 3), (B,) bool, about their pelvis to any attitude; lying people are scarce."""
    rotation = Rotation.from_quat(rng.standard_normal((len(joints_m), 4))).as_matrix().astype(joints_m.dtype)
    rotation = np.where(chosen[:, None, None], rotation, np.eye(3, dtype=joints_m.dtype))
    pelvis = joints_m[:, :, _PELVIS, None]
    return np.asarray((joints_m - pelvis) @ np.swapaxes(rotation, -1, -2)[:, None] + pelvis)


def lean(joints_m: np.ndarray, sd_rad: float, rng: np.random.Generator) -> np.ndarray:
    """Lean each person (B, T, J, 3) as a whole about the pelvis, by an angle of this sd to a random side."""
    vector = np.zeros((len(joints_m), 3))
    vector[:, :2] = sd_rad * rng.standard_normal((len(joints_m), 2))
    rotation = Rotation.from_rotvec(vector).as_matrix().astype(joints_m.dtype)
    pelvis = joints_m[:, :, _PELVIS, None]
    return np.asarray((joints_m - pelvis) @ np.swapaxes(rotation, -1, -2)[:, None] + pelvis)
