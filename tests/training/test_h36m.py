"""Human3.6M in VideoPose3D's files: the right joints, cameras, frames and splits, or one clear sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.safe_pickle import load_npz
from occpose_core.skeleton import H36M17
from tests.training.h36m_files import KEPT, filmed, rewrite, walk, with_32_joints, write_h36m
from training.data.h36m import FROM_32, pool, read, read_world
from training.data.h36m_cameras import h36m_cameras
from training.data.recording import Recording

CAMERAS = ["54138969", "55011271", "58860488", "60457274"]
SUBJECTS = ["S1", "S8", "S9", "S11"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_h36m(tmp_path_factory.mktemp("h36m"), SUBJECTS, ["Directions", "Walking 1"])


@pytest.fixture(scope="module")
def recordings(files: tuple[Path, Path]) -> list[Recording]:
    return list(read(*files, allow_pickle=True))


def test_the_17_joints_are_those_of_videopose3d() -> None:
    assert FROM_32.tolist() == KEPT


def test_every_view_of_every_action_is_a_recording(recordings: list[Recording]) -> None:
    assert len(recordings) == len(SUBJECTS) * 2 * len(CAMERAS)
    assert len({each.name for each in recordings}) == len(recordings)
    assert {each.action for each in recordings} == {"Directions", "Walking"}
    assert [each.camera_name for each in recordings[:4]] == CAMERAS
    assert all(each.rate_hz == 50 and each.score is None and len(each) == 20 for each in recordings)


def test_2d_is_the_projection_of_3d_and_extra_frames_are_cut(recordings: list[Recording]) -> None:
    for each in recordings:
        np.testing.assert_allclose(px_from_cam(each.joints_cam_m, each.camera), each.kpts_px, atol=1e-3)


@pytest.mark.parametrize("subject", ["S1", "S5", "S6", "S7", "S8", "S9", "S11"])
@pytest.mark.parametrize("camera", CAMERAS)
def test_the_cameras_stand_upright_and_see_the_middle_of_the_room(subject: str, camera: str) -> None:
    joints_cam_m, px = filmed(subject, camera, walk(1))
    assert (px > 0).all()
    assert (px < 1000).all()
    head, foot = H36M17.index("head_top"), H36M17.index("left_ankle")
    assert px[0, head, 1] < px[0, foot, 1] - 100
    assert (joints_cam_m[..., 2] > 2).all()
    assert (joints_cam_m[..., 2] < 8).all()


def test_the_validation_subject_is_one_of_the_training_subjects(files: tuple[Path, Path]) -> None:
    def splits(**options: Any) -> dict[str, str]:
        return {each.subject: each.split for each in read(*files, allow_pickle=True, **options)}

    assert splits() == {"S1": "train", "S8": "val", "S9": "test", "S11": "test"}
    assert splits(validation_subjects=["S1"]) == {"S1": "val", "S8": "train", "S9": "test", "S11": "test"}
    assert splits(validation_subjects=[])["S8"] == "train"
    assert set(splits(subjects=["S9"])) == {"S9"}


def test_without_2d_the_joints_are_projected(files: tuple[Path, Path], recordings: list[Recording]) -> None:
    projected = list(read(files[0], allow_pickle=True))
    for one, other in zip(projected, recordings, strict=True):
        np.testing.assert_allclose(one.kpts_px, other.kpts_px, atol=1e-3)


def test_scores_of_a_detector_are_kept(files: tuple[Path, Path], tmp_path: Path) -> None:
    views = load_npz(files[1], ["positions_2d"], True, "2D")["positions_2d"]
    for actions in views.values():
        for each in actions.values():
            each[:] = [np.concatenate([view, np.full((len(view), 17, 1), 0.25)], axis=-1) for view in each]
    path = rewrite(tmp_path / "scored.npz", "positions_2d", views)
    recording = next(iter(read(files[0], path, allow_pickle=True)))
    np.testing.assert_array_equal(recording.visible, np.full((20, 17), 0.25, dtype=np.float32))
    np.testing.assert_allclose(px_from_cam(recording.joints_cam_m, recording.camera), recording.kpts_px, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "cameras"),
    [
        pytest.param(lambda actions: actions.pop("Directions"), [], id="no views at all"),
        pytest.param(lambda actions: actions["Directions"].pop(0), CAMERAS[1:], id="the first view left out"),
        pytest.param(
            lambda actions: actions["Directions"].__setitem__(2, None),
            [CAMERAS[0], CAMERAS[1], CAMERAS[3]],
            id="None for a view",
        ),
        pytest.param(
            lambda actions: actions["Directions"].__setitem__(0, np.zeros((0, 17, 2))), CAMERAS[1:], id="an empty view"
        ),
    ],
)
def test_missing_views_are_left_out(
    files: tuple[Path, Path], tmp_path: Path, change: Callable[[dict[str, Any]], None], cameras: list[str]
) -> None:
    views = load_npz(files[1], ["positions_2d"], True, "2D")["positions_2d"]
    change(views["S11"])
    path = rewrite(tmp_path / "fewer.npz", "positions_2d", views)
    found = [each for each in read(files[0], path, allow_pickle=True) if each.name.startswith("S11/Directions/")]
    assert [each.camera_name for each in found] == cameras
    for each in found:
        np.testing.assert_allclose(px_from_cam(each.joints_cam_m, each.camera), each.kpts_px, atol=1e-3)


BROKEN = [
    pytest.param("3d", {"x": {}}, "positions_2d", "lacks the key 'positions_3d'", id="another file"),
    pytest.param("3d", {"S2": {"Eating": walk(3)}}, "positions_3d", "no 3D joints of subject 'S2'", id="subject"),
    pytest.param("3d", {"S1": {"Eating": walk(3)[:, :9]}}, "positions_3d", "S1, Eating must have shape", id="joints"),
    pytest.param("3d", {"S1": {"Eating": 1000 * walk(3)}}, "positions_3d", "not in metres", id="unit"),
    pytest.param("3d", [walk(3)], "positions_3d", "must be a dict subject", id="no dict"),
    pytest.param("2d", {"S1": [walk(3)]}, "positions_2d", "must be a dict subject", id="no dict of actions"),
    pytest.param("2d", {"S1": {"Directions": 3}}, "positions_2d", "must be a list of views, got int", id="no views"),
    pytest.param("2d", {"S1": {}}, "positions_2d", "lacks the key 'Directions' under positions_2d, S1", id="action"),
    pytest.param("2d", {"S9": {}}, "positions_2d", "lacks the key 'S1' under positions_2d", id="no such subject"),
    pytest.param("2d", {"S1": {"Directions": [np.zeros((3, 17, 2))] * 4}}, "positions_2d", "at least 20", id="short"),
    pytest.param("2d", {"S1": {"Directions": [np.zeros((20, 17, 2))] * 5}}, "positions_2d", "5 views", id="views"),
]


@pytest.mark.parametrize(("which", "content", "key", "message"), BROKEN)
def test_wrong_files_are_one_sentence(
    files: tuple[Path, Path], tmp_path: Path, which: str, content: object, key: str, message: str
) -> None:
    path = rewrite(tmp_path / "wrong.npz", key, content)
    given = {"3d": (path, None), "2d": (files[0], path)}[which]
    with pytest.raises(DatasetError, match=message) as caught:
        list(read(*given, allow_pickle=True))
    assert "\n" not in str(caught.value)


def test_the_gate_and_where_to_get_the_files(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--allow-pickle"):
        read(*files)
    with pytest.raises(DatasetError, match=r"lacks the key 'positions_3d'.*VideoPose3D"):
        read_world(files[1], True)
    with pytest.raises(DatasetError, match=r"no file .*vision.imar.ro"):
        read(tmp_path / "data_3d_h36m.npz", allow_pickle=True)
    with pytest.raises(DatasetError, match="lacks the key 'S5' under positions_3d"):
        read_world(files[0], True, ["S5"])


def test_actions_are_pooled_by_their_first_word() -> None:
    names = ("Walking 1", "Walking", "SittingDown 2")
    assert [pool(name) for name in names] == ["Walking", "Walking", "SittingDown"]


def test_files_with_17_joints_are_read_too(tmp_path: Path) -> None:
    for number, joints in enumerate((walk(4), with_32_joints(walk(4)))):
        path = rewrite(tmp_path / f"{number}.npz", "positions_3d", {"S1": {"Eating": joints}})
        np.testing.assert_array_equal(next(iter(read_world(path, True)))[2], walk(4))


def test_the_table_has_the_lenses_of_the_data_set() -> None:
    assert list(h36m_cameras()) == CAMERAS
    assert [(each.width, each.height) for each in h36m_cameras().values()] == [
        (1000, 1002),
        (1000, 1000),
        (1000, 1000),
        (1000, 1002),
    ]
