"""The papers' sets of images: 2D, 3D and bodies agree with each other before the camera; fits that do not are told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.body.files import read_body
from occpose_core.body.joints import H36M17_IN_SMPL30, SMPL30, available30
from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.errors import OccposeError
from occpose_core.imagesets import IMAGE_SETS, ImagePerson, read_image_set
from occpose_core.imagesets.coco import COCO, CROWDPOSE, MPII, Files
from occpose_core.imagesets.fits import fit_error_m, fit_error_px, fitted_joints_m
from occpose_core.skeleton import H36M17
from tests.core.image_set_files import (
    CENTRE,
    FACING,
    FOCAL,
    HEIGHT,
    T_M,
    WIDTH,
    bodies,
    joints17_m,
    projected,
    rendered_content,
    touch,
    write_coco,
    write_h36m,
    write_json,
    write_muco,
    write_rendered,
)
from tests.tolerances import FLOAT32

LIMBS = [joint for joint, name in enumerate(H36M17.joints) if name.startswith(("left_", "right_"))]


def body_error_m(person: ImagePerson) -> float:
    """Of the limbs' joints by pose and shape, which must be turned as the camera sees them."""
    assert person.pose is not None
    assert person.shape is not None
    assert person.joints_cam_m is not None
    by_body = joints17_m(person.pose[None].astype(float), person.shape[None].astype(float))[0, LIMBS]
    true = person.joints_cam_m[H36M17_IN_SMPL30[LIMBS]]
    away = (by_body - by_body.mean(axis=0)) - (true - true.mean(axis=0))
    return float(np.abs(away).max())


def test_joints_of_fits_are_those_of_the_body_model() -> None:
    torch = pytest.importorskip("torch")
    from scipy.spatial.transform import Rotation

    from occpose_core.body.layer import BodyModel

    pose, shape = bodies(5, np.random.default_rng(0))
    rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(5, 24, 3, 3)
    with torch.no_grad():
        posed = BodyModel("capsules")(torch.from_numpy(rotations).float(), torch.from_numpy(shape).float())
    expected = posed.joints17_m.numpy()
    found = fitted_joints_m(read_body(), pose, shape)
    np.testing.assert_allclose(found - found[:, :1], expected - expected[:, :1], atol=FLOAT32)


def test_fit_errors() -> None:
    true_m = np.random.default_rng(0).normal(size=(2, 30, 3))
    fitted_m = true_m[:, H36M17_IN_SMPL30].copy()
    fitted_m[0] += [0.5, -0.5, 1.0]  # elsewhere, but the same person
    fitted_m[1, H36M17.index("left_wrist"), 0] += 0.14
    located = np.ones((2, 30), dtype=bool)
    np.testing.assert_allclose(fit_error_m(fitted_m, true_m, located)[0], 0, atol=FLOAT32)
    assert 0.01 < fit_error_m(fitted_m, true_m, located)[1] < 0.02
    located[1, SMPL30.index("left_wrist")] = False
    np.testing.assert_allclose(fit_error_m(fitted_m, true_m, located)[1], 0, atol=FLOAT32)
    nowhere = np.zeros((1, 30), dtype=bool)
    lens = np.full((1, 2), 100.0)
    assert np.isinf(fit_error_px(fitted_m[:1] + [0, 0, 9], lens, lens, true_m[:1, :, :2], nowhere)[0])


# --- Human3.6M -------------------------------------------------------------------------------------------------------


def test_h36m_people_stand_before_the_camera(tmp_path: Path) -> None:
    found = read_image_set("h36m", write_h36m(tmp_path, [0, 3, 5]), "train", body="capsules")
    assert [person.image_path.name for person in found] == ["000000.jpg", "000005.jpg"] * 2  # every fifth frame
    assert {(person.subject, person.split) for person in found} == {("S1", "train")}
    for person in found:
        assert person.joints_cam_m is not None
        np.testing.assert_array_equal(np.flatnonzero(person.located), np.sort(H36M17_IN_SMPL30))
        kpts_px = px_from_cam(person.joints_cam_m, person.camera)
        np.testing.assert_allclose(person.kpts_px[person.labelled], kpts_px[person.labelled], atol=1e-3)
        assert person.labelled.sum() == 17
        assert person.joints_cam_m[0, 2] == pytest.approx(T_M[2], abs=0.5)
        up = person.joints_cam_m[SMPL30.index("head_top"), 1] - person.joints_cam_m[SMPL30.index("left_ankle"), 1]
        assert up < -1.0  # y points down
        assert person.fit_ok
        assert body_error_m(person) < FLOAT32
        assert not person.hidden.any()


