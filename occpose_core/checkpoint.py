"""Self-describing model files: weights and everything needed to use them rightly, in one safetensors file.

The same ModelInfo travels in the metadata of the exported ONNX file. A loader refuses what does not fit this version.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from occpose_core.errors import OccposeError
from occpose_core.metrics import CHI3_RADII
from occpose_core.skeleton import H36M17

if TYPE_CHECKING:
    from torch import nn

METADATA_KEY = "occpose"
NORMALISATION = "person-view"  # camera.PersonView
RAYS = "rays"  # undistorted, in the camera frame, whose axes the answer has: the model looks at the person itself
SCREEN = "screen"  # the papers' image coordinates: for their training and evaluation, not for live use
LIVE = (NORMALISATION, RAYS)  # what an engine can be given
PRECISIONS = ("fp32", "fp16")  # in which an exported graph computes its layers
BODY_OUTPUTS = ("joints_root_m", "vertices_root_m", "rotations", "shape")  # of models that take an image
HALF_FROM = 1024  # tensors of fewer elements are always stored in single precision


class ModelFileError(OccposeError):
    """A model file is missing, damaged, or made for another layout or normalisation."""


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a model is and what it expects.

    window: frames that an answer depends on; a streaming model takes them one at a time and keeps state_size numbers a
    person (0 frames = all so far). timed: a streaming model that is also told the time since the frame before, and runs
    at any rate. rate_hz: that the window was trained at (0 = any). look_ahead_s: future that the answer waits for.
    outputs: of "joints_root_m", "sigma_m", "filled". interval_radii: radii, in sigmas, of the balls that hold 50 % and
    90 % of a joint's errors. stature_gain: what the stature of its skeletons is multiplied by before they are scaled to
    a known one, so that on average their places are neither too far nor too near: bones along the view come out short.
    precision: "fp32", or "fp16" where an exported graph computes its layers in half precision. batches: numbers of
    people that engines are built for; fewer are filled up, more are divided. image_size: side in pixels of the crops
    that a model takes beside keypoints, 0 = none. training: data, steps, seed, figures.
    Raises ModelFileError.
    """

    name: str
    family: str
    form: str
    config: dict[str, Any]
    parameters: int
    outputs: tuple[str, ...]
    window: int = 1
    rate_hz: float = 0.0
    look_ahead_s: float = 0.0
    streaming: bool = False
    timed: bool = False
    state_size: int = 0
    layout: str = H36M17.name
    normalisation: str = NORMALISATION
    interval_radii: tuple[float, float] = CHI3_RADII
    stature_gain: float = 1.0
    precision: str = "fp32"
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    image_size: int = 0
    source: str = ""
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        radii = tuple(map(float, self.interval_radii))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        object.__setattr__(self, "batches", tuple(self.batches))
        object.__setattr__(self, "interval_radii", radii)
        if len(radii) != 2 or not 0.0 < radii[0] < radii[1] < math.inf:
            raise ModelFileError(f"interval radii of {self.name} must be two growing positive numbers, got {radii}")
        if not 0.5 < self.stature_gain < 2.0:
            raise ModelFileError(f"the stature gain of {self.name} must lie in 0.5 to 2, got {self.stature_gain}")
        if not self.batches or min(self.batches) < 1 or list(self.batches) != sorted(set(self.batches)):
            raise ModelFileError(f"the batches of {self.name} must be growing positive numbers, got {self.batches}")
        if self.precision not in PRECISIONS:
            raise ModelFileError(f"unknown precision {self.precision!r} of {self.name}; known: {', '.join(PRECISIONS)}")

    @property
    def lifts(self) -> bool:
        """Whether the model gives 3D."""
        return "joints_root_m" in self.outputs

    @property
    def frames(self) -> int:
        """Frames that one call of the engine takes."""
        return 1 if self.streaming else self.window

    @property
    def remembers(self) -> bool:
        """Whether the model itself keeps where hidden joints were, and goes on answering while nothing is seen."""
        return self.streaming and not self.window

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @staticmethod
    def from_metadata(metadata: dict[str, str] | None, path: Path, normalisations: Collection[str] = LIVE) -> ModelInfo:
        """Read the metadata of a model file; ModelFileError if there is none or it does not fit this version."""
        text = (metadata or {}).get(METADATA_KEY)
        if text is None:
            raise ModelFileError(f"{path} was not exported by occpose: it has no {METADATA_KEY!r} metadata")
        try:
            info = ModelInfo(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise ModelFileError(
                f"{path} was written by another version of occpose ({error}); export it again"
            ) from error
        for what, given, expected in (
            ("layout", info.layout, (H36M17.name,)),
            ("normalisation", info.normalisation, normalisations),
        ):
            if given not in expected:
                needed = " or ".join(map(repr, expected))
                raise ModelFileError(f"{path} has {what} {given!r}, but {needed} is needed: choose another model")
        return info


def save_checkpoint(path: Path, model: nn.Module, info: ModelInfo, half_weights: bool = False) -> None:
    """Write weights and info to a safetensors file, large weights in half precision if asked for; atomic.

    The statistics of batch norms stay in single precision: small variances would not survive.
    """
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    if half_weights:
        large = {name for name, each in model.named_parameters() if each.numel() >= HALF_FROM}
        tensors = {name: each.half() if name in large else each for name, each in tensors.items()}
    temporary = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, temporary, metadata={METADATA_KEY: info.to_json()})
    os.chmod(temporary, 0o644)  # safetensors makes it private
    os.replace(temporary, path)


def load_checkpoint(
    path: Path, normalisations: Collection[str] = LIVE, body: Path | None = None
) -> tuple[Any, ModelInfo]:
    """Build the model that a safetensors file describes and load its weights; in evaluation mode.

    It is a PoseModel, or a Sefd if info.image_size is not 0. normalisations: of 2D that the caller can give to the
    model. body: folder of the body model's files, where it is not the one of the training. Raises ModelFileError if the
    file is missing, damaged or does not fit, BodyFileError or DatasetError if the body model's are missing or no good.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from occpose_core.body.files import BodyFileError
    from occpose_core.dataset import DatasetError
    from occpose_core.models import build

    if not path.is_file():
        raise ModelFileError(f"no model file at {path}; `occpose models` lists the shipped ones")
    try:
        with safe_open(path, framework="pt") as file:
            info = ModelInfo.from_metadata(file.metadata(), path, normalisations)
            tensors = {name: file.get_tensor(name).to(torch.float32) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is not a readable safetensors file: {error}") from error
    if body and info.image_size:
        info = dataclasses.replace(info, config={**info.config, "body": str(body)})
    try:
        model = build(info.family, info.config)
        model.load_state_dict(tensors)
    except (BodyFileError, DatasetError):  # of the body model
        raise  # says itself what is missing, and from where it comes
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise ModelFileError(f"{path}: its weights or sizes fit no {info.family} ({reason}); train it again") from error
    return model.eval(), info
