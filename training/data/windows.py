"""Training windows made on the fly: random people before random cameras, seen by an imperfect detector.

Whole batches are drawn and computed at once in numpy by the same code that the node and the benchmark use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from occpose_core.camera import rays_from_cam, view_of
from occpose_core.dataset import DatasetError
from occpose_core.simulation import RIGS, detect, draw_views
from occpose_core.skeleton import H36M17
from training.data.augment import mirror, tilt, vary_bones
from training.data.clip import Clip
from training.data.masks import mask_bank, pick_masks
from training.data.mocap import read_clips, shares_of
from training.data.occlusion_windows import OcclusionWindows
from training.data.processes import share_of_process

Batch = dict[str, Tensor]

_PELVIS = H36M17.index("pelvis")
_MIN_VISIBLE = 3  # fewer joints give no view to normalise by


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """What a training window looks like; shares are probabilities."""

    frames: int = 1
    look_ahead: int = 0  # frames behind the one that a model answers
    rate_hz: float = 30.0
    rig: str = "train"
    detectors: Mapping[str, float] = field(default_factory=lambda: {"noisy": 0.7, "detector": 0.3})
    patterns: Mapping[str, float] = field(
        default_factory=lambda: {"clean": 0.15, "iid20": 0.1, "k-missing": 0.2, "natural": 0.3, "layout(coco17)": 0.25}
    )
    occlusion: OcclusionWindows = OcclusionWindows(joints=0)  # on top of the pattern
    mirrored: float = 0.5
    tilted: float = 0.04
    size_sd: float = 0.06  # of log stature
    bone_sd: float = 0.04  # of log bone length


class Windows(IterableDataset[Batch]):
    """Endless batches of windows; each worker, epoch and process (rank) draws its own, as does a run resumed at a step.

    Raises DatasetError if the recordings are too short for a window or do not fit its rate.

    A batch: kpts (B, T, J, 2), each frame in its own person view; visible (B, T, J), 0 = missing, else the detector's
    score in (0, 1]; true_kpts (B, T, J, 2) without noise; joints_root_m (B, T, J, 3), each frame in its view's axes;
    root_m (B, T, 3), where the pelvis is in them, which no model is told; clip and start (B,), the index into `clips`
    and the first frame, to say where a window came from.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        shares: Mapping[str, float],
        config: WindowConfig,
        batch: int,
        seed: int,
        first_step: int = 0,
        rank: int = 0,
    ) -> None:
        super().__init__()
        # a single frame has no rate
        clips = [clip.at_rate(config.rate_hz) for clip in clips] if config.frames > 1 else clips
        self.clips = [clip for clip in clips if len(clip.joints_world_m) >= config.frames]
        if not self.clips:
            longest = max((len(clip.joints_world_m) for clip in clips), default=0)
            raise DatasetError(
                f"no recording is as long as a window of {config.frames} frames, the longest has {longest}; give longer"
                " ones, or set a smaller window.frames"
            )
        self.config, self.batch, self.seed = config, batch, seed
        self._first_step, self._rank, self._epoch = first_step, rank, 0
        self._masks: np.ndarray | None = None
        starts = np.array([len(clip.joints_world_m) - config.frames + 1 for clip in self.clips], dtype=np.float64)
        self.probability = starts
        for source in {clip.source for clip in self.clips}:
            of_source = np.array([clip.source == source for clip in self.clips])
            share = shares.get(source, starts[of_source].sum() / starts.sum())
            self.probability = np.where(of_source, starts / starts[of_source].sum() * share, self.probability)
        self.probability /= self.probability.sum()

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng((self.seed, self._first_step, self._epoch, self._rank, worker.id if worker else 0))
        self._epoch += 1
        if self._masks is None:  # drawn once a worker: it takes as long as hundreds of batches
            self._masks = mask_bank(list(self.config.patterns), self.config.frames, self.config.rate_hz, rng)
        while True:
            yield self.draw(rng, self._masks)

    def origin(self, clip: int, start: int) -> str:
        """Where a window came from, in words."""
        source = self.clips[clip]
        last = start + self.config.frames - 1
        return f"clip {source.name!r} of {source.source}, frames {start} to {last} at {source.rate_hz:g} Hz"

    def draw(self, rng: np.random.Generator, masks: np.ndarray) -> Batch:
        """One batch from a generator and a bank of masks (patterns, N, T, J)."""
        clip, start, joints_world_m = self._people(rng)
        views = draw_views(RIGS[self.config.rig], rng, joints_world_m[:, :, _PELVIS])
        joints_cam_m = views.joints_cam_m(joints_world_m)
        true_rays = rays_from_cam(joints_cam_m)
        rays, score, given = self._detect(true_rays, rng)
        visible = given & views.inside(joints_cam_m)
        answered = -1 - self.config.look_ahead
        masked = visible & self._pick(masks, rng)
        enough = masked[:, answered].sum(axis=-1) >= _MIN_VISIBLE
        visible = np.where(enough[:, None, None], masked, visible)
        view = view_of(rays, visible)
        keep = visible[:, answered].sum(axis=-1) >= _MIN_VISIBLE
        root_cam_m = joints_cam_m[:, :, _PELVIS, None]
        arrays = {
            "kpts": view.normalise(rays),
            "visible": np.where(visible, score, 0.0),
            "true_kpts": view.normalise(true_rays),
            "joints_root_m": view.from_cam(joints_cam_m - root_cam_m),
            "root_m": view.from_cam(root_cam_m)[:, :, 0],
        }
        batch = {name: torch.from_numpy(array[keep].astype(np.float32)) for name, array in arrays.items()}
        return {**batch, "clip": torch.from_numpy(clip[keep]), "start": torch.from_numpy(start[keep])}

    def _people(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Clip index (B,), first frame (B,), joints (B, T, J, 3) with the person changed at random."""
        config = self.config
        chosen = rng.choice(len(self.clips), size=self.batch, p=self.probability)
        lengths = np.array([len(self.clips[index].joints_world_m) for index in chosen])
        starts = rng.integers(lengths - config.frames + 1)
        windows = [
            self.clips[index].joints_world_m[start : start + config.frames]
            for index, start in zip(chosen, starts, strict=True)
        ]
        joints_m = mirror(np.stack(windows), rng.random(self.batch) < config.mirrored)
        joints_m = vary_bones(joints_m, rng, config.size_sd, config.bone_sd)
        return chosen, starts, tilt(joints_m, rng.random(self.batch) < config.tilted, rng)

    def _detect(self, rays: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rays (B, T, J, 2), scores (B, T, J), and which are given at all, each window by one of the detectors."""
        detectors = self.config.detectors
        share = np.array(list(detectors.values())) / sum(detectors.values())
        kind = rng.choice(len(detectors), size=self.batch, p=share)
        given_rays, score, given = np.empty_like(rays), np.empty(rays.shape[:-1]), np.empty(rays.shape[:-1], dtype=bool)
        for index, name in enumerate(detectors):
            rows = kind == index
            if rows.any():
                given_rays[rows], score[rows], given[rows] = detect(name, rays[rows], self.config.rate_hz, rng)
        return given_rays, score, given

    def _pick(self, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B, T, J) masks of patterns in their shares, and of the occlusion."""
        visible = pick_masks(masks, self.config.patterns, self.batch, rng)
        return visible & self.config.occlusion.sample(self.batch, self.config.frames, rng)


class MocapWindows(lightning.LightningDataModule):
    """Windows of motion capture files for training, and a fixed set of them for validation.

    files: OccKP-1 data files. shares: of each file among the windows, in their order; empty = by frames. batch_size: of
    all processes that train together.
    """

    def __init__(
        self,
        files: list[Path],
        shares: list[float] | None = None,
        window: WindowConfig = WindowConfig(),
        batch_size: int = 512,
        validation_windows: int = 8192,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.files, self.window, self.batch_size = files, window, batch_size
        self.shares = shares_of(files, shares)
        self.validation_windows, self.workers, self.seed = validation_windows, workers, seed
        self._windows: dict[str, Windows] = {}

    def origin(self, step: str, clip: int, start: int) -> str:
        """Where a window of a batch came from; step: "train" or "val"."""
        return self._windows[step].origin(clip, start)

    def train_dataloader(self) -> DataLoader[Batch]:
        clips = read_clips(self.files, "train")
        # a resumed run draws other windows; the trainer's epoch is not restored yet at this point, its step is
        first_step = self.trainer.global_step if self.trainer else 0
        rank, batch = share_of_process(self.trainer, self.batch_size)
        windows = Windows(clips, self.shares, self.window, batch, self.seed, first_step, rank)
        self._windows["train"] = windows
        workers = self.workers
        prefetch = 4 if workers else None
        return DataLoader(
            windows, batch_size=None, num_workers=workers, prefetch_factor=prefetch, persistent_workers=workers > 0
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        windows = Windows(read_clips(self.files, "val"), {}, self.window, self.batch_size, self.seed)
        self._windows["val"] = windows
        batches = iter(windows)
        fixed = [next(batches) for _ in range(max(1, self.validation_windows // self.batch_size))]
        return DataLoader(fixed, batch_size=None, shuffle=False)  # type: ignore[arg-type]
