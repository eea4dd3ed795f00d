"""`camera.calibration` files of MPI-INF-3DHP ("Skeletool Camera Calibration File V1.0").

A block a camera: name, sensor, size (px), animated, intrinsic and extrinsic (4 x 4, row by row, mm), radial.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occpose_core.dataset import DatasetError
from occpose_core.types import Camera

_TITLE = "Skeletool Camera Calibration File V1.0"


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedCamera:
    """A lens and where it stands. cam_from_world: (3, 3). origin_cam_m: (3,) m, the world's origin in its frame."""

    camera: Camera
    cam_from_world: np.ndarray
    origin_cam_m: np.ndarray

    def to_world(self, joints_cam_m: np.ndarray) -> np.ndarray:
        """(..., 3) m from the camera's frame to the world's."""
        return np.asarray((joints_cam_m - self.origin_cam_m) @ self.cam_from_world)


def read_calibration(path: Path, get: str = "") -> dict[str, PlacedCamera]:
    """The cameras by name. Raises DatasetError; get: where to get the file, for its message."""
    hint = f"; {get}" if get else ""
    try:
        lines = path.read_text("ascii").splitlines()
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}{hint}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no camera calibration: it is not text{hint}") from error
    if not lines or lines[0].strip() != _TITLE:
        raise DatasetError(f"{path} is no camera calibration: its first line is not {_TITLE!r}{hint}")
    blocks: list[dict[str, list[str]]] = []
    for word, *values in (line.split() for line in lines[1:] if line.strip()):
        if word == "name":
            blocks.append({})
        if blocks:
            blocks[-1][word] = values
    try:
        return {block["name"][0]: _camera(block) for block in blocks}
    except (LookupError, ValueError) as error:
        raise DatasetError(f"{path} is damaged: a camera lacks size, intrinsic or extrinsic{hint}") from error


def _camera(block: dict[str, list[str]]) -> PlacedCamera:
    width, height = (int(side) for side in block["size"])
    intrinsic, pose = (np.array(block[key], dtype=np.float64).reshape(4, 4) for key in ("intrinsic", "extrinsic"))
    camera = Camera(width=width, height=height, K=intrinsic[:3, :3], frame_id=block["name"][0])
    return PlacedCamera(camera=camera, cam_from_world=pose[:3, :3], origin_cam_m=pose[:3, 3] / 1000.0)
