"""What every runtime is to the rest of occpose: numpy in, numpy out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from occpose_core.camera import CameraView, PersonView, view_of
from occpose_core.checkpoint import NORMALISATION, RAYS, ModelFileError, ModelInfo
from occpose_core.skeleton import H36M17

FRAME_S = 1 / 30  # time since the frame before, where nobody tells
# One sigma of measured and of filled joints where the network gives none: what single-frame lifters publish on their
# own data (5 cm), and three times that for what they have not seen.
DEFAULT_SIGMA_M = (0.05, 0.15)

# Normalisation -> the views that rays (..., J, 2) with visible (..., J) make.
_VIEWS: dict[str, Callable[[np.ndarray, np.ndarray], PersonView | CameraView]] = {
    NORMALISATION: view_of,
    RAYS: lambda rays, visible: CameraView(),
}


def views_for(info: ModelInfo, rays: np.ndarray, visible: np.ndarray) -> PersonView | CameraView:
    """The views in which a model takes people, and whose axes its answers have.

    rays: (..., J, 2) in the camera frame. visible: (..., J) bool.
    """
    return _VIEWS[info.normalisation](rays, visible)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lifted:
    """A model's answer for B people, in the views that it was given them in; None where it has no such output.

    joints_root_m: (B, J, 3) relative to the pelvis. sigma_m: (B, J). filled: (B, J, 2), visible joints as given.
    state: (B, S) what a streaming model keeps of each person, for its next call.
    """

    joints_root_m: np.ndarray | None = None
    sigma_m: np.ndarray | None = None
    filled: np.ndarray | None = None
    state: np.ndarray | None = None


class Engine(Protocol):
    """A loaded model. `backend` names what runs it and on which device; `reason`: why just that."""

    info: ModelInfo
    backend: str
    reason: str

    def run(
        self,
        kpts: np.ndarray,
        visible: np.ndarray,
        state: np.ndarray | None = None,
        only_state: bool = False,
        dt_s: np.ndarray | None = None,
    ) -> Lifted:
        """Answer for the newest frame, or the one that is info.look_ahead_s before it.

        kpts: (B, T, J, 2), T = info.frames, each frame in its view of views_for, finite, of any value where hidden.
        visible: (B, T, J), 0 = missing, else the detector's score in (0, 1]. state: (B, S), S = info.state_size, as the
        last answer gave it; zeros (or None) for people without a past. only_state: give nothing else, and spend little
        on it: for frames of which no answer is wanted. dt_s: (B,) seconds since each person's frame before, > 0, of no
        meaning without a past; None = FRAME_S. Models that do not stream ignore these three, those that are not timed
        dt_s.
        """
        ...


class ImageModelError(ModelFileError):
    """A model takes images beside keypoints."""


def refuse_image_model(info: ModelInfo, path: Path) -> None:
    """Raise ImageModelError for a model that takes images."""
    if info.image_size:
        raise ImageModelError(
            f"{path} is an image model: give it as image_model to the node or with --images to `occpose evaluate`, and"
            " beside it a model that lifts keypoints"
        )


def warm_up(engine: Engine, path: Path) -> None:
    """Have two people answered once, so that a model which cannot do so is found before it is needed.

    Raises ModelFileError if the answer has not the promised shapes, is not finite, or does not come.
    """
    people, joints = 2, len(H36M17.joints)
    shape = (people, engine.info.frames, joints)
    rng = np.random.default_rng(0)
    try:
        answer = engine.run(rng.uniform(-1, 1, (*shape, 2)).astype(np.float32), np.ones(shape, dtype=np.float32))
    except Exception as error:  # runtimes' exceptions have no common base of their own
        raise ModelFileError(f"{path} cannot be run: {str(error).splitlines()[0]}; export it again") from error
    expected = {
        "joints_root_m": (people, joints, 3),
        "sigma_m": (people, joints),
        "filled": (people, joints, 2),
        "state": (people, engine.info.state_size),
    }
    for name, wanted in expected.items():
        values = getattr(answer, name)
        if values is not None and values.shape != wanted:
            raise ModelFileError(f"{path} answers with {name} of shape {values.shape}, not {wanted}; export it again")
        if values is not None and not np.isfinite(values).all():
            raise ModelFileError(f"{path} answers with {name} that is not finite: the file is damaged; get it again")


def input_names(info: ModelInfo) -> list[str]:
    """What a model is given at a step, in its order."""
    return ["kpts", "visible", *(["dt_s"] if info.timed else []), *(["state"] if info.streaming else [])]


def inputs_for(
    info: ModelInfo, kpts: np.ndarray, visible: np.ndarray, state: np.ndarray | None, dt_s: np.ndarray | None
) -> dict[str, np.ndarray]:
    """The arguments of Engine.run that a model takes, by their input_names and in that order, in single precision."""
    given = {"kpts": kpts, "visible": visible}
    if info.timed:
        given["dt_s"] = np.full(len(kpts), FRAME_S) if dt_s is None else dt_s
    if info.streaming:
        given["state"] = np.zeros((len(kpts), info.state_size)) if state is None else state
    return {name: np.asarray(values, dtype=np.float32) for name, values in given.items()}