@pytest.mark.parametrize("told", [pytest.param(True, id="by the file"), pytest.param(False, id="by a body")])
@pytest.mark.parametrize("worse_mm, good", [(20.0, True), (35.0, False)])
def test_h36m_fits_are_judged(tmp_path: Path, told: bool, worse_mm: float, good: bool) -> None:
    write_h36m(tmp_path, [0, 5], worse_mm, told)
    found = read_image_set("h36m", tmp_path, "train", body="" if told else "capsules")
    assert [person.fit_ok for person in found] == [good, True, good, True]
    assert all(person.pose is not None for person in found)


def test_h36m_fits_that_nobody_can_judge_are_not_trusted(tmp_path: Path) -> None:
    found = read_image_set("h36m", write_h36m(tmp_path, [0]), "train")
    assert [person.fit_ok for person in found] == [False, False]
    write_h36m(tmp_path / "none", [0], SMPL_NeuralAnnot=None)
    assert read_image_set("h36m", tmp_path / "none", "train")[0].pose is None


def test_h36m_is_tested_from_the_front(tmp_path: Path) -> None:
    write_h36m(tmp_path, [0, 64, 70])
    for file in (tmp_path / "annotations").glob("*"):
        file.rename(file.with_name(file.name.replace("subject1", "subject9")))
    found = read_image_set("h36m", tmp_path, "test")
    assert [person.image_path.parent.name[-2:] + person.image_path.stem for person in found] == ["04000000", "04000064"]
    with pytest.raises(DatasetError, match="no people of split 'val'"):
        read_image_set("h36m", tmp_path, "val")
    with pytest.raises(DatasetError, match=r"Human36M_subject1_data.json is not there, nor any like it; get Human3.6M"):
        read_image_set("h36m", tmp_path / "images")


def _mirrored() -> dict[str, Any]:
    return {"f": [1145.0, 1143.0], "c": [512.0, 515.0], "R": np.diag([1, 1, -1]).tolist(), "t": [0, 0, 4000]}


@pytest.mark.parametrize(
    "changes, words",
    [
        pytest.param({"camera": {"1": {"R": 1}}}, "must have R, t, f and c of camera 1", id="camera"),
        pytest.param({"camera": {"1": _mirrored(), "4": _mirrored()}}, "the rotation of a camera is", id="mirrored"),
        pytest.param({"joint_3d": {"2": {}}}, "lacks the joints of image", id="joints"),
        pytest.param({"SMPL_NeuralAnnot": {"2": {"1": {"0": {}}}}}, "the fitted pose of each person", id="fit"),
        pytest.param({"data": {"images": []}}, "lacks the key 'annotations'", id="data"),
        pytest.param({"joint_3d": {"2": {"1": {"0": [[1, 2]]}}}}, r"joints .* numbers of shape \(17, 3\)", id="shape"),
    ],
)
def test_h36m_files_that_are_wrong_are_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        read_image_set("h36m", write_h36m(tmp_path, [0], **changes))


# --- MuCo ------------------------------------------------------------------------------------------------------------


def test_muco_gives_the_nearest_person_of_each_image(tmp_path: Path) -> None:
    found = read_image_set("muco", write_muco(tmp_path), body="capsules")
    assert [person.subject for person in found] == ["muco 11", "muco 13"]
    for person in found:
        assert person.joints_cam_m is not None
        np.testing.assert_allclose(person.joints_cam_m[0, 2], 4.0, atol=0.3)
        kpts_px = px_from_cam(person.joints_cam_m, person.camera)
        np.testing.assert_allclose(person.kpts_px[person.labelled], kpts_px[person.labelled], atol=1e-3)
        assert person.located.sum() == 21
        assert person.fit_ok
        assert body_error_m(person) < FLOAT32
        assert person.others_px.shape == (1, 30, 2)


