"""The rendered set: images that `python -m training render` makes of recorded motion, where everything is known.

FOLDER/images/*.jpg, FOLDER/edges/*.png (of all people, also where hidden), FOLDER/annotations.json: COCO's format with
30 keypoints (v = 0 outside the image, 1 hidden, 2 seen), SMPL's parameters of the body named in `info`, joints in the
camera's axes, and each image's camera and split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.joints import SMPL24, SMPL30
from occpose_core.dataset import DatasetError
from occpose_core.imagesets.annotations import ImageFiles, by_id, numbers, overlapping, pinhole, read_json, rows_of
from occpose_core.imagesets.types import JOINTS, SHAPES, ImagePerson, ImageSet

FILE = "annotations.json"
_GET = "make the set with `python -m training render`"
_IMAGE_KEYS = ("id", "file_name", "width", "height", "split", "camera")
_PERSON_KEYS = ("image_id", "bbox", "keypoints", "smpl", "joints_cam_m", "subject")
_HIDDEN = 1  # a keypoint's third number: 0 outside the image, 2 seen


def read(folder: Path, split: str = "", *, allow_pickle: bool = False, body: str = "") -> ImageSet:
    """All people, or those of one split. Nothing is pickled, and no fit needs a body. Raises DatasetError."""
    path = folder / FILE
    content, sha256 = read_json(path, ("info", "images", "annotations", "categories"), _GET)
    images = by_id(rows_of(content, "images", _IMAGE_KEYS, path, _GET))
    rows = rows_of(content, "annotations", _PERSON_KEYS, path, _GET)
    foreign = next((row["image_id"] for row in rows if row["image_id"] not in images), None)
    if foreign is not None:
        raise DatasetError(f"{path}: a person is in image {foreign}, which it does not list; {_GET}")
    rows = [row for row in rows if split in ("", images[row["image_id"]]["split"])]
    info = content["info"] if isinstance(content["info"], dict) else {}
    people = _people(folder, images, rows, _order(content, path)) if rows else []
    return ImageSet(
        name="rendered",
        folder=folder,
        body=str(info.get("body", "capsules")),
        license=str(info.get("license", "")),
        people=tuple(people),
        sha256=sha256,
    )


def _order(content: Mapping[str, Any], path: Path) -> np.ndarray:
    """(30,) where each joint stands in the file."""
    rows = rows_of(content, "categories", ("keypoints",), path, _GET)
    names = rows[0]["keypoints"] if rows else None
    if not isinstance(names, list) or sorted(map(str, names)) != sorted(SMPL30):
        raise DatasetError(f"{path}: the keypoints of its category must be {', '.join(SMPL30)}; {_GET}")
    return np.array([names.index(name) for name in SMPL30])


def _people(
    folder: Path, images: Mapping[Any, Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], order: np.ndarray
) -> list[ImagePerson]:
    path = folder / FILE
    for row in rows:
        if not isinstance(row["smpl"], dict) or "pose" not in row["smpl"] or "shape" not in row["smpl"]:
            raise DatasetError(f"{path}: a person's smpl must have pose and shape; {_GET}")
    keypoints = numbers((row["keypoints"] for row in rows), (JOINTS, 3), "keypoints", path)[:, order]
    joints_cam_m = numbers((row["joints_cam_m"] for row in rows), (JOINTS, 3), "joints_cam_m", path)[:, order]
    pose = numbers((row["smpl"]["pose"] for row in rows), (len(SMPL24), 3), "smpl pose", path)
    shape = numbers((row["smpl"]["shape"] for row in rows), (SHAPES,), "smpl shape", path)
    boxes_px = numbers((row["bbox"] for row in rows), (4,), "bbox", path)
    share = numbers((row.get("visible_share", 1.0) for row in rows), (), "visible_share", path)
    image_of = [row["image_id"] for row in rows]
    kpts_px, labelled, hidden = keypoints[..., :2], keypoints[..., 2] > 0, keypoints[..., 2] == _HIDDEN
    near = overlapping(boxes_px, image_of)
    files = ImageFiles(folder / "images", folder / "edges", f"{_GET} again, which adds what is missing")
    shared = {key: _of_image(path, images[key], files) for key in dict.fromkeys(image_of)}
    located = np.ones(JOINTS, dtype=bool)
    return [
        ImagePerson(
            **shared[row["image_id"]],
            kpts_px=kpts_px[person],
            labelled=labelled[person],
            hidden=hidden[person],
            joints_cam_m=joints_cam_m[person],
            located=located,
            pose=pose[person],
            shape=shape[person],
            fit_ok=True,
            subject=str(row["subject"]),
            box_px=boxes_px[person],
            visible_share=float(share[person]),
            others_px=kpts_px[near[person]],
            others_labelled=labelled[near[person]],
        )
        for person, row in enumerate(rows)
    ]


def _of_image(path: Path, row: Mapping[str, Any], files: ImageFiles) -> dict[str, Any]:
    """What all people of an image have in common. Raises DatasetError if it is not there."""
    name = Path(str(row["file_name"])).name
    given = row["camera"] if isinstance(row["camera"], dict) else {}
    camera = pinhole(row, given.get("focal"), given.get("princpt"), path)
    return {**files.of(name, camera), "split": str(row["split"]), "scene": str(row["id"])}
