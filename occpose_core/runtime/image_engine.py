"""Running image models: a person's crop and 2D pose in, joints and the surface of the body out."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from occpose_core.body.joints import SMPL24
from occpose_core.checkpoint import BODY_OUTPUTS, ModelFileError, ModelInfo
from occpose_core.errors import OccposeError
from occpose_core.runtime import model_path
from occpose_core.skeleton import H36M17

FACES_KEY = "occpose_faces"  # metadata of an exported file
IMAGE_INPUTS = ("image", "kpts", "visible")
EDGE_INPUT = "edge"  # one more, of models that are given an edge map

_BODY_JOINTS, _SHAPES = len(SMPL24), 10
_PELVIS = H36M17.index("pelvis")
_AT_ONCE = 4  # people


@dataclass(frozen=True, kw_only=True, eq=False)
class BodyAnswer:
    """An image model's answer for B people, in the axes of the views that it was given them in.

    joints_root_m: (B, 17, 3) and vertices_root_m: (B, V, 3) relative to the pelvis of the joints. rotations:
    (B, 24, 3, 3), of the root in the view, of the other joints relative to their parents. shape: (B, 10).
    """

    joints_root_m: np.ndarray
    vertices_root_m: np.ndarray
    rotations: np.ndarray
    shape: np.ndarray


class ImageEngine(Protocol):
    """A loaded image model.

    faces: (F, 3) int64, triangles of vertices. takes_edges: whether it is given an edge map. backend, reason: as in
    runtime.Engine.
    """

    info: ModelInfo
    faces: np.ndarray
    takes_edges: bool
    backend: str
    reason: str

    def run(
        self, images: np.ndarray, kpts: np.ndarray, visible: np.ndarray, edges: np.ndarray | None = None
    ) -> BodyAnswer:
        """Answer for B people.

        images: (B, 3, S, S) float32 RGB in [0, 1], S = info.image_size, crops.person_crop of each. kpts: (B, 17, 2)
        normalised in the same view, of any finite value where hidden. visible: (B, 17), 0 = missing. edges:
        (B, 1, S, S) float32 in [0, 1], for models that are given an edge map; None = zeros.
        """
        ...


def load_image_model(model: str | Path, backend: str = "auto") -> ImageEngine:
    """Load an image model from an .onnx or .safetensors file.

    backend: "auto", "onnxruntime" or "torch". Raises ModelFileError with one sentence if the file or backend does not
    fit, cannot answer, or its library is not installed, OccposeError if a checkpoint needs files or packages besides.
    """
    path = model_path(model)
    if backend not in ("auto", *_BACKENDS):
        raise ModelFileError(f"backend {backend!r} runs no image models; known: auto, {', '.join(_BACKENDS)}")
    fitting = next(name for name, (suffix, _) in _BACKENDS.items() if suffix == path.suffix)
    if backend not in ("auto", fitting):
        raise ModelFileError(f"backend {backend} runs {_BACKENDS[backend][0]} files, got {path}")
    try:
        engine = _BACKENDS[fitting][1](path)
    except ImportError as error:
        raise ModelFileError(f"backend {fitting} needs the package {error.name!r}: pip install {error.name}") from error
    asked = f"auto takes {fitting}" if backend == "auto" else f"backend {backend} was asked for"
    engine.reason = f"{asked}; {engine.reason}"
    _warm_up(engine, path)
    return engine


def _onnxruntime(path: Path) -> ImageEngine:
    from occpose_core.runtime.onnx_image_engine import OnnxImageEngine

    return OnnxImageEngine(path)


def _torch(path: Path) -> ImageEngine:
    from occpose_core.runtime.torch_image_engine import TorchImageEngine

    return TorchImageEngine(path)


# backend -> (the file it takes, how to load it); imported where it is used, for each is a large library
_BACKENDS: dict[str, tuple[str, Callable[[Path], ImageEngine]]] = {
    "onnxruntime": (".onnx", _onnxruntime),
    "torch": (".safetensors", _torch),
}


def _warm_up(engine: ImageEngine, path: Path) -> None:
    """Have two people answered once. Raises ModelFileError if the answer is not what it should be, or does not come."""
    people, joints, side = 2, len(H36M17.joints), engine.info.image_size
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (people, 3, side, side)).astype(np.float32)
    kpts = rng.uniform(-1, 1, (people, joints, 2)).astype(np.float32)
    try:
        answer = engine.run(images, kpts, np.ones((people, joints), dtype=np.float32))
    except OccposeError:
        raise  # says itself what is missing
    except Exception as error:  # runtimes' exceptions have no common base of their own
        raise ModelFileError(f"{path} cannot be run: {str(error).splitlines()[0]}; export it again") from error
    vertices = answer.vertices_root_m.shape[1:2]
    expected = ((joints, 3), (*vertices, 3), (_BODY_JOINTS, 3, 3), (_SHAPES,))
    for name, wanted in zip(BODY_OUTPUTS, expected, strict=True):
        values = getattr(answer, name)
        if values.shape != (people, *wanted):
            raise ModelFileError(
                f"{path} answers with {name} of shape {values.shape}, not {(people, *wanted)}; export it again"
            )
        if not np.isfinite(values).all():
            raise ModelFileError(f"{path} answers with {name} that is not finite: the file is damaged; get it again")
    if not engine.faces.size or not 0 <= engine.faces.min() <= engine.faces.max() < vertices[0]:
        raise ModelFileError(f"{path} has no triangles, or of vertices that it does not have; export it again")


def check_image_model(info: ModelInfo, path: Path) -> None:
    """Raise ModelFileError for a model that takes no images."""
    if not info.image_size:
        raise ModelFileError(f"{path} takes no images: give it as a model of keypoints, and an image model beside it")


def is_teacher(engine: ImageEngine) -> bool:
    """Whether the edge map that a model is given may be the true one; a student's is made of the image alone."""
    return engine.takes_edges and engine.info.config.get("edge") == "given"


