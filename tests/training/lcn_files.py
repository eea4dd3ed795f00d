"""Writes small files in the format of LCN's lists: real cameras, a person who walks."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.types import Camera
from tests.training.h36m_files import filmed, walk
from training.data.h36m_cameras import h36m_cameras, h36m_extrinsics

CAMERAS = list(h36m_cameras())
FRAMES = 6


def box_of(root_mm: np.ndarray, camera: Camera) -> np.ndarray:
    """Left, top, right, bottom px of the square of 2 m around the root, facing the camera."""
    corners = root_mm + np.array([[-1000.0, -1000.0, 0.0], [1000.0, 1000.0, 0.0]])
    return (corners[:, :2] / corners[:, 2:] @ camera.K[:2, :2].T + camera.K[:2, 2]).ravel()


def image_of(joints_mm: np.ndarray, px: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(17, 3): px, and depth behind the root in px, as the authors define it."""
    ratio = (box[2] - box[0] + 1) / 2000.0
    return np.concatenate([px, (joints_mm[:, 2:] - joints_mm[:1, 2:]) * ratio], axis=-1)


def entries_of(subject: str, action: int, cameraid: int, frames: int = FRAMES, step: int = 5) -> list[dict[str, Any]]:
    """What the authors' lists hold for one view; 2D is the pinhole's, without distortion."""
    name = CAMERAS[cameraid]
    camera = h36m_cameras()[name]
    cam_from_world, origin_m = h36m_extrinsics(subject, name)
    joints_mm = 1e3 * filmed(subject, name, walk(frames, seed=action))[0].astype(np.float64)
    k1, k2, p1, p2, k3 = camera.D
    lens = {"fx": camera.K[0, 0], "fy": camera.K[1, 1], "cx": camera.K[0, 2], "cy": camera.K[1, 2]}
    world = {"R": cam_from_world, "T": -cam_from_world.T @ origin_m * 1e3, "name": name}
    found = []
    for frame, joints in enumerate(joints_mm):
        box = box_of(joints[0], camera)
        px = joints[:, :2] / joints[:, 2:] @ camera.K[:2, :2].T + camera.K[:2, 2]
        found.append(
            {
                "joint_3d_image": image_of(joints, px, box),
                "joint_3d_camera": joints,
                "camera_param": {**lens, "k": np.array([k1, k2, k3]), "p": np.array([p1, p2]), **world},
                "box": box,
                "center": (box[:2] + box[2:]) / 2,
                "scale": (box[2:] - box[:2]) / 200.0,
                "root_depth": joints[0, 2],
                "action": action,
                "subject": int(subject[1:]),
                "subaction": 1,
                "cameraid": cameraid,
                "imageid": 1 + frame * step,
            }
        )
    return found


def write(path: Path, content: object) -> Path:
    """Pickle as the authors' Python 2 did."""
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path
