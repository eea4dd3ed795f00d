"""Pictures in memory: decoding one takes longer than all the rest that is done to it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from occpose_core.dataset import DatasetError
from occpose_core.imagesets.types import ImagePerson


class Pictures:
    """Decoded pictures, kept as long as there is room.

    A picture: (H, W, 4) uint8, red, green, blue, and the privileged edges, which are 0 where there are none.
    """

    def __init__(self, room_bytes: int) -> None:
        self._room = room_bytes
        self._kept: dict[Path, np.ndarray] = {}

    def of(self, person: ImagePerson) -> np.ndarray:
        """The picture that a person is in. Raises DatasetError."""
        known = self._kept.get(person.image_path)
        if known is not None:
            return known
        picture = np.zeros((person.height, person.width, 4), dtype=np.uint8)
        picture[..., :3] = cv2.cvtColor(_read(person.image_path, cv2.IMREAD_COLOR, person), cv2.COLOR_BGR2RGB)
        if person.edge_path is not None:
            picture[..., 3] = _read(person.edge_path, cv2.IMREAD_GRAYSCALE, person)
        if picture.nbytes <= self._room:
            self._room -= picture.nbytes
            self._kept[person.image_path] = picture
        return picture


def _read(path: Path, kind: int, person: ImagePerson) -> np.ndarray:
    picture = cv2.imread(str(path), kind)
    if picture is None:
        raise DatasetError(f"{path} is no picture that can be read; get it again")
    if picture.shape[:2] != (person.height, person.width):
        height, width = picture.shape[:2]
        expected = f"{person.width} x {person.height}"
        raise DatasetError(f"{path} has {width} x {height} pixels, but its labels are for {expected}")
    return np.asarray(picture)
