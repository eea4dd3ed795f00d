"""What the readers share: JSON files of images and of the people in them, as COCO has them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.dataset import DatasetError
from occpose_core.imagesets.types import OVERLAP_IOU
from occpose_core.safe_pickle import need_keys
from occpose_core.types import Camera

Rows = Sequence[Mapping[str, Any]]


def read_json(path: Path, keys: Sequence[str], get: str) -> tuple[dict[str, Any], str]:
    """A JSON file that must hold a dict with these keys, and its SHA-256. get: where to get it, a clause.

    Raises DatasetError.
    """
    try:
        content = path.read_bytes()
        found = json.loads(content)
    except FileNotFoundError:
        raise DatasetError(f"there is no file {path}; {get}") from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}; {get}") from error
    except (ValueError, RecursionError) as error:  # also what is no UTF-8
        raise DatasetError(f"cannot read {path}: it is not a whole JSON file; {get}") from error
    need_keys(found, keys, path, get)
    if not isinstance(found, dict):
        raise DatasetError(f"{path} must hold a dict, got {type(found).__name__}; {get}")
    return found, hashlib.sha256(content).hexdigest()


def rows_of(content: Mapping[str, Any], key: str, keys: Sequence[str], path: Path, get: str) -> Rows:
    """A list of dicts under `key`, each with these keys. Raises DatasetError."""
    rows = content[key]
    if not isinstance(rows, list):
        raise DatasetError(f"{path}: {key} must be a list, got {type(rows).__name__}; {get}")
    for number, row in enumerate(rows):
        need_keys(row, keys, path, get, f"{key}[{number}]")
        for name in ("id", "image_id"):
            if name in keys and not isinstance(row[name], (int, str)):
                raise DatasetError(f"{path}: the {name} of {key}[{number}] must be a number or a text, got {row[name]}")
    return rows


def by_id(rows: Rows) -> dict[int | str, Mapping[str, Any]]:
    """Rows by their key `id`."""
    return {row["id"]: row for row in rows}


def numbers(values: Iterable[Any], shape: tuple[int, ...], what: str, path: Path) -> np.ndarray:
    """Lists of numbers, one a person, as (P, *shape) float32; nested or flat. Raises DatasetError."""
    values = list(values)
    try:
        array = np.array(values, dtype=np.float32).reshape(len(values), *shape)
    except (OverflowError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: {what} of each person must be numbers of shape {shape}") from error
    if not np.isfinite(array).all():
        wrong = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise DatasetError(f"{path}: {what} of person {wrong} (from 0) has a number that is not finite")
    return array


def pinhole(row: Mapping[str, Any], focal: Any, centre: Any, path: Path) -> Camera:
    """The camera of an image: focal lengths (2,) and principal point (2,) in pixels. Raises DatasetError."""
    if not (isinstance(row["width"], int) and isinstance(row["height"], int)):
        raise DatasetError(f"{path}: image {row['id']} must have whole numbers as width and height")
    try:
        (fx, fy), (cx, cy) = np.asarray(focal, dtype=np.float64), np.asarray(centre, dtype=np.float64)
        return Camera(width=row["width"], height=row["height"], K=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]))
    except (OverflowError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: image {row['id']} has no camera that can be used: {error}") from error


class ImageFiles:
    """The images of a set, and the edge maps beside them: EDGES has each image's name, ending in .png."""

    def __init__(self, images: Path, edges: Path, get: str) -> None:
        self._images, self._edges, self._get = images, edges, get
        self._names: dict[Path, frozenset[str]] = {}

    def of(self, name: str, camera: Camera) -> dict[str, Any]:
        """What an ImagePerson says of its image. Raises DatasetError if the image is not there."""
        image, edge = self._images / name, (self._edges / name).with_suffix(".png")
        if image.name not in self._in(image.parent):
            raise DatasetError(f"there is no image {image}, which the annotations name; {self._get}")
        return {
            "image_path": image,
            "edge_path": edge if edge.name in self._in(edge.parent) else None,
            "edge_place": edge,
            "width": camera.width,
            "height": camera.height,
            "camera": camera,
        }

    def _in(self, folder: Path) -> frozenset[str]:
        """Names of the files in a folder, looked up once: none if it is not there."""
        if folder not in self._names:
            self._names[folder] = frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()
        return self._names[folder]


def guessed_camera(row: Mapping[str, Any], path: Path) -> Camera:
    """A camera for an image of which nothing is known: 53 degrees along the diagonal, a photographer's normal lens."""
    width, height = (float(row[side]) if isinstance(row[side], int) else 0.0 for side in ("width", "height"))
    focal, centre = float(np.hypot(width, height)), ((width - 1) / 2, (height - 1) / 2)
    return pinhole(row, (focal, focal), centre, path)


def inside(kpts_px: np.ndarray, camera: Camera) -> np.ndarray:
    """(..., J) bool: whether pixels (..., J, 2) are in the image."""
    return np.asarray(((kpts_px >= 0) & (kpts_px <= [camera.width - 1, camera.height - 1])).all(axis=-1))


def iou(boxes_px: np.ndarray) -> np.ndarray:
    """(P, P) area that two boxes share over the area of both; boxes (P, 4) x, y, width, height."""
    low, high = boxes_px[:, :2], boxes_px[:, :2] + boxes_px[:, 2:]
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    shared_area = np.maximum(shared, 0).prod(axis=-1)
    area = boxes_px[:, 2] * boxes_px[:, 3]
    both = area[:, None] + area - shared_area
    return np.asarray(shared_area / np.maximum(both, 1e-6))


def overlapping(boxes_px: np.ndarray, image_of: Sequence[Any]) -> list[np.ndarray]:
    """For each of P people the indices of those in the same image whose boxes overlap theirs; image_of: P ids."""
    members: dict[Any, list[int]] = {}
    for person, image in enumerate(image_of):
        members.setdefault(image, []).append(person)
    found = [np.zeros(0, dtype=np.int64)] * len(boxes_px)
    for together in members.values():
        if len(together) > 1:
            people = np.array(together)
            near = iou(boxes_px[people]) >= OVERLAP_IOU
            np.fill_diagonal(near, False)
            for row, person in enumerate(together):
                found[person] = people[near[row]]
    return found
