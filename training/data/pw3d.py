"""3DPW: `sequenceFiles/{train,validation,test}/NAME.pkl`, people outdoors before a moving telephone.

Each is a pickled dict (Python 2), with an entry a person in jointPositions (T, 72) m, the 24 joints of SMPL in the
world; poses2d (T, 3, 18), x, y and confidence of OpenPose's 18 joints; campose_valid (T); and for all of them cam_poses
(T, 4, 4), from the world to the camera, and cam_intrinsics (3, 3). Source: the data set's readme.

SMPL's joints by name: its neck is h36m17's thorax, its head the neck/nose, its spine2 (0.26 m above the pelvis) the
spine. It has no head top: that is put 0.15 m beyond the head, in line with the neck, which makes thorax to head top as
long as in Human3.6M.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.dataset import DatasetError
from occpose_core.safe_pickle import load_pickle, need_keys
from occpose_core.skeleton import H36M17, convert_keypoints, get_skeleton
from occpose_core.types import Camera
from training.data.recording import Recording

RATE_HZ = 30.0
_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_NAMES = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot right_foot"
    " neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist"
    " left_hand right_hand"
)
SMPL24 = tuple(_NAMES.split())
_THEIR_NAMES = {"spine": "spine2", "thorax": "neck", "nose": "head", "head_top": "head"}
_FROM_SMPL = np.array([SMPL24.index(_THEIR_NAMES.get(joint, joint)) for joint in H36M17.joints])
_THORAX, _NOSE, _HEAD_TOP = H36M17.indices("thorax", "nose", "head_top")
_HEAD_TOP_BEYOND_HEAD_M = 0.15
_OPENPOSE18 = get_skeleton("openpose18")
_KEYS = ("jointPositions", "poses2d", "campose_valid", "cam_poses", "cam_intrinsics")
_WHAT = "a sequence of 3DPW"
_GET = "get 3DPW's sequenceFiles.zip from virtualhumans.mpi-inf.mpg.de/3DPW"
# The two ways to hold the telephone; width and height.
_SIZES = ((1920, 1080), (1080, 1920))


def read(root: str | Path, allow_pickle: bool = False) -> Iterator[Recording]:
    """All people of all sequences below `sequenceFiles`, each run of frames with a valid camera as a recording.

    Joints that were not detected have score 0; spine and head top always, which OpenPose lacks. Raises DatasetError.
    """
    files = _files(Path(root))
    return (recording for path in files for recording in _sequence(path, allow_pickle))


def read_world(root: str | Path, allow_pickle: bool = False) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """(split, subject, sequence, (T, 17, 3) m in the world) of all people. Raises DatasetError."""
    for path in _files(Path(root)):
        content = _read(path, allow_pickle)
        for person in range(len(content["jointPositions"])):
            name = f"{path.stem}/{person}"
            yield _SPLITS[path.parent.name], name, path.stem, _joints_world_m(content, person, path)


def joints_from_smpl(joints_m: np.ndarray) -> np.ndarray:
    """SMPL's joints (..., 24, 3) m as `h36m17` (..., 17, 3), float32."""
    chosen = joints_m[..., _FROM_SMPL, :].astype(np.float32)
    neck = chosen[..., _NOSE, :] - chosen[..., _THORAX, :]
    length = np.maximum(np.linalg.norm(neck, axis=-1, keepdims=True), 1e-6)
    chosen[..., _HEAD_TOP, :] += _HEAD_TOP_BEYOND_HEAD_M * neck / length
    return chosen


def _files(root: Path) -> list[Path]:
    root = root / "sequenceFiles" if (root / "sequenceFiles").is_dir() else root
    files = [path for split in _SPLITS for path in sorted((root / split).glob("*.pkl"))]
    if not files:
        raise DatasetError(f"{root} has no train/*.pkl, validation/*.pkl or test/*.pkl; {_GET}")
    return files


def _read(path: Path, allow_pickle: bool) -> dict[str, Any]:
    content = load_pickle(path, allow_pickle, _WHAT, _GET)
    if not isinstance(content, dict):
        raise DatasetError(f"{path} must hold a dict, got {type(content).__name__}; {_GET}")
    need_keys(content, _KEYS, path, _GET)
    people = {key: len(content[key]) for key in ("jointPositions", "poses2d", "campose_valid")}
    if len(set(people.values())) != 1:
        raise DatasetError(f"{path} must have an entry a person, got {people}; {_GET}")
    return content


def _array(content: dict[str, Any], key: str, person: int, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """(T, *shape) of one person."""
    array = np.asarray(content[key][person])
    if array.shape[1:] != shape:
        raise DatasetError(f"{path}: {key} of person {person} must be {('T', *shape)}, got {array.shape}; {_GET}")
    return array


def _joints_world_m(content: dict[str, Any], person: int, path: Path) -> np.ndarray:
    flat = _array(content, "jointPositions", person, (len(SMPL24) * 3,), path)
    return joints_from_smpl(flat.reshape(len(flat), len(SMPL24), 3))


def _sequence(path: Path, allow_pickle: bool) -> Iterator[Recording]:
    content = _read(path, allow_pickle)
    camera = _camera(np.asarray(content["cam_intrinsics"], dtype=np.float64))
    pose = np.asarray(content["cam_poses"], dtype=np.float64)
    for person in range(len(content["jointPositions"])):
        world_m = _joints_world_m(content, person, path)
        seen = _array(content, "poses2d", person, (3, len(_OPENPOSE18.joints)), path)
        valid = np.asarray(content["campose_valid"][person]).astype(bool)
        if not len(world_m) == len(seen) == len(valid) == len(pose):
            lengths = f"{len(world_m)}, {len(seen)}, {len(valid)} and {len(pose)}"
            raise DatasetError(f"{path}: 3D, 2D, validity and cameras must have as many frames, got {lengths}; {_GET}")
        cam_m = np.einsum("tij,tkj->tki", pose[:, :3, :3], world_m) + pose[:, None, :3, 3]
        kpts_px, score = convert_keypoints(
            np.moveaxis(seen[:, :2], 1, -1), np.clip(seen[:, 2], 0.0, 1.0).astype(np.float32), _OPENPOSE18
        )
        for begin, end in _runs(valid):
            yield Recording(
                name=f"{path.stem}/{person}/{begin}",
                subject=f"{path.stem}/{person}",
                action=path.stem.rpartition("_")[0] or path.stem,
                camera_name=path.stem,
                rate_hz=RATE_HZ,
                kpts_px=kpts_px[begin:end],
                score=score[begin:end],
                joints_cam_m=cam_m[begin:end].astype(np.float32),
                camera=camera,
                split=_SPLITS[path.parent.name],
            )


def _camera(K: np.ndarray) -> Camera:
    width, height = min(_SIZES, key=lambda size: abs(size[0] - 2 * K[0, 2]) + abs(size[1] - 2 * K[1, 2]))
    return Camera(width=width, height=height, K=K)


def _runs(valid: np.ndarray) -> list[tuple[int, int]]:
    """[begin, end) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], valid.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
