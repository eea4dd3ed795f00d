"""Sets in COCO's format with bodies that others fitted to their 2D joints: COCO itself, MPII, CrowdPose.

FOLDER/annotations/*.json of the authors, images as they name them, and beside the annotations a JSON file of fits
(NeuralAnnot's, or SMPLify-X' for COCO): annotation id -> smpl_param {pose (72), shape (10), trans (3)}, cam_param
{focal (2), princpt (2)}. A fitted person has the fit's own camera, others a guessed one: only there do image and body
agree. Source: the directories of 3DCrowdNet (github.com/hongsukchoi/3DCrowdNet_RELEASE), NeuralAnnot's readme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.files import read_body
from occpose_core.body.joints import SMPL30, smpl30_from_layout
from occpose_core.dataset import DatasetError
from occpose_core.imagesets.annotations import (
    ImageFiles,
    by_id,
    guessed_camera,
    numbers,
    overlapping,
    pinhole,
    read_json,
    rows_of,
)
from occpose_core.imagesets.fits import Fits, fit_error_px, fits_of, fitted_joints_m
from occpose_core.imagesets.types import JOINTS, ImagePerson, ImageSet
from occpose_core.skeleton import get_skeleton

# The fit must be so near to the labels: 3 pixels of 64 of a crop that is a quarter larger than the box.
_WORST_OF_BOX = 3 / 64 * 1.25
_WORST_GIVEN = 5.0  # of the error that a fit gives for itself, pixels of 64
_HIDDEN = 1
_LIMBS = "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist"


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where a set has its files; keys are splits.

    joints: a layout's name, or the file's joints as SMPL30 calls them. fits: file names that it may have. marked:
    whether a keypoint's third number says that it is hidden. turned: splits whose images' widths and heights are
    exchanged in the file.
    """

    name: str
    joints: str | tuple[str, ...]
    annotations: Mapping[str, str]
    images: Mapping[str, str]
    fits: Mapping[str, tuple[str, ...]]
    get: str
    marked: bool = True
    turned: tuple[str, ...] = ()


COCO = Files(
    name="coco",
    joints="coco17",
    annotations={"train": "person_keypoints_train2017.json", "val": "person_keypoints_val2017.json"},
    images={"train": "images/train2017", "val": "images/val2017"},
    fits={"train": ("MSCOCO_train_SMPL_NeuralAnnot.json", "coco_smplifyx_train.json")},
    get="get COCO 2017 from cocodataset.org and the fits from github.com/mks0601/NeuralAnnot_RELEASE",
)
MPII = Files(
    name="mpii",
    joints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "neck", "head", "head_top"),
        *_LIMBS.split(),
    ),
    annotations={"train": "train.json"},
    images={"train": ""},
    fits={"train": ("MPII_train_SMPL_NeuralAnnot.json",)},
    get="get MPII's parsed data as 3DCrowdNet's directory page says, and the fits of NeuralAnnot_RELEASE",
    marked=False,
)
CROWDPOSE = Files(
    name="crowdpose",
    joints=(
        *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist") for side in ("left", "right")),
        *(f"{side}_{joint}" for joint in ("hip", "knee", "ankle") for side in ("left", "right")),
        *("head_top", "neck"),
    ),
    annotations={split: f"crowdpose_{split}.json" for split in ("train", "val", "test")},
    images=dict.fromkeys(("train", "val", "test"), "images"),
    fits={split: (f"CrowdPose_{split}_SMPL_NeuralAnnot.json",) for split in ("train", "val")},
    get="get CrowdPose from github.com/Jeff-sjtu/CrowdPose, and the fits of NeuralAnnot_RELEASE",
    turned=("train",),
)


def _read(files: Files, folder: Path, split: str = "", *, allow_pickle: bool = False, body: str = "") -> ImageSet:
    """The people of a split, or of all whose annotations are there, who have any joint. Raises DatasetError."""
    there = [name for name, file in files.annotations.items() if (folder / "annotations" / file).is_file()]
    if not there:
        raise DatasetError(
            f"{folder} has no annotations/{next(iter(files.annotations.values()))}; {files.get} (docs/data.md)"
        )
    people = [person for name in there if split in ("", name) for person in _people(files, folder, name, body)]
    return ImageSet(name=files.name, folder=folder, body="smpl", license="", people=tuple(people))


read_coco, read_mpii, read_crowdpose = (partial(_read, files) for files in (COCO, MPII, CROWDPOSE))


