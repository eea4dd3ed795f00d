"""Human3.6M's four cameras: lenses, and where they stood for each subject."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from occpose_core.dataset import DatasetError
from occpose_core.types import Camera


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    text = resources.files("training.data").joinpath("h36m_cameras.json").read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


@lru_cache(maxsize=1)
def h36m_cameras() -> dict[str, Camera]:
    """The cameras by their serial numbers, in the order in which VideoPose3D's files list the views."""
    return {
        name: Camera(
            width=lens["size"][0],
            height=lens["size"][1],
            K=np.array(lens["K"]),
            D=np.array(lens["distortion"]),
            distortion_model="plumb_bob",
            frame_id=name,
        )
        for name, lens in _table()["intrinsics"].items()
    }


def h36m_extrinsics(subject: str, camera_name: str) -> tuple[np.ndarray, np.ndarray]:
    """cam_from_world (3, 3) and the world's origin in the camera's frame (3,) m. Raises DatasetError."""
    known = _table()["extrinsics"]
    if subject not in known:
        raise DatasetError(f"Human3.6M has no subject {subject!r}; it has {', '.join(known)}")
    pose = known[subject][camera_name]
    return np.array(pose["R"]), np.array(pose["t_mm"]) / 1000.0
