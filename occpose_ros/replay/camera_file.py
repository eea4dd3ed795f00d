"""CameraInfo from a YAML file: as camera_calibration writes it, or as `ros2 topic echo` and `rostopic echo` do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.types import CameraError
from occpose_ros.message_types import MessageTypes, header_to_msg
from occpose_ros.yaml_file import read_yaml

# Field of CameraInfo -> how it may be called in a file, and its size where that is fixed.
_MATRICES: Mapping[str, tuple[tuple[str, ...], int | None]] = {
    "d": (("distortion_coefficients", "d", "D"), None),
    "k": (("camera_matrix", "k", "K"), 9),
    "r": (("rectification_matrix", "r", "R"), 9),
    "p": (("projection_matrix", "p", "P"), 12),
}
_NUMBERS = {"width": ("image_width", "width"), "height": ("image_height", "height")}
_NO_ROI = {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False}


def camera_info_from_yaml(path: Path | str, types: MessageTypes) -> Any:
    """The CameraInfo of a file, with the stamp 0 and the frame that it names, "" if none. Raises CameraError."""
    content = _content(Path(path))
    numbers = {name: _number(path, _first(path, content, names)) for name, names in _NUMBERS.items()}
    matrices = {name: _matrix(path, content, *known) for name, known in _MATRICES.items()}
    if not matrices["p"].any():
        matrices["p"] = np.hstack([matrices["k"].reshape(3, 3), np.zeros((3, 1))]).reshape(-1)
    header = content.get("header")
    frame_id = header.get("frame_id") if isinstance(header, Mapping) else None
    given_roi = content.get("roi")
    roi = {
        **_NO_ROI,
        **({k: v for k, v in given_roi.items() if k in _NO_ROI} if isinstance(given_roi, Mapping) else {}),
    }
    binning = {name: _number(path, content.get(name, 0)) for name in ("binning_x", "binning_y")}
    return types.CameraInfo(
        header=header_to_msg(0, str(frame_id or ""), types),
        distortion_model=str(content.get("distortion_model") or ""),
        roi=types.RegionOfInterest(
            **{name: bool(value) if name == "do_rectify" else _number(path, value) for name, value in roi.items()}
        ),
        **numbers,
        **{name: types.sequence(values) for name, values in matrices.items()},
        **binning,
    )


def _content(path: Path) -> Mapping[str, Any]:
    content = read_yaml(path, "camera file", CameraError)
    if not isinstance(content, Mapping):
        raise CameraError(f"the camera file {path} has no camera in it; camera_calibration writes such files")
    return content


def _first(path: Path | str, content: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in content:
            return content[name]
    raise CameraError(f"the camera file {path} lacks {names[0]}; camera_calibration writes such files")


def _number(path: Path | str, value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**32:
        raise CameraError(f"the camera file {path} has {value!r} where a whole number of pixels should be")
    return int(value)


def _matrix(path: Path | str, content: Mapping[str, Any], names: Sequence[str], size: int | None) -> np.ndarray:
    """(N,) float64; zeros if it is not there and need not be."""
    needed = names[0] == "camera_matrix"
    value = _first(path, content, names) if needed or any(name in content for name in names) else [0.0] * (size or 0)
    value = value.get("data") if isinstance(value, Mapping) else value
    try:
        values = np.array(value, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if not np.isfinite(values).all() or size not in (None, len(values)):
        kind = f"{size} numbers" if size else "numbers"
        raise CameraError(f"the camera file {path} has no {kind} as {names[0]}")
    return values
