"""The ten shape components of the capsule body: how its bones and flesh differ from person to person.

Every joint carries its surroundings along and stretches them about itself, as much as they hang on it.
"""

from __future__ import annotations

import numpy as np

from occpose_core.body.joints import SMPL24, SMPL_PARENTS

Stretch = tuple[float, float, float]

_LEG, _ARM = ("hip", "knee"), ("shoulder", "elbow")
_TRUNK, _HEAD = ("pelvis", "spine1", "spine2", "spine3"), ("neck", "head")
_ALL = tuple(dict.fromkeys(joint.split("_")[-1] for joint in SMPL24))

# What one unit stretches by how much along x, y and z, both sides alike.
SHAPES: dict[str, dict[tuple[str, ...], Stretch]] = {
    "stature": {_ALL: (0.03, 0.03, 0.03)},
    "leg length": {_LEG: (0.0, 0.04, 0.0)},
    "arm length": {_ARM: (0.04, 0.0, 0.0), ("wrist", "hand"): (0.03, 0.0, 0.01)},
    "trunk length": {_TRUNK: (0.0, 0.035, 0.0)},
    "shoulder width": {("spine3", "collar"): (0.06, 0.0, 0.015)},
    "hip width": {("pelvis",): (0.06, 0.0, 0.02)},
    "girth": {
        _TRUNK: (0.05, 0.0, 0.07),
        _LEG: (0.05, 0.0, 0.05),
        _ARM: (0.0, 0.04, 0.04),
        ("neck",): (0.03, 0.0, 0.03),
    },
    "belly": {},
    "limb thickness": {
        _LEG: (0.06, 0.0, 0.06),
        _ARM: (0.0, 0.07, 0.07),
        ("wrist", "ankle", "foot"): (0.02, 0.02, 0.02),
    },
    "head size": {_HEAD: (0.04, 0.04, 0.04)},
}
BELLY = list(SHAPES).index("belly")
# The belly comes forward by so much at so much above the pelvis, and falls off over this height.
_BELLY_M, _BELLY_ABOVE_M, _BELLY_HEIGHT_M = 0.015, 0.08, 0.11
_BELLY_DEPTH_M = 0.1


def shape_directions(vertices_m: np.ndarray, weights: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
    """(V, 3, 10) m for one unit of each component, but for the belly.

    vertices_m: (V, 3). weights: (V, 24) of blending. joints_m: (24, 3).
    """
    directions = []
    for stretches in SHAPES.values():
        stretch = _by_joint(stretches)
        moved_m = np.zeros_like(joints_m)
        for joint, parent in enumerate(SMPL_PARENTS):
            if parent >= 0:
                moved_m[joint] = moved_m[parent] + stretch[parent] * (joints_m[joint] - joints_m[parent])
        directions.append(weights @ (moved_m - stretch * joints_m) + (weights @ stretch) * vertices_m)
    return np.stack(directions, axis=-1)


def belly_m(vertices_m: np.ndarray) -> np.ndarray:
    """(V,) how far one unit of belly brings the trunk's front (V, 3), seen from the pelvis, forward."""
    front = np.clip(vertices_m[:, 2] / _BELLY_DEPTH_M, 0.0, None) ** 2
    return np.asarray(_BELLY_M * front * np.exp(-(((vertices_m[:, 1] - _BELLY_ABOVE_M) / _BELLY_HEIGHT_M) ** 2)))


def _by_joint(stretches: dict[tuple[str, ...], Stretch]) -> np.ndarray:
    """(24, 3) factors."""
    stretch = np.zeros((len(SMPL24), 3))
    for stems, factors in stretches.items():
        stretch[[joint.split("_")[-1] in stems for joint in SMPL24]] = factors
    return stretch
