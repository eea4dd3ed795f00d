"""Human3.6M in the pickles of LCN (github.com/CHUNYUWANG/lcn-pose): one entry a picture, in `h36m17`'s order.

`h36m_train.pkl`, `h36m_test.pkl`  list of dicts: joint_3d_image (17, 3) px, joint_3d_camera (17, 3) mm, camera_param,
    root_depth mm, box, center, scale, action 2..16, subject, subaction, cameraid, imageid
`h36m_sh_dt_ft.pkl`                train and test, a detector's joints in the order of the lists: joint3d_image
    (N, 17, >= 2) px and confidence (N, 17, 1)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.safe_pickle import load_pickle, need_keys
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from training.data.h36m import RATE_HZ, TEST_SUBJECTS, TRAINING_SUBJECTS, VALIDATION_SUBJECTS, split_of
from training.data.h36m_cameras import h36m_cameras
from training.data.recording import Recording

# By the data set's number of the action, from 2 on; named as VideoPose3D's files have them.
ACTIONS = dict(
    enumerate(
        (
            *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting"),
            *("SittingDown", "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether"),
        ),
        start=2,
    )
)
KEYS = (
    *("joint_3d_image", "joint_3d_camera", "camera_param", "root_depth", "box", "center", "scale"),
    *("action", "subject", "subaction", "cameraid", "imageid"),
)
LENS_KEYS = ("fx", "fy", "cx", "cy", "k", "p")
_SUBJECTS = [int(subject[1:]) for subject in (*TRAINING_SUBJECTS, *TEST_SUBJECTS)]
_PARTS = ("train", "test")
_JOINTS = len(H36M17.joints)
_PELVIS = H36M17.index("pelvis")
_WHAT, _WHAT_DETECTED = "Human3.6M poses of LCN", "Human3.6M detections of LCN"
_GET = "the README of github.com/CHUNYUWANG/lcn-pose links the files"
_SAME_LENS_PX = 3.0  # the four cameras' focal lengths or centres are farther apart than that
_MOST_ERROR_PX = 5.0  # of a projection onto the given 2D, in the mean
_MM = 1e-3
_GAP = 1.5  # usual steps in time: more is a gap


@dataclass(frozen=True, kw_only=True, eq=False)
class _Detected:
    """A detector's joints for all entries of a list: kpts_px (N, 17, 2) and score (N, 17)."""

    kpts_px: np.ndarray
    score: np.ndarray


def read(
    files: Sequence[str | Path],
    allow_pickle: bool = False,
    validation_subjects: Sequence[str] = VALIDATION_SUBJECTS,
) -> Iterator[Recording]:
    """Every recording: the entries of one subject, action, part of it and camera, in the order of time.

    files: the lists, and perhaps the detections, in any order; the 2D is the detector's where there are detections,
    else the true one. Entries that lack neighbours in time start a recording of their own. Raises DatasetError.
    """
    contents = {Path(file): load_pickle(file, allow_pickle, _WHAT, _GET) for file in files}
    detections = {path: content for path, content in contents.items() if isinstance(content, dict)}
    lists = {path: content for path, content in contents.items() if path not in detections}
    if not lists or len(detections) > 1:
        names = ", ".join(path.name for path in contents)
        raise DatasetError(f"expected h36m_train.pkl, h36m_test.pkl or both, and one file of detections, got {names}")
    return (
        recording
        for path, content in lists.items()
        for recording in _recordings(path, _checked(path, content), detections, validation_subjects)
    )


def _checked(path: Path, content: Any) -> list[dict[str, Any]]:
    """The entries of a list; DatasetError unless all are complete and of the right shape."""
    if not isinstance(content, list) or not content:
        raise DatasetError(f"{path} must hold a list of poses, got {type(content).__name__}; {_GET}")
    for index, entry in enumerate(content):
        _check(entry, path, f"entry {index}")
    return content


def _check(entry: Any, path: Path, where: str) -> None:
    """Raise DatasetError unless an entry is as it should be."""
    if not isinstance(entry, dict):
        raise DatasetError(f"{path}: {where} must be a dict, got {type(entry).__name__}; {_GET}")
    need_keys(entry, KEYS, path, _GET, where)
    need_keys(entry["camera_param"], LENS_KEYS, path, _GET, f"{where}, camera_param")
    for key, known in (("action", [*ACTIONS]), ("subject", _SUBJECTS)):
        if entry[key] not in known:
            raise DatasetError(f"{path}: {where} has {key} {entry[key]!r}, which is none of {known}; {_GET}")
    for key in ("joint_3d_image", "joint_3d_camera"):
        if np.shape(entry[key]) != (_JOINTS, 3):
            raise DatasetError(
                f"{path}: {where}, {key} must have shape ({_JOINTS}, 3), got {np.shape(entry[key])}; {_GET}"
            )
    pelvis_mm, given_mm = entry["joint_3d_camera"][_PELVIS][2], float(np.ravel(entry["root_depth"])[0])
    if not abs(pelvis_mm - given_mm) < 1.0:
        raise DatasetError(
            f"{path}: {where} has its pelvis at {pelvis_mm:g} mm and root_depth {given_mm:g} mm; expected the same,"
            f" in mm; {_GET}"
        )