def _people(files: Files, folder: Path, split: str, body: str) -> list[ImagePerson]:
    path = folder / "annotations" / files.annotations[split]
    content, _ = read_json(path, ("images", "annotations"), files.get)
    images = by_id(rows_of(content, "images", ("id", "file_name", "width", "height"), path, files.get))
    rows = rows_of(content, "annotations", ("id", "image_id", "bbox", "keypoints"), path, files.get)
    rows = [row for row in rows if not row.get("iscrowd") and row["image_id"] in images]
    kpts_px, labelled, hidden = _keypoints(files, rows, path)
    boxes_px = numbers((row["bbox"] for row in rows), (4,), "bbox", path)
    kept = np.flatnonzero(labelled.any(axis=1) & (boxes_px[:, 2:] > 0).all(axis=1))
    rows, kpts_px, labelled, hidden = [rows[person] for person in kept], kpts_px[kept], labelled[kept], hidden[kept]
    boxes_px = boxes_px[kept]
    near = overlapping(boxes_px, [row["image_id"] for row in rows])
    whole, fits_path = _read_fits(files, folder, split)
    of_row = [whole.get(str(row["id"])) for row in rows]
    fits = fits_of([fit and fit.get("smpl_param") for fit in of_row], fits_path)
    given = [whole[str(rows[person]["id"])] for person in fits.people]
    bodies = fits.bodies(_good(fits, given, kpts_px, labelled, boxes_px, body, fits_path))
    found = ImageFiles(folder / files.images[split], folder / "edges" / files.images[split], files.get)
    return [
        ImagePerson(
            **_of_image(files, images[row["image_id"]], split, of_row[person], found, path),
            kpts_px=kpts_px[person],
            labelled=labelled[person],
            hidden=hidden[person],
            subject=f"{files.name} {row['id']}",
            box_px=boxes_px[person],
            others_px=kpts_px[near[person]],
            others_labelled=labelled[near[person]],
            **bodies.get(person, {}),
        )
        for person, row in enumerate(rows)
    ]


def _of_image(
    files: Files, row: Mapping[str, Any], split: str, fit: Mapping[str, Any] | None, found: ImageFiles, path: Path
) -> dict[str, Any]:
    """Image and camera of a person who may have a fit."""
    if split in files.turned:
        row = {**row, "width": row["height"], "height": row["width"]}
    camera = guessed_camera(row, path) if fit is None else pinhole(row, *_of_camera(fit), path)
    return {**found.of(str(row["file_name"]), camera), "split": split, "scene": str(row["id"])}


def _keypoints(
    files: Files, rows: Sequence[Mapping[str, Any]], path: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (P, 30, 2), labelled and hidden (P, 30), of SMPL30."""
    joints = files.joints if isinstance(files.joints, tuple) else get_skeleton(files.joints).joints
    given = numbers((row["keypoints"] for row in rows), (len(joints), 3), "keypoints", path)
    xy, mark = given[..., :2], given[..., 2]
    # a joint between two others is as good as the worse of them: not labelled 0, hidden 1/2, seen 1
    score = np.where(mark <= 0, 0.0, np.where(files.marked & (mark == _HIDDEN), 0.5, 1.0)).astype(np.float32)
    if isinstance(files.joints, str):
        kpts_px, quality = smpl30_from_layout(xy, score, files.joints)
    else:
        at = [SMPL30.index(joint) for joint in files.joints]
        kpts_px, quality = np.zeros((len(rows), JOINTS, 2), np.float32), np.zeros((len(rows), JOINTS), np.float32)
        kpts_px[:, at], quality[:, at] = xy, score
    return kpts_px, quality > 0, quality == 0.5


def _read_fits(files: Files, folder: Path, split: str) -> tuple[dict[str, Any], Path]:
    """Annotation id -> fit, of the first file that is there, or nothing; and its path."""
    paths = [folder / "annotations" / name for name in files.fits.get(split, ())]
    path = next((path for path in paths if path.is_file()), folder)
    content = read_json(path, (), files.get)[0] if path.is_file() else {}
    return {key: fit for key, fit in content.items() if isinstance(fit, dict)}, path


def _of_camera(fit: Mapping[str, Any]) -> tuple[Any, Any]:
    camera = fit.get("cam_param")
    return (camera.get("focal"), camera.get("princpt")) if isinstance(camera, dict) else (None, None)


def _good(
    fits: Fits,
    whole: Sequence[Mapping[str, Any]],
    kpts_px: np.ndarray,
    labelled: np.ndarray,
    boxes_px: np.ndarray,
    body: str,
    path: Path,
) -> np.ndarray:
    """(N,) bool: the fit's joints are near the labelled ones, as the file says and, with a body, as the image says.

    whole: N, the file's entries with cameras; the rest is of all people of the file.
    """
    good = numbers((fit.get("fit_err", 0.0) for fit in whole), (), "fit_err", path) <= _WORST_GIVEN
    if not body:
        return good
    trans = numbers((row.get("trans") for row in fits.rows), (3,), "the fitted trans", path)
    focal, centre = (numbers((_of_camera(fit)[part] for fit in whole), (2,), "cam_param", path) for part in (0, 1))
    joints_cam_m = fitted_joints_m(read_body(body), fits.pose, fits.shape) + trans[:, None]
    away_px = fit_error_px(joints_cam_m, focal, centre, kpts_px[fits.people], labelled[fits.people])
    return np.asarray(good & (away_px <= _WORST_OF_BOX * boxes_px[fits.people, 2:].max(axis=1)))
