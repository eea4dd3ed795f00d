"""Edge maps of published image sets: every trusted body's contours where the image shows the person, and once only."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("embreex")
pytest.importorskip("kornia")

from occpose_core.body.layer import BodyModel
from occpose_core.imagesets import EVERYBODY, ImagePerson, read_image_set
from occpose_core.imagesets.coco import COCO
from tests.core.image_set_files import HEIGHT, WIDTH, write_coco, write_h36m, write_muco
from training.__main__ import main
from training.rendering.edge_command import edge_map


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel()


@pytest.fixture
def person(tmp_path: Path) -> ImagePerson:
    return read_image_set("coco", write_coco(tmp_path, COCO, "train"), "train")[0]


def middle_px(edges: np.ndarray) -> np.ndarray:
    """(2,) mean x, y of the edges."""
    rows, columns = np.nonzero(edges > 0.1)
    return np.array([columns.mean(), rows.mean()])


def test_contours_are_around_the_person(person: ImagePerson, body: BodyModel) -> None:
    edges = edge_map([person], body)
    assert edges.shape == (HEIGHT, WIDTH)
    assert 0 <= edges.min() < 0.5 < edges.max() <= 1
    limbs = person.kpts_px[person.labelled]
    np.testing.assert_allclose(middle_px(edges), limbs.mean(axis=0), atol=15)
    rows, columns = np.nonzero(edges > 0.1)
    for found, known in ((columns, limbs[:, 0]), (rows, limbs[:, 1])):
        assert found.min() < known.min() + 5
        assert found.max() > known.max() - 5


def test_who_stands_behind_is_drawn_too(person: ImagePerson, body: BodyModel) -> None:
    beside = replace(person, kpts_px=person.kpts_px + np.float32([12, 0]))
    both, first, second = (edge_map(people, body) for people in ([person, beside], [person], [beside]))
    np.testing.assert_allclose(both, np.clip(first + second, 0, 1), atol=1e-6)
    assert np.abs(first - second).max() > 0.5


def test_bodies_that_are_not_trusted_are_not_drawn(person: ImagePerson, body: BodyModel) -> None:
    assert not edge_map([replace(person, fit_ok=False)], body).any()
    nowhere = replace(person, labelled=np.zeros(30, dtype=bool))
    assert not edge_map([nowhere], body).any()


@pytest.mark.parametrize("kind, images", [("coco", 1), ("h36m", 4), ("muco", 2)])
def test_command_draws_what_is_missing(
    tmp_path: Path, kind: str, images: int, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {
        "coco": lambda: write_coco(tmp_path, COCO, "train"),
        "h36m": lambda: write_h36m(tmp_path, [0, 5]),
        "muco": lambda: write_muco(tmp_path),
    }
    sets[kind]()
    command = ["edges", kind, str(tmp_path), "--body", "capsules", "--workers", "1"]
    assert main(command) == 0
    assert f"{images} edge maps" in capsys.readouterr().out
    for person in read_image_set(kind, tmp_path, body="capsules"):
        assert person.edge_path is not None
        levels = cv2.imread(str(person.edge_path), cv2.IMREAD_GRAYSCALE)
        assert levels.shape == (person.height, person.width)
        assert levels.max() > 128
    assert main(command) == 0
    assert "has all its edge maps" in capsys.readouterr().out


def test_everybody_of_muco_is_drawn(tmp_path: Path) -> None:
    write_muco(tmp_path)
    assert len(read_image_set("muco", tmp_path)) == 2
    assert len(EVERYBODY["muco"](tmp_path)) == 4


@pytest.mark.parametrize(
    "body, words",
    [
        pytest.param("nowhere", "there is no SMPL_NEUTRAL.pkl", id="no SMPL"),
        pytest.param("capsules", "nobody in .* has a body that may be trusted", id="nobody"),
    ],
)
def test_command_says_what_is_missing(
    tmp_path: Path, body: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(tmp_path, COCO, "train" if body == "nowhere" else "val")
    assert main(["edges", "coco", str(tmp_path), "--body", str(tmp_path / body) if body == "nowhere" else body]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(words, error)
