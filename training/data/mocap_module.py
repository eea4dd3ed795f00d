"""The data module of all that is made of motion capture files on the fly, and what such data sets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import get_worker_info

from occpose_core.simulation import detect
from training.data.clip import Clip
from training.data.drawn_module import DrawnModule
from training.data.mocap import shares_of


class MocapModule(DrawnModule):
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
        super().__init__(batch_size, validation_windows, workers, seed)
        self.files, self.shares = files, shares_of(files, shares)


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
