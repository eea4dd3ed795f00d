"""People in images, as every set of images gives them: where the image is, what is known in 2D and 3D, what is hidden.

Joints are SMPL's 24 and six of the head (body/joints.py), J = 30. Body parameters are SMPL's: 24 rotations of joints
about their own axes, 10 numbers of shape; the root is turned into the camera's axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np

from occpose_core.body.joints import SMPL24, SMPL30
from occpose_core.dataset import SPLITS, DatasetError
from occpose_core.types import Camera

JOINTS = len(SMPL30)
SHAPES = 10
GENDERS = ("neutral", "male", "female")
OVERLAP_IOU = 0.1  # boxes of two people that overlap as much confuse a detector


def _no_people() -> np.ndarray:
    return np.zeros((0, JOINTS, 2), dtype=np.float32)


def _nothing_labelled() -> np.ndarray:
    return np.zeros((0, JOINTS), dtype=bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePerson:
    """One person in one image. Arrays are shared and must not be written to.

    image_path: of width x height pixels. edge_path: an 8-bit picture of the same size, the edges of all people also
    where they are hidden; None where there is none. edge_place: where that belongs, be it there or not. kpts_px: (30,
    2) float32, of no meaning where not labelled. labelled: (30,) bool, whose true place in the image is known. hidden:
    (30,) bool, known to be behind something; one that is not labelled may be. joints_cam_m: (30, 3) float32 in the
    camera's axes, of no meaning where not located. located: (30,) bool, whose place in space is known. pose: (24, 3)
    float32 axis times angle (radians), the root's in the camera's axes. shape: (10,) float32. fit_ok: whether pose and
    shape may be trusted. detected_px, detected_score: (30, 2), (30,), what a detector says, where the set has that.
    box_px: (4,) x, y of the top left corner, width and height, of the part of the person that is inside the image.
    others_px: (N, 30, 2) the other people whose boxes overlap this one's (IoU >= 0.1). scene: images that are alike,
    for intervals. Raises DatasetError.
    """

    image_path: Path
    edge_path: Path | None = None
    edge_place: Path | None = None
    width: int
    height: int
    camera: Camera
    kpts_px: np.ndarray
    labelled: np.ndarray
    hidden: np.ndarray
    joints_cam_m: np.ndarray | None = None
    located: np.ndarray = field(default_factory=lambda: np.zeros(JOINTS, dtype=bool))
    pose: np.ndarray | None = None
    shape: np.ndarray | None = None
    fit_ok: bool = False
    gender: str = "neutral"
    detected_px: np.ndarray | None = None
    detected_score: np.ndarray | None = None
    subject: str
    split: str
    scene: str
    box_px: np.ndarray
    visible_share: float = 1.0
    others_px: np.ndarray = field(default_factory=_no_people)
    others_labelled: np.ndarray = field(default_factory=_nothing_labelled)

    def __post_init__(self) -> None:
        for name, shape in _SHAPES.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise DatasetError(f"{self.image_path}: {name} of a person must be {shape}, got {value.shape}")
        if self.others_px.shape[1:] != (JOINTS, 2) or self.others_labelled.shape != self.others_px.shape[:2]:
            both = f"{self.others_px.shape} and {self.others_labelled.shape}"
            raise DatasetError(
                f"{self.image_path}: others_px must be (N, {JOINTS}, 2), others_labelled (N, {JOINTS}), got {both}"
            )
        if self.split not in SPLITS:
            raise DatasetError(f"{self.image_path}: a split is one of {', '.join(SPLITS)}, got {self.split!r}")
        if self.fit_ok and (self.pose is None or self.shape is None):
            raise DatasetError(f"{self.image_path}: a body that may be trusted needs pose and shape")

    @property
    def has_3d(self) -> bool:
        """Whether any joint's place in space is known."""
        return self.joints_cam_m is not None

    @property
    def area_px(self) -> float:
        """Of the box, square pixels."""
        return float(self.box_px[2] * self.box_px[3])


_SHAPES: dict[str, tuple[int, ...]] = {
    "kpts_px": (JOINTS, 2),
    "labelled": (JOINTS,),
    "hidden": (JOINTS,),
    "joints_cam_m": (JOINTS, 3),
    "located": (JOINTS,),
    "pose": (len(SMPL24), 3),
    "shape": (SHAPES,),
    "detected_px": (JOINTS, 2),
    "detected_score": (JOINTS,),
    "box_px": (4,),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet(Sequence[ImagePerson]):
    """The people of one set of images, in the order of its files.

    name: key of IMAGE_SETS. body: "capsules" or "smpl", whose pose and shape they have. license: what the files say.
    sha256: of what the people were read from, "" where that is larger than is worth reading twice.
    """

    name: str
    folder: Path
    body: str
    license: str
    people: tuple[ImagePerson, ...]
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.people)

    @overload
    def __getitem__(self, index: int) -> ImagePerson: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ImagePerson, ...]: ...

    def __getitem__(self, index: int | slice) -> ImagePerson | tuple[ImagePerson, ...]:
        return self.people[index]
