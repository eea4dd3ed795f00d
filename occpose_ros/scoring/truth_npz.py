"""True poses from a NumPy file.

joints_m (T, J, 3) or (T, P, J, 3) metres, NaN where not known      layout: a name that occpose knows ("h36m17")
fps or stamps_s (T,): the time of each frame                        camera_from_world (4, 4): unless joints_m are in the
ids (P,): of the people, if they are the detector's                 camera's optical frame
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from occpose_core.skeleton import H36M17, convert_joints, get_skeleton
from occpose_ros.scoring.truth_rows import Truth, TruthError, interpolate, truth_of_people

_SIZES_M = (0.1, 4.0)  # a person's box is not smaller or larger
_NOT_ORTHONORMAL = 0.01


def truth_from_npz(path: Path, offset_s: float, stamps_ns: Sequence[int]) -> Truth:
    """The poses of a file at the stamps of images, sorted; its time 0 is offset_s after the first.

    Raises TruthError, and LayoutError if the layout is not known.
    """
    ids, joints_m, times_s, named = _read(path)
    at_s = (np.array(stamps_ns, dtype=np.int64) - stamps_ns[0]) * 1e-9 - offset_s if len(stamps_ns) else np.zeros(0)
    poses_m = interpolate(times_s, joints_m, at_s)
    truth = truth_of_people(
        np.array(stamps_ns, dtype=np.int64),
        {name: poses_m[:, person] for person, name in enumerate(ids)},
        named=named,
    )
    if stamps_ns and not len(truth.ids):
        raise TruthError(
            f"{path} has no pose at any of the {len(stamps_ns)} images: its {times_s[0]:g} to {times_s[-1]:g} s are"
            f" {times_s[0] + offset_s:g} to {times_s[-1] + offset_s:g} s after the first of them, the last of which"
            f" comes {(stamps_ns[-1] - stamps_ns[0]) * 1e-9:g} s after it; give the right --truth-offset"
        )
    return truth


def check_npz(path: Path) -> None:
    """Raise TruthError or LayoutError, before any work, if a file has no poses."""
    _read(path)


def _read(path: Path) -> tuple[list[str], np.ndarray, np.ndarray, bool]:
    """P ids, (T, P, J, 3) joints in the camera's frame, (T,) seconds, and whether the ids are the file's own."""
    arrays = _load(path)
    joints_m, times_s = _joints_cam_m(path, arrays), _times_s(path, arrays)
    ids = [str(name) for name in arrays.get("ids", np.arange(joints_m.shape[1]))]
    if len(ids) != joints_m.shape[1]:
        raise TruthError(f"{path} has {len(ids)} ids for {joints_m.shape[1]} people in joints_m: give one for each")
    if len(set(ids)) < len(ids):
        raise TruthError(f"{path} has two people of one id in ids ({', '.join(ids)}): give each their own")
    return ids, joints_m, times_s, "ids" in arrays


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise TruthError(f"{path} cannot be read as a file of np.savez: {error}") from None


def _joints_cam_m(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(T, P, J, 3) h36m17."""
    for name in ("joints_m", "layout"):
        if name not in arrays:
            raise TruthError(f"{path} has no array {name!r}, only {', '.join(sorted(arrays)) or 'nothing'}")
    layout = get_skeleton(str(arrays["layout"]))
    joints_m = arrays["joints_m"]
    shape = (len(layout.joints), 3)
    if joints_m.ndim not in (3, 4) or joints_m.shape[-2:] != shape or not np.issubdtype(joints_m.dtype, np.floating):
        raise TruthError(
            f"joints_m of {path} must be numbers (T, {shape[0]}, 3) or (T, P, {shape[0]}, 3) for layout {layout.name},"
            f" not {joints_m.dtype} {joints_m.shape}"
        )
    if not np.isfinite(joints_m).any():
        raise TruthError(
            f"joints_m of {path} has no position in it, {joints_m.shape}: was the file written to its end?"
        )
    joints_m = joints_m.astype(np.float64).reshape(len(joints_m), -1, *shape)
    converted = convert_joints(np.where(np.isfinite(joints_m), joints_m, np.nan), layout, H36M17)
    _check_size(path, joints_m)
    if "camera_from_world" in arrays:
        converted = _moved(path, converted, arrays["camera_from_world"])
    elif not np.median(converted[..., 2][np.isfinite(converted[..., 2])]) > 0:
        raise TruthError(
            f"the poses of {path} are not in front of the camera: add camera_from_world (4, 4), which maps them into"
            " its optical frame (x right, y down, z forward)"
        )
    return converted


def _check_size(path: Path, joints_m: np.ndarray) -> None:
    poses_m = joints_m.reshape(-1, *joints_m.shape[-2:])
    poses_m = poses_m[np.isfinite(poses_m).all(axis=(-1, -2))]
    if not len(poses_m):
        return
    size = float(np.median(np.linalg.norm(np.ptp(poses_m, axis=1), axis=-1)))
    if not _SIZES_M[0] <= size <= _SIZES_M[1]:
        raise TruthError(f"people in {path} are {size:g} large, which cannot be metres: scale joints_m")


def _moved(path: Path, joints_m: np.ndarray, camera_from_world: np.ndarray) -> np.ndarray:
    matrix = np.asarray(camera_from_world)
    right = matrix.shape == (4, 4) and _is_real(matrix) and bool(np.isfinite(matrix).all())
    rotation = matrix[:3, :3] if right else np.zeros((3, 3))
    if not np.abs(rotation @ rotation.T - np.eye(3)).max() < _NOT_ORTHONORMAL or np.linalg.det(rotation) < 0:
        raise TruthError(f"camera_from_world of {path} must be (4, 4) with a rotation, not {matrix.tolist()}")
    return np.asarray(joints_m @ rotation.T + matrix[:3, 3])


def _times_s(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    frames = len(arrays["joints_m"])
    given = arrays.get("stamps_s", arrays.get("fps"))
    if given is None or not _is_real(given):
        raise TruthError(f"{path} does not say when its frames are: add fps, or stamps_s ({frames},) in seconds")
    if "stamps_s" in arrays:
        times_s = given.astype(np.float64)
        if times_s.shape != (frames,) or not np.isfinite(times_s).all() or not (np.diff(times_s) > 0).all():
            raise TruthError(f"stamps_s of {path} must be {frames} growing numbers, one for each frame of joints_m")
        return times_s
    if given.size != 1 or not 0 < float(given.reshape(())) < np.inf:
        raise TruthError(f"fps of {path} must be one number above 0, not {given.tolist()}")
    return np.arange(frames) / float(given.reshape(()))


def _is_real(array: np.ndarray) -> bool:
    """Whether it holds real numbers."""
    return np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)
