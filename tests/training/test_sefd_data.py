"""People of image sets as training sees them: labels, pictures and bodies agree however a crop is turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from occpose_core.body.joints import SMPL30, available30
from occpose_core.body.layer import BodyModel
from occpose_core.dataset import DatasetError
from training.data.body_poses import BodyPoses
from training.data.images import ImageConfig, ImagePeople, PersonImages
from training.data.people import People, read_people, with_fits

pytest.importorskip("smplx")
from tests.training.rendered_files import write_rendered

SIZE = 96
PLAIN = ImageConfig(size=SIZE, layouts={"all": 1.0}, hidden_missed=0.0, errors=False).without_augmentation()
ROOM = 2**26


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rendered(tmp_path_factory.mktemp("data") / "rendered")


@pytest.fixture(scope="module")
def people(folder: Path) -> People:
    return read_people({"rendered": folder}, "train", "capsules")


def draw(people: People, config: ImageConfig, batch: int = 16, seed: int = 0) -> dict[str, torch.Tensor]:
    return PersonImages(people, config, batch, 0, room_bytes=ROOM).draw(np.random.default_rng(seed))


def test_fitted_bodies_have_the_labelled_joints_and_stand_where_they_are(people: People) -> None:
    for row, person in enumerate(people.persons):
        joints = person.joints_cam_m - person.joints_cam_m[0]
        np.testing.assert_allclose(people.fit_joints_cam_m[row], joints, atol=1e-5)
        seen = person.labelled
        np.testing.assert_allclose(people.fit_kpts_px[row][seen], person.kpts_px[seen], atol=1e-2)
    assert people.fitted.all()


CHANGES = {
    "none": PLAIN,
    "turned": replace(PLAIN, turned=1.0),
    "mirrored": replace(PLAIN, mirrored=1.0),
    "scaled": replace(PLAIN, scale_sd=0.25),
    "all": replace(PLAIN, turned=1.0, mirrored=0.5, scale_sd=0.25, colour=0.2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_body_joints_and_keypoints_stay_together(name: str, people: People) -> None:
    """The body of the sample's own pose and shape has the sample's joints, and they lie where its keypoints do."""
    batch = draw(people, CHANGES[name])
    posed = BodyModel("capsules")(batch["pose"], batch["shape"])
    # mirrored, the body's other side takes over, which is as far off the middle within a tenth of a millimetre
    torch.testing.assert_close(posed.joints30_m, batch["joints"], atol=2e-4, rtol=0)
    torch.testing.assert_close(batch["fit_joints"], batch["joints"], atol=1e-5, rtol=0)
    known = batch["labelled"] > 0
    torch.testing.assert_close(batch["fit_kpts"][known], batch["true_kpts"][known], atol=1e-3, rtol=0)
    assert torch.equal(batch["kpts"][batch["visible"] > 0], batch["true_kpts"][batch["visible"] > 0])
    torch.testing.assert_close(torch.det(batch["pose"]), torch.ones(16, 24), atol=1e-5, rtol=0)
    facing = np.sign(np.linalg.det(_plane(batch["true_kpts"], batch["joints"])))
    assert (facing > 0).all(), "x of the crop and of the joints point the same way"


def _plane(kpts: torch.Tensor, joints: torch.Tensor) -> np.ndarray:
    """(B, 2, 2) by which joints' x and y become the crop's, by least squares."""
    flat = joints[..., :2] - joints[..., :2].mean(dim=1, keepdim=True)
    return np.asarray(torch.linalg.lstsq(flat, kpts - kpts.mean(dim=1, keepdim=True)).solution)


@pytest.mark.parametrize("name", ["none", "turned", "mirrored", "scaled"])
def test_the_crop_shows_at_a_keypoint_what_the_picture_shows_there(name: str, people: People) -> None:
    batch = draw(people, CHANGES[name])
    px = np.rint((batch["true_kpts"].numpy() + 1) * SIZE / 2 - 0.5).astype(int)
    compared = 0
    for row, index in enumerate(batch["clip"].tolist()):
        person = people.persons[index]
        picture = cv2.imread(str(person.image_path))[..., ::-1]
        swapped = CHANGES[name].mirrored == 1.0
        order = [_other_side(joint) if swapped else joint for joint in SMPL30]
        for joint in range(30):
            source = SMPL30.index(order[joint])
            column, line = np.rint(person.kpts_px[source]).astype(int)
            patch = picture[max(0, line - 3) : line + 4, max(0, column - 3) : column + 4].reshape(-1, 3)
            if not person.labelled[source] or np.ptp(patch.astype(int), axis=0).max() > 12:
                continue  # an edge of the picture's plain colours
            x, y = px[row, joint]
            if min(x, y) >= 0 and max(x, y) < SIZE:
                shown = batch["image"][row, :, y, x].numpy().astype(int)
                np.testing.assert_allclose(shown, patch.mean(axis=0), atol=10)
                compared += 1
    assert compared > 60


def _other_side(joint: str) -> str:
    side, _, rest = joint.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, joint)


def test_colours_change_in_the_picture_alone(people: People) -> None:
    plain, coloured = (draw(people, replace(PLAIN, colour=share)) for share in (0.0, 0.2))
    assert torch.equal(plain["edge"], coloured["edge"])
    assert plain["edge"].max() > 100
    ratio = coloured["image"].float().mean(dim=(2, 3)) / plain["image"].float().mean(dim=(2, 3))
    assert 0.75 < ratio.min() < 0.98 and 1.02 < ratio.max() < 1.25


@pytest.mark.parametrize("layout", ["h36m17", "coco17"])
def test_a_detector_gives_the_joints_of_its_layout(layout: str, people: People) -> None:
    batch = draw(people, replace(PLAIN, layouts={layout: 1.0}), batch=32)
    given = (batch["visible"] > 0).any(dim=0).numpy()
    assert not (given & ~available30(layout)).any()
    assert given.sum() > 0.8 * available30(layout).sum()


def test_hidden_joints_are_mostly_missed(people: People) -> None:
    batch = draw(people, replace(PLAIN, hidden_missed=0.8), batch=200)
    hidden = (batch["hidden"] > 0) & (batch["labelled"] > 0)
    assert 0.1 < batch["visible"][hidden].mean() < 0.3
    assert batch["visible"][~hidden & (batch["labelled"] > 0)].mean() > 0.95  # some lie outside the crop


def test_detectors_err(people: People) -> None:
    batch = draw(people, replace(PLAIN, errors=True), batch=64)
    seen = batch["visible"] > 0
    away = (batch["kpts"] - batch["true_kpts"])[seen].norm(dim=-1)
    assert 0.01 < away.median() < 0.2
    assert away.max() > 0.15


def test_what_is_not_seen_is_zero(people: People) -> None:
    batch = draw(people, ImageConfig(size=32), batch=64)
    assert not batch["kpts"][batch["visible"] == 0].any()
    assert batch["kpts"].abs().max() <= 1
    assert (batch["visible"].sum(dim=1) >= 2).all()


def test_edges_of_a_kind_are_made_of_the_coloured_crop(people: People) -> None:
    pytest.importorskip("kornia")
    from occpose_core.models.edges import edge_source

    batch = draw(people, replace(PLAIN, edges="canny", colour=0.2), batch=4)
    torch.testing.assert_close(batch["made_edge"], edge_source("canny")(batch["image"].float() / 255))


def test_draws_repeat_by_seed_and_differ_otherwise(people: People) -> None:
    def first(seed: int, step: int = 0, rank: int = 0) -> torch.Tensor:
        return next(iter(PersonImages(people, ImageConfig(size=32), 4, seed, step, rank)))["kpts"]

    same, again = first(0), first(0)
    assert torch.equal(same, again)
    for other in (first(1), first(0, step=10), first(0, rank=1)):
        assert not torch.equal(same, other)
    images = PersonImages(people, ImageConfig(size=32), 4, 0)
    epochs = [next(iter(images))["kpts"] for _ in range(2)]
    assert torch.equal(epochs[0], same) and not torch.equal(epochs[0], epochs[1])


def test_people_with_3d_and_without_are_drawn_equally_often(people: People) -> None:
    flat = [replace(person, joints_cam_m=None, fit_ok=False) for person in people.persons[:2]]
    both = with_fits([*people.persons, *flat], "capsules")
    probability = both.probabilities()
    assert probability.sum() == pytest.approx(1) and probability[-2:].sum() == pytest.approx(0.5)
    batch = draw(both, PLAIN, batch=32)
    missing = batch["has_3d"][:, 0] == 0
    assert missing.any() and not missing.all()
    for name in ("joints", "located", "has_fit", "fit_joints"):
        assert not batch[name][missing].any() and batch[name][~missing].any()


# The segment of a JPEG file that asks viewers for half a turn: EXIF's orientation 3.
_HALF_TURN = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0"


def _no_picture(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.write_bytes(b"text")


def _small_picture(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        cv2.imwrite(str(path), np.zeros((8, 8, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(_no_picture, "is no picture that can be read", id="text"),
        pytest.param(_small_picture, "has 8 x 8 pixels, but its labels are for 96 x 80", id="another size"),
    ],
)
def test_pictures_that_are_none_are_named(damage: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    folder = write_rendered(tmp_path / "rendered", images=1, splits=("train",))
    damage(folder)
    people = read_people({"rendered": folder}, "train", "capsules")
    with pytest.raises(DatasetError, match=says):
        draw(people, PLAIN)


def test_pictures_are_not_turned_as_their_cameras_wish(tmp_path: Path) -> None:
    folder = write_rendered(tmp_path / "rendered", images=1, splits=("train",))
    upright = draw(read_people({"rendered": folder}, "train", "capsules"), PLAIN)
    for path in (folder / "images").iterdir():
        jpeg = path.read_bytes()
        path.write_bytes(jpeg[:2] + _HALF_TURN + jpeg[2:])
    turned = draw(read_people({"rendered": folder}, "train", "capsules"), PLAIN)
    torch.testing.assert_close(turned["image"], upright["image"])


def test_a_set_of_another_body_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has poses of the body 'capsules', not of .*; give data.body capsules"):
        read_people({"rendered": folder}, "train", str(tmp_path))


def test_a_person_of_a_failed_loss_is_named(folder: Path) -> None:
    data = ImagePeople(folder, image=ImageConfig(size=32), batch_size=2, validation_people=2, workers=0)
    data.val_dataloader()
    assert data.origin("val", 0, 0).startswith(f"image {folder}")


def test_poses_are_mirrored_without_reflecting_the_body(folder: Path) -> None:
    batch = next(iter(BodyPoses(folder, batch_size=64).draws("train", 64)))
    torch.testing.assert_close(torch.det(batch["pose"]), torch.ones(64, 24), atol=1e-5, rtol=0)
    assert len({round(float(value), 4) for value in batch["pose"][:, 1, 0, 1]}) > 8, "eight people and their mirrors"
