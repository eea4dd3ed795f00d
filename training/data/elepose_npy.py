"""The occluded-pose files of system A (docs/systems.md): a folder with `new_d2.npy`, `new_d3.npy`, perhaps `mask.npy`.

Each is a pickled dict subject -> action -> camera -> (N, 32, 2) px, (N, 32, 3) mm, (N, 32) bool (True = visible).
Subjects up to 8 are for training, from 9 on for testing; for MPI-INF-3DHP, 9 to 14 are TS1 to TS6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.camera import rays_from_px
from occpose_core.dataset import DatasetError
from occpose_core.geometry import place_root
from occpose_core.safe_pickle import load_npy, need_keys
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from training.data.calibrate import fit_camera, fits
from training.data.h36m import FROM_32, H36M32, RATE_HZ, pool
from training.data.h36m_cameras import h36m_cameras, h36m_extrinsics
from training.data.recording import Recording

VALIDATION_SUBJECTS = ("S8",)
_FIRST_TEST_SUBJECT = 9
_WHAT = "poses of the 3D_Occluded_HPE data set"
_GET = "the files are linked from github.com/XuyangHao123/3D_Occluded_HPE"
# These files list the right arm before the left one where they have 17 joints.
_ARM = ("shoulder", "elbow", "wrist")
_ARMS_SWAPPED = {
    **{f"left_{joint}": f"right_{joint}" for joint in _ARM},
    **{f"right_{joint}": f"left_{joint}" for joint in _ARM},
}
_FROM_17 = H36M17.indices(*(_ARMS_SWAPPED.get(joint, joint) for joint in H36M17.joints))
_PELVIS = H36M17.index("pelvis")
_ORDERS = {len(H36M32): FROM_32, len(H36M17.joints): _FROM_17}


def read(
    folder: str | Path,
    allow_pickle: bool = False,
    validation_subjects: Sequence[str] = VALIDATION_SUBJECTS,
    rate_hz: float = RATE_HZ,
) -> Iterator[Recording]:
    """Every view as a recording; joints that `mask.npy` hides have score 0.

    The cameras are Human3.6M's where the files name them and they fit, else fitted to the joints. Raises DatasetError.
    """
    folder = Path(folder)
    d2, d3 = (load_npy(folder / name, allow_pickle, _WHAT, _GET) for name in ("new_d2.npy", "new_d3.npy"))
    masks = folder / "mask.npy"
    mask = load_npy(masks, allow_pickle, _WHAT, _GET) if masks.exists() else None
    return (
        _recording(folder, keys, d2, d3, mask, validation_subjects, rate_hz)
        for keys in _views(folder / "new_d2.npy", d2)
    )


_Keys = tuple[Any, Any, Any]  # subject, action, camera; their types are the files' own


def _views(path: Path, d2: Any) -> Iterator[_Keys]:
    for subject, actions in _dict(d2, path).items():
        for action, cameras in _dict(actions, path).items():
            for camera in _dict(cameras, path):
                yield subject, action, camera


def _dict(tree: Any, path: Path) -> dict[Any, Any]:
    if not isinstance(tree, dict):
        raise DatasetError(f"{path} must hold dicts subject -> action -> camera, got {type(tree).__name__}; {_GET}")
    return tree


def _entry(path: Path, tree: Any, keys: _Keys) -> np.ndarray:
    """The array of a view with its joints in `h36m17`'s order."""
    for depth, key in enumerate(keys):
        need_keys(tree, [key], path, _GET, ", ".join(map(str, keys[:depth])))
        tree = tree[key]
    array = np.asarray(tree)
    if array.ndim < 2 or array.shape[1] not in _ORDERS:
        known = " or ".join(map(str, _ORDERS))
        raise DatasetError(f"{path}: {_name(keys)} must have {known} joints, got shape {array.shape}; {_GET}")
    return np.asarray(array[:, _ORDERS[array.shape[1]]])


def _name(keys: _Keys) -> str:
    return "/".join(map(str, keys))


def _number(subject: Any, path: Path) -> int:
    digits = str(subject).lstrip("Ss")
    if not digits.isdigit():
        raise DatasetError(f"{path}: subject {subject!r} has no number; expected S1, S5, ...; {_GET}")
    return int(digits)


def _recording(
    folder: Path, keys: _Keys, d2: Any, d3: Any, mask: Any, validation_subjects: Sequence[str], rate_hz: float
) -> Recording:
    kpts_px = _entry(folder / "new_d2.npy", d2, keys).astype(np.float32)
    joints_m = _entry(folder / "new_d3.npy", d3, keys).astype(np.float32) / 1000.0
    seen = np.asarray(np.isfinite(kpts_px).all(axis=-1))
    if mask is not None:
        hidden = ~_entry(folder / "mask.npy", mask, keys).astype(bool).reshape(len(seen), -1)
        seen = seen & ~hidden
    number = _number(keys[0], folder / "new_d2.npy")
    subject = f"S{number}"
    joints_cam_m, camera = _placed(subject, str(keys[2]), kpts_px, joints_m, seen, f"{folder}: {_name(keys)}")
    train = "val" if subject in validation_subjects else "train"
    return Recording(
        name=_name((subject, *keys[1:])),
        subject=subject,
        action=pool(str(keys[1])),
        camera_name=str(keys[2]),
        rate_hz=rate_hz,
        kpts_px=kpts_px,
        score=None if mask is None and seen.all() else seen.astype(np.float32),
        joints_cam_m=joints_cam_m,
        camera=camera,
        split="test" if number >= _FIRST_TEST_SUBJECT else train,
    )


def _placed(
    subject: str, camera_name: str, kpts_px: np.ndarray, joints_m: np.ndarray, seen: np.ndarray, where: str
) -> tuple[np.ndarray, Camera]:
    """Joints in the camera's frame, and the camera.

    What frame the files have the 3D in is not published. Before one of Human3.6M's cameras it may be the camera's, the
    world's, or that of the pelvis; the one whose projection fits the 2D is taken.
    """
    camera = h36m_cameras().get(camera_name)
    if camera is not None:
        for frame in (_as_it_is, _from_world, _from_pelvis):
            joints_cam_m = frame(subject, camera, kpts_px, joints_m, seen).astype(np.float32)
            if fits(kpts_px, joints_cam_m, seen, camera):
                return joints_cam_m, camera
    return joints_m, fit_camera(kpts_px, joints_m, seen, where)


def _as_it_is(subject: str, camera: Camera, kpts_px: np.ndarray, joints_m: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return joints_m


def _from_world(
    subject: str, camera: Camera, kpts_px: np.ndarray, joints_m: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    cam_from_world, origin_m = h36m_extrinsics(subject, camera.frame_id)
    return np.asarray(joints_m @ cam_from_world.T + origin_m)


def _from_pelvis(
    subject: str, camera: Camera, kpts_px: np.ndarray, joints_m: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    root_relative = joints_m - joints_m[:, _PELVIS, None]
    root_cam_m, _ = place_root(root_relative, rays_from_px(np.where(seen[..., None], kpts_px, 0.0), camera), seen)
    return np.asarray(root_relative + root_cam_m[:, None])
