"""MPI-INF-3DHP as distributed: cells of 28 joints and a text of cameras; the test set's HDF5 of 17 joints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")
scipy_io = pytest.importorskip("scipy.io")

from occpose_core.camera import px_from_cam  # noqa: E402
from occpose_core.dataset import DatasetError  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from occpose_core.types import Camera  # noqa: E402
from tests.training.h36m_files import walk  # noqa: E402
from training.data.formats import read_recordings  # noqa: E402
from training.data.mpi_inf_3dhp import CAMERAS, read, read_world  # noqa: E402

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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for subject, sequence in (("S1", "Seq1"), ("S1", "Seq2"), ("S8", "Seq1")):
        write_training(tmp_path, subject, sequence)
    write_test(tmp_path / "mpi_inf_3dhp_test_set", "TS1")
    return tmp_path


def test_every_camera_of_every_sequence_is_a_recording(root: Path) -> None:
    recordings = [each for each in read(root) if each.split != "test"]
    assert [each.name for each in recordings[:8]] == [f"S1/Seq1/{camera}" for camera in CAMERAS]
    assert len(recordings) == 3 * len(CAMERAS)
    assert {each.name[:7]: each.rate_hz for each in recordings} == {"S1/Seq1": 25, "S1/Seq2": 50, "S8/Seq1": 25}
    assert {each.subject: each.split for each in recordings} == {"S1": "train", "S8": "val"}
    for each in recordings:
        np.testing.assert_allclose(each.joints_cam_m, before(int(each.camera_name)), atol=1e-5)
        np.testing.assert_allclose(px_from_cam(each.joints_cam_m, each.camera), each.kpts_px, atol=0.01)


def test_cameras_and_validation_subjects_can_be_chosen(root: Path) -> None:
    recordings = [each for each in read(root, ["S1"], cameras=[3]) if each.split != "test"]
    assert [each.name for each in recordings] == ["S1/Seq1/3", "S1/Seq2/3", "S8/Seq1/3"]
    assert [each.split for each in recordings] == ["val", "val", "train"]


def test_the_test_set_is_cut_into_runs_of_valid_frames_of_one_activity(root: Path) -> None:
    recordings = [each for each in read_recordings("mpi-inf-3dhp", [root]) if each.split == "test"]
    assert [(each.name, each.action, len(each)) for each in recordings] == [
        ("TS1/0", "Standing/Walking", 10),
        ("TS1/15", "Standing/Walking", 5),
        ("TS1/20", "On The Floor", 10),
    ]
    np.testing.assert_allclose(recordings[1].joints_cam_m, before(2)[15:20], atol=1e-5)
    for each in recordings:
        np.testing.assert_allclose(px_from_cam(each.joints_cam_m, each.camera), each.kpts_px, atol=0.05)
        np.testing.assert_allclose(each.camera.K, LENS.K, rtol=1e-3)
        assert (each.camera.width, each.camera.height) == (2048, 2048)


def test_annotations_behind_the_end_of_the_video_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.mpi_inf_3dhp._FRAMES", {"S1": (20, 25)})
    for sequence in ("Seq1", "Seq2"):
        write_training(tmp_path, "S1", sequence)
    assert {each.name[:7]: len(each) for each in read(tmp_path)} == {"S1/Seq1": 20, "S1/Seq2": 25}


def test_the_world_is_found_from_any_camera(root: Path) -> None:
    found = list(read_world(root))
    assert [(subject, sequence, rate) for subject, sequence, rate, _ in found] == [
        ("S1", "Seq1", 25),
        ("S1", "Seq2", 50),
        ("S8", "Seq1", 25),
    ]
    for _, _, _, joints_m in found:
        np.testing.assert_allclose(joints_m, world(), atol=1e-5)


def cut(name: str) -> Callable[[Path], object]:
    def change(root: Path) -> object:
        path = next(root.rglob(name))
        return path.write_bytes(path.read_bytes()[:200])

    return change


def replace(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(root: Path) -> object:
        path = next(root.rglob(name))
        return path.write_text(path.read_text().replace(old, new))

    return change


def without_cameras(root: Path) -> None:
    path = root / "S1/Seq1/annot.mat"
    content = scipy_io.loadmat(path)
    scipy_io.savemat(path, {"annot2": content["annot2"], "annot3": content["annot3"]})


def fewer_joints(root: Path) -> None:
    path = root / "S1/Seq1/annot.mat"
    content = scipy_io.loadmat(path)
    annot2 = cells([each[:, :34] for each in content["annot2"].ravel()])
    scipy_io.savemat(path, {"annot2": annot2, "annot3": content["annot3"], "cameras": content["cameras"]})


def without_validity(root: Path) -> None:
    with h5py.File(next(root.rglob("annot_data.mat")), "a") as file:
        del file["valid_frame"]


def wrong_order(root: Path) -> None:
    with h5py.File(next(root.rglob("annot_data.mat")), "a") as file:
        joints = file["annot3"][:]
        del file["annot3"]
        file["annot3"] = joints[:, :, ::-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(cut("annot.mat"), "annot.mat: it is not a whole MATLAB 5 file", id="cut"),
        pytest.param(cut("annot_data.mat"), "annot_data.mat: it is not a whole MATLAB 7.3 file", id="cut test"),
        pytest.param(cut("camera.calibration"), "camera.calibration is damaged", id="cut calibration"),
        pytest.param(replace("camera.calibration", "Skeletool", "Other"), "no camera calibration", id="title"),
        pytest.param(replace("camera.calibration", "name          0", "name 99"), "lacks the key '0'", id="camera"),
        pytest.param(lambda root: next(root.rglob("camera.calibration")).unlink(), "cannot read .*calib", id="none"),
        pytest.param(without_cameras, "annot.mat lacks the key 'cameras'", id="no key"),
        pytest.param(fewer_joints, r"annot2 of camera 0 must be \(N, 56\), got \(30, 34\)", id="joints"),
        pytest.param(without_validity, "annot_data.mat lacks the key 'valid_frame'", id="no key in the test set"),
        pytest.param(wrong_order, "no camera projects", id="2D and 3D do not fit"),
    ],
)
def test_wrong_files_are_one_sentence(root: Path, change: Callable[[Path], object], message: str) -> None:
    change(root)
    with pytest.raises(DatasetError, match=f"{message}.*"):
        list(read(root))


def test_a_folder_of_something_else_says_where_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="neither .* get MPI-INF-3DHP from"):
        read(tmp_path)
