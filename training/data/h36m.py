"""Human3.6M in VideoPose3D's files: 3D joints of the world, and 2D joints, true or detected, of the four cameras.

`data_3d_h36m.npz`   positions_3d: subject -> action -> (T, 32, 3) m
`data_2d_h36m_*.npz` positions_2d: subject -> action -> four views (T' >= T, 17, 2) px; metadata

The files have "VideoPose3D's order" of 17 joints, which is `h36m17`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.safe_pickle import load_npz, need_keys
from occpose_core.skeleton import H36M17
from training.data.h36m_cameras import h36m_cameras, h36m_extrinsics
from training.data.recording import Recording

RATE_HZ = 50.0
TRAINING_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
# The papers choose their best epoch on the test subjects. Here one of the training subjects is kept for that.
VALIDATION_SUBJECTS = ("S8",)
# The recorded 32 joints by name; the others stand twice, or are fingers and toes.
_NAMES = (
    "pelvis right_hip right_knee right_ankle - - left_hip left_knee left_ankle - - - spine thorax nose head_top -"
    " left_shoulder left_elbow left_wrist - - - - - right_shoulder right_elbow right_wrist - - - -"
)
H36M32 = tuple(_NAMES.split())
FROM_32 = np.array([H36M32.index(joint) for joint in H36M17.joints])
_JOINTS = len(H36M17.joints)
_GET = (
    "get Human3.6M from vision.imar.ro/human3.6m and make the file as VideoPose3D's DATASETS.md says"
    " (github.com/facebookresearch/VideoPose3D)"
)
_WHAT_3D, _WHAT_2D = "Human3.6M's 3D joints in VideoPose3D's format", "Human3.6M's 2D joints in VideoPose3D's format"
# Recordings that the data set is known to lack 2D views of.
_MAY_LACK_VIEWS = {("S11", "Directions")}


def split_of(subject: str, validation_subjects: Sequence[str] = VALIDATION_SUBJECTS) -> str:
    """train, val or test, as the papers have it but for the validation subjects. Raises DatasetError."""
    if subject in TEST_SUBJECTS:
        return "test"
    if subject not in TRAINING_SUBJECTS:
        known = ", ".join((*TRAINING_SUBJECTS, *TEST_SUBJECTS))
        raise DatasetError(f"Human3.6M has no 3D joints of subject {subject!r}; its subjects are {known}")
    return "val" if subject in validation_subjects else "train"


def pool(action: str) -> str:
    """What a table of errors calls an action: `Walking 1` is Walking."""
    return action.split()[0]


def read_world(
    path: str | Path, allow_pickle: bool, subjects: Sequence[str] | None = None
) -> Iterator[tuple[str, str, np.ndarray]]:
    """(subject, action, (T, 17, 3) m in the world, z up) of `data_3d_h36m.npz`. Raises DatasetError."""
    positions = load_npz(path, ["positions_3d"], allow_pickle, _WHAT_3D, _GET)["positions_3d"]
    _need_dicts(positions, path, "positions_3d")
    need_keys(positions, subjects or (), path, _GET, "positions_3d")
    return (
        (subject, action, _joints(np.asarray(joints), f"{path}: positions_3d, {subject}, {action}"))
        for subject, actions in positions.items()
        if subjects is None or subject in subjects
        for action, joints in actions.items()
    )


def read(
    positions_3d: str | Path,
    positions_2d: str | Path | None = None,
    allow_pickle: bool = False,
    validation_subjects: Sequence[str] = VALIDATION_SUBJECTS,
    subjects: Sequence[str] | None = None,
) -> Iterator[Recording]:
    """Every view of every action, as recordings.

    positions_3d: `data_3d_h36m.npz`. positions_2d: `data_2d_h36m_gt.npz`, `data_2d_h36m_cpn_ft_h36m_dbb.npz` or another
    detector's; without it the 2D is the projection of the 3D. Raises DatasetError.
    """
    world = read_world(positions_3d, allow_pickle, subjects)
    views: dict[str, Any] | None = None
    if positions_2d is not None:
        views = load_npz(positions_2d, ["positions_2d"], allow_pickle, _WHAT_2D, _GET)["positions_2d"]
        _need_dicts(views, positions_2d, "positions_2d")
    return (
        recording
        for subject, action, joints_m in world
        for recording in _filmed(subject, action, joints_m, views, positions_2d, validation_subjects)
    )


def _need_dicts(tree: Any, path: str | Path, key: str) -> None:
    if not isinstance(tree, dict) or not all(isinstance(each, dict) for each in tree.values()):
        raise DatasetError(f"{path}: {key} must be a dict subject -> action -> joints; {_GET}")


def _joints(joints_m: np.ndarray, where: str) -> np.ndarray:
    if joints_m.ndim != 3 or joints_m.shape[1:] not in ((len(H36M32), 3), (_JOINTS, 3)):
        raise DatasetError(f"{where} must have shape (T, {len(H36M32)}, 3), got {joints_m.shape}; {_GET}")
    chosen = joints_m if joints_m.shape[1] == _JOINTS else joints_m[:, FROM_32]
    if np.abs(chosen - chosen[:, :1]).max(initial=0.0) > 10.0:
        raise DatasetError(f"{where} is not in metres: a joint is more than 10 from the pelvis; {_GET}")
    return np.asarray(chosen, dtype=np.float32)


def _filmed(
    subject: str,
    action: str,
    joints_m: np.ndarray,
    views: dict[str, Any] | None,
    path: str | Path | None,
    validation_subjects: Sequence[str],
) -> Iterator[Recording]:
    """The recordings of one action, one for each camera that saw it."""
    cameras = h36m_cameras()
    joints_cam_m = {}
    for name in cameras:
        cam_from_world, origin_m = h36m_extrinsics(subject, name)
        joints_cam_m[name] = (joints_m @ cam_from_world.T + origin_m).astype(np.float32)
    true_px = {name: px_from_cam(joints_cam_m[name], camera) for name, camera in cameras.items()}
    if views is None:
        seen = true_px
    else:
        seen = _assigned(_views(subject, action, views, str(path)), true_px, f"{path}: {subject}, {action}")
    for name, kpts in seen.items():
        yield Recording(
            name=f"{subject}/{action}/{name}",
            subject=subject,
            action=pool(action),
            camera_name=name,
            rate_hz=RATE_HZ,
            kpts_px=np.asarray(kpts[..., :2], dtype=np.float32),
            score=np.asarray(kpts[..., 2], dtype=np.float32) if kpts.shape[-1] == 3 else None,
            joints_cam_m=joints_cam_m[name],
            camera=cameras[name],
            split=split_of(subject, validation_subjects),
        )


def _views(subject: str, action: str, views: dict[str, Any], path: str) -> list[np.ndarray | None]:
    need_keys(views, [subject], path, _GET, "positions_2d")
    if action not in views[subject] and (subject, action) in _MAY_LACK_VIEWS:
        return []
    need_keys(views[subject], [action], path, _GET, f"positions_2d, {subject}")
    given = views[subject][action]
    if not isinstance(given, list | tuple | np.ndarray):
        raise DatasetError(f"{path}: {subject}, {action} must be a list of views, got {type(given).__name__}; {_GET}")
    return [None if view is None or not len(view) else np.asarray(view) for view in given]


def _assigned(views: list[np.ndarray | None], true_px: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """The views by camera name, cut to the frames of the 3D.

    Four entries stand in the cameras' order, None or empty where a view is missing. If there are fewer, each belongs to
    the camera whose projection it fits best.
    """
    if len(views) > len(true_px):
        raise DatasetError(f"{where} has {len(views)} views, but Human3.6M has {len(true_px)} cameras")
    found = {}
    for name, view in zip(true_px, views, strict=False):
        if view is None:
            continue
        frames = len(true_px[name])
        if view.ndim != 3 or view.shape[1] != _JOINTS or view.shape[2] not in (2, 3) or len(view) < frames:
            raise DatasetError(
                f"{where} must have at least {frames} frames of {_JOINTS} joints in 2D, got shape {view.shape}"
            )
        errors = {each: np.abs(view[:frames, :, :2] - px).mean() for each, px in true_px.items()}
        best = name if len(views) == len(true_px) else min(errors, key=lambda each: errors[each])
        found[best] = view[:frames]
    return found
