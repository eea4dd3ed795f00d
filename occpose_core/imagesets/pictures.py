"""Decoding the pictures of image sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occpose_core.dataset import DatasetError
from occpose_core.imagesets.types import ImagePerson


def read_picture(person: ImagePerson) -> np.ndarray:
    """The picture that a person is in, (H, W, 3) uint8 RGB. Raises DatasetError."""
    return np.ascontiguousarray(_decoded(person.image_path, person, colour=True)[..., ::-1])


def read_edges(person: ImagePerson) -> np.ndarray:
    """The privileged edge map of that picture, (H, W, 1) uint8, 0 where there is none. Raises DatasetError."""
    if person.edge_path is None:
        return np.zeros((person.height, person.width, 1), dtype=np.uint8)
    return _decoded(person.edge_path, person, colour=False)[..., None]


def _cut_off(content: bytes) -> bool:
    """Whether a JPEG's last scan has no end: what is missing would be grey."""
    return content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")


def _decoded(path: Path, person: ImagePerson, colour: bool) -> np.ndarray:
    import cv2

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot read the picture {path}: {error.strerror}") from error
    kind = (cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE) | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), kind) if content else None
    if picture is None or _cut_off(content):
        raise DatasetError(f"{path} is no picture that can be read to its end; get it again")
    if picture.shape[:2] != (person.height, person.width):
        height, width = picture.shape[:2]
        expected = f"{person.width} x {person.height}"
        raise DatasetError(f"{path} has {width} x {height} pixels, but its labels are for {expected}")
    return np.asarray(picture)
