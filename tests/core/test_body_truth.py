"""True bodies of sets whose people have the bodies of their sex, with and without those bodies' files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("smplx", reason="pip install 'occpose[smpl]'")

from occpose_core.body.capsules import capsule_body
from occpose_core.body.files import BodyFileError, write_body
from occpose_core.body_truth import TrueBodyModel
from occpose_core.imagesets import ImageSet, read_image_set
from occpose_core.skeleton import H36M17
from tests.training.rendered_files import write_rendered

TALLER = 1.1


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """The people of a rendered set; every second one is called a man of SMPL."""
    folder = write_rendered(tmp_path_factory.mktemp("set") / "rendered", images=2, splits=("test",))
    rendered = read_image_set("rendered", folder, "test")
    people = [replace(person, gender=("neutral", "male")[index % 2]) for index, person in enumerate(rendered)]
    return replace(rendered, body="smpl", people=tuple(people))


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """A folder with the capsules as SMPL_NEUTRAL, and taller ones as SMPL_MALE."""
    male, _ = write_body(tmp_path, {**capsule_body(), "v_template": TALLER * capsule_body()["v_template"]})
    male.rename(tmp_path / "SMPL_MALE.npz")
    write_body(tmp_path, capsule_body(), force=True)
    return tmp_path


def hip_to_knee_m(joints_m: np.ndarray) -> np.ndarray:
    hip, knee = H36M17.indices("left_hip", "left_knee")
    return np.asarray(np.linalg.norm(joints_m[:, hip] - joints_m[:, knee], axis=-1))


def test_people_have_the_body_of_their_sex(images: ImageSet, body: Path) -> None:
    neutral = TrueBodyModel(replace(images, people=tuple(replace(each, gender="neutral") for each in images)), body)
    plain = neutral.of([replace(each, gender="neutral") for each in images])
    found = TrueBodyModel(images, body).of(images)
    assert np.isfinite(found.vertices_m).all()
    np.testing.assert_allclose(found.vertices_m[::2], plain.vertices_m[::2], atol=1e-6)
    longer = hip_to_knee_m(found.joints_m) / hip_to_knee_m(plain.joints_m)
    assert longer[::2] == pytest.approx(1.0, abs=1e-4)
    assert (longer[1::2] > 1.05).all()
    np.testing.assert_array_equal(found.orientations, plain.orientations)


def test_without_its_file_a_man_has_his_labelled_joints_and_no_surface(images: ImageSet, body: Path) -> None:
    (body / "SMPL_MALE.npz").unlink()
    found = TrueBodyModel(images, body).of(images)
    assert np.isfinite(found.vertices_m[::2]).all() and np.isnan(found.vertices_m[1::2]).all()
    labelled = images[1].joints_cam_m
    assert labelled is not None and images[1].located.all()
    knee_m = found.joints_m[1, H36M17.index("left_knee")]
    np.testing.assert_allclose(knee_m, labelled[4] - labelled[0], atol=1e-5)


def test_a_broken_file_of_a_man_is_not_passed_over(images: ImageSet, body: Path) -> None:
    np.savez(body / "SMPL_MALE.npz", **{**capsule_body(), "weights": 2 * capsule_body()["weights"]})
    with pytest.raises(BodyFileError, match=r"SMPL_MALE\.npz: the weights of a vertex must sum to 1"):
        TrueBodyModel(images, body).of(images)
