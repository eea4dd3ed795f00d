"""Sequences for streaming models, made on the fly: any frame rate, gaps in time, people half or wrongly seen.

As training.data.windows, but in rays as the camera gives them, and with a time for every frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from occpose_core.camera import rays_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.simulation import RIGS, box_size, detect, draw_views
from occpose_core.skeleton import H36M17
from training.data.augment import lean, mirror, tilt, vary_bones
from training.data.clip import Clip
from training.data.masks import mask_bank, pick_masks
from training.data.mocap import read_clips, shares_of
from training.data.processes import share_of_process
from training.data.windows import Batch

_PELVIS = H36M17.index("pelvis")
_MASKS = 512  # of each pattern and rate
_WRONG_SD, _WRONG_SCORE = 0.05, (0.3, 0.7)  # of joints in a wrong place: size of the error in boxes, score
_LEGS = np.isin(H36M17.joints, [f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle")])
_HIPS = np.isin(H36M17.joints, ["left_hip", "right_hip", "pelvis"])


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """What a training sequence looks like; shares are probabilities.

    rates_hz: share of each frame rate. gaps: of sequences with missing frames, dropped: of their frames. speed: of the
    motion, as recorded = 1. wrong: of sequences whose hidden joints are given, in a wrong place. halves: of sequences
    that show no leg, or nothing but legs. leaning_deg: sd of the angle by which people lean as a whole.
    """

    frames: int = 64
    rates_hz: Mapping[float, float] = field(
        default_factory=lambda: {5.0: 0.06, 10.0: 0.1, 15.0: 0.12, 30.0: 0.54, 60.0: 0.12, 120.0: 0.06}
    )
    gaps: float = 0.15
    dropped: float = 0.2
    speed: tuple[float, float] = (0.7, 1.4)
    rig: str = "train"
    detectors: Mapping[str, float] = field(default_factory=lambda: {"noisy": 0.75, "detector": 0.25})
    patterns: Mapping[str, float] = field(
        default_factory=lambda: {
            "clean": 0.1,
            "iid20": 0.05,
            "k-missing": 0.15,
            "natural": 0.4,
            "layout(coco17)": 0.15,
            "limb-run": 0.1,
            "frames20c": 0.05,
        }
    )
    wrong: float = 0.15
    halves: float = 0.06
    mirrored: float = 0.5
    tilted: float = 0.04
    leaning_deg: float = 16.0
    size_sd: float = 0.06  # of log stature
    bone_sd: float = 0.04  # of log bone length


class Sequences(IterableDataset[Batch]):
    """Endless batches of sequences; each worker, epoch and process (rank) draws its own, as does a resumed run.

    Raises DatasetError if there is no recording of two frames.

    A batch: kpts (B, T, J, 2) undistorted rays, visible (B, T, J), 0 = missing, else the score in (0, 1]; dt_s (B, T)
    since the frame before; true_kpts (B, T, J, 2) without noise; joints_root_m (B, T, J, 3) in camera axes; hidden (B,
    T, J), 1 where a pattern hides; clip and start (B,), the index into `clips` and the first frame.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        shares: Mapping[str, float],
        config: SequenceConfig,
        batch: int,
        seed: int,
        first_step: int = 0,
        rank: int = 0,
    ) -> None:
        super().__init__()
        self.clips = [clip for clip in clips if len(clip.joints_world_m) > 1]
        if not self.clips:
            raise DatasetError("no recording has two frames; give a file with motion")
        self.config, self.batch, self.seed = config, batch, seed
        self._first_step, self._rank, self._epoch = first_step, rank, 0
        self._banks: dict[float, np.ndarray] = {}
        self._joints = np.concatenate([clip.joints_world_m for clip in self.clips])
        self._length = np.array([len(clip.joints_world_m) for clip in self.clips])
        self._first = np.cumsum(self._length) - self._length
        self._clip_hz = np.array([clip.rate_hz for clip in self.clips])
        source = np.array([clip.source for clip in self.clips])
        frames = self._length / self._length.sum()
        share = {name: shares.get(name, frames[source == name].sum()) for name in set(source)}
        of_source = np.array([share[name] / frames[source == name].sum() for name in source])
        self.probability = frames * of_source / (frames * of_source).sum()

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng((self.seed, self._first_step, self._epoch, self._rank, worker.id if worker else 0))
        self._epoch += 1
        while True:
            yield self.draw(rng)

    def origin(self, clip: int, start: int) -> str:
        """Where a sequence came from, in words."""
        return f"clip {self.clips[clip].name!r} of {self.clips[clip].source}, from frame {start}"

    def draw(self, rng: np.random.Generator) -> Batch:
        """One batch, all of one frame rate."""
        config = self.config
        share = np.array(list(config.rates_hz.values()))
        rate_hz = list(config.rates_hz)[int(rng.choice(len(share), p=share / share.sum()))]
        dt_s = self._times(rate_hz, rng)
        clip, start, joints_world_m = self._people(dt_s, rng)
        views = draw_views(RIGS[config.rig], rng, joints_world_m[:, :, _PELVIS])
        joints_cam_m = views.joints_cam_m(joints_world_m)
        true_rays = rays_from_cam(joints_cam_m)
        rays, score, given = self._detect(true_rays, rate_hz, rng)
        seen = self._masks(rate_hz, rng)
        wrong = ~seen & (rng.random((self.batch, 1, 1)) < config.wrong)
        away = _WRONG_SD * box_size(true_rays) * rng.standard_normal(rays.shape)
        rays = np.where(wrong[..., None], true_rays + away, rays)
        score = np.where(wrong, rng.uniform(*_WRONG_SCORE, size=score.shape), score)
        visible = given & views.inside(joints_cam_m) & (seen | wrong) & self._half(rng)
        arrays = {
            "kpts": rays,
            "visible": np.where(visible, score, 0.0),
            "dt_s": dt_s,
            "true_kpts": true_rays,
            "joints_root_m": joints_cam_m - joints_cam_m[:, :, _PELVIS, None],
            "hidden": ~visible | wrong,
        }
        batch = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
        return {**batch, "clip": torch.from_numpy(clip), "start": torch.from_numpy(start)}

    def _times(self, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
        """(B, T) seconds since the frame before, with gaps of up to a second in some sequences."""
        shape = (self.batch, self.config.frames)
        gapped = rng.random((self.batch, 1)) < self.config.gaps
        lost = np.minimum(rng.geometric(1 - self.config.dropped, size=shape) - 1, rate_hz)
        long = (rng.random(shape) < 2 / self.config.frames) * rng.integers(1 + int(rate_hz), size=shape)
        return np.asarray((1 + np.where(gapped, lost + long, 0)) / rate_hz)

    def _people(self, dt_s: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Clip index (B,), first frame (B,), joints (B, T, J, 3) at these times, the person changed at random.

        A recording that ends before its sequence goes on backward, and forward again.
        """
        config = self.config
        clip = rng.choice(len(self.clips), size=self.batch, p=self.probability)
        start = rng.integers(self._length[clip])
        slowest, fastest = np.log(config.speed)
        speed = np.exp(rng.uniform(slowest, fastest, size=(self.batch, 1)))
        since_s = np.cumsum(dt_s, axis=1) - dt_s[:, :1]
        frame = start[:, None] + since_s * speed * self._clip_hz[clip, None]
        last = self._length[clip, None] - 1
        frame = last - np.abs(frame % (2 * last) - last)
        joints_m = self._between(frame, self._first[clip, None], last)
        joints_m = mirror(joints_m, rng.random(self.batch) < config.mirrored)
        joints_m = vary_bones(joints_m, rng, config.size_sd, config.bone_sd)
        joints_m = lean(joints_m, np.radians(config.leaning_deg), rng)
        return clip, start, tilt(joints_m, rng.random(self.batch) < config.tilted, rng)

    def _between(self, frame: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Joints (B, T, J, 3) at fractional frames (B, T) by Catmull-Rom splines."""
        whole = np.minimum(frame.astype(np.int64), last - 1)
        u = (frame - whole).astype(np.float32)[..., None, None]
        p0, p1, p2, p3 = (self._joints[first + np.clip(whole + step, 0, last)] for step in (-1, 0, 1, 2))
        slope = p2 - p0 + u * (2 * p0 - 5 * p1 + 4 * p2 - p3 + u * (3 * (p1 - p2) + p3 - p0))
        return np.asarray(p1 + 0.5 * u * slope)

    def _detect(
        self, rays: np.ndarray, rate_hz: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rays (B, T, J, 2), scores (B, T, J), and which are given at all, each sequence by one of the detectors."""
        share = np.array(list(self.config.detectors.values()))
        kind = rng.choice(len(share), size=self.batch, p=share / share.sum())
        given_rays, score, given = np.empty_like(rays), np.empty(rays.shape[:-1]), np.empty(rays.shape[:-1], dtype=bool)
        for index, name in enumerate(self.config.detectors):
            rows = kind == index
            if rows.any():
                given_rays[rows], score[rows], given[rows] = detect(name, rays[rows], rate_hz, rng)
        return given_rays, score, given

    def _masks(self, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
        """(B, T, J) bool by the patterns in their shares."""
        if rate_hz not in self._banks:  # drawn once a worker: it takes as long as hundreds of batches
            patterns = list(self.config.patterns)
            self._banks[rate_hz] = mask_bank(patterns, self.config.frames, rate_hz, rng, _MASKS)
        return pick_masks(self._banks[rate_hz], self.config.patterns, self.batch, rng)

    def _half(self, rng: np.random.Generator) -> np.ndarray:
        """(B, 1, J) bool: all but the few who stand behind a counter all the time, or of whom one sees legs only."""
        unseen = np.stack([np.zeros_like(_LEGS), _LEGS, _LEGS | _HIPS, ~(_LEGS | _HIPS)])
        share = self.config.halves
        kind = rng.choice(len(unseen), size=self.batch, p=[1 - share, share / 3, share / 3, share / 3])
        return np.asarray(~unseen[kind][:, None])


class MocapSequences(lightning.LightningDataModule):
    """Sequences of motion capture files for training, and a fixed set of them for validation.

    files: OccKP-1 data files. shares: of each file among the sequences, in their order; empty = by frames. batch_size:
    of all processes that train together. Validation sequences have 30 frames a second and hide joints as `natural`
    does. Raises DatasetError.
    """

    def __init__(
        self,
        files: list[Path],
        shares: list[float] | None = None,
        sequence: SequenceConfig = SequenceConfig(),
        batch_size: int = 32,
        validation_windows: int = 128,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.files, self.sequence, self.batch_size = files, sequence, batch_size
        self.shares = shares_of(files, shares)
        self.validation_windows, self.workers, self.seed = validation_windows, workers, seed
        self._sequences: dict[str, Sequences] = {}

    def origin(self, step: str, clip: int, start: int) -> str:
        """Where a sequence of a batch came from; step: "train" or "val"."""
        return self._sequences[step].origin(clip, start)

    def train_dataloader(self) -> DataLoader[Batch]:
        # a resumed run draws other sequences; the trainer's epoch is not restored yet at this point, its step is
        first_step = self.trainer.global_step if self.trainer else 0
        rank, batch = share_of_process(self.trainer, self.batch_size)
        clips = read_clips(self.files, "train")
        sequences = Sequences(clips, self.shares, self.sequence, batch, self.seed, first_step, rank)
        self._sequences["train"] = sequences
        workers = self.workers
        return DataLoader(
            sequences,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            persistent_workers=workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        config = SequenceConfig(
            frames=self.sequence.frames,
            rates_hz={30.0: 1.0},
            gaps=0.0,
            speed=(1.0, 1.0),
            detectors={"noisy": 1.0},
            patterns={"natural": 1.0},
            wrong=0.0,
            halves=0.0,
            tilted=0.0,
            leaning_deg=0.0,
        )
        sequences = Sequences(read_clips(self.files, "val"), {}, config, self.batch_size, self.seed)
        self._sequences["val"] = sequences
        batches = iter(sequences)
        fixed = [next(batches) for _ in range(max(1, self.validation_windows // self.batch_size))]
        return DataLoader(fixed, batch_size=None, shuffle=False)  # type: ignore[arg-type]
