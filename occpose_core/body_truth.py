"""The true bodies of people in images: joints, surface and orientations in the camera's axes, from pose and shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from occpose_core.body.joints import SMPL24, SMPL_PARENTS, h36m17_from_smpl30
from occpose_core.errors import OccposeError
from occpose_core.imagesets.types import ImagePerson, ImageSet
from occpose_core.skeleton import H36M17

CAPSULES = "capsules"
POSED = tuple(joint for joint in SMPL24 if not joint.endswith("_hand"))  # hands have no pose in the sets and models
_IN_SMPL24 = [SMPL24.index(joint) for joint in POSED]
_PELVIS = H36M17.index("pelvis")


class BodyTruthError(OccposeError):
    """The true bodies of an image set cannot be had."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrueBodies:
    """B people in the camera's axes.

    joints_m: (B, 17, 3) of h36m17 from their pelvis. vertices_m: (B, V, 3) from the pelvis of the body model, NaN of
    people whose shape is that of another model. orientations: (B, 22, 3, 3) of POSED.
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
                f"true bodies need the package {error.name!r}: pip install 'occpose[train,sefd]'"
            ) from error
        from occpose_core.body.layer import BodyModel

        self._torch, self._model = torch, BodyModel(body or CAPSULES)
        self._pelvis = self._model.joint_regressor[0].numpy()

    @property
    def vertices(self) -> int:
        """How many the mesh has."""
        return len(self._pelvis)

    def from_pelvis(self, vertices_m: np.ndarray) -> np.ndarray:
        """Meshes (B, V, 3) relative to the body model's pelvis, as its regressor finds it in the posed mesh."""
        return np.asarray(vertices_m - np.einsum("v,bvc->bc", self._pelvis, vertices_m)[:, None])

    def of(self, people: Sequence[ImagePerson]) -> TrueBodies:
        """Of people with a pose and shape that may be trusted."""
        pose = np.stack([person.pose for person in people if person.pose is not None])
        shape = np.stack([person.shape for person in people if person.shape is not None])
        rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape, 3)
        with self._torch.inference_mode():
            posed = self._model(self._torch.from_numpy(rotations.astype(np.float32)), self._torch.from_numpy(shape))
        joints, vertices = posed.joints17_m.numpy().copy(), self.from_pelvis(posed.vertices_m.numpy())
        for row, person in enumerate(people):
            if person.gender != "neutral":  # its shape is that of the male or female model
                vertices[row] = np.nan
                joints[row] = _labelled_joints_m(person)
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
