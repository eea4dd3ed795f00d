"""MPI-INF-3DHP as it is distributed: `S1/Seq1/annot.mat` with `camera.calibration`, and `TS1/annot_data.mat`.

`annot.mat` (MATLAB 5): annot2, annot3: one cell a camera, (N, 28 * 2) px and (N, 28 * 3) mm in the camera's frame;
cameras: their numbers. `annot_data.mat` (MATLAB 7.3, which is HDF5): annot2 (N, 1, 17, 2), annot3 (N, 1, 17, 3),
valid_frame and activity_annotation (N, 1). Source: the data set's README and its mpii_get_joint_set.m,
mpii_get_sequence_info.m, mpii_get_camera_set.m and mpii_get_activity_name.m.

`univ_annot3`, poses scaled to one stature, is not read: it does not project onto the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.dataset import DatasetError
from occpose_core.safe_pickle import need_keys
from occpose_core.skeleton import H36M17
from training.data.calibrate import fit_camera
from training.data.recording import Recording
from training.data.skeletool import PlacedCamera, read_calibration

VALIDATION_SUBJECTS = ("S8",)
# The set that the data set's authors, and most after them, train on: no camera that looks down from the ceiling.
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
TRAINING_RATE_HZ, FAST_RATE_HZ = 25.0, 50.0
_FAST = {("S1", "Seq2"), ("S3", "Seq1"), ("S3", "Seq2"), ("S5", "Seq1"), ("S5", "Seq2")}
# Frames that the videos have; annotations go on behind their end.
_FRAMES = {
    "S1": (6416, 12430),
    "S2": (6502, 6081),
    "S3": (12488, 12283),
    "S4": (6171, 6675),
    "S5": (12820, 12312),
    "S6": (6188, 6145),
    "S7": (6239, 6320),
    "S8": (6468, 6054),
}
_NAMES_28 = (
    "spine3 spine4 spine2 spine pelvis neck head head_top"
    " left_clavicle left_shoulder left_elbow left_wrist left_hand"
    " right_clavicle right_shoulder right_elbow right_wrist right_hand"
    " left_hip left_knee left_ankle left_foot left_toe right_hip right_knee right_ankle right_foot right_toe"
)
_NAMES_17 = (
    "head_top neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist"
    " right_hip right_knee right_ankle left_hip left_knee left_ankle pelvis spine head"
)
_THEIR_NAMES = {"thorax": "neck", "nose": "head"}


def _order(names: str) -> np.ndarray:
    """(17,) where each joint of `h36m17` stands among theirs."""
    return np.array([names.split().index(_THEIR_NAMES.get(joint, joint)) for joint in H36M17.joints])


_FROM_28, _FROM_17 = _order(_NAMES_28), _order(_NAMES_17)
_ACTIVITIES = (
    "Standing/Walking",
    "Exercising",
    "Sitting",
    "Reaching/Crouching",
    "On The Floor",
    "Sports",
    "Miscellaneous",
)
_TEST_SIZES = {
    **dict.fromkeys(("TS1", "TS2", "TS3", "TS4"), (2048, 2048)),
    **dict.fromkeys(("TS5", "TS6"), (1920, 1080)),
}
_GET = "get MPI-INF-3DHP from vcai.mpi-inf.mpg.de/3dhp-dataset with its get_dataset.sh and get_testset.sh"


def read(
    root: str | Path,
    validation_subjects: Sequence[str] = VALIDATION_SUBJECTS,
    cameras: Sequence[int] = CAMERAS,
    test_rate_hz: float = TRAINING_RATE_HZ,
) -> Iterator[Recording]:
    """All recordings below a folder: `S*/Seq*`, and `TS*` there or in the folders that the archive makes.

    Of the test set, runs of valid frames of one activity are recordings; how fast they were filmed is not published,
    and matters only to windows of several frames. Raises DatasetError.
    """
    root = Path(root)
    training = sorted(root.glob("S*/Seq*/annot.mat"))
    testing = sorted(path for inner in ("", "*/", "*/*/") for path in root.glob(f"{inner}TS*/annot_data.mat"))
    if not training and not testing:
        raise DatasetError(f"{root} has neither S1/Seq1/annot.mat nor TS1/annot_data.mat; {_GET}")
    return _all(training, testing, validation_subjects, cameras, test_rate_hz)


def read_world(root: str | Path) -> Iterator[tuple[str, str, float, np.ndarray]]:
    """(subject, sequence, rate in Hz, (T, 17, 3) m in the world) of the training subjects. Raises DatasetError."""
    for path in sorted(Path(root).glob("S*/Seq*/annot.mat")):
        annotation = _annotation(path)
        placed = read_calibration(path.with_name("camera.calibration"), _GET)
        subject, sequence = path.parts[-3:-1]
        name, joints_cam_mm = next(iter(_joints(annotation, path, CAMERAS, "annot3", 3).items()))
        joints_m = _camera(placed, name, path).to_world(joints_cam_mm / 1000.0)
        yield subject, sequence, _rate_hz(subject, sequence), joints_m


def _all(
    training: Sequence[Path],
    testing: Sequence[Path],
    validation_subjects: Sequence[str],
    cameras: Sequence[int],
    test_rate_hz: float,
) -> Iterator[Recording]:
    for path in training:
        yield from _sequence(path, validation_subjects, cameras)
    for path in testing:
        yield from _test_sequence(path, test_rate_hz)


def _rate_hz(subject: str, sequence: str) -> float:
    return FAST_RATE_HZ if (subject, sequence) in _FAST else TRAINING_RATE_HZ


def _annotation(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # only this data set needs it

    try:
        annotation: dict[str, Any] = loadmat(path)
    except (OSError, ValueError, NotImplementedError, TypeError) as error:
        raise DatasetError(f"cannot read {path}: it is not a whole MATLAB 5 file; {_GET}") from error
    need_keys(annotation, ["annot2", "annot3", "cameras"], path, _GET)
    return annotation


def _joints(
    annotation: Mapping[str, Any], path: Path, cameras: Sequence[int], key: str, size: int
) -> dict[str, np.ndarray]:
    """(T, 17, size) of the chosen cameras, by name."""
    subject, sequence = path.parts[-3:-1]
    frames = dict(zip(("Seq1", "Seq2"), _FRAMES.get(subject, ()), strict=False)).get(sequence)
    cells, numbers = annotation[key].ravel(), annotation["cameras"].ravel().astype(int).tolist()
    if len(cells) != len(numbers):
        raise DatasetError(f"{path}: {key} has {len(cells)} cameras, but cameras lists {len(numbers)}; {_GET}")
    found = {}
    for number, cell in zip(numbers, cells, strict=True):
        if number in cameras:
            joints = np.asarray(cell, dtype=np.float32)
            if joints.ndim != 2 or joints.shape[1] != len(_NAMES_28.split()) * size:
                width = len(_NAMES_28.split()) * size
                raise DatasetError(f"{path}: {key} of camera {number} must be (N, {width}), got {joints.shape}; {_GET}")
            found[str(number)] = joints.reshape(len(joints), -1, size)[:frames, _FROM_28]
    if not found:
        raise DatasetError(f"{path} has none of the cameras {', '.join(map(str, cameras))}; {_GET}")
    return found


def _camera(placed: dict[str, PlacedCamera], name: str, path: Path) -> PlacedCamera:
    need_keys(placed, [name], path.with_name("camera.calibration"), _GET)
    return placed[name]


def _sequence(path: Path, validation_subjects: Sequence[str], cameras: Sequence[int]) -> Iterator[Recording]:
    annotation = _annotation(path)
    placed = read_calibration(path.with_name("camera.calibration"), _GET)
    subject, sequence = path.parts[-3:-1]
    kpts_px = _joints(annotation, path, cameras, "annot2", 2)
    for name, joints_cam_mm in _joints(annotation, path, cameras, "annot3", 3).items():
        yield Recording(
            name=f"{subject}/{sequence}/{name}",
            subject=subject,
            action=sequence,
            camera_name=name,
            rate_hz=_rate_hz(subject, sequence),
            kpts_px=kpts_px[name],
            score=None,
            joints_cam_m=joints_cam_mm / 1000.0,
            camera=_camera(placed, name, path).camera,
            split="val" if subject in validation_subjects else "train",
        )


def _test_sequence(path: Path, rate_hz: float) -> Iterator[Recording]:
    subject = path.parts[-2]
    arrays = _read_hdf5(path, ("annot2", "annot3", "valid_frame", "activity_annotation"))
    frames = len(arrays["annot2"])
    try:
        kpts_px = arrays["annot2"].reshape(frames, -1, 2).astype(np.float32)[:, _FROM_17]
        joints_cam_m = arrays["annot3"].reshape(frames, -1, 3).astype(np.float32)[:, _FROM_17] / 1000.0
        valid, activity = (arrays[key].reshape(frames) for key in ("valid_frame", "activity_annotation"))
    except (ValueError, IndexError) as error:
        shapes = ", ".join(f"{key} {array.shape}" for key, array in arrays.items())
        raise DatasetError(f"{path} must have 17 joints in each frame, got {shapes}; {_GET}") from error
    seen = np.repeat(valid[:, None] > 0, kpts_px.shape[1], axis=1)
    camera = fit_camera(kpts_px, joints_cam_m, seen, str(path), _TEST_SIZES.get(subject))
    for begin, end in _runs(np.where(valid > 0, activity.astype(int), 0)):
        yield Recording(
            name=f"{subject}/{begin}",
            subject=subject,
            action=_activity(int(activity[begin]), path),
            camera_name=subject,
            rate_hz=rate_hz,
            kpts_px=kpts_px[begin:end],
            score=None,
            joints_cam_m=joints_cam_m[begin:end],
            camera=camera,
            split="test",
        )


def _activity(number: int, path: Path) -> str:
    if not 1 <= number <= len(_ACTIVITIES):
        raise DatasetError(f"{path}: activity_annotation has {number}, but there are {len(_ACTIVITIES)}; {_GET}")
    return _ACTIVITIES[number - 1]


def _runs(label: np.ndarray) -> Iterator[tuple[int, int]]:
    """[begin, end) of runs of one label that is not 0."""
    edges = np.flatnonzero(np.diff(label)) + 1
    bounds = [0, *edges.tolist(), len(label)]
    return ((begin, end) for begin, end in zip(bounds, bounds[1:], strict=False) if end > begin and label[begin])


def _read_hdf5(path: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of a MATLAB 7.3 file, whose axes are in reverse order there."""
    import h5py  # only this data set needs it

    try:
        with h5py.File(path, "r") as file:
            need_keys(file, keys, path, _GET)
            return {key: np.asarray(file[key]) for key in keys}
    except (OSError, KeyError, TypeError) as error:
        raise DatasetError(f"cannot read {path}: it is not a whole MATLAB 7.3 file; {_GET}") from error
