"""3DPW's sequences: SMPL's joints by name, OpenPose's keypoints with their confidence, cameras that move."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.skeleton import H36M17, SKELETONS
from occpose_core.types import Camera
from training.data.formats import read_recordings
from training.data.pw3d import SMPL24, joints_from_smpl, read, read_world

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
            np.stack([-np.cos(angle), 0 * angle, np.sin(angle)], -1),
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


def write(root: Path, content: object = None, protocol: int = 2) -> Path:
    for number, split in enumerate(("train", "validation", "test")):
        folder = root / "sequenceFiles" / split
        folder.mkdir(parents=True)
        data = pickle.dumps(sequence() if content is None else content, protocol=protocol)
        (folder / f"courtyard_dancing_0{number}.pkl").write_bytes(data)
    return root


def test_runs_with_a_valid_camera_are_recordings(tmp_path: Path) -> None:
    recordings = list(read(write(tmp_path), allow_pickle=True))
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
    recording = list(read(write(tmp_path), allow_pickle=True))[1]
    expected = joints_from_smpl(cam_m(people()))[13:]
    np.testing.assert_allclose(recording.joints_cam_m, expected, atol=1e-5)
    px = px_from_cam(recording.joints_cam_m, recording.camera)
    limbs = [i for i, joint in enumerate(H36M17.joints) if "_" in joint and joint != "head_top"]
    np.testing.assert_allclose(recording.kpts_px[:, limbs], px[:, limbs], atol=0.01)
    assert (np.diff(recording.joints_cam_m[:, 0], axis=0) != 0).any()


def test_confidence_is_the_score_and_what_openpose_lacks_is_missing(tmp_path: Path) -> None:
    recording = next(iter(read(write(tmp_path), allow_pickle=True)))
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
    found = list(read_world(write(tmp_path) / "sequenceFiles", allow_pickle=True))
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
        list(read(write(tmp_path, content), allow_pickle=True))


def test_the_gate_and_where_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no train/\*.pkl.* get 3DPW"):
        read(tmp_path)
    with pytest.raises(DatasetError, match="--allow-pickle"):
        list(read(write(tmp_path)))
    with pytest.raises(DatasetError, match="validation sequences of its own"):
        read_recordings("3dpw", [tmp_path], True, ["S1"])
    assert len(list(read_recordings("3dpw", [tmp_path], True))) == 9
