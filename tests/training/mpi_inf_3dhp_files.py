"""Writes small files in the formats of MPI-INF-3DHP: a person who walks before fourteen cameras, and the test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from tests.training.h36m_files import walk

h5py = pytest.importorskip("h5py")
scipy_io = pytest.importorskip("scipy.io")

FRAMES = 30
# Where the 17 relevant joints stand among the 28, counted from 1, as mpii_get_joint_set.m lists them; their names in
# the order of the test set.
RELEVANT = [8, 6, 15, 16, 17, 10, 11, 12, 24, 25, 26, 19, 20, 21, 5, 4, 7]
RELEVANT_NAMES = (
    "head_top thorax right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist"
    " right_hip right_knee right_ankle left_hip left_knee left_ankle pelvis spine nose"
)
TEST_ORDER = [H36M17.index(name) for name in RELEVANT_NAMES.split()]
LENS = Camera(width=2048, height=2048, K=np.array([[1500.0, 0, 1020.0], [0, 1498.0, 1050.0], [0, 0, 1]]))


def extrinsic(camera: int) -> np.ndarray:
    """World (y up) to camera (y down), 4 m from the origin and 1 m up, all around; metres."""
    azimuth = 2 * np.pi * camera / 14
    turn = np.array([[np.cos(azimuth), 0, np.sin(azimuth)], [0, 1, 0], [-np.sin(azimuth), 0, np.cos(azimuth)]])
    pose = np.eye(4)
    pose[:3, :3] = np.diag([1.0, -1.0, -1.0]) @ turn
    pose[:3, 3] = [0.0, 1.0, 4.0]
    return pose


def world() -> np.ndarray:
    """(T, 17, 3) m, y up."""
    return walk(FRAMES)[..., [1, 2, 0]]


def before(camera: int) -> np.ndarray:
    pose = extrinsic(camera)
    return world() @ pose[:3, :3].T + pose[:3, 3]


def with_28_joints(joints: np.ndarray) -> np.ndarray:
    full = np.full((len(joints), 28, joints.shape[-1]), 1e4)
    full[:, np.array(RELEVANT) - 1] = joints[:, TEST_ORDER]
    return full.reshape(len(joints), -1)


def row(values: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in values.ravel())


def calibration() -> str:
    intrinsic = np.eye(4)
    intrinsic[:3, :3] = LENS.K
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera in range(14):
        pose = extrinsic(camera)
        pose[:3, 3] *= 1000
        lines += [
            f"name          {camera}",
            "  sensor      10 10",
            "  size        2048 2048",
            "  animated    0",
            f"  intrinsic   {row(intrinsic)} ",
            f"  extrinsic   {row(pose)} ",
            "  radial      0",
        ]
    return "\n".join(lines) + "\n"


def cells(arrays: list[np.ndarray]) -> np.ndarray:
    column = np.empty((len(arrays), 1), dtype=object)
    column[:, 0] = arrays
    return column


def write_training(root: Path, subject: str, sequence: str) -> Path:
    folder = root / subject / sequence
    folder.mkdir(parents=True)
    joints_m = [before(camera) for camera in range(14)]
    scipy_io.savemat(
        folder / "annot.mat",
        {
            "annot2": cells([with_28_joints(px_from_cam(each, LENS)) for each in joints_m]),
            "annot3": cells([with_28_joints(1000 * each) for each in joints_m]),
            "univ_annot3": cells([with_28_joints(920 * each) for each in joints_m]),
            "cameras": np.arange(14)[None],
            "frames": np.arange(FRAMES)[:, None],
        },
    )
    (folder / "camera.calibration").write_text(calibration())
    return folder


def write_test(root: Path, subject: str) -> Path:
    folder = root / subject
    folder.mkdir(parents=True)
    joints_m = before(2)
    with h5py.File(folder / "annot_data.mat", "w") as file:  # MATLAB 7.3 is HDF5, axes reversed
        file["annot2"] = px_from_cam(joints_m, LENS)[:, None, TEST_ORDER]
        file["annot3"] = 1000 * joints_m[:, None, TEST_ORDER]
        file["univ_annot3"] = 920 * joints_m[:, None, TEST_ORDER]
        file["valid_frame"] = np.array([1.0] * 10 + [0.0] * 5 + [1.0] * 15)[:, None]
        file["activity_annotation"] = np.array([1.0] * 20 + [5.0] * 10)[:, None]
    return folder
