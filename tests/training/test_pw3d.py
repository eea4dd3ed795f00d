"""3DPW's sequences: SMPL's joints by name, OpenPose's keypoints with their confidence, cameras that move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.skeleton import H36M17
from tests.training.pw3d_files import FRAMES, cam_m, cam_poses, people, sequence, write_3dpw
from training.data.formats import read_recordings
from training.data.pw3d import joints_from_smpl, read, read_world


def test_runs_with_a_valid_camera_are_recordings(tmp_path: Path) -> None:
    recordings = list(read(write_3dpw(tmp_path), allow_pickle=True))
    found = [(each.name, each.split, len(each)) for each in recordings]
    assert found == [
        (f"courtyard_dancing_0{number}/{run}", split, length)
        for number, split in enumerate(("train", "val", "test"))
        for run, length in (("0/0", 10), ("0/13", 11), ("1/0", 24))
    ]
    assert {each.action for each in recordings} == {"courtyard_dancing"}
    assert {each.rate_hz for each in recordings} == {30.0}
    assert (recordings[0].camera.width, recordings[0].camera.height) == (1080, 1920)
    assert len({each.subject: each.split for each in recordings}) == 6


def test_3d_is_before_the_moving_camera_and_2d_fits_it(tmp_path: Path) -> None:
    recording = list(read(write_3dpw(tmp_path), allow_pickle=True))[1]
    expected = joints_from_smpl(cam_m(people()))[13:]
    np.testing.assert_allclose(recording.joints_cam_m, expected, atol=1e-5)
    px = px_from_cam(recording.joints_cam_m, recording.camera)
    limbs = [i for i, joint in enumerate(H36M17.joints) if "_" in joint and joint != "head_top"]
    np.testing.assert_allclose(recording.kpts_px[:, limbs], px[:, limbs], atol=0.01)
    assert (np.diff(recording.joints_cam_m[:, 0], axis=0) != 0).any()


def test_confidence_is_the_score_and_what_openpose_lacks_is_missing(tmp_path: Path) -> None:
    recording = next(iter(read(write_3dpw(tmp_path), allow_pickle=True)))
    assert recording.score is not None
    missing = {(int(t), H36M17.joints[j]) for t, j in np.argwhere(recording.score == 0)}
    assert missing == {(t, joint) for t in range(10) for joint in ("spine", "head_top")} | {(5, "left_wrist")}
    assert set(np.unique(recording.score)) == {np.float32(0.0), np.float32(0.8)}


def test_smpl_joints_are_taken_by_name() -> None:
    joints = joints_from_smpl(people())
    left, right = H36M17.index("left_wrist"), H36M17.index("right_wrist")
    assert (joints[:, left, 0] > 0.5).all()
    assert (joints[:, right, 0] < -0.5).all()
    height = dict(zip(H36M17.joints, joints[..., 1].mean(axis=0) - joints[:, 0, 1].mean(), strict=True))
    assert height["spine"] == pytest.approx(0.26, abs=0.07)
    assert height["thorax"] == pytest.approx(0.52, abs=0.07)
    assert height["nose"] < height["head_top"]
    length = np.linalg.norm(joints[:, H36M17.index("head_top")] - joints[:, H36M17.index("nose")], axis=-1)
    np.testing.assert_allclose(length, 0.15, atol=1e-5)


def test_the_world_has_all_frames(tmp_path: Path) -> None:
    found = list(read_world(write_3dpw(tmp_path) / "sequenceFiles", allow_pickle=True))
    assert [(split, subject) for split, subject, _, _ in found][:2] == [
        ("train", "courtyard_dancing_00/0"),
        ("train", "courtyard_dancing_00/1"),
    ]
    np.testing.assert_allclose(found[0][3], joints_from_smpl(people()), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param([1], "must hold a dict", id="no dict"),
        pytest.param({"poses": 1}, "lacks the key 'jointPositions'", id="key"),
        pytest.param(sequence(jointPositions=[np.zeros((FRAMES, 66))] * 2), "jointPositions of person 0", id="joints"),
        pytest.param(sequence(poses2d=[np.zeros((FRAMES, 18, 3))] * 2), "poses2d of person 0", id="2d"),
        pytest.param(sequence(campose_valid=[]), "an entry a person, got .*'campose_valid': 0", id="people"),
        pytest.param(sequence(cam_poses=cam_poses()[:5]), "must have as many frames, got 24, 24, 24 and 5", id="short"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DatasetError, match=f"courtyard_dancing_00.pkl.*{message}"):
        list(read(write_3dpw(tmp_path, content), allow_pickle=True))


def test_the_gate_and_where_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no train/\*.pkl.* get 3DPW"):
        read(tmp_path)
    with pytest.raises(DatasetError, match="--allow-pickle"):
        list(read(write_3dpw(tmp_path)))
    with pytest.raises(DatasetError, match="validation sequences of its own"):
        read_recordings("3dpw", [tmp_path], True, ["S1"])
    assert len(list(read_recordings("3dpw", [tmp_path], True))) == 9
