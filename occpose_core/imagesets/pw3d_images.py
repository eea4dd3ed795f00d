"""3DPW's images with the bodies that belong to them: FOLDER/sequenceFiles (pw3d_files.py) and FOLDER/imageFiles.

Keypoints are SMPL's 24 joints as the camera sees them, detected ones OpenPose's, with what it gave less than 0.05
missing, as the papers have it. Bodies are of the person's own sex: their shapes are not the neutral model's. Beside the
set's own splits there are those that papers measure occlusion on, from all sequences: "occ" (by objects, 3DPW-OC) and
"pc" (by people, 3DPW-PC), as Sun et al., ROMP, ICCV 2021, released them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.joints import SMPL24, smpl30_from_layout
from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.imagesets.annotations import ImageFiles, inside, overlapping
from occpose_core.imagesets.fits import rotated_root
from occpose_core.imagesets.pw3d_files import (
    GET,
    SPLITS,
    camera_of,
    joints_world_m,
    of_person,
    read_sequence,
    sequence_files,
)
from occpose_core.imagesets.types import JOINTS, SHAPES, ImagePerson, ImageSet
from occpose_core.safe_pickle import need_keys
from occpose_core.types import Camera

_GET_IMAGES = f"{GET}, and imageFiles.zip beside it"
_LEAST_SCORE = 0.05
_BEYOND_JOINTS = 1.2  # of the box of the joints: a head and hands stick out of it
_SEXES = {"m": "male", "f": "female"}
_SMPL24 = slice(0, len(SMPL24))
_OBJECTS = {
    "courtyard": "backpack basketball bodyScannerMotions box golf jacket laceShoe",
    "downtown": "stairs",
    "flat": "guitar packBags",
    "outdoors": "climbing crosscountry fencing freestyle golf parcours slalom",
}
_BY_OBJECTS = frozenset(f"{place}_{name}" for place, names in _OBJECTS.items() for name in names.split())
# sequence -> first frame, and the one after the last
_BY_PEOPLE = {
    "courtyard_basketball_00": (200, 280),
    "courtyard_captureSelfies_00": (500, 600),
    "courtyard_dancing_00": (60, 370),
    "courtyard_dancing_01": (60, 270),
    "courtyard_hug_00": (100, 500),
    "downtown_bus_00": (1620, 1900),
}


def _behind_people(sequence: str, frame: int) -> bool:
    first, after = _BY_PEOPLE.get(sequence, (0, 0))
    return first <= frame < after


SUBSETS: dict[str, Callable[[str, int], bool]] = {
    "occ": lambda sequence, frame: sequence.rpartition("_")[0] in _BY_OBJECTS,
    "pc": _behind_people,
}


def read(folder: Path, split: str = "", *, allow_pickle: bool = False, body: str = "") -> ImageSet:
    """The people of a split or a key of SUBSETS, where the camera's place is known. Raises DatasetError."""
    chosen = SUBSETS.get(split, lambda sequence, frame: True)
    files = [path for path in sequence_files(folder) if split in ("", SPLITS[path.parent.name], *SUBSETS)]
    people = [person for path in files for person in _sequence(path, folder, allow_pickle, chosen)]
    return ImageSet(name="3dpw", folder=folder, body="smpl", license="", people=tuple(people))


