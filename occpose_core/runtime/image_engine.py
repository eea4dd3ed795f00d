"""Running image models: a person's crop and 2D pose in, joints and the surface of the body out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from occpose_core.checkpoint import ModelFileError, ModelInfo

FACES_KEY = "occpose_faces"  # metadata of an exported file
IMAGE_INPUTS = ("image", "kpts", "visible")
IMAGE_OUTPUTS = ("joints_root_m", "vertices_root_m", "rotations", "shape")


@dataclass(frozen=True, kw_only=True, eq=False)
class BodyAnswer:
    """An image model's answer for B people, in the axes of the views that it was given them in.

    joints_root_m: (B, 17, 3) and vertices_root_m: (B, V, 3) relative to the pelvis of the joints. rotations:
    (B, 24, 3, 3), of the root in the view, of the other joints relative to their parents. shape: (B, 10).
    """

    joints_root_m: np.ndarray
    vertices_root_m: np.ndarray
    rotations: np.ndarray
    shape: np.ndarray


class ImageEngine(Protocol):
    """A loaded image model. faces: (F, 3) int64, triangles of vertices. backend, reason: as in runtime.Engine."""

    info: ModelInfo
    faces: np.ndarray
    backend: str
    reason: str

    def run(self, images: np.ndarray, kpts: np.ndarray, visible: np.ndarray) -> BodyAnswer:
        """Answer for B people.

        images: (B, 3, S, S) float32 RGB in [0, 1], S = info.image_size, crops.person_crop of each. kpts: (B, 17, 2)
        normalised in the same view, of any finite value where hidden. visible: (B, 17), 0 = missing.
        """
        ...


def network_images(crops: np.ndarray) -> np.ndarray:
    """Crops (B, S, S, 3) uint8 as an image model takes them, (B, 3, S, S) float32 in [0, 1]."""
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255.0)


def text_of_faces(faces: np.ndarray) -> str:
    """Triangles (F, 3) as text, for the metadata of an exported file under FACES_KEY."""
    return base64.b64encode(np.ascontiguousarray(faces, dtype="<i4").tobytes()).decode("ascii")


def faces_of_text(text: str, path: Path) -> np.ndarray:
    """The inverse of text_of_faces: (F, 3) int64. Raises ModelFileError; path: of the file that the text is from."""
    try:
        content = base64.b64decode(text, validate=True)
        return np.frombuffer(content, dtype="<i4").reshape(-1, 3).astype(np.int64)
    except ValueError as error:
        raise ModelFileError(f"{path} has triangles that cannot be read: the file is damaged; get it again") from error
