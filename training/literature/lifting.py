"""A trained checkpoint that answers frames of recordings, the way papers ask: edge-padded windows, batch by batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from occpose_core.checkpoint import ModelInfo
from occpose_core.errors import OccposeError
from occpose_core.models.pose_model import PoseModel, mirrored
from occpose_core.occlusion import philox, visible_mask
from occpose_core.skeleton import H36M17
from training.data.recording import Recording
from training.literature.pictures import NORMALISATIONS, Picture
from training.recipes.refine import Refine, back_projected

BATCH = 256
MASK_FRAMES = 81  # of a published test window
_PELVIS = H36M17.index("pelvis")


class LiteratureError(OccposeError):
    """A checkpoint cannot be measured as asked."""


@dataclass(frozen=True, kw_only=True)
class Hiding:
    """Hides joints in each window on its own. pattern: of occpose_core.occlusion."""

    pattern: str
    seed: int = 0

    def visible(self, recording: Recording, answered: np.ndarray, window: int, look_ahead: int) -> np.ndarray:
        """(N, T, J) bool for the windows of the answered frames (N,).

        The pattern is drawn over 81 frames around the answered one, or over the window where that is longer.
        """
        frames = max(MASK_FRAMES, window)
        past = window - 1 - look_ahead
        place = int(np.clip(frames // 2, past, frames - 1 - look_ahead))
        masks = [self._mask(recording, int(frame), frames) for frame in answered]
        return np.stack(masks)[:, place - past : place + look_ahead + 1]

    def _mask(self, recording: Recording, frame: int, frames: int) -> np.ndarray:
        rng = philox(recording.name, recording.camera_name, self.pattern, frame, self.seed)
        return visible_mask(self.pattern, frames, recording.rate_hz, rng)


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A batch of answered frames. frames: (N,) of the recording. kpts: (N, J, 2) of them, the network's coordinates."""

    recording: Recording
    frames: np.ndarray
    picture: Picture
    kpts: np.ndarray
    root_depth_m: np.ndarray  # (N,) true, in the network's axes: an oracle's


def load_refine(checkpoint: Path) -> Refine:
    """The refine module that was trained with a checkpoint, from the file beside it. Raises LiteratureError."""
    path = checkpoint.with_name(f"{checkpoint.stem}-oracle.safetensors")
    if not path.is_file():
        raise LiteratureError(f"no refine module at {path}: only the refine phase of strided-posegraph writes one")
    refine = Refine()
    try:
        refine.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError, OSError) as error:
        raise LiteratureError(f"{path} is no refine module; train the refine phase again") from error
    return refine.eval()


class Lifter:
    """A checkpoint in evaluation mode.

    flip: average with the answer for the mirrored person. refine: correct the answer with it, by the camera and the
    true depth of the root: an oracle.
    """

    def __init__(self, model: PoseModel, info: ModelInfo, flip: bool = False, refine: Refine | None = None) -> None:
        if not info.lifts:
            raise LiteratureError(f"model {info.name} gives no 3D pose (only {', '.join(info.outputs)})")
        if info.normalisation not in NORMALISATIONS:
            known = ", ".join(NORMALISATIONS)
            raise LiteratureError(f"model {info.name} takes 2D in {info.normalisation!r}, which is none of {known}")
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.info = model.eval().to(self._device), info
        self.refine = refine.to(self._device) if refine else None
        self._normalisation = NORMALISATIONS[info.normalisation]
        if flip:
            model.config = dataclasses.replace(model.config, flip_average=True)

    @property
    def averages(self) -> bool:
        """Whether answers are averaged with those for the mirrored person, because asked to or as trained."""
        return self.model.config.flip_average

    def resampled(self, recordings: Sequence[Recording]) -> bool:
        """Whether windows skip frames of any of the recordings, because they were trained at another rate."""
        return bool(self.info.rate_hz) and any(each.rate_hz != self.info.rate_hz for each in recordings)

    def ask(self, recording: Recording, every: int = 1, hiding: Hiding | None = None) -> Iterator[Asked]:
        """Batches of every so-many-th frame of a recording."""
        coordinates = self._normalisation.coordinates(
            np.where(recording.visible[..., None] > 0, recording.kpts_px, 0.0), recording.camera
        )
        window, look_ahead = self.model.window, self.model.look_ahead
        steps = np.arange(1 - window, 1) + look_ahead
        stride = recording.rate_hz / self.info.rate_hz if self.info.rate_hz else 1.0
        answered = np.arange(0, len(recording), every)
        for frames in np.array_split(answered, -(-len(answered) // BATCH)):
            rows = np.clip(frames[:, None] + np.rint(steps * stride).astype(int), 0, len(recording) - 1)
            visible = recording.visible[rows]
            if hiding is not None:
                visible = visible * hiding.visible(recording, frames, window, look_ahead)
            given = np.where(visible[..., None] > 0, coordinates[rows], 0.0)
            picture = self._normalisation.picture(given, visible, recording.camera, -1 - look_ahead)
            root = picture.from_cam(recording.joints_cam_m[frames, _PELVIS, None].astype(np.float64))
            yield Asked(
                recording=recording,
                frames=frames,
                picture=picture,
                kpts=picture.kpts[:, -1 - look_ahead],
                root_depth_m=root[:, 0, 2],
            )

    def lift(self, asked: Asked) -> np.ndarray:
        """Root-relative joints (N, J, 3) m in the camera's axes."""

        def answer(kpts: Tensor, visible: Tensor) -> Tensor:
            joints_m: Tensor = self.model(kpts, visible)["joints_root_m"]
            return joints_m if self.refine is None else self._refined(self.refine, joints_m, asked)

        return asked.picture.to_cam(self._run(answer, asked))

    def need_image_pose(self) -> None:
        """Raise LiteratureError if the model gives no pose in the picture."""
        if getattr(self.model.config, "target", "") != "image":
            raise LiteratureError(
                f"model {self.info.name} ({self.info.family}) gives no pose in the picture, which LCN's own evaluation"
                " needs; leave out --as-published lcn"
            )

    def image_pose(self, asked: Asked) -> np.ndarray:
        """LCN's own output (N, J, 3): x, y as kpts, depth behind the pelvis in that unit at the pelvis."""

        def answer(kpts: Tensor, visible: Tensor) -> Tensor:
            joints = self.model.answer(*self.model.ways(kpts, visible))["joints_image"]
            if len(joints) > len(kpts):  # for the mirrored people too
                straight, mirror = joints.chunk(2)
                joints = (straight + mirrored(mirror)) / 2
            return joints

        return self._run(answer, asked)

    def _refined(self, refine: Refine, joints_m: Tensor, asked: Asked) -> Tensor:
        scale, offset = asked.picture.ray_scale[:, 0], asked.picture.ray_offset[:, 0]
        camera = np.concatenate([1 / scale, -offset / scale], axis=-1)
        seen = self._tensor(asked.picture.visible[:, -1 - self.model.look_ahead]) > 0
        kpts, camera_of_kpts, depth_m = (self._tensor(each) for each in (asked.kpts, camera, asked.root_depth_m))
        refined: Tensor = refine(joints_m, back_projected(joints_m, kpts, seen, camera_of_kpts, depth_m))
        return refined

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(self._device)

    def _run(self, network: Callable[[Tensor, Tensor], Tensor], asked: Asked) -> np.ndarray:
        with torch.inference_mode():
            answer = network(self._tensor(asked.picture.kpts), self._tensor(asked.picture.visible))
        return answer.cpu().numpy().astype(np.float64)