def missing_edges(engine: ImageEngine) -> str:
    """Why a model that nobody gives true edges works without any, in a sentence; "" if it makes its own or none."""
    if not engine.takes_edges:
        return ""
    if is_teacher(engine):
        why = "only labels have the true ones that a teacher learns from: use its student"
    else:
        why = "the network that makes them is not in its file: export it with --edge-network"
    return f"model {engine.info.name} gets no edges, for {why}"


def body_answer(outputs: Mapping[str, np.ndarray]) -> BodyAnswer:
    """From a network's outputs by BODY_OUTPUTS, relative to whatever they have in common."""
    pelvis = outputs["joints_root_m"][:, _PELVIS, None]
    from_pelvis = {name: outputs[name] - pelvis for name in BODY_OUTPUTS[:2]}
    return BodyAnswer(**from_pelvis, **{name: outputs[name] for name in BODY_OUTPUTS[2:]})


def in_portions(
    ask: Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]], given: dict[str, np.ndarray]
) -> BodyAnswer:
    """Answers for any number of people, a few at a time: the layers of more would need much memory.

    ask: from inputs by name to the outputs in the order of BODY_OUTPUTS. given: people first.
    """
    given = {name: np.asarray(values, dtype=np.float32) for name, values in given.items()}
    people = len(given["image"])
    answers = [
        ask({name: values[first : first + _AT_ONCE] for name, values in given.items()})
        for first in range(0, people, _AT_ONCE)
    ]
    joined = (np.concatenate(each) for each in zip(*answers, strict=True))
    return body_answer(dict(zip(BODY_OUTPUTS, joined, strict=True)))


def network_images(crops: np.ndarray) -> np.ndarray:
    """Crops (B, S, S, 3) uint8 as an image model takes them, (B, 3, S, S) float32 in [0, 1]."""
    return np.ascontiguousarray(crops.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255.0)


def text_of_faces(faces: np.ndarray) -> str:
    """Triangles (F, 3) as text, for the metadata of an exported file under FACES_KEY."""
    return base64.b64encode(np.ascontiguousarray(faces, dtype="<i4").tobytes()).decode("ascii")


def faces_of_text(text: str, path: Path) -> np.ndarray:
    """The inverse of text_of_faces: (F, 3) int64. Raises ModelFileError; path: of the file that the text is from."""
    try:
        content = base64.b64decode(text, validate=True)
        return np.frombuffer(content, dtype="<i4").reshape(-1, 3).astype(np.int64)
    except ValueError as error:
        raise ModelFileError(f"{path} has triangles that cannot be read: the file is damaged; get it again") from error
