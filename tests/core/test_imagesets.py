"""People of rendered images are read as they were written; what is wrong is said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from occpose_core.body.joints import SMPL30
from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.imagesets import IMAGE_SETS, ImagePerson, read_image_set
from occpose_core.imagesets.annotations import iou, overlapping
from occpose_core.imagesets.pictures import read_picture
from tests.core.image_set_files import FOCAL, HEIGHT, WIDTH, rendered_content, write_json, write_rendered
from tests.tolerances import FLOAT32


@pytest.fixture
def content() -> dict[str, Any]:
    """Two people in the first image, one in the second, nobody in the third."""
    return rendered_content([0, 0, 1], ["train", "test", "val"])


def test_rendered_people_are_read_as_written(tmp_path: Path, content: dict[str, Any]) -> None:
    found = read_image_set("rendered", write_rendered(tmp_path, content))
    assert (found.name, found.body, found.license, len(found), len(found.sha256)) == (
        "rendered",
        "capsules",
        "CC0",
        3,
        64,
    )
    for person, row in zip(found, content["annotations"], strict=True):
        image = content["images"][row["image_id"]]
        keypoints = np.reshape(row["keypoints"], (30, 3))
        assert person.image_path == tmp_path / image["file_name"]
        assert person.edge_path == tmp_path / image["edge_file"]
        assert (person.width, person.height, person.camera.K[0, 0]) == (WIDTH, HEIGHT, FOCAL)
        assert (person.split, person.scene, person.subject) == (image["split"], str(image["id"]), "s1")
        assert person.visible_share == pytest.approx(row["visible_share"])
        assert person.has_3d
        assert person.fit_ok
        np.testing.assert_allclose(person.kpts_px, keypoints[:, :2], rtol=FLOAT32)
        np.testing.assert_array_equal(person.labelled, keypoints[:, 2] > 0)
        np.testing.assert_array_equal(person.hidden, keypoints[:, 2] == 1)
        np.testing.assert_allclose(person.joints_cam_m, row["joints_cam_m"], atol=FLOAT32)
        np.testing.assert_allclose(person.pose, np.reshape(row["smpl"]["pose"], (24, 3)), atol=FLOAT32)
        np.testing.assert_allclose(person.shape, row["smpl"]["shape"], atol=FLOAT32)
        np.testing.assert_allclose(px_from_cam(person.joints_cam_m, person.camera), person.kpts_px, atol=0.01)


def test_people_who_overlap_know_of_each_other(tmp_path: Path, content: dict[str, Any]) -> None:
    content["annotations"].append({**content["annotations"][0], "bbox": [250.0, 20.0, 60.0, 180.0]})
    first, second, alone, aside = read_image_set("rendered", write_rendered(tmp_path, content))
    np.testing.assert_array_equal(first.others_px, second.kpts_px[None])
    np.testing.assert_array_equal(second.others_px, first.kpts_px[None])
    np.testing.assert_array_equal(first.others_labelled, second.labelled[None])
    assert len(alone.others_px) == len(aside.others_px) == 0


@pytest.mark.parametrize(
    "boxes, expected",
    [
        pytest.param([[0, 0, 2, 2], [0, 0, 2, 2]], 1.0, id="the same"),
        pytest.param([[0, 0, 2, 2], [1, 0, 2, 2]], 1 / 3, id="half"),
        pytest.param([[0, 0, 2, 2], [2, 0, 2, 2]], 0.0, id="touching"),
        pytest.param([[0, 0, 4, 4], [1, 1, 2, 2]], 0.25, id="inside"),
        pytest.param([[0, 0, 0, 0], [0, 0, 0, 0]], 0.0, id="empty"),
    ],
)
def test_iou(boxes: list[list[float]], expected: float) -> None:
    assert iou(np.array(boxes, dtype=np.float64))[0, 1] == pytest.approx(expected)


def test_people_of_different_images_never_overlap() -> None:
    boxes = np.tile([0.0, 0, 10, 10], (4, 1))
    assert [found.tolist() for found in overlapping(boxes, ["a", "b", "a", "c"])] == [[2], [], [0], []]


@pytest.mark.parametrize("split, people", [("train", 2), ("test", 1), ("", 3)])
def test_a_split_has_its_people_only(tmp_path: Path, content: dict[str, Any], split: str, people: int) -> None:
    found = read_image_set("rendered", write_rendered(tmp_path, content), split)
    assert len(found) == people
    assert {person.split for person in found} == ({split} if split else {"train", "test"})


def test_joints_are_found_by_name(tmp_path: Path, content: dict[str, Any]) -> None:
    straight = read_image_set("rendered", write_rendered(tmp_path / "straight", content))[0]
    order = np.random.default_rng(0).permutation(30)
    content["categories"][0]["keypoints"] = [SMPL30[joint] for joint in order]
    for row in content["annotations"]:
        row["keypoints"] = np.reshape(row["keypoints"], (30, 3))[order].tolist()
        row["joints_cam_m"] = np.array(row["joints_cam_m"])[order].tolist()
    turned = read_image_set("rendered", write_rendered(tmp_path / "turned", content))[0]
    np.testing.assert_array_equal(straight.kpts_px, turned.kpts_px)
    np.testing.assert_array_equal(straight.joints_cam_m, turned.joints_cam_m)


def test_edges_may_be_missing(tmp_path: Path, content: dict[str, Any]) -> None:
    write_rendered(tmp_path, content)
    (tmp_path / content["images"][1]["edge_file"]).unlink()
    assert [person.edge_path is None for person in read_image_set("rendered", tmp_path)] == [False, False, True]


def _nan(content: dict[str, Any]) -> None:
    content["annotations"][1]["joints_cam_m"][0][0] = float("nan")


def _short(content: dict[str, Any]) -> None:
    content["annotations"][1]["smpl"]["pose"] = [0.0] * 71


def _foreign(content: dict[str, Any]) -> None:
    content["annotations"][1]["image_id"] = 77


def _split(content: dict[str, Any]) -> None:
    content["images"][0]["split"] = "trian"


def _names(content: dict[str, Any]) -> None:
    content["categories"][0]["keypoints"][0] = "tail"


def _camera(content: dict[str, Any]) -> None:
    content["images"][0]["camera"] = {"focal": [0, 0], "princpt": [1, 1]}


def _no_camera(content: dict[str, Any]) -> None:
    content["images"][0]["camera"] = None


def _no_smpl(content: dict[str, Any]) -> None:
    content["annotations"][0]["smpl"] = {"shape": []}


def _no_box(content: dict[str, Any]) -> None:
    del content["annotations"][2]["bbox"]


def _no_list(content: dict[str, Any]) -> None:
    content["annotations"] = {"0": 1}


def _size(content: dict[str, Any]) -> None:
    content["images"][0]["width"] = "wide"


def _endless(content: dict[str, Any]) -> None:
    content["annotations"][0]["keypoints"][0] = 10**400


def _far(content: dict[str, Any]) -> None:
    content["images"][0]["camera"]["focal"] = [10**400, 1]


def _list_as_id(content: dict[str, Any]) -> None:
    content["images"][0]["id"] = []


def _no_rows(content: dict[str, Any]) -> None:
    content["images"] = [3]


@pytest.mark.parametrize(
    "damage, words",
    [
        pytest.param(_nan, "joints_cam_m of person 1 .* not finite", id="not finite"),
        pytest.param(_short, r"smpl pose of each person must be numbers of shape \(24, 3\)", id="short pose"),
        pytest.param(_foreign, "a person is in image 77", id="image that is not listed"),
        pytest.param(_split, "split is one of train, val, test, got 'trian'", id="split"),
        pytest.param(_names, "keypoints of its category must be pelvis", id="names"),
        pytest.param(_camera, "image 0 has no camera", id="focal length 0"),
        pytest.param(_no_camera, "image 0 has no camera", id="no camera"),
        pytest.param(_size, "image 0 must have whole numbers as width and height", id="size"),
        pytest.param(_endless, "keypoints of each person must be numbers", id="number beyond all bounds"),
        pytest.param(_far, "image 0 has no camera", id="focal length beyond all bounds"),
        pytest.param(_list_as_id, r"the id of images\[0\] must be a number or a text, got \[\]", id="list as id"),
        pytest.param(_no_smpl, "smpl must have pose and shape", id="no pose"),
        pytest.param(_no_box, r"lacks the key 'bbox' under annotations\[2\]", id="no box"),
        pytest.param(_no_list, "annotations must be a list, got dict", id="no list"),
        pytest.param(_no_rows, r"images\[0\] must be a dict, got int", id="no rows"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, content: dict[str, Any], damage: Callable[[dict[str, Any]], None], words: str
) -> None:
    write_rendered(tmp_path, content)
    damage(content)
    write_json(tmp_path / "annotations.json", content)
    with pytest.raises(DatasetError, match=words):
        read_image_set("rendered", tmp_path)


def test_missing_and_foreign_files(tmp_path: Path, content: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="there is no file .*annotations.json; make the set with"):
        read_image_set("rendered", tmp_path)
    with pytest.raises(DatasetError, match="unknown set of images 'coc'; known: rendered, coco"):
        read_image_set("coc", tmp_path)
    (tmp_path / "annotations.json").write_text("{")
    with pytest.raises(DatasetError, match="not a whole JSON file"):
        read_image_set("rendered", tmp_path)
    write_rendered(tmp_path, content)
    with pytest.raises(DatasetError, match="no people of split 'val'"):
        read_image_set("rendered", tmp_path, "val")
    (tmp_path / content["images"][0]["file_name"]).unlink()
    with pytest.raises(DatasetError, match=r"there is no image .*000000.jpg, which the annotations name; make"):
        read_image_set("rendered", tmp_path)


def test_a_person_is_checked(tmp_path: Path, content: dict[str, Any]) -> None:
    person = read_image_set("rendered", write_rendered(tmp_path, content))[0]
    fields = {name: getattr(person, name) for name in person.__dataclass_fields__}
    with pytest.raises(DatasetError, match=r"kpts_px of a person must be \(30, 2\), got \(17, 2\)"):
        ImagePerson(**{**fields, "kpts_px": np.zeros((17, 2))})
    with pytest.raises(DatasetError, match="others_px must be"):
        ImagePerson(**{**fields, "others_labelled": np.zeros((3, 30), dtype=bool)})
    with pytest.raises(DatasetError, match="needs pose and shape"):
        ImagePerson(**{**fields, "pose": None})
    assert person.area_px == pytest.approx(80 * 180)


def test_every_set_has_a_reader() -> None:
    assert all(callable(reader) for reader in IMAGE_SETS.values())


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda picture: picture[: len(picture) // 2], id="cut off in its pixels"),
        pytest.param(lambda picture: picture[:40], id="cut off in its head"),
        pytest.param(lambda picture: b"", id="empty"),
        pytest.param(lambda picture: b"no picture", id="text"),
    ],
)
def test_a_damaged_picture_is_said(tmp_path: Path, content: dict[str, Any], damage: Callable[[bytes], bytes]) -> None:
    first = read_image_set("rendered", write_rendered(tmp_path, content))[0]
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    whole = cv2.imencode(".jpg", noise)[1].tobytes()
    first.image_path.write_bytes(whole)
    assert read_picture(first).shape == (HEIGHT, WIDTH, 3)
    first.image_path.write_bytes(damage(whole))
    with pytest.raises(DatasetError, match="is no picture that can be read to its end; get it again"):
        read_picture(first)
    first.image_path.unlink()
    with pytest.raises(DatasetError, match="cannot read the picture .*: No such file"):
        read_picture(first)
