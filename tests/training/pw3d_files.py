"""Writes small sequences in the format of 3DPW: two people who stand before a telephone that is carried around."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.joints import SMPL24
from occpose_core.camera import px_from_cam
from occpose_core.skeleton import SKELETONS
from occpose_core.types import Camera

FRAMES = 24
K = np.array([[1962.0, 0.0, 540.0], [0.0, 1969.0, 960.0], [0.0, 0.0, 1.0]])
LENS = Camera(width=1080, height=1920, K=K)
# SMPL's mean body in metres, y up: its joints from the pelvis up and out
_BODY = {
    "pelvis": (0.0, 0.0),
    "hip": (0.06, -0.09),
    "spine1": (0.0, 0.12),
    "knee": (0.10, -0.48),
    "spine2": (0.0, 0.26),
    "ankle": (0.09, -0.90),
    "spine3": (0.0, 0.31),
    "foot": (0.11, -0.96),
    "neck": (0.0, 0.52),
    "collar": (0.08, 0.43),
    "head": (0.0, 0.60),
    "shoulder": (0.17, 0.45),
    "elbow": (0.43, 0.44),
    "wrist": (0.68, 0.44),
    "hand": (0.77, 0.44),
}
# both names of what OpenPose and SMPL have in common
_SAME = {"neck": "neck", "nose": "head"}


def people() -> np.ndarray:
    """(T, 24, 3) m in the world, y up, facing +z: left is +x."""
    side = {"left": 1.0, "right": -1.0}
    rows = [(name.partition("_")[2] or name, side.get(name.partition("_")[0], 1.0)) for name in SMPL24]
    body = np.array([[sign * _BODY[name][0], 1.0 + _BODY[name][1], 0.0] for name, sign in rows])
    sway = 0.03 * np.sin(np.linspace(0, 5, FRAMES)[:, None, None] + np.arange(24)[:, None])
    return body + sway


def cam_poses() -> np.ndarray:
    """World to camera, which walks around the person at 4 m."""
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    angle = np.linspace(0.0, 0.5, FRAMES)
    poses[:, :3, :3] = np.stack(
        [
            np.stack([np.cos(angle), 0 * angle, -np.sin(angle)], -1),
            np.tile([0.0, -1.0, 0.0], (FRAMES, 1)),
            np.stack([-np.sin(angle), 0 * angle, -np.cos(angle)], -1),
        ],
        axis=1,
    )
    poses[:, :3, 3] = [0.0, 1.0, 4.0]
    return poses


def cam_m(joints_m: np.ndarray) -> np.ndarray:
    poses = cam_poses()
    return np.stack([joints @ pose[:3, :3].T + pose[:3, 3] for joints, pose in zip(joints_m, poses, strict=True)])


def detections() -> np.ndarray:
    """(T, 3, 18): SMPL's joints as OpenPose would see them; eyes, ears and one left wrist were not found."""
    px = px_from_cam(cam_m(people()), LENS)
    found = np.zeros((FRAMES, 3, 18))
    for index, joint in enumerate(SKELETONS["openpose18"].joints):
        name = _SAME.get(joint, joint)
        if name in SMPL24:
            found[:, :2, index] = px[:, SMPL24.index(name)]
            found[:, 2, index] = 0.8
    found[5, :, SKELETONS["openpose18"].index("left_wrist")] = 0.0
    return found


def sequence(**changed: Any) -> dict[str, Any]:
    valid = np.ones(FRAMES, dtype=bool)
    valid[10:13] = False
    flat = people().reshape(FRAMES, -1)
    return {
        "sequence": "courtyard_dancing_00",
        "jointPositions": [flat, flat + np.tile([1.0, 0.0, 0.0], 24)],
        "poses2d": [detections(), detections()],
        "campose_valid": [valid, np.ones(FRAMES)],
        "cam_poses": cam_poses(),
        "cam_intrinsics": K,
        "genders": ["m", "f"],
        "betas": [np.zeros(10), np.zeros(10)],
        **changed,
    }


def write_3dpw(root: Path, content: object = None, protocol: int = 2) -> Path:
    for number, split in enumerate(("train", "validation", "test")):
        folder = root / "sequenceFiles" / split
        folder.mkdir(parents=True)
        data = pickle.dumps(sequence() if content is None else content, protocol=protocol)
        (folder / f"courtyard_dancing_0{number}.pkl").write_bytes(data)
    return root
