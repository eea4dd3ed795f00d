"""One answer of the pipeline, and what every output does with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from occpose_core.types import Camera, Skeleton3D
from occpose_ros.parameters import NodeParameters


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """The skeletons of one image.

    lost_ids: people of the last answer who are gone. received_s: monotonic seconds when the keypoints came. reset: the
    past was forgotten before this answer. meshes: id -> vertices (V, 3) m in the camera frame, of whom there are any.
    """

    skeletons: Sequence[Skeleton3D]
    lost_ids: Sequence[str]
    stamp_ns: int
    camera: Camera
    received_s: float
    reset: bool
    parameters: NodeParameters
    meshes: Mapping[str, np.ndarray] = field(default_factory=dict)


class Output(Protocol):
    """Says something about each answer. Made and destroyed by the executor's thread, the rest is the worker's."""

    def wanted(self, parameters: NodeParameters) -> bool:
        """Whether it is on and somebody listens."""

    def publish(self, answer: Answer) -> None:
        """Say it, if it is wanted; if it is switched off, take back what is still shown."""

    def clear(self, stamp_ns: int) -> None:
        """Everybody is forgotten: take back what is still shown."""

    def destroy(self) -> None:
        """Leave the graph."""
