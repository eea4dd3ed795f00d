"""Training windows of real 2D and 3D with their real cameras, as MocapWindows makes them of motion.

normalisation `person-view`: 2D in each frame's person view, 3D in its axes, as everywhere in occpose.
normalisation `screen`: the papers' way. u' = 2 u / W - 1, v' = 2 v / W - H / W; 3D in the camera's axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from occpose_core.camera import px_from_cam, rays_from_cam, rays_from_px, view_of
from occpose_core.dataset import DatasetError
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from training.data.batch import Batch
from training.data.formats import read_recordings
from training.data.masks import mask_bank, pick_masks
from training.data.processes import share_of_process
from training.data.recording import Recording
from training.data.windows import WindowConfig

__all__ = ["CapturedDataset", "CapturedWindows", "Recording", "screen"]

_PELVIS = H36M17.index("pelvis")
_MIN_VISIBLE = 3  # fewer joints give no view to normalise by
Normalisation = Literal["person-view", "screen"]


# The papers hide nothing.
_CLEAN = WindowConfig(rate_hz=50.0, patterns={"clean": 1.0})


def screen(kpts_px: np.ndarray, camera: Camera) -> np.ndarray:
    """Pixels (..., 2) to the papers' image coordinates: x in [-1, 1], y to the same scale, (0, 0) in the centre."""
    return np.asarray(2.0 * kpts_px / camera.width - [1.0, camera.height / camera.width])


