"""MPI-INF-3DHP as distributed: cells of 28 joints and a text of cameras; the test set's HDF5 of 17 joints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from tests.training.mpi_inf_3dhp_files import LENS, before, cells, h5py, scipy_io, world, write_test, write_training
from training.data.formats import read_recordings
from training.data.mpi_inf_3dhp import CAMERAS, read, read_world


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


def fewer_cells(root: Path) -> None:
    path = root / "S1/Seq1/annot.mat"
    content = scipy_io.loadmat(path)
    annot3 = cells(list(content["annot3"].ravel()[1:]))
    scipy_io.savemat(path, {"annot2": content["annot2"], "annot3": annot3, "cameras": content["cameras"]})


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
        pytest.param(fewer_cells, "annot3 has 13 cameras, but cameras lists 14", id="cells"),
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
