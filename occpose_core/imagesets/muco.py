"""MuCo-3DHP's images (people of MPI-INF-3DHP put together) with bodies that others fitted, in 3DCrowdNet's files.

FOLDER/MuCo-3DHP.json (COCO's format; an image has f, c of its camera, a person keypoints_cam (21, 3) mm and
keypoints_img (21, 2)), FOLDER/smpl_param.json (annotation id -> pose, shape, trans), images as the first file names
them. It is for training, and of each image only the person nearest to the camera is taken, as there: the others may be
hidden altogether. Source: 3DCrowdNet's directory page.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from occpose_core.body.joints import SMPL30
from occpose_core.imagesets.annotations import (
    ImageFiles,
    by_id,
    inside,
    numbers,
    overlapping,
    pinhole,
    read_json,
    rows_of,
)
from occpose_core.imagesets.fits import fits_of
from occpose_core.imagesets.types import JOINTS, ImagePerson, ImageSet

_ARMS = "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist"
_LEGS = "right_hip right_knee right_ankle left_hip left_knee left_ankle"
# The set's joints as SMPL30 calls them: its thorax is SMPL's neck, its spine SMPL's spine2, its toes SMPL's feet.
MUCO21 = tuple(f"head_top neck {_ARMS} {_LEGS} pelvis spine2 head right_hand left_hand right_foot left_foot".split())
_AT = np.array([SMPL30.index(joint) for joint in MUCO21])
_PELVIS = MUCO21.index("pelvis")
FILE, FITS = "MuCo-3DHP.json", "smpl_param.json"
_GET = "get MuCo-3DHP as 3DCrowdNet's directory page says (MPI-INF-3DHP's licence)"
_IMAGE_KEYS = ("id", "file_name", "width", "height", "f", "c")
_PERSON_KEYS = ("id", "image_id", "bbox", "keypoints_cam", "keypoints_img")
_MM = 1000.0


def read(folder: Path, split: str = "", *, allow_pickle: bool = False, body: str = "") -> ImageSet:
    """The nearest person of each image; nobody of other splits than train. Raises DatasetError."""
    return _read(folder, split, body, nearest=True)


def read_everybody(folder: Path, split: str = "", *, allow_pickle: bool = False, body: str = "") -> ImageSet:
    """As read, but all people of each image."""
    return _read(folder, split, body, nearest=False)


def _read(folder: Path, split: str, body: str, nearest: bool) -> ImageSet:
    people = _people(folder, body, nearest) if split in ("", "train") else []
    return ImageSet(name="muco", folder=folder, body="smpl", license="", people=tuple(people))


def _people(folder: Path, body: str, nearest: bool) -> list[ImagePerson]:
    path = folder / FILE
    content, _ = read_json(path, ("images", "annotations"), _GET)
    images = by_id(rows_of(content, "images", _IMAGE_KEYS, path, _GET))
    rows = [row for row in rows_of(content, "annotations", _PERSON_KEYS, path, _GET) if row["image_id"] in images]
    image_of = [row["image_id"] for row in rows]
    boxes_px = numbers((row["bbox"] for row in rows), (4,), "bbox", path)
    kpts_px, joints_cam_m = np.zeros((len(rows), JOINTS, 2), np.float32), np.zeros((len(rows), JOINTS, 3), np.float32)
    kpts_px[:, _AT] = numbers((row["keypoints_img"] for row in rows), (len(MUCO21), 2), "keypoints_img", path)
    joints_cam_m[:, _AT] = numbers((row["keypoints_cam"] for row in rows), (len(MUCO21), 3), "keypoints_cam", path)
    joints_cam_m /= _MM
    known = np.isin(np.arange(JOINTS), _AT)
    near = overlapping(boxes_px, image_of)
    fits_path = folder / FITS
    whole = read_json(fits_path, (), _GET)[0] if fits_path.is_file() else {}
    fits = fits_of([whole.get(str(row["id"])) for row in rows], fits_path)
    bodies = fits.bodies(fits.near(joints_cam_m, np.tile(known, (len(rows), 1)), body, fits_path))
    found = ImageFiles(folder, folder / "edges", _GET)
    people = []
    for person in _nearest(image_of, joints_cam_m[:, _AT[_PELVIS], 2]) if nearest else range(len(rows)):
        image = images[image_of[person]]
        camera = pinhole(image, image["f"], image["c"], path)
        people.append(
            ImagePerson(
                **found.of(str(image["file_name"]), camera),
                kpts_px=kpts_px[person],
                labelled=known & inside(kpts_px[person], camera),
                hidden=np.zeros(JOINTS, dtype=bool),
                joints_cam_m=joints_cam_m[person],
                located=known,
                subject=f"muco {rows[person]['id']}",
                split="train",
                scene=str(image["id"]),
                box_px=boxes_px[person],
                others_px=kpts_px[near[person]],
                others_labelled=np.tile(known, (len(near[person]), 1)),
                **bodies.get(person, {}),
            )
        )
    return people


def _nearest(image_of: list[int | str], depth_m: np.ndarray) -> list[int]:
    """The person of each image who is nearest to the camera."""
    nearest: dict[int | str, int] = {}
    for person, image in enumerate(image_of):
        if image not in nearest or depth_m[person] < depth_m[nearest[image]]:
            nearest[image] = person
    return list(nearest.values())
