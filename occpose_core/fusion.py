"""Hidden joints from two sources: the network's guess of now, and the bone as it was when it was last measured.

Just after a joint disappears it is still about where it was; long after, only the network knows better. Each bone is
the mean of both, weighted by their inverse variances, so that either takes over when it should.
"""

from __future__ import annotations

import numpy as np

from occpose_core.geometry import lengths
from occpose_core.skeleton import H36M17

_PARENTS = np.array(H36M17.parents)


def _generations() -> tuple[np.ndarray, ...]:
    """Joints by the number of bones between them and the root; without the root."""
    steps = np.zeros(len(_PARENTS), dtype=np.int64)
    for parent, child in H36M17.bones:  # parents stand before their children
        steps[child] = steps[parent] + 1
    return tuple(np.flatnonzero(steps == step) for step in range(1, steps.max() + 1))


_GENERATIONS = _generations()


def bone_vectors(joints: np.ndarray) -> np.ndarray:
    """Each joint relative to its parent: (..., J, 3) -> (..., J, 3), 0 for the root."""
    return joints - np.where(_PARENTS[:, None] >= 0, joints[..., _PARENTS, :], joints)


def measured_bones(visible: np.ndarray) -> np.ndarray:
    """(..., J) bool: joints that are visible together with their parent."""
    return np.asarray(visible & visible[..., _PARENTS] & (_PARENTS >= 0))


def fuse(
    joints_root_m: np.ndarray,
    sigma_m: np.ndarray,
    visible: np.ndarray,
    held_m: np.ndarray,
    held_sigma_m: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Replace the bones to hidden joints by the mean of the network's and the last measured ones.

    joints_root_m: (..., J, 3) and sigma_m: (..., J), the network's. visible: (..., J) bool; visible joints and the
    network's bone lengths stay. held_m: (..., J, 3) last measured bones. held_sigma_m: (..., J) how far off they may
    be by now; inf where none was measured. Returns joints and sigmas of the same shapes.
    """
    hidden = ~visible
    if not np.count_nonzero(hidden):
        return joints_root_m, sigma_m
    variance, held_variance = sigma_m**2, held_sigma_m**2
    with np.errstate(invalid="ignore"):
        weight = np.where(np.isinf(held_variance), 0.0, variance / np.maximum(variance + held_variance, 1e-12))
    weight = np.where(visible, 0.0, weight)
    bones = bone_vectors(joints_root_m)
    mixed = bones + weight[..., None] * (held_m - bones)
    mixed *= (lengths(bones) / np.maximum(lengths(mixed), 1e-9))[..., None]
    change = np.where(hidden[..., None], mixed - bones, 0.0)
    moved = np.zeros_like(change)  # a hidden joint moves by the change of its bone, and with its parent
    for joints in _GENERATIONS:
        along = hidden[..., joints, None] * moved[..., _PARENTS[joints], :]
        moved[..., joints, :] = along + change[..., joints, :]
    return joints_root_m + moved, sigma_m * np.sqrt(1.0 - weight)
