"""Pictures in memory: decoding one takes longer than all the rest that is done to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occpose_core.imagesets.pictures import read_edges, read_picture
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
        picture = np.concatenate([read_picture(person), read_edges(person)], axis=-1)
        if picture.nbytes <= self._room:
            self._room -= picture.nbytes
            self._kept[person.image_path] = picture
        return picture
