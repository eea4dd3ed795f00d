"""Bodies that others fitted to people: where their joints are, and whether they are near enough to be believed.

The joints are Human3.6M's, by the body's regressor, of the few vertices that it takes: fits are judged by the hundred
thousand. SciPy is imported where it is used: it takes longer than all else that names the sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.files import BodyFile, read_body
from occpose_core.body.joints import H36M17_IN_SMPL30, SMPL24, SMPL_PARENTS
from occpose_core.dataset import DatasetError
from occpose_core.imagesets.annotations import numbers
from occpose_core.imagesets.types import SHAPES
from occpose_core.skeleton import H36M17

_MM = 1000.0
WORST_FIT_M = 0.025  # mean over joints, as 3DCrowdNet has it
# Not the trunk and the face: what is called thorax or nose differs between the sets.
_COMPARED = H36M17.indices(*(joint for joint in H36M17.joints if joint not in ("spine", "thorax", "nose")))
_LIMBS = H36M17.indices(*(joint for joint in H36M17.joints if joint.startswith(("left_", "right_"))))
_MOST_SHAPE = 3.0  # no person has more of a component: the fit failed
_ROTATION = 1e-3  # by which a rotation's axes may differ from square
_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Fits:
    """N fits among the people of a file. people: N indices of those who have one. rows: N, as the file has them.

    pose: (N, 24, 3) axis times angle. shape: (N, 10).
    """

    people: list[int]
    rows: list[Mapping[str, Any]]
    pose: np.ndarray
    shape: np.ndarray

    def bodies(self, good: np.ndarray) -> dict[int, dict[str, Any]]:
        """Person -> what an ImagePerson takes; good: (N,) bool. Impossible shapes are the mean."""
        impossible = (np.abs(self.shape) > _MOST_SHAPE).any(axis=-1, keepdims=True)
        shape = np.where(impossible, np.float32(0), self.shape)
        return {
            person: {"pose": self.pose[row], "shape": shape[row], "fit_ok": bool(good[row])}
            for row, person in enumerate(self.people)
        }

    def near(self, true_smpl30_m: np.ndarray, located: np.ndarray, body: str, path: Path) -> np.ndarray:
        """(N,) bool: the joints are as near to the true ones as they must be; by the file, or by a body, or False.

        true_smpl30_m: (P, 30, 3) and located (P, 30) of all people of the file. body: as read_body takes it, or "".
        """
        if all("fitted_3d_pose" in row for row in self.rows):
            given = (row["fitted_3d_pose"] for row in self.rows)
            fitted_m = numbers(given, (len(H36M17.joints), 3), "fitted_3d_pose", path) / _MM
        elif body:
            fitted_m = fitted_joints_m(read_body(body), self.pose, self.shape)
        else:
            return np.zeros(len(self.rows), dtype=bool)
        return fit_error_m(fitted_m, true_smpl30_m[self.people], located[self.people]) <= WORST_FIT_M


def fits_of(found: Sequence[Any], path: Path) -> Fits:
    """The fits that people have: a dict with pose and shape for each person, or anything else. Raises DatasetError."""
    people = [person for person, row in enumerate(found) if isinstance(row, dict)]
    rows = [found[person] for person in people]
    return Fits(
        people=people,
        rows=rows,
        pose=numbers((row.get("pose") for row in rows), (len(SMPL24), 3), "the fitted pose", path),
        shape=numbers((row.get("shape") for row in rows), (SHAPES,), "the fitted shape", path),
    )


def rotated_root(pose: np.ndarray, rotation: np.ndarray, path: Path) -> np.ndarray:
    """Poses (N, 24, 3) whose roots are turned by rotations (N, 3, 3) or (3, 3), float32.

    path: where the rotations are from. Raises DatasetError if one is none.
    """
    from scipy.spatial.transform import Rotation

    unlike = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max(initial=0.0)
    if not unlike < _ROTATION or (np.linalg.det(rotation) < 0).any():
        raise DatasetError(f"{path}: the rotation of a camera is none: it shears, mirrors or is not finite")
    turned = pose.astype(np.float32)
    root = Rotation.from_matrix(rotation) * Rotation.from_rotvec(pose[:, 0])
    turned[:, 0] = root.as_rotvec()
    return turned


def fitted_joints_m(body: BodyFile, pose: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Human3.6M's 17 joints of N fits, (N, 17, 3) m, in the body's own place; pose (N, 24, 3), shape (N, 10)."""
    parts = [
        _joints_m(body, pose[start : start + _AT_ONCE], shape[start : start + _AT_ONCE])
        for start in range(0, len(pose), _AT_ONCE)
    ]
    return np.concatenate([np.zeros((0, len(H36M17.joints), 3)), *parts])


