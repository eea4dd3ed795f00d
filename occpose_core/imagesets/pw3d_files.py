"""3DPW's files: `sequenceFiles/{train,validation,test}/NAME.pkl`, people outdoors before a moving telephone, 30 Hz.

Each is a pickled dict (Python 2), with an entry a person in jointPositions (T, 72) m, the 24 joints of SMPL in the
world; poses2d (T, 3, 18), x, y and confidence of OpenPose's 18 joints; campose_valid (T); in poses (T, 72), betas (10)
and genders; and for all of them cam_poses (T, 4, 4), from the world to the camera, and cam_intrinsics (3, 3). Source:
the data set's readme.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.joints import SMPL24
from occpose_core.dataset import DatasetError
from occpose_core.safe_pickle import load_pickle, need_keys
from occpose_core.types import Camera

SPLITS = {"train": "train", "validation": "val", "test": "test"}
GET = "get 3DPW's sequenceFiles.zip from virtualhumans.mpi-inf.mpg.de/3DPW"
_KEYS = ("jointPositions", "poses2d", "campose_valid", "cam_poses", "cam_intrinsics")
_WHAT = "a sequence of 3DPW"
# The two ways to hold the telephone; width and height.
_SIZES = ((1920, 1080), (1080, 1920))


def sequence_files(root: Path) -> list[Path]:
    """All sequences of a folder that has sequenceFiles, or is it. Raises DatasetError if there are none."""
    root = root / "sequenceFiles" if (root / "sequenceFiles").is_dir() else root
    files = [path for split in SPLITS for path in sorted((root / split).glob("*.pkl"))]
    if not files:
        raise DatasetError(f"{root} has no train/*.pkl, validation/*.pkl or test/*.pkl; {GET}")
    return files


def read_sequence(path: Path, allow_pickle: bool) -> dict[str, Any]:
    """One sequence, with as many entries a person in each of its keys. Raises DatasetError."""
    content = load_pickle(path, allow_pickle, _WHAT, GET)
    if not isinstance(content, dict):
        raise DatasetError(f"{path} must hold a dict, got {type(content).__name__}; {GET}")
    need_keys(content, _KEYS, path, GET)
    people = {key: len(content[key]) for key in ("jointPositions", "poses2d", "campose_valid")}
    if len(set(people.values())) != 1:
        raise DatasetError(f"{path} must have an entry a person, got {people}; {GET}")
    return content


def of_person(content: dict[str, Any], key: str, person: int, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """(T, *shape) of one person. Raises DatasetError."""
    array = np.asarray(content[key][person])
    if array.shape[1:] != shape:
        raise DatasetError(f"{path}: {key} of person {person} must be {('T', *shape)}, got {array.shape}; {GET}")
    return array


def joints_world_m(content: dict[str, Any], person: int, path: Path) -> np.ndarray:
    """(T, 24, 3) of SMPL."""
    flat = of_person(content, "jointPositions", person, (len(SMPL24) * 3,), path)
    return flat.reshape(len(flat), len(SMPL24), 3)


def camera_of(content: dict[str, Any]) -> Camera:
    """The telephone's intrinsics; how it was held is told by its principal point."""
    K = np.asarray(content["cam_intrinsics"], dtype=np.float64)
    width, height = min(_SIZES, key=lambda size: abs(size[0] - 2 * K[0, 2]) + abs(size[1] - 2 * K[1, 2]))
    return Camera(width=width, height=height, K=K)
