"""Poses of fitted bodies without their pictures, for the pose prior."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset

from training.data.batch import Batch
from training.data.drawn_module import DrawnModule
from training.data.images import MIRRORED, turned_body
from training.data.mocap_module import generator
from training.data.people import People, read_people


class Poses(IterableDataset[Batch]):
    """Endless batches: pose (B, 24, 3, 3) and shape (B, 10) of people who have a fit, half of them mirrored."""

    def __init__(self, people: People, batch: int, seed: int, first_step: int = 0, rank: int = 0) -> None:
        super().__init__()
        self.batch, self.seed = batch, seed
        self._rotations, self._shape = people.rotations[people.fitted], people.shape[people.fitted]
        self._first_step, self._rank, self._epoch = first_step, rank, 0

    def __iter__(self) -> Iterator[Batch]:
        rng = generator(self.seed, self._first_step, self._epoch, self._rank)
        self._epoch += 1
        while True:
            yield self.draw(rng)

    def draw(self, rng: np.random.Generator) -> Batch:
        """One batch."""
        chosen = rng.integers(len(self._shape), size=self.batch)
        rotations = self._rotations[chosen]
        mirrored = rng.random(self.batch) < 0.5
        rotations[mirrored] = turned_body(rotations[mirrored], MIRRORED, mirrored=True)
        return {"pose": torch.from_numpy(rotations), "shape": torch.from_numpy(self._shape[chosen])}


class BodyPoses(DrawnModule):
    """Poses of image sets; folder to allow_pickle: as of training.data.images.ImagePeople. Raises DatasetError."""

    def __init__(
        self,
        folder: Path,
        kind: str = "rendered",
        more: dict[str, Path] = {},  # noqa: B006  never changed
        body: str = "capsules",
        allow_pickle: bool = False,
        batch_size: int = 256,
        validation_people: int = 2048,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, validation_people, workers, seed)
        self.sets, self.body, self.allow_pickle = {kind: folder, **more}, body, allow_pickle
        self._people: dict[str, People] = {}

    def draws(self, step: str, batch: int, first_step: int = 0, rank: int = 0) -> Poses:
        if step not in self._people:
            self._people[step] = read_people(self.sets, step, self.body, self.allow_pickle)
        return Poses(self._people[step], batch, self.seed, first_step, rank)
