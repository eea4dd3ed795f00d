"""The models of a replay: a process loads each once, for all its bags."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from occpose_core.camera import load_lens_models
from occpose_core.runtime import Engine, load
from occpose_core.tracking import load_solver

if TYPE_CHECKING:
    from occpose_core.runtime.image_engine import ImageEngine
    from occpose_ros.mesh import CoarseMesh


class Models:
    """The models that a process has loaded, each once."""

    def __init__(self) -> None:
        self._engines: dict[tuple[str, str], Engine] = {}
        self._image_engines: dict[str, ImageEngine] = {}

    def engine(self, model: str, backend: str) -> Engine:
        """A lifter, with whatever else takes long to load. Raises ModelFileError."""
        if (model, backend) not in self._engines:
            self._engines[model, backend] = load(model, backend=backend)
            load_lens_models()
            load_solver()
        return self._engines[model, backend]

    def image_engine(self, model: str) -> ImageEngine:
        """An image model. Raises ModelFileError."""
        from occpose_core.runtime.image_engine import load_image_model, missing_edges

        if model not in self._image_engines:
            self._image_engines[model] = engine = load_image_model(model)
            if lack := missing_edges(engine):
                print(lack, file=sys.stderr)
        return self._image_engines[model]

    def shown_mesh(self, model: str) -> CoarseMesh:
        """What the markers show of an image model's bodies."""
        from occpose_ros.mesh import shown_mesh

        return shown_mesh(self.image_engine(model))