def _pinhole_rays(kpts_px: np.ndarray, joints_cam_m: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    return rays_from_px(kpts_px, camera), rays_from_cam(joints_cam_m)


def _on_screen(kpts_px: np.ndarray, joints_cam_m: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    return screen(kpts_px, camera), screen(px_from_cam(joints_cam_m, camera), camera)


# 2D as given and as projected, in coordinates whose x is negated by a mirror
_COORDINATES: dict[Normalisation, Callable[[np.ndarray, np.ndarray, Camera], tuple[np.ndarray, np.ndarray]]] = {
    "person-view": _pinhole_rays,
    "screen": _on_screen,
}


class CapturedDataset(IterableDataset[Batch]):
    """Each pass gives every frame (or one of `every`) once as the answered frame of a window, in batches.

    Of the config count `frames`, `look_ahead`, `rate_hz` (the recordings' own, or a divisor), `patterns`, `occlusion`
    and `mirrored`. Windows that reach beyond a recording repeat its first or last frame. With `shuffle` each pass has
    an order and masks of its own, whatever the number of workers, and so has a run resumed at `first_step`; every frame
    comes straight and mirrored, as in the papers' doubled data (`mirrored` 0: straight only, 1: mirrored only);
    processes share the windows, and those that do not fill a batch in each are left out. Without it the order is the
    recordings', masks are always the same, and nobody is mirrored.

    A batch is that of training.data.windows.Windows; `start` counts frames of the recording and may be negative.
    Raises DatasetError if a recording's rate is not a multiple of the window's.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        config: WindowConfig,
        batch: int,
        seed: int,
        normalisation: Normalisation = "person-view",
        shuffle: bool = True,
        process: tuple[int, int] = (0, 1),
        every: int = 1,
    ) -> None:
        super().__init__()
        self.recordings, self.config, self.batch, self.normalisation = recordings, config, batch, normalisation
        self.seed, self.shuffle, self.first_step = seed, shuffle, 0
        self.rank, self.processes = process
        self._epoch = 0
        self._stride = np.array([_stride(each, config) for each in recordings])
        self._length = np.array([len(each) for each in recordings])
        self._begin = np.concatenate([[0], np.cumsum(self._length)[:-1]])
        self._visible = np.concatenate([each.visible for each in recordings])
        self._joints_cam_m = np.concatenate([each.joints_cam_m for each in recordings])
        both = [_coordinates(each, normalisation) for each in recordings]
        self._kpts, self._true_kpts = (np.concatenate(each) for each in zip(*both, strict=True))
        self._answered = np.arange(0, len(self._kpts), every)
        ways = [False] * (config.mirrored < 1) + [True] * (config.mirrored > 0)
        self._ways = np.array(ways if shuffle else [False])  # whether mirrored
        self._masks = mask_bank(list(config.patterns), config.frames, config.rate_hz, np.random.default_rng((seed, 1)))

    def __len__(self) -> int:
        """Batches of this process."""
        windows = len(self._answered) * len(self._ways)
        if self.shuffle:
            return max(1, windows // (self.batch * self.processes))
        return len(range(self.rank, -(-windows // self.batch), self.processes))

    def origin(self, clip: int, start: int) -> str:
        """Where a window came from, in words."""
        recording = self.recordings[clip]
        last = start + (self.config.frames - 1) * int(self._stride[clip])
        return f"recording {recording.name!r}, frames {start} to {last}"

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        pass_seed = (self.seed, self.first_step, self._epoch) if self.shuffle else (self.seed,)
        self._epoch += 1
        order = np.arange(len(self._answered) * len(self._ways))
        if self.shuffle:
            np.random.default_rng(pass_seed).shuffle(order)
        for index in range(first, len(self), step):
            number = index * self.processes + self.rank
            chosen = order[number * self.batch : (number + 1) * self.batch]
            way, frame = np.divmod(chosen, len(self._answered))
            yield self.draw(self._answered[frame], self._ways[way], np.random.default_rng((*pass_seed, number)))

    def draw(self, answered: np.ndarray, flip: np.ndarray, rng: np.random.Generator) -> Batch:
        """The batch whose windows answer these frames (B,), counted through all recordings; flip: (B,) mirrored."""
        rows, clip, start = self._rows(answered)
        kpts, true_kpts, visible, joints_m = (
            each[rows] for each in (self._kpts, self._true_kpts, self._visible, self._joints_cam_m)
        )
        kpts, true_kpts, joints_m = (_mirrored(each, flip) for each in (kpts, true_kpts, joints_m))
        visible = np.where(flip[:, None, None], visible[..., H36M17.mirror], visible)
        visible = self._hidden(visible, rng)
        root_m = joints_m[:, :, _PELVIS, None]
        root_relative = joints_m - root_m
        if self.normalisation == "person-view":
            view = view_of(kpts, visible > 0)
            kpts, true_kpts = view.normalise(kpts), view.normalise(true_kpts)
            root_relative, root_m = view.from_cam(root_relative), view.from_cam(root_m)
        keep = self._enough(visible) | (not self.shuffle)
        arrays = {
            "kpts": kpts,
            "visible": visible,
            "true_kpts": true_kpts,
            "joints_root_m": root_relative,
            "root_m": root_m[:, :, 0],
        }
        batch = {name: torch.from_numpy(array[keep].astype(np.float32)) for name, array in arrays.items()}
        return {**batch, "clip": torch.from_numpy(clip[keep]), "start": torch.from_numpy(start[keep])}

    def _rows(self, answered: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows of the arrays (B, T), recording (B,), its frame at which the window starts (B,)."""
        clip = np.searchsorted(self._begin, answered, side="right") - 1
        begin, stride = self._begin[clip], self._stride[clip]
        past = self.config.frames - 1 - self.config.look_ahead
        start = answered - begin - past * stride
        frames = start[:, None] + np.arange(self.config.frames) * stride[:, None]
        return begin[:, None] + np.clip(frames, 0, self._length[clip, None] - 1), clip, start

    def _hidden(self, visible: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Scores (B, T, J) with joints hidden by the patterns; not so many that the answered frame has no view."""
        masked = visible * pick_masks(self._masks, self.config.patterns, len(visible), rng)
        masked = masked * self.config.occlusion.sample(len(visible), self.config.frames, rng)
        return np.where(self._enough(masked)[:, None, None], masked, visible)

    def _enough(self, visible: np.ndarray) -> np.ndarray:
        """(B,) whether the answered frame has the joints that a view takes."""
        return np.asarray((visible[:, -1 - self.config.look_ahead] > 0).sum(axis=-1) >= _MIN_VISIBLE)


def _stride(recording: Recording, config: WindowConfig) -> int:
    """Frames of the recording from one frame of a window to the next; a single frame has no rate."""
    stride = recording.rate_hz / config.rate_hz if config.frames > 1 else 1.0
    if stride < 1 or abs(stride - round(stride)) > 1e-6:
        raise DatasetError(
            f"recording {recording.name!r} has {recording.rate_hz:g} frames a second, which is no multiple of the"
            f" window's {config.rate_hz:g}; set window.rate_hz to that, or to a divisor"
        )
    return round(stride)


def _coordinates(recording: Recording, normalisation: Normalisation) -> tuple[np.ndarray, np.ndarray]:
    """2D as given and as projected, (T, J, 2) float32 each; 0 where nothing is given."""
    given_px = np.where(recording.visible[..., None] > 0, recording.kpts_px, 0.0)
    given, true = _COORDINATES[normalisation](given_px, recording.joints_cam_m, recording.camera)
    return given.astype(np.float32), true.astype(np.float32)


def _mirrored(points: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(B, T, J, C) with the chosen (B,) windows mirrored: x negated, left and right joints swapped."""
    flipped = points[:, :, H36M17.mirror] * np.array([-1, *[1] * (points.shape[-1] - 1)], dtype=points.dtype)
    return np.where(chosen[:, None, None, None], flipped, points)


class CapturedWindows(lightning.LightningDataModule):
    """Windows of a data set with real cameras: training subjects for training, validation subjects for validation.

    format: a key of training.data.formats.FORMATS. files: what its reader takes. allow_pickle: whether pickled files
    may be opened; only numbers and texts are ever taken out of them. validation_subjects: kept out of the training
    subjects to choose the best epoch by; the papers choose it on the test subjects. None: the format's own choice.
    batch_size: of all processes that train together. validation_every: one in so many frames is validated on; more than
    1 where time is short.
    """

    def __init__(
        self,
        format: str,
        files: list[Path],
        allow_pickle: bool = False,
        validation_subjects: list[str] | None = None,
        normalisation: Normalisation = "person-view",
        window: WindowConfig = _CLEAN,
        batch_size: int = 256,
        validation_every: int = 1,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.format, self.files, self.allow_pickle = format, files, allow_pickle
        self.validation_subjects, self.normalisation = validation_subjects, normalisation
        self.window, self.batch_size = window, batch_size
        self.validation_every, self.workers, self.seed = validation_every, workers, seed
        self._datasets: dict[str, CapturedDataset] = {}

    def origin(self, step: str, clip: int, start: int) -> str:
        """Where a window of a batch came from; step: "train" or "val"."""
        return self._datasets[step].origin(clip, start)

    def setup(self, stage: str) -> None:
        if self._datasets:
            return
        read = read_recordings(self.format, self.files, self.allow_pickle, self.validation_subjects)
        recordings: dict[str, list[Recording]] = {"train": [], "val": []}
        for recording in read:
            if recording.split in recordings and len(recording):
                recordings[recording.split].append(recording)
        rank, batch = share_of_process(self.trainer, self.batch_size)
        for split, found in recordings.items():
            if not found:
                raise DatasetError(f"{', '.join(map(str, self.files))} has no recording of split {split!r}")
            train = split == "train"
            self._datasets[split] = CapturedDataset(
                found,
                self.window,
                batch,
                self.seed,
                normalisation=self.normalisation,
                shuffle=train,
                process=(rank, self.batch_size // batch),
                every=1 if train else self.validation_every,
            )

    def train_dataloader(self) -> DataLoader[Batch]:
        # a resumed run draws other windows; the trainer's epoch is not restored yet at this point, its step is
        self._datasets["train"].first_step = self.trainer.global_step if self.trainer else 0
        return self._loader("train", self.workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader("val", 0)

    def _loader(self, split: str, workers: int) -> DataLoader[Batch]:
        prefetch = 4 if workers else None
        return DataLoader(
            self._datasets[split],
            batch_size=None,
            num_workers=workers,
            prefetch_factor=prefetch,
            persistent_workers=workers > 0,
        )