def _recordings(
    path: Path, entries: list[dict[str, Any]], detections: Mapping[Path, Any], validation_subjects: Sequence[str]
) -> Iterator[Recording]:
    detected = _detected(path, entries, detections)
    for rows in _views(entries):
        split = split_of(_subject(entries[rows[0]]), validation_subjects)
        imageids = np.array([int(entries[row]["imageid"]) for row in rows])
        steps = np.diff(imageids)
        step = float(np.median(steps)) if len(steps) else 1.0
        for part in np.split(rows, np.flatnonzero(steps > _GAP * step) + 1):
            yield _recording(path, entries, part, detected, RATE_HZ / step, split)


def _views(entries: list[dict[str, Any]]) -> Iterable[np.ndarray]:
    """Rows (N,) of the entries of one view each, in the order of time."""
    views: dict[tuple[int, ...], list[int]] = {}
    for row, entry in enumerate(entries):
        view = tuple(int(entry[key]) for key in ("subject", "action", "subaction", "cameraid"))
        views.setdefault(view, []).append(row)
    return (np.array(sorted(rows, key=lambda row: int(entries[row]["imageid"]))) for rows in views.values())


def _subject(entry: Mapping[str, Any]) -> str:
    return f"S{int(entry['subject'])}"


def _recording(
    path: Path,
    entries: list[dict[str, Any]],
    rows: np.ndarray,
    detected: _Detected | None,
    rate_hz: float,
    split: str,
) -> Recording:
    first = entries[rows[0]]
    subject, action = _subject(first), ACTIONS[int(first["action"])]
    true_px, joints_mm = (
        np.array([entries[row][key] for row in rows], dtype=np.float32) for key in ("joint_3d_image", "joint_3d_camera")
    )
    name = f"{subject}/{action} {int(first['subaction'])}/{int(first['cameraid'])}/{int(first['imageid'])}"
    joints_cam_m = joints_mm * np.float32(_MM)
    camera = _camera(first["camera_param"], true_px[..., :2], joints_cam_m, f"{path}: {name}", detected is not None)
    return Recording(
        name=name,
        subject=subject,
        action=action,
        camera_name=camera.frame_id,
        rate_hz=rate_hz,
        kpts_px=detected.kpts_px[rows] if detected else true_px[..., :2],
        score=detected.score[rows] if detected else None,
        joints_cam_m=joints_cam_m,
        camera=camera,
        split=split,
    )


def _camera(
    given: Mapping[str, Any], true_px: np.ndarray, joints_cam_m: np.ndarray, where: str, distorted: bool
) -> Camera:
    """The lens as given, with the image size of the one of Human3.6M's cameras that it is; it must fit 2D and 3D.

    The lists' own 2D may be made with or without the lens's distortion; a detector's is seen through the lens.
    """
    fx, fy, cx, cy = (float(np.ravel(given[key])[0]) for key in ("fx", "fy", "cx", "cy"))
    (k1, k2, k3), (p1, p2) = np.ravel(given["k"]), np.ravel(given["p"])
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    name, known = min(h36m_cameras().items(), key=lambda item: float(np.abs(item[1].K - K).max()))
    if np.abs(known.K - K).max() > _SAME_LENS_PX:
        raise DatasetError(
            f"{where}: focal length {fx:.0f}, {fy:.0f} and centre {cx:.0f}, {cy:.0f} are of none of Human3.6M's cameras"
        )
    lens = Camera(
        width=known.width,
        height=known.height,
        K=K,
        D=np.array([k1, k2, p1, p2, k3]),
        distortion_model="plumb_bob",
        frame_id=name,
    )
    pinhole = replace(lens, D=np.zeros(0), distortion_model="none")
    errors = {each: float(np.abs(px_from_cam(joints_cam_m, each) - true_px).mean()) for each in (lens, pinhole)}
    if not min(errors.values()) < _MOST_ERROR_PX:
        raise DatasetError(
            f"{where}: joint_3d_camera projects {min(errors.values()):.0f} px away from joint_3d_image; expected mm in"
            " the camera's frame and px"
        )
    return lens if distorted else min(errors, key=lambda each: errors[each])


def _detected(path: Path, entries: list[dict[str, Any]], detections: Mapping[Path, Any]) -> _Detected | None:
    """The detector's joints for a list, whichever part of the file belongs to its subjects."""
    if not detections:
        return None
    ((file, content),) = detections.items()
    parts = {_PARTS[_subject(entry) in TEST_SUBJECTS] for entry in entries}
    if len(parts) > 1:
        raise DatasetError(f"{path} has subjects for training and for testing, so {file} does not fit; {_GET}")
    part = parts.pop()
    need_keys(content, [part], file, _GET)
    need_keys(content[part], ["joint3d_image", "confidence"], file, _GET, part)
    kpts_px, score = (np.asarray(content[part][key], dtype=np.float32) for key in ("joint3d_image", "confidence"))
    expected = (len(entries), _JOINTS)
    if kpts_px.shape[:2] != expected or kpts_px.ndim != 3 or kpts_px.shape[2] < 2 or score.shape != (*expected, 1):
        raise DatasetError(
            f"{file}: {part} must have joint3d_image {(*expected, 2)} and confidence {(*expected, 1)} for the entries"
            f" of {path}, got {kpts_px.shape} and {score.shape}; {_GET}"
        )
    kpts_px, score = kpts_px[..., :2], np.clip(score[..., 0], 0.0, 1.0)
    known = np.isfinite(kpts_px).all(axis=-1) & np.isfinite(score)
    return _Detected(kpts_px=np.where(known[..., None], kpts_px, 0.0), score=np.where(known, score, 0.0))
