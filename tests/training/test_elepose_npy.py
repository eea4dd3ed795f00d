"""System A's files: the arms the right way round, masks that count, cameras that project 3D onto 2D."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.skeleton import H36M17
from tests.training.h36m_files import filmed, walk, with_32_joints
from training.data.elepose_npy import read
from training.data.formats import read_recordings
from training.data.recording import Recording

CAMERAS = ("54138969", "60457274")
FRAMES = 15
# Their 17 joints: the 32 in the order 0 1 2 3 6 7 8 12 13 14 15 25 26 27 17 18 19, right arm first.
RIGHT_ARM_FIRST = [*range(11), 14, 15, 16, 11, 12, 13]
Layout = Callable[[np.ndarray], np.ndarray]


def right_arm_first(joints: np.ndarray) -> np.ndarray:
    return joints[:, RIGHT_ARM_FIRST]


def write(folder: Path, layout: Layout = with_32_joints, frame: str = "camera", camera: str = "", **more: Any) -> Path:
    """Two training subjects, and one for testing, walking before two cameras."""
    d2: dict[str, Any] = {}
    d3: dict[str, Any] = {}
    for number, subject in enumerate(("S1", "S8", "S9")):
        joints_m = walk(FRAMES, number)
        views = {name: filmed(subject, name, joints_m) for name in CAMERAS}
        frames = {
            "camera": {name: view[0] for name, view in views.items()},
            "world": dict.fromkeys(CAMERAS, joints_m),
            "pelvis": {name: view[0] - view[0][:, :1] for name, view in views.items()},
        }[frame]
        d2[subject] = {"Walking 1": {camera + name: layout(view[1]) for name, view in views.items()}}
        d3[subject] = {"Walking 1": {camera + name: layout(1000 * joints) for name, joints in frames.items()}}
    for name, content in {"new_d2": d2, "new_d3": d3, **more}.items():
        np.save(folder / f"{name}.npy", np.array(content, dtype=object), allow_pickle=True)
    return folder


def masks(hidden: str, layout: Layout = with_32_joints, keys: str = "Walking 1") -> dict[str, Any]:
    visible = np.ones((FRAMES, 17, 1), dtype=bool)
    visible[3, H36M17.index(hidden)] = False
    view = layout(visible)[..., 0]
    return {subject: {keys: dict.fromkeys(CAMERAS, view)} for subject in ("S1", "S8", "S9")}


def check(recordings: list[Recording], tolerance_px: float = 0.01) -> None:
    assert len(recordings) == 6
    for each in recordings:
        expected_m, expected_px = filmed(each.subject, each.camera_name[-8:], walk(FRAMES, int(each.subject != "S1")))
        if each.subject != "S9":
            np.testing.assert_allclose(each.kpts_px, expected_px, atol=1e-3)
            np.testing.assert_allclose(each.joints_cam_m, expected_m, atol=2e-3)
        error = np.abs(px_from_cam(each.joints_cam_m, each.camera) - each.kpts_px)
        assert error.max() < tolerance_px


@pytest.mark.parametrize("layout", [with_32_joints, right_arm_first])
def test_joints_are_in_the_order_of_h36m17(tmp_path: Path, layout: Layout) -> None:
    check(list(read(write(tmp_path, layout), allow_pickle=True)))


@pytest.mark.parametrize("frame", ["world", "pelvis"])
def test_joints_of_other_frames_are_put_before_the_camera(tmp_path: Path, frame: str) -> None:
    check(list(read(write(tmp_path, frame=frame), allow_pickle=True)), tolerance_px=1.0)


def test_unknown_cameras_are_fitted(tmp_path: Path) -> None:
    recordings = list(read(write(tmp_path, camera="cam "), allow_pickle=True))
    check(recordings, tolerance_px=8.0)  # the true lens is distorted, the fitted one is not
    for each in recordings:
        assert 1100 < each.camera.K[0, 0] < 1200
        assert 950 < each.camera.width < 1100


def test_subjects_have_their_splits(tmp_path: Path) -> None:
    write(tmp_path)
    splits = {each.subject: each.split for each in read(tmp_path, True)}
    assert splits == {"S1": "train", "S8": "val", "S9": "test"}
    assert {each.split for each in read(tmp_path, True, ["S1"]) if each.subject == "S1"} == {"val"}
    named = list(read_recordings("elepose", [tmp_path], True))
    assert [each.name for each in named[:2]] == [f"S1/Walking 1/{camera}" for camera in CAMERAS]
    assert {each.action for each in named} == {"Walking"}


@pytest.mark.parametrize("layout", [with_32_joints, right_arm_first])
def test_masked_joints_are_missing(tmp_path: Path, layout: Layout) -> None:
    hidden = "left_wrist"
    for each in read(write(tmp_path, layout, mask=masks(hidden, layout)), allow_pickle=True):
        assert each.score is not None
        missing = np.argwhere(each.score == 0)
        assert missing.tolist() == [[3, H36M17.index(hidden)]]


def test_without_masks_nothing_is_missing(tmp_path: Path) -> None:
    assert all(each.score is None for each in read(write(tmp_path), allow_pickle=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"mask": masks("nose", keys="Eating")}, "mask.npy lacks the key 'Walking 1' under S1", id="mask"),
        pytest.param({"new_d3": {"S1": {}}}, "new_d3.npy lacks the key 'Walking 1' under S1", id="3d"),
        pytest.param({"new_d2": [1]}, "new_d2.npy must hold dicts", id="no dict"),
        pytest.param({"new_d2": {"S1": {"Eating": 3}}}, "new_d2.npy must hold dicts .* got int", id="no dict inside"),
        pytest.param({"layout": lambda joints: joints[:, :9]}, "must have 32 or 17 joints", id="joints"),
        pytest.param({"frame": "pelvis", "camera": "cam "}, "not before a camera", id="no camera, root-relative"),
        pytest.param({"frame": "world", "camera": "cam "}, "absolute, in", id="no camera, world"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        list(read(write(tmp_path, **change), allow_pickle=True))


def test_the_gate_and_where_to_get_the_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no file .*new_d2.npy.*XuyangHao123"):
        read(tmp_path, allow_pickle=True)
    with pytest.raises(DatasetError, match="--allow-pickle"):
        read(write(tmp_path))
