"""3DPW's images: bodies and joints before the moving camera, OpenPose's detections, the parts with occlusion."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from occpose_core.body.joints import SMPL30
from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.imagesets import read_image_set
from occpose_core.imagesets.pw3d_images import SUBSETS
from tests.core.image_set_files import bodies, joints17_m, touch
from tests.tolerances import FLOAT32
from tests.training.pw3d_files import FRAMES, K, cam_m, people, sequence, write_3dpw


@pytest.fixture
def pw3d(tmp_path: Path) -> Path:
    """Three sequences of two people, with poses in the world of a body that is not theirs."""
    pose, _ = bodies(FRAMES, np.random.default_rng(1), np.eye(3))
    poses = [pose.reshape(FRAMES, 72)] * 2
    betas = [np.linspace(-1, 1, 300), np.zeros(10)]
    write_3dpw(tmp_path, sequence(poses=poses, betas=betas))
    for file in (tmp_path / "sequenceFiles").glob("*/*.pkl"):
        for frame in range(FRAMES):
            touch(tmp_path / "imageFiles" / file.stem / f"image_{frame:05d}.jpg")
    return tmp_path


def test_3dpw_people_are_where_the_camera_sees_them(pw3d: Path) -> None:
    found = read_image_set("3dpw", pw3d, "test", allow_pickle=True)
    frames = [frame for frame in range(FRAMES) if not 10 <= frame < 13]
    first = [person for person in found if person.subject.endswith("/0")]
    assert [int(person.image_path.stem[-5:]) for person in first] == frames  # where the camera is known
    assert {person.gender for person in found} == {"male", "female"}
    assert {person.scene for person in found} == {"courtyard_dancing_02"}
    expected = cam_m(people())[frames]
    for person, joints_m in zip(first, expected, strict=True):
        assert person.joints_cam_m is not None
        np.testing.assert_allclose(person.joints_cam_m[:24], joints_m, atol=FLOAT32)
        np.testing.assert_allclose(person.kpts_px[:24], px_from_cam(joints_m, person.camera), atol=1e-2)
        np.testing.assert_array_equal(np.flatnonzero(person.located), np.arange(24))
        assert (person.camera.K == K).all()
        x, y, width, height = person.box_px
        inside = person.kpts_px[person.labelled]
        assert ((inside >= [x, y]) & (inside <= [x + width, y + height])).all()


def test_3dpw_roots_are_turned_into_the_camera(pw3d: Path) -> None:
    person = read_image_set("3dpw", pw3d, "test", allow_pickle=True)[0]
    pose, _ = bodies(FRAMES, np.random.default_rng(1), np.eye(3))
    assert person.pose is not None
    world_m = joints17_m(pose[:1], np.zeros((1, 10)))[0]
    cam = joints17_m(person.pose[None].astype(float), np.zeros((1, 10)))[0]
    R = sequence()["cam_poses"][0, :3, :3]
    np.testing.assert_allclose(cam - cam[0], (world_m - world_m[0]) @ R.T, atol=FLOAT32)
    np.testing.assert_allclose(person.shape, np.linspace(-1, 1, 300)[:10], atol=FLOAT32)


def test_3dpw_detections_are_openposes(pw3d: Path) -> None:
    person = next(
        person
        for person in read_image_set("3dpw", pw3d, "train", allow_pickle=True)
        if person.image_path.stem == "image_00005"
    )
    assert person.detected_score is not None
    assert person.detected_px is not None
    given = {SMPL30[joint] for joint in np.flatnonzero(person.detected_score)}
    assert "left_wrist" not in given
    assert {"right_wrist", "left_hip", "pelvis", "neck", "nose"} <= given
    wrist = SMPL30.index("right_wrist")
    np.testing.assert_allclose(person.detected_px[wrist], person.kpts_px[wrist], atol=0.01)


@pytest.mark.parametrize(
    "subset, sequence_name, frame, inside",
    [
        ("occ", "outdoors_climbing_01", 3, True),
        ("occ", "downtown_walking_00", 3, False),
        ("pc", "courtyard_hug_00", 100, True),
        ("pc", "courtyard_hug_00", 500, False),
        ("pc", "outdoors_climbing_01", 200, False),
    ],
)
def test_3dpw_subsets(subset: str, sequence_name: str, frame: int, inside: bool) -> None:
    assert SUBSETS[subset](sequence_name, frame) is inside


def test_3dpw_subsets_are_of_all_sequences(pw3d: Path) -> None:
    with pytest.raises(DatasetError, match="no people of split 'occ'"):
        read_image_set("3dpw", pw3d, "occ", allow_pickle=True)
    for file in (pw3d / "sequenceFiles").glob("*/*.pkl"):
        file.rename(file.with_name("flat_guitar_01.pkl"))
    (pw3d / "imageFiles" / "courtyard_dancing_01").rename(pw3d / "imageFiles" / "flat_guitar_01")
    found = read_image_set("3dpw", pw3d, "occ", allow_pickle=True)
    assert {person.split for person in found} == {"train", "val", "test"}


def test_3dpw_says_what_is_wrong(pw3d: Path) -> None:
    with pytest.raises(DatasetError, match="is a pickle, .* add --allow-pickle"):
        read_image_set("3dpw", pw3d)
    path = next((pw3d / "sequenceFiles" / "train").glob("*.pkl"))
    content = pickle.loads(path.read_bytes())  # noqa: S301 (written above)
    path.write_bytes(pickle.dumps({**content, "betas": [np.zeros(3), np.zeros(3)]}))
    with pytest.raises(DatasetError, match="ten betas"):
        read_image_set("3dpw", pw3d, "train", allow_pickle=True)
    path.write_bytes(pickle.dumps({key: value for key, value in content.items() if key != "poses"}))
    with pytest.raises(DatasetError, match="lacks the key 'poses'"):
        read_image_set("3dpw", pw3d, "train", allow_pickle=True)
    path.write_bytes(pickle.dumps(content))
    touch(pw3d / "imageFiles" / path.stem / "image_00003.jpg").unlink()
    with pytest.raises(DatasetError, match="there is no image .*image_00003.jpg.*imageFiles.zip"):
        read_image_set("3dpw", pw3d, "train", allow_pickle=True)
