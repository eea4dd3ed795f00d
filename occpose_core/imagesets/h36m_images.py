"""Human3.6M's images with bodies that others fitted, in 3DCrowdNet's files; every fifth frame, as there.

FOLDER/annotations/Human36M_subject{N}_data.json (COCO's format; an image has subject, action_idx, subaction_idx,
cam_idx, frame_idx), _camera.json (camera -> R, t mm, f, c), _joint_3d.json (action -> subaction -> frame -> 17 joints,
mm, world) and _SMPL_NeuralAnnot.json or _smpl_param.json (the same keys -> pose, shape, trans, fitted_3d_pose mm).
FOLDER/images as the first file names them. The 17 joints are h36m17's. Source: 3DCrowdNet's directory page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.joints import H36M17_IN_SMPL30
from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.imagesets.annotations import ImageFiles, by_id, inside, numbers, pinhole, read_json, rows_of
from occpose_core.imagesets.fits import Fits, fits_of, rotated_root
from occpose_core.imagesets.types import JOINTS, ImagePerson, ImageSet
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera

# As in the other readers of Human3.6M: the papers train on S8 too, and choose their best epoch on the test subjects.
SUBJECTS = {"train": (1, 5, 6, 7), "val": (8,), "test": (9, 11)}
_EVERY = {"train": 5, "val": 64, "test": 64}
_TEST_CAMERA = "4"  # the one in front of the people, as the papers have it
_GET = "get Human3.6M from vision.imar.ro/human3.6m, its parsed files as 3DCrowdNet's directory page says"
_IMAGE_KEYS = ("id", "file_name", "width", "height", "action_idx", "subaction_idx", "cam_idx", "frame_idx")
_FITS = ("SMPL_NeuralAnnot", "smpl_param")
_MM = 1000.0


def read(folder: Path, split: str = "", *, allow_pickle: bool = False, body: str = "") -> ImageSet:
    """The people of a split, of the subjects whose files are there. Raises DatasetError."""
    there = {
        subject: name
        for name, subjects in SUBJECTS.items()
        for subject in subjects
        if _file(folder, subject, "data").is_file()
    }
    if not there:
        first = SUBJECTS["train"][0]
        raise DatasetError(f"{_file(folder, first, 'data')} is not there, nor any like it; {_GET} (docs/data.md)")
    chosen = {subject: name for subject, name in there.items() if split in ("", name)}
    people = [person for subject, name in chosen.items() for person in _people(folder, subject, name, body)]
    return ImageSet(name="h36m", folder=folder, body="smpl", license="", people=tuple(people))


def _file(folder: Path, subject: int, kind: str) -> Path:
    return folder / "annotations" / f"Human36M_subject{subject}_{kind}.json"


def _people(folder: Path, subject: int, split: str, body: str) -> list[ImagePerson]:
    path = _file(folder, subject, "data")
    content, _ = read_json(path, ("images", "annotations"), _GET)
    images = by_id(rows_of(content, "images", _IMAGE_KEYS, path, _GET))
    rows = [
        row
        for row in rows_of(content, "annotations", ("image_id", "bbox"), path, _GET)
        if row["image_id"] in images and _wanted(images[row["image_id"]], split, path)
    ]
    of_row = [images[row["image_id"]] for row in rows]
    cameras = _cameras(folder, subject, of_row)
    joints_world_m = _joints_world_m(folder, subject, of_row)
    boxes_px = numbers((row["bbox"] for row in rows), (4,), "bbox", path)
    located = np.isin(np.arange(JOINTS), H36M17_IN_SMPL30)
    fits, fits_path = _fits(folder, subject, of_row)
    bodies = fits.bodies(fits.near(joints_world_m, np.tile(located, (len(rows), 1)), body, fits_path))
    found = ImageFiles(folder / "images", folder / "edges", _GET)
    people = []
    for person, image in enumerate(of_row):
        camera, R, t_m = cameras[str(image["cam_idx"])]
        joints_cam_m = np.asarray(joints_world_m[person] @ R.T + t_m, dtype=np.float32)
        kpts_px = px_from_cam(joints_cam_m, camera).astype(np.float32)
        fit = dict(bodies.get(person, {}))
        if fit:
            fit["pose"] = rotated_root(fit["pose"][None], R, path)[0]
        people.append(
            ImagePerson(
                **found.of(str(image["file_name"]), camera),
                kpts_px=kpts_px,
                labelled=located & inside(kpts_px, camera),
                hidden=np.zeros(JOINTS, dtype=bool),
                joints_cam_m=joints_cam_m,
                located=located,
                subject=f"S{subject}",
                split=split,
                scene=f"S{subject} {image['action_idx']} {image['subaction_idx']}",
                box_px=boxes_px[person],
                **fit,
            )
        )
    return people


def _wanted(image: Mapping[str, Any], split: str, path: Path) -> bool:
    frame = image["frame_idx"]
    if not isinstance(frame, int):
        raise DatasetError(f"{path}: frame_idx of image {image['id']} must be a whole number, got {frame!r}; {_GET}")
    in_front = split == "train" or str(image["cam_idx"]) == _TEST_CAMERA
    return in_front and frame % _EVERY[split] == 0


def _cameras(
    folder: Path, subject: int, images: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[Camera, np.ndarray, np.ndarray]]:
    """Camera -> intrinsics, rotation (3, 3) from the world, translation (3,) m."""
    path = _file(folder, subject, "camera")
    content, _ = read_json(path, (), _GET)
    found: dict[str, tuple[Camera, np.ndarray, np.ndarray]] = {}
    for image in images:
        name = str(image["cam_idx"])
        if name in found:
            continue
        row = content.get(name)
        if not isinstance(row, dict) or not all(key in row for key in "Rtfc"):
            raise DatasetError(f"{path} must have R, t, f and c of camera {name}; {_GET}")
        R, t_mm = (numbers([row[key]], shape, key, path)[0] for key, shape in (("R", (3, 3)), ("t", (3,))))
        found[name] = pinhole(image, row["f"], row["c"], path), R.astype(np.float64), t_mm / _MM
    return found


def _of_frames(content: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What the file has of each image's frame, or None."""
    found = []
    for image in images:
        value: Any = content
        for key in ("action_idx", "subaction_idx", "frame_idx"):
            value = value.get(str(image[key])) if isinstance(value, dict) else None
        found.append(value)
    return found


def _joints_world_m(folder: Path, subject: int, images: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(P, 30, 3) of SMPL30, of meaning where h36m17 has the joint."""
    path = _file(folder, subject, "joint_3d")
    found = _of_frames(read_json(path, (), _GET)[0], images)
    if None in found:
        image = images[found.index(None)]
        raise DatasetError(f"{path} lacks the joints of image {image['file_name']}; {_GET}")
    joints_world_m = np.zeros((len(images), JOINTS, 3))
    joints_world_m[:, H36M17_IN_SMPL30] = numbers(found, (len(H36M17.joints), 3), "joints", path) / _MM
    return joints_world_m


def _fits(folder: Path, subject: int, images: Sequence[Mapping[str, Any]]) -> tuple[Fits, Path]:
    """The fits, roots in the world's axes, and the file that they are from."""
    files = [_file(folder, subject, kind) for kind in _FITS]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return fits_of([], files[0]), files[0]
    return fits_of(_of_frames(read_json(path, (), _GET)[0], images), path), path
