"""3DPW as recordings; occpose_core/imagesets/pw3d_files.py says what is in its files.

SMPL's joints by name: its neck is h36m17's thorax, its head the neck/nose, its spine2 (0.26 m above the pelvis) the
spine. It has no head top: that is put 0.15 m beyond the head, in line with the neck, which makes thorax to head top as
long as in Human3.6M.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from occpose_core.body.joints import SMPL24
from occpose_core.dataset import DatasetError
from occpose_core.imagesets.pw3d_files import (
    GET,
    SPLITS,
    camera_of,
    joints_world_m,
    of_person,
    read_sequence,
    sequence_files,
)
from occpose_core.skeleton import H36M17, convert_keypoints, get_skeleton
from training.data.recording import Recording

RATE_HZ = 30.0
_THEIR_NAMES = {"spine": "spine2", "thorax": "neck", "nose": "head", "head_top": "head"}
_FROM_SMPL = np.array([SMPL24.index(_THEIR_NAMES.get(joint, joint)) for joint in H36M17.joints])
_THORAX, _NOSE, _HEAD_TOP = H36M17.indices("thorax", "nose", "head_top")
_HEAD_TOP_BEYOND_HEAD_M = 0.15
_OPENPOSE18 = get_skeleton("openpose18")


def read(root: str | Path, allow_pickle: bool = False) -> Iterator[Recording]:
    """All people of all sequences below `sequenceFiles`, each run of frames with a valid camera as a recording.

    Joints that were not detected have score 0; spine and head top always, which OpenPose lacks. Raises DatasetError.
    """
    files = sequence_files(Path(root))
    return (recording for path in files for recording in _sequence(path, allow_pickle))


def read_world(root: str | Path, allow_pickle: bool = False) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """(split, subject, sequence, (T, 17, 3) m in the world) of all people. Raises DatasetError."""
    for path in sequence_files(Path(root)):
        content = read_sequence(path, allow_pickle)
        for person in range(len(content["jointPositions"])):
            name = f"{path.stem}/{person}"
            yield SPLITS[path.parent.name], name, path.stem, joints_from_smpl(joints_world_m(content, person, path))


def joints_from_smpl(joints_m: np.ndarray) -> np.ndarray:
    """SMPL's joints (..., 24, 3) m as `h36m17` (..., 17, 3), float32."""
    chosen = joints_m[..., _FROM_SMPL, :].astype(np.float32)
    neck = chosen[..., _NOSE, :] - chosen[..., _THORAX, :]
    length = np.maximum(np.linalg.norm(neck, axis=-1, keepdims=True), 1e-6)
    chosen[..., _HEAD_TOP, :] += _HEAD_TOP_BEYOND_HEAD_M * neck / length
    return chosen


def _sequence(path: Path, allow_pickle: bool) -> Iterator[Recording]:
    content = read_sequence(path, allow_pickle)
    camera = camera_of(content)
    pose = np.asarray(content["cam_poses"], dtype=np.float64)
    for person in range(len(content["jointPositions"])):
        world_m = joints_from_smpl(joints_world_m(content, person, path))
        seen = of_person(content, "poses2d", person, (3, len(_OPENPOSE18.joints)), path)
        valid = np.asarray(content["campose_valid"][person]).astype(bool)
        if not len(world_m) == len(seen) == len(valid) == len(pose):
            lengths = f"{len(world_m)}, {len(seen)}, {len(valid)} and {len(pose)}"
            raise DatasetError(f"{path}: 3D, 2D, validity and cameras must have as many frames, got {lengths}; {GET}")
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
                split=SPLITS[path.parent.name],
            )


def _runs(valid: np.ndarray) -> list[tuple[int, int]]:
    """[begin, end) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], valid.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
