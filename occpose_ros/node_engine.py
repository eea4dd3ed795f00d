"""The engines of a node: loaded at once, the lifter bettered beside the work, and told about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from occpose_core.camera import load_lens_models
from occpose_core.runtime import Preparation, load, preparation
from occpose_core.runtime.switching_engine import SwitchingEngine
from occpose_core.runtime.tensorrt_library import LIBRARIES
from occpose_core.tracking import load_solver

if TYPE_CHECKING:
    from occpose_core.runtime.image_engine import ImageEngine
    from occpose_ros.mesh import CoarseMesh

UNCONFIGURED = {"model": "none", "engine": "none", "engine reason": "not configured", "engine preparation": "none"}


class NodeEngine:
    """`engine` and, if there is an image model, `image_engine` for the pipeline, and what there is to say about them.

    mesh_triangles: how many `mesh`, for a viewer, shall have of the surface of the image model's bodies; 0: no mesh.
    Making one loads the models, which takes a while; raises ModelFileError. Only the engines may be used by another
    thread.
    """

    def __init__(self, model: str, backend: str, image_model: str = "", mesh_triangles: int = 0) -> None:
        load_lens_models()
        load_solver()
        self.engine = load(model, backend)
        self._preparation: Preparation | None = None
        if self.engine.backend in LIBRARIES:  # nothing is better, but a GPU can be lost
            self.engine = SwitchingEngine(load(model, "onnxruntime"), better=self.engine)
        elif preparing := preparation(model, backend):
            self._preparation = preparing
            self.engine = SwitchingEngine(self.engine, preparing)
        self.image_engine = _image_engine(image_model) if image_model else None
        self.mesh = _mesh(self.image_engine, mesh_triangles) if self.image_engine and mesh_triangles else None
        self._missing_edges = _missing_edges(self.image_engine) if self.image_engine else ""
        self._told: set[str] = set()

    def start(self) -> None:
        """Begin to make a better engine ready, if there can be one."""
        if self._preparation is not None:
            self._preparation.start()

    def cancel(self) -> None:
        """Want nothing better any more; returns at once."""
        if self._preparation is not None:
            self._preparation.cancel()

    @property
    def breakdown(self) -> str:
        """Why an engine no longer serves that should; else empty."""
        return self.engine.breakdown if isinstance(self.engine, SwitchingEngine) else ""

    def values(self) -> dict[str, str]:
        """For the diagnostics."""
        values = {
            "model": self.engine.info.name,
            "engine": self.engine.backend,
            "engine reason": self.engine.reason,
            "engine preparation": "none" if self._preparation is None else self._preparation.progress,
        }
        if self.image_engine is not None:
            values |= {"image model": self.image_engine.info.name, "image engine": self.image_engine.backend}
        return values

    def news(self) -> tuple[str, str]:
        """What lifts and why, and what is worse than it could be; "" for what was told before."""
        engines = {"model": self.engine} | ({"image model": self.image_engine} if self.image_engine else {})
        about = "; ".join(f"{kind} {of.info.name} on {of.backend} ({of.reason})" for kind, of in engines.items())
        failures = ["" if self._preparation is None else self._preparation.failure, self._missing_edges]
        return self._if_new(about), "; ".join(filter(None, map(self._if_new, failures)))

    def _if_new(self, sentence: str) -> str:
        if sentence in self._told:
            return ""
        self._told.add(sentence)
        return sentence


def _image_engine(image_model: str) -> ImageEngine:
    from occpose_core.runtime.image_engine import load_image_model

    return load_image_model(image_model)


def _missing_edges(engine: ImageEngine) -> str:
    from occpose_core.runtime.image_engine import missing_edges

    return missing_edges(engine)


def _mesh(engine: ImageEngine, triangles: int) -> CoarseMesh:
    from occpose_ros.mesh import shown_mesh

    return shown_mesh(engine, triangles)
