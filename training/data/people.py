"""The people of image sets as arrays: their labels, and the body that was fitted to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.body.files import CAPSULES
from occpose_core.body.joints import SMPL24
from occpose_core.camera import px_from_cam, rays_from_px
from occpose_core.dataset import DatasetError
from occpose_core.geometry import place_root
from occpose_core.imagesets import read_image_set
from occpose_core.imagesets.types import JOINTS, SHAPES, ImagePerson, ImageSet

FEWEST_JOINTS = 4  # that must be seen of a person: fewer say neither where the person is nor how large
_AT_ONCE = 256  # bodies


@dataclass(frozen=True, kw_only=True, eq=False)
class People:
    """N people of whom enough is labelled. Arrays are float32 and 0 where there is no fit.

    rotations: (N, 24, 3, 3), the root's in the camera's axes. shape: (N, 10). fitted: (N,) bool. fit_joints_cam_m:
    (N, 30, 3) of the fitted body, from its pelvis. fit_kpts_px: (N, 30, 2), where these are in the image when the body
    is put where it agrees best with the labelled joints.
    """

    persons: Sequence[ImagePerson]
    rotations: np.ndarray
    shape: np.ndarray
    fitted: np.ndarray
    fit_joints_cam_m: np.ndarray
    fit_kpts_px: np.ndarray

    def __len__(self) -> int:
        return len(self.persons)

    def probabilities(self) -> np.ndarray:
        """(N,) of each person to be drawn: those with 3D and those without as often together, where there are both."""
        has_3d = np.array([person.has_3d for person in self.persons])
        pools = [pool for pool in (has_3d, ~has_3d) if pool.any()]
        return np.asarray(sum(pool / pool.sum() for pool in pools) / len(pools))


def read_people(sets: Mapping[str, Path], split: str, body: str, allow_pickle: bool = False) -> People:
    """The people of one split of all sets, by the names of their readers.

    body: as BodyModel takes it. allow_pickle: of sets that are pickled; only numbers are ever taken out of them.

    Raises DatasetError if there is nobody, or a set has the parameters of another body.
    """
    persons: list[ImagePerson] = []
    for name, folder in sets.items():
        found = read_image_set(name, folder, split, allow_pickle=allow_pickle, body=body, may_be_empty=True)
        _check_body(found, body)
        persons += [person for person in found.people if person.labelled.sum() >= FEWEST_JOINTS]
    if not persons:
        folders = ", ".join(map(str, sets.values())) or "no folder"
        raise DatasetError(f"nobody of split {split!r} has {FEWEST_JOINTS} labelled joints in {folders}")
    return with_fits(persons, body)


def _check_body(found: ImageSet, body: str) -> None:
    if found.people and (found.body == CAPSULES) != (body == CAPSULES):
        remedy = f"data.body {CAPSULES}" if found.body == CAPSULES else "the folder of SMPL's files as data.body"
        raise DatasetError(f"{found.folder} has poses of the body {found.body!r}, not of {body!r}; give {remedy}")


def with_fits(persons: Sequence[ImagePerson], body: str) -> People:
    """The people with the joints of their fitted bodies."""
    count = len(persons)
    fitted = np.array([person.fit_ok for person in persons])
    pose = np.zeros((count, len(SMPL24), 3), dtype=np.float32)
    shape = np.zeros((count, SHAPES), dtype=np.float32)
    for row, person in enumerate(persons):
        if person.fit_ok:
            pose[row], shape[row] = person.pose, person.shape
    rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape, 3).astype(np.float32)
    joints_m = np.zeros((count, JOINTS, 3), dtype=np.float32)
    joints_m[fitted] = _body_joints(rotations[fitted], shape[fitted], body)
    kpts_px = np.zeros((count, JOINTS, 2), dtype=np.float32)
    for row in np.flatnonzero(fitted).tolist():
        kpts_px[row], fitted[row] = _placed(persons[row], joints_m[row])
    return People(
        persons=persons,
        rotations=rotations,
        shape=shape,
        fitted=fitted,
        fit_joints_cam_m=joints_m,
        fit_kpts_px=kpts_px,
    )


def _body_joints(rotations: np.ndarray, shape: np.ndarray, body: str) -> np.ndarray:
    """(N, 30, 3) m from the pelvis."""
    import torch

    from occpose_core.body.layer import BodyModel

    model = BodyModel(body)
    found = [np.zeros((0, JOINTS, 3), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(shape), _AT_ONCE):
            chosen = slice(start, start + _AT_ONCE)
            posed = model(torch.from_numpy(rotations[chosen]), torch.from_numpy(shape[chosen]))
            found.append(posed.joints30_m.numpy())
    return np.concatenate(found)


def _placed(person: ImagePerson, joints_m: np.ndarray) -> tuple[np.ndarray, bool]:
    """Pixels (30, 2) of a body, and whether there is a place for it that agrees with the image."""
    rays = rays_from_px(np.where(person.labelled[:, None], person.kpts_px, 0.0), person.camera)
    root_cam_m, placed = place_root(joints_m, rays, person.labelled.astype(np.float64))
    return px_from_cam(joints_m + root_cam_m, person.camera), bool(placed)
