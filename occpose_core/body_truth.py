"""The true bodies of people in images: joints, surface and orientations in the camera's axes, from pose and shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.body.files import CAPSULES, MissingBodyError
from occpose_core.body.joints import SMPL24, SMPL_PARENTS, h36m17_from_smpl30
from occpose_core.errors import OccposeError
from occpose_core.imagesets.types import ImagePerson, ImageSet
from occpose_core.skeleton import H36M17

if TYPE_CHECKING:
    from occpose_core.body.layer import BodyModel

POSED = tuple(joint for joint in SMPL24 if not joint.endswith("_hand"))  # hands have no pose in the sets and models
_IN_SMPL24 = [SMPL24.index(joint) for joint in POSED]
_PELVIS = H36M17.index("pelvis")


class BodyTruthError(OccposeError):
    """The true bodies of an image set cannot be had."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrueBodies:
    """B people in the camera's axes.

    joints_m: (B, 17, 3) of h36m17 from their pelvis. vertices_m: (B, V, 3) from the pelvis of the body model, NaN of
    people whose shape is that of a model that is not there. orientations: (B, 22, 3, 3) of POSED.
    """

    joints_m: np.ndarray
    vertices_m: np.ndarray
    orientations: np.ndarray


def orientations(rotations: np.ndarray) -> np.ndarray:
    """Of the joints POSED in the axes of the root: rotations (B, 24, 3, 3) relative to parents -> (B, 22, 3, 3)."""
    turned = rotations.astype(np.float64)
    for joint, parent in enumerate(SMPL_PARENTS):  # parents come first
        if parent >= 0:
            turned[:, joint] = turned[:, parent] @ turned[:, joint]
    return turned[:, _IN_SMPL24]


class TrueBodyModel:
    """The body model of an image set. body: the folder of SMPL's files, for sets that have SMPL's parameters.

    Raises BodyTruthError, or BodyFileError if files or packages are missing.
    """

    def __init__(self, images: ImageSet, body: Path | None = None) -> None:
        if images.body == CAPSULES and body is not None:
            raise BodyTruthError(f"{images.folder} has bodies of the kind {CAPSULES!r}: leave --body out")
        if images.body != CAPSULES and body is None:
            raise BodyTruthError(f"{images.folder} has bodies of SMPL: name the folder of SMPL's files with --body")
        try:
            import torch
        except ImportError as error:
            raise BodyTruthError(
                f"true bodies need the package {error.name!r}: pip install 'occpose[train]'"
            ) from error
        from occpose_core.body.layer import BodyModel

        self._torch, self._source = torch, body or CAPSULES
        neutral = BodyModel(self._source)
        self._models: dict[str, BodyModel | None] = {"neutral": neutral}
        self._pelvis = neutral.joint_regressor[0].numpy()

    @property
    def vertices(self) -> int:
        """How many the mesh has."""
        return len(self._pelvis)

    def from_pelvis(self, vertices_m: np.ndarray) -> np.ndarray:
        """Meshes (B, V, 3) relative to the body model's pelvis, as its regressor finds it in the posed mesh."""
        return np.asarray(vertices_m - np.einsum("v,bvc->bc", self._pelvis, vertices_m)[:, None])

    def _model_of(self, gender: str) -> BodyModel | None:
        """The model of people of a gender, None without its file."""
        from occpose_core.body.layer import BodyModel

        if gender not in self._models:
            try:
                self._models[gender] = BodyModel(self._source, gender)
            except MissingBodyError:
                self._models[gender] = None
        return self._models[gender]

    def of(self, people: Sequence[ImagePerson]) -> TrueBodies:
        """Of people with a pose and shape that may be trusted."""
        pose = np.stack([person.pose for person in people if person.pose is not None])
        shape = np.stack([person.shape for person in people if person.shape is not None])
        rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape, 3)
        joints = np.empty((len(people), len(H36M17.joints), 3), dtype=np.float32)
        vertices = np.full((len(people), self.vertices, 3), np.nan, dtype=np.float32)
        genders = np.array([person.gender for person in people])
        for gender in sorted(set(genders.tolist())):
            rows, model = np.flatnonzero(genders == gender), self._model_of(gender)
            if model is None:
                joints[rows] = [_labelled_joints_m(people[row]) for row in rows.tolist()]
                continue
            with self._torch.inference_mode():
                posed = model(
                    self._torch.from_numpy(rotations[rows].astype(np.float32)), self._torch.from_numpy(shape[rows])
                )
            joints[rows], vertices[rows] = posed.joints17_m.numpy(), self.from_pelvis(posed.vertices_m.numpy())
        return TrueBodies(
            joints_m=joints - joints[:, _PELVIS, None],
            vertices_m=vertices,
            orientations=orientations(rotations),
        )


def _labelled_joints_m(person: ImagePerson) -> np.ndarray:
    """(17, 3) by the labels, NaN where a joint is not located."""
    if person.joints_cam_m is None:
        return np.full((len(H36M17.joints), 3), np.nan)
    return h36m17_from_smpl30(np.where(person.located[:, None], person.joints_cam_m, np.nan))
