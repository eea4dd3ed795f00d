"""The data module of all that is made of motion capture files on the fly, and what such data sets share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch.utils.data import DataLoader, get_worker_info

from occpose_core.simulation import detect
from training.data.batch import Batch
from training.data.clip import Clip
from training.data.mocap import shares_of
from training.data.processes import share_of_process


class MocapModule(lightning.LightningDataModule):
    """Endless training batches, and a fixed set of `validation_windows` for validation.

    files: OccKP-1 data files. shares: of each file among what is drawn, in their order; empty = by frames. batch_size:
    of all processes that train together. Raises DatasetError.
    """

    def __init__(
        self,
        files: list[Path],
        shares: list[float] | None,
        batch_size: int,
        validation_windows: int,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.files, self.shares, self.batch_size = files, shares_of(files, shares), batch_size
        self.validation_windows, self.workers, self.seed = validation_windows, workers, seed
        self._drawn: dict[str, Any] = {}

    @abstractmethod
    def draws(self, step: str, batch: int, first_step: int = 0, rank: int = 0) -> Any:
        """The endless data set of batches of that size; step: "train" or "val", which is the split too."""

    def origin(self, step: str, clip: int, start: int) -> str:
        """Where a window of a batch came from; step: "train" or "val"."""
        return str(self._drawn[step].origin(clip, start))

    def train_dataloader(self) -> DataLoader[Batch]:
        # a resumed run draws other windows; the trainer's epoch is not restored yet at this point, its step is
        first_step = self.trainer.global_step if self.trainer else 0
        rank, batch = share_of_process(self.trainer, self.batch_size)
        self._drawn["train"] = drawn = self.draws("train", batch, first_step, rank)
        workers = self.workers
        prefetch = 4 if workers else None
        return DataLoader(
            drawn, batch_size=None, num_workers=workers, prefetch_factor=prefetch, persistent_workers=workers > 0
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        self._drawn["val"] = drawn = self.draws("val", self.batch_size)
        batches = iter(drawn)
        fixed = [next(batches) for _ in range(max(1, self.validation_windows // self.batch_size))]
        return DataLoader(fixed, batch_size=None, shuffle=False)  # type: ignore[arg-type]


def generator(seed: int, first_step: int, epoch: int, rank: int) -> np.random.Generator:
    """Random numbers of this run, epoch, process and worker alone."""
    worker = get_worker_info()
    return np.random.default_rng((seed, first_step, epoch, rank, worker.id if worker else 0))


def probabilities(sizes: np.ndarray, clips: Sequence[Clip], shares: Mapping[str, float]) -> np.ndarray:
    """(N,) of each clip to be drawn: by its size (N,) in its source, whose share is as given, or by size too."""
    source = np.array([clip.source for clip in clips])
    weight = sizes / sizes.sum()
    for name in set(source):
        own = source == name
        weight[own] *= shares.get(name, weight[own].sum()) / weight[own].sum()
    return np.asarray(weight / weight.sum())


def detect_mixed(
    detectors: Mapping[str, float], rays: np.ndarray, rate_hz: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As simulation.detect for (B, T, J, 2), each window by one of the detectors, in their shares."""
    share = np.array(list(detectors.values()))
    kind = rng.choice(len(share), size=len(rays), p=share / share.sum())
    given_rays, score, given = np.empty_like(rays), np.empty(rays.shape[:-1]), np.empty(rays.shape[:-1], dtype=bool)
    for index, name in enumerate(detectors):
        rows = kind == index
        if rows.any():
            given_rays[rows], score[rows], given[rows] = detect(name, rays[rows], rate_hz, rng)
    return given_rays, score, given
