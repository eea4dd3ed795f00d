"""Sequences for streaming models, made on the fly: any frame rate, gaps in time, people half or wrongly seen.

As training.data.windows, but in rays as the camera gives them, and with a time for every frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset

from occpose_core.camera import rays_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.simulation import RIGS, box_size, draw_views
from occpose_core.skeleton import H36M17
from training.data.augment import lean, mirror, tilt, vary_bones
from training.data.batch import Batch
from training.data.clip import Clip
from training.data.masks import mask_bank, pick_masks
from training.data.mocap import read_clips
from training.data.mocap_module import MocapModule, detect_mixed, generator, probabilities

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
    that show no leg, or nothing but legs. leaning_deg: sd of the angle by which people lean as a whole. Raises
    DatasetError if a rate is none.
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

    def __post_init__(self) -> None:
        # The keys of a mapping come from the command line as text.
        try:
            rates_hz = {float(rate_hz): float(share) for rate_hz, share in self.rates_hz.items()}
        except (TypeError, ValueError):
            rates_hz = {}
        if not (rates_hz and min(rates_hz) > 0 and min(rates_hz.values()) >= 0 and sum(rates_hz.values()) > 0):
            raise DatasetError(
                "rates_hz must give frame rates above 0 Hz and the share of each, such as {30: 1},"
                f" got {self.rates_hz}"
            )
        object.__setattr__(self, "rates_hz", rates_hz)


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
        self.probability = probabilities(self._length, self.clips, shares)

    def __iter__(self) -> Iterator[Batch]:
        rng = generator(self.seed, self._first_step, self._epoch, self._rank)
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
        rays, score, given = detect_mixed(config.detectors, true_rays, rate_hz, rng)
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


class MocapSequences(MocapModule):
    """Sequences of motion capture files; those of validation have 30 frames a second and hide joints as `natural`."""

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
        super().__init__(files, shares, batch_size, validation_windows, workers, seed)
        self.sequence = sequence

    def draws(self, step: str, batch: int, first_step: int = 0, rank: int = 0) -> Sequences:
        train = step == "train"
        config, shares = (self.sequence, self.shares) if train else (_validation(self.sequence.frames), {})
        return Sequences(read_clips(self.files, step), shares, config, batch, self.seed, first_step, rank)


def _validation(frames: int) -> SequenceConfig:
    """People as they were recorded, seen all the time by an honest detector."""
    return SequenceConfig(
        frames=frames,
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