def test_muco_fits_are_judged(tmp_path: Path) -> None:
    found = read_image_set("muco", write_muco(tmp_path, worse_mm=40), body="capsules")
    assert [person.fit_ok for person in found] == [False, True]
    assert not any(person.fit_ok for person in read_image_set("muco", tmp_path))
    with pytest.raises(DatasetError, match="no people of split 'test'"):
        read_image_set("muco", tmp_path, "test")


# --- COCO's format ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [COCO, MPII, CROWDPOSE], ids=lambda files: files.name)
def test_coco_people_have_labels_and_those_with_a_fit_its_camera(tmp_path: Path, files: Files) -> None:
    found = read_image_set(files.name, write_coco(tmp_path, files, "train"), "train", body="capsules")
    fitted, unfitted = found  # neither the crowd nor who is not labelled
    assert fitted.fit_ok
    assert fitted.camera.K[0, 0] == FOCAL
    assert unfitted.pose is None
    assert not unfitted.fit_ok
    assert unfitted.camera.K[0, 0] == pytest.approx(np.hypot(WIDTH, HEIGHT))
    assert (fitted.width, fitted.height, fitted.scene) == (WIDTH, HEIGHT, "7")
    assert fitted.image_path == tmp_path / files.images["train"] / "000007.jpg"
    assert not fitted.has_3d
    assert len(fitted.others_px) == len(unfitted.others_px) == 1
    names = files.joints if isinstance(files.joints, tuple) else None
    expected = np.isin(SMPL30, names) if names else available30(files.joints)  # type: ignore[arg-type]
    assert expected.sum() - fitted.labelled.sum() == 1  # the second joint of the file is not labelled
    assert fitted.hidden.sum() == (1 if files.marked else 0)
    joints_m = joints17_m(fitted.pose[None].astype(float), fitted.shape[None].astype(float))[0] + [0, 0, 4.0]  # type: ignore[index]
    at = H36M17_IN_SMPL30[LIMBS]
    away = np.abs(projected(joints_m)[LIMBS] - fitted.kpts_px[at])[fitted.labelled[at]]
    assert away.max() < 0.01


@pytest.mark.parametrize(
    "off_px, body, changes, good",
    [
        pytest.param(0.0, "capsules", {}, True, id="near"),
        pytest.param(9.0, "capsules", {}, False, id="far"),
        pytest.param(9.0, "", {}, True, id="trusted without a body"),
        pytest.param(0.0, "", {"fit_err": 4.0}, True, id="small error given"),
        pytest.param(0.0, "capsules", {"fit_err": 6.0}, False, id="large error given"),
    ],
)
def test_coco_fits_are_judged(tmp_path: Path, off_px: float, body: str, changes: dict[str, Any], good: bool) -> None:
    found = read_image_set("coco", write_coco(tmp_path, COCO, "train", off_px, **changes), "train", body=body)
    assert found[0].fit_ok is good


def test_coco_midpoints_are_as_good_as_their_joints(tmp_path: Path) -> None:
    write_coco(tmp_path, COCO, "train")
    path = tmp_path / "annotations" / COCO.annotations["train"]
    keypoints = np.tile([10.0, 20.0, 2.0], (17, 1))
    keypoints[11, 2], keypoints[5, 2] = 1, 0  # left hip hidden, left shoulder not labelled
    row = {"id": 1, "image_id": 7, "bbox": [1, 1, 30, 30], "keypoints": keypoints.tolist()}
    image = {"id": 7, "file_name": "000007.jpg", "width": WIDTH, "height": HEIGHT}
    write_json(path, {"images": [image], "annotations": [row]})
    person = read_image_set("coco", tmp_path, "train")[0]
    pelvis, neck = SMPL30.index("pelvis"), SMPL30.index("neck")
    assert (person.labelled[pelvis], person.hidden[pelvis], person.labelled[neck]) == (True, True, False)