def _joints_m(body: BodyFile, pose: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Linear blend skinning (Loper et al., SMPL, 2015, equations 1 to 11) of the vertices that make the joints."""
    from scipy.spatial.transform import Rotation

    taken = np.flatnonzero(body.h36m17_regressor.any(axis=0))
    rest_m = body.vertices_m[taken] + np.einsum("vcs,ns->nvc", body.shapes_m[taken], shape)
    joints_m = body.joint_regressor @ body.vertices_m
    joints_m = joints_m + np.einsum("jcs,ns->njc", np.einsum("jv,vcs->jcs", body.joint_regressor, body.shapes_m), shape)
    rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape, 3)
    bent = (rotations[:, 1:] - np.eye(3)).reshape(len(pose), -1)
    rest_m = rest_m + np.einsum("vcb,nb->nvc", body.correctives_m[taken], bent)
    world, at_m = _chain(rotations, joints_m)
    moved_m = at_m - np.einsum("njab,njb->nja", world, joints_m)
    weights = body.weights[taken]
    posed_m = np.einsum("vj,njab,nvb->nva", weights, world, rest_m, optimize=True)
    posed_m += np.einsum("vj,nja->nva", weights, moved_m)
    return np.asarray(body.h36m17_regressor[:, taken] @ posed_m)


def _chain(rotations: np.ndarray, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each joint's axes (N, 24, 3, 3) and place (N, 24, 3) from its rotations about its parents."""
    world, at_m = rotations.copy(), joints_m.copy()
    for joint in range(1, len(SMPL24)):
        parent = SMPL_PARENTS[joint]
        world[:, joint] = world[:, parent] @ rotations[:, joint]
        bone_m = joints_m[:, joint] - joints_m[:, parent]
        at_m[:, joint] = at_m[:, parent] + np.einsum("nab,nb->na", world[:, parent], bone_m)
    return world, at_m


def fit_error_m(fitted_m: np.ndarray, true_smpl30_m: np.ndarray, located: np.ndarray) -> np.ndarray:
    """(N,) mean distance over the joints that all sets agree about, with the means of both in one place.

    fitted_m: (N, 17, 3) of Human3.6M. true_smpl30_m: (N, 30, 3). located: (N, 30) bool.
    """
    known = located[:, H36M17_IN_SMPL30[_COMPARED]][..., None]
    away = fitted_m[:, _COMPARED] - true_smpl30_m[:, H36M17_IN_SMPL30[_COMPARED]]
    away = np.where(known, away, 0.0)
    count = np.maximum(known.sum(axis=1), 1)
    away = np.where(known, away - (away.sum(axis=1) / count)[:, None], 0.0)
    return np.asarray(np.linalg.norm(away, axis=-1).sum(axis=1) / count[:, 0])


def fit_error_px(
    fitted_cam_m: np.ndarray, focal: np.ndarray, centre: np.ndarray, kpts_px: np.ndarray, labelled: np.ndarray
) -> np.ndarray:
    """(N,) mean distance in the image over labelled limb joints, infinite where none is.

    fitted_cam_m: (N, 17, 3) of Human3.6M. focal, centre: (N, 2). kpts_px: (N, 30, 2), labelled: (N, 30) of SMPL30.
    """
    limbs_m = fitted_cam_m[:, _LIMBS]
    fitted_px = limbs_m[..., :2] / np.maximum(limbs_m[..., 2:], 1e-6) * focal[:, None] + centre[:, None]
    at = H36M17_IN_SMPL30[_LIMBS]
    known = labelled[:, at]
    away = np.where(known, np.linalg.norm(fitted_px - kpts_px[:, at], axis=-1), 0.0)
    count = known.sum(axis=1)
    return np.where(count > 0, away.sum(axis=1) / np.maximum(count, 1), np.inf)
