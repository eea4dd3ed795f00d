"""Training windows made on the fly: random people before random cameras, seen by an imperfect detector.

Whole batches are drawn and computed at once in numpy by the same code that the node and the benchmark use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset

from occpose_core.camera import rays_from_cam, view_of
from occpose_core.dataset import DatasetError
from occpose_core.simulation import RIGS, draw_views
from occpose_core.skeleton import H36M17
from training.data.augment import mirror, tilt, vary_bones
from training.data.batch import Batch
from training.data.clip import Clip
from training.data.masks import mask_bank, pick_masks
from training.data.mocap import read_clips
from training.data.mocap_module import MocapModule, detect_mixed, generator, probabilities
from training.data.occlusion_windows import OcclusionWindows

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
        starts = np.array([len(clip.joints_world_m) - config.frames + 1 for clip in self.clips])
        self.probability = probabilities(starts, self.clips, shares)

    def __iter__(self) -> Iterator[Batch]:
        rng = generator(self.seed, self._first_step, self._epoch, self._rank)
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
        rays, score, given = detect_mixed(self.config.detectors, true_rays, self.config.rate_hz, rng)
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

    def _pick(self, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(B, T, J) masks of patterns in their shares, and of the occlusion."""
        visible = pick_masks(masks, self.config.patterns, self.batch, rng)
        return visible & self.config.occlusion.sample(self.batch, self.config.frames, rng)


class MocapWindows(MocapModule):
    """Windows of motion capture files."""

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
        super().__init__(files, shares, batch_size, validation_windows, workers, seed)
        self.window = window

    def draws(self, step: str, batch: int, first_step: int = 0, rank: int = 0) -> Windows:
        shares = self.shares if step == "train" else {}
        return Windows(read_clips(self.files, step), shares, self.window, batch, self.seed, first_step, rank)
