"""What data modules share whose training batches are drawn at random, without end."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import lightning
from torch.utils.data import DataLoader

from training.data.batch import Batch
from training.data.processes import share_of_process

_PREFETCHED = 4  # batches of each worker


class DrawnModule(lightning.LightningDataModule):
    """Endless training batches, and fixed ones for validation.

    batch_size: of all processes that train together. validation: windows or people to validate on.
    """

    def __init__(self, batch_size: int, validation: int, workers: int, seed: int) -> None:
        super().__init__()
        self.batch_size, self.validation, self.workers, self.seed = batch_size, validation, workers, seed
        self._drawn: dict[str, Any] = {}

    @abstractmethod
    def draws(self, step: str, batch: int, first_step: int = 0, rank: int = 0) -> Any:
        """The endless data set of batches of that size; step: "train" or "val", which is the split too."""

    def origin(self, step: str, clip: int, start: int) -> str:
        """Where a row of a batch came from; step: "train" or "val"."""
        return str(self._drawn[step].origin(clip, start))

    def train_dataloader(self) -> DataLoader[Batch]:
        # a resumed run draws others; the trainer's epoch is not restored yet at this point, its step is
        first_step = self.trainer.global_step if self.trainer else 0
        rank, batch = share_of_process(self.trainer, self.batch_size)
        self._drawn["train"] = drawn = self.draws("train", batch, first_step, rank)
        workers = self.workers
        prefetch = _PREFETCHED if workers else None
        return DataLoader(
            drawn, batch_size=None, num_workers=workers, prefetch_factor=prefetch, persistent_workers=workers > 0
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        self._drawn["val"] = drawn = self.draws("val", self.batch_size)
        batches = iter(drawn)
        fixed = [next(batches) for _ in range(max(1, self.validation // self.batch_size))]
        return DataLoader(fixed, batch_size=None, shuffle=False)  # type: ignore[arg-type]