def _sequence(path: Path, folder: Path, allow_pickle: bool, chosen: Callable[[str, int], bool]) -> list[ImagePerson]:
    name = path.stem
    content = read_sequence(path, allow_pickle)
    need_keys(content, ("poses", "betas", "genders"), path, GET)
    camera = camera_of(content)
    files = ImageFiles(folder / "imageFiles" / name, folder / "edges" / name, _GET_IMAGES)
    rows = [
        row
        for person in range(len(content["jointPositions"]))
        for row in _person(content, person, camera, path)
        if chosen(name, row["frame"])
    ]
    boxes_px = np.array([row["box_px"] for row in rows]).reshape(-1, 4)
    near = overlapping(boxes_px, [row["frame"] for row in rows])
    people = []
    for row, others in zip(rows, near, strict=True):
        fields = {key: value for key, value in row.items() if key != "frame"}
        people.append(
            ImagePerson(
                **files.of(f"image_{row['frame']:05d}.jpg", camera),
                **fields,
                split=SPLITS[path.parent.name],
                scene=name,
                others_px=np.array([rows[other]["kpts_px"] for other in others]).reshape(-1, JOINTS, 2),
                others_labelled=np.array([rows[other]["labelled"] for other in others]).reshape(-1, JOINTS),
            )
        )
    return people


def _person(content: dict[str, Any], person: int, camera: Camera, path: Path) -> list[dict[str, Any]]:
    """One person's frames in which the camera's place is known and a joint is in the image."""
    world_m = joints_world_m(content, person, path)
    pose = of_person(content, "poses", person, (len(SMPL24) * 3,), path).reshape(-1, len(SMPL24), 3)
    seen = of_person(content, "poses2d", person, (3, 18), path)
    valid = np.asarray(content["campose_valid"][person]).astype(bool)
    cam_from_world = np.asarray(content["cam_poses"], dtype=np.float64)
    lengths = {len(world_m), len(pose), len(seen), len(valid), len(cam_from_world)}
    shape = np.asarray(content["betas"][person], dtype=np.float32).ravel()[:SHAPES]
    if len(lengths) != 1 or len(shape) != SHAPES:
        raise DatasetError(f"{path}: person {person} must have as many of all frames, and ten betas; {GET}")
    R, t_m = cam_from_world[:, :3, :3], cam_from_world[:, :3, 3]
    joints_cam_m = np.zeros((len(world_m), JOINTS, 3), dtype=np.float32)
    joints_cam_m[:, _SMPL24] = np.einsum("tij,tkj->tki", R, world_m) + t_m[:, None]
    kpts_px = np.zeros((len(world_m), JOINTS, 2), dtype=np.float32)
    kpts_px[:, _SMPL24] = px_from_cam(joints_cam_m[:, _SMPL24], camera)
    located = np.arange(JOINTS) < len(SMPL24)
    labelled = located & inside(kpts_px, camera) & (joints_cam_m[..., 2] > 0)
    score = np.where(seen[:, 2] > _LEAST_SCORE, np.minimum(seen[:, 2], 1.0), 0.0).astype(np.float32)
    detected_px, detected_score = smpl30_from_layout(np.moveaxis(seen[:, :2], 1, -1), score, "openpose18")
    pose = rotated_root(pose, R, path)
    return [
        {
            "frame": int(frame),
            "kpts_px": kpts_px[frame],
            "labelled": labelled[frame],
            "hidden": np.zeros(JOINTS, dtype=bool),
            "joints_cam_m": joints_cam_m[frame],
            "located": located,
            "pose": pose[frame],
            "shape": shape,
            "fit_ok": True,
            "gender": _SEXES.get(str(content["genders"][person]), "neutral"),
            "detected_px": detected_px[frame],
            "detected_score": detected_score[frame],
            "subject": f"{path.stem}/{person}",
            "box_px": _box_px(kpts_px[frame, _SMPL24], camera),
        }
        for frame in np.flatnonzero(valid & labelled.any(axis=1))
    ]


def _box_px(kpts_px: np.ndarray, camera: Camera) -> np.ndarray:
    """(4,) x, y, width, height around joints (J, 2), cut to the image."""
    low, high = kpts_px.min(axis=0), kpts_px.max(axis=0)
    beyond = (_BEYOND_JOINTS - 1) / 2 * (high - low)
    limit = np.array([camera.width - 1, camera.height - 1])
    low, high = np.clip(low - beyond, 0, limit), np.clip(high + beyond, 0, limit)
    return np.concatenate([low, high - low]).astype(np.float32)
