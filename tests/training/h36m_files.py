"""Writes small files in the formats that Human3.6M's derivatives have: real cameras, a person who walks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from occpose_core.camera import px_from_cam
from occpose_core.skeleton import H36M17
from training.data.h36m_cameras import h36m_cameras, h36m_extrinsics

# Where VideoPose3D takes the 17 joints from, as its authors list them.
KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
HEIGHT_M = [0.9, 0.9, 0.5, 0.1, 0.9, 0.5, 0.1, 1.1, 1.4, 1.5, 1.6, 1.4, 1.1, 0.9, 1.4, 1.1, 0.9]
_SIDE_M = {"left": 0.2, "right": -0.2}


def walk(frames: int, seed: int = 0) -> np.ndarray:
    """(T, 17, 3) float32 m: a person near the world's origin who sways and walks along y; left is +x."""
    rng = np.random.default_rng(seed)
    pose = np.array([[_SIDE_M.get(j.split("_")[0], 0.0), 0.0, z] for j, z in zip(H36M17.joints, HEIGHT_M, strict=True)])
    phase = np.linspace(0, frames / 10, frames)[:, None, None] + rng.uniform(0, 6, size=(1, 17, 3))
    forward = np.linspace(0, frames / 100, frames)[:, None, None] * [0.0, 1.0, 0.0]
    return (pose + 0.05 * np.sin(phase) + forward).astype(np.float32)


def with_32_joints(joints: np.ndarray) -> np.ndarray:
    """(T, 17, C) -> (T, 32, C): the joints that nobody uses are far off."""
    full = np.full((len(joints), 32, joints.shape[-1]), 1e3, dtype=joints.dtype)
    full[:, KEPT] = joints
    return full


def filmed(subject: str, camera_name: str, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 17, 3) m in the camera's frame, and their pixels (T, 17, 2) float32."""
    cam_from_world, origin_m = h36m_extrinsics(subject, camera_name)
    joints_cam_m = (joints_m @ cam_from_world.T + origin_m).astype(np.float32)
    return joints_cam_m, px_from_cam(joints_cam_m, h36m_cameras()[camera_name]).astype(np.float32)


def write_h36m(
    folder: Path, subjects: Sequence[str], actions: Sequence[str], frames: int = 20, noise_px: float = 0.0
) -> tuple[Path, Path]:
    """`data_3d_h36m.npz` and `data_2d_h36m_gt.npz`, written as VideoPose3D writes them."""
    rng = np.random.default_rng(0)
    motion = {s: {a: walk(frames, i + 7 * j) for i, a in enumerate(actions)} for j, s in enumerate(subjects)}
    positions_3d = {s: {a: with_32_joints(joints) for a, joints in each.items()} for s, each in motion.items()}

    def seen(subject: str, camera: str, joints: np.ndarray) -> np.ndarray:
        px = filmed(subject, camera, joints)[1]
        longer = np.concatenate([px, px[-1:], px[-1:]])  # the videos are a little longer than the motion
        return (longer + noise_px * rng.standard_normal(longer.shape)).astype(np.float32)

    positions_2d = {
        s: {a: [seen(s, camera, joints) for camera in h36m_cameras()] for a, joints in each.items()}
        for s, each in motion.items()
    }
    sides = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": sides}
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=positions_3d)
    np.savez_compressed(folder / "data_2d_h36m_gt.npz", positions_2d=positions_2d, metadata=metadata)
    return folder / "data_3d_h36m.npz", folder / "data_2d_h36m_gt.npz"


def rewrite(path: Path, key: str, content: object, **more: object) -> Path:
    """Another object under a key of an .npz file."""
    np.savez_compressed(path, **{key: np.array(content, dtype=object), **more})
    return path