def test_coco_splits_and_files(tmp_path: Path) -> None:
    write_coco(tmp_path, COCO, "val")
    assert [person.split for person in read_image_set("coco", tmp_path)] == ["val", "val"]
    assert read_image_set("coco", tmp_path, "val")[0].pose is None
    assert not read_image_set("coco", tmp_path, "train", may_be_empty=True)
    with pytest.raises(DatasetError, match=r"has no annotations/person_keypoints_train2017.json; get COCO 2017 from"):
        read_image_set("coco", tmp_path / "images")
    with pytest.raises(DatasetError, match=r"has no annotations/train.json; get MPII"):
        read_image_set("mpii", tmp_path)
    write_coco(tmp_path, COCO, "train", smpl_param={"pose": [0.0]})
    with pytest.raises(DatasetError, match=r"NeuralAnnot.json: the fitted pose of each person must be"):
        read_image_set("coco", tmp_path, "train")
    write_coco(tmp_path, COCO, "train", cam_param=None)
    with pytest.raises(DatasetError, match="image 7 has no camera"):
        read_image_set("coco", tmp_path, "train")


def test_impossible_shapes_are_the_mean(tmp_path: Path) -> None:
    parameters = {"pose": [0.0] * 72, "shape": [0.0] * 9 + [-3.5], "trans": [0, 0, 4]}
    write_coco(tmp_path, COCO, "train", smpl_param=parameters)
    person = read_image_set("coco", tmp_path, "train")[0]
    np.testing.assert_array_equal(person.shape, np.zeros(10))  # type: ignore[arg-type]


# --- all -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_an_empty_folder_is_told_in_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError) as error:
        read_image_set(name, tmp_path, "train", allow_pickle=True)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, write, edge",
    [
        ("coco", lambda folder: write_coco(folder, COCO, "train"), "edges/images/train2017/000007.png"),
        ("h36m", lambda folder: write_h36m(folder, [0]), "edges/s_01_act_02_subact_01_ca_01/000000.png"),
        ("muco", write_muco, "edges/augmented_set/0.png"),
    ],
)
def test_edge_maps_lie_beside_the_images(tmp_path: Path, name: str, write: Callable[[Path], Path], edge: str) -> None:
    write(tmp_path)
    assert read_image_set(name, tmp_path, "train")[0].edge_path is None
    touch(tmp_path / edge)
    assert read_image_set(name, tmp_path, "train")[0].edge_path == tmp_path / edge


def test_people_of_the_small_sets_stand_upright() -> None:
    pose, shape = bodies(1, np.random.default_rng(0))
    joints_m = joints17_m(pose, shape)[0]
    assert joints_m[H36M17.index("head_top"), 1] < joints_m[H36M17.index("left_ankle"), 1] - 1.0
    assert np.linalg.det(FACING) == pytest.approx(1.0)
    assert CENTRE == ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)


def _places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys and indices of everything in a JSON file; of lists the first entries."""
    yield place
    listed = content[:3] if isinstance(content, list) else ()
    for key, value in content.items() if isinstance(content, dict) else enumerate(listed):
        yield from _places(value, (*place, key))


def _damaged(content: Any, place: tuple[Any, ...], junk: Any) -> Any:
    if not place:
        return junk
    copied = json.loads(json.dumps(content))
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = junk
    return copied


JUNK = (None, "x", "", [], {}, [[]], [None], -1, 3.5, True, math.nan, math.inf, 10**30)


@pytest.mark.parametrize(
    "name, write",
    [
        ("rendered", lambda folder: write_rendered(folder, rendered_content([0, 0], ["train"]))),
        ("coco", lambda folder: write_coco(folder, COCO, "train")),
        ("h36m", lambda folder: write_h36m(folder, [0], told=True)),
        ("muco", write_muco),
    ],
)
def test_damaged_files_end_in_a_sentence_or_in_people(tmp_path: Path, name: str, write: Callable[[Path], Path]) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for path in sorted(write(tmp_path).rglob("*.json")):
        whole = path.read_text()
        content = json.loads(whole)
        places = list(_places(content))
        for _ in range(60):
            place, junk = places[rng.integers(len(places))], JUNK[rng.integers(len(JUNK))]
            path.write_text(json.dumps(_damaged(content, place, junk)))
            try:
                read_image_set(name, tmp_path, "train", body="" if name == "h36m" else "capsules", may_be_empty=True)
            except OccposeError as error:
                refused += 1
                assert "\n" not in str(error), (place, junk)
        path.write_text(whole)
    assert refused > 10
