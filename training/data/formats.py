"""The data sets with real cameras by name, each with the function that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from occpose_core.dataset import DatasetError
from training.data import elepose_npy, h36m, lcn_pickles, mpi_inf_3dhp, pw3d
from training.data.recording import Recording

# files, whether pickles may be opened, validation subjects (None: the reader's own) -> recordings
Reader = Callable[[Sequence[Path], bool, Sequence[str] | None], Iterable[Recording]]


def _count(files: Sequence[Path], least: int, most: int, expected: str) -> None:
    if not least <= len(files) <= most:
        raise DatasetError(f"expected {expected}, got {len(files)}: {', '.join(map(str, files)) or 'none'}")


def _h36m(files: Sequence[Path], allow_pickle: bool, validation_subjects: Sequence[str] | None) -> Iterable[Recording]:
    _count(files, 1, 2, "data_3d_h36m.npz and one file of 2D joints (data_2d_h36m_*.npz)")
    subjects = h36m.VALIDATION_SUBJECTS if validation_subjects is None else validation_subjects
    return h36m.read(files[0], files[1] if len(files) == 2 else None, allow_pickle, subjects)


def _lcn(files: Sequence[Path], allow_pickle: bool, validation_subjects: Sequence[str] | None) -> Iterable[Recording]:
    _count(files, 1, 3, "h36m_train.pkl, h36m_test.pkl or both, and perhaps h36m_sh_dt_ft.pkl")
    subjects = h36m.VALIDATION_SUBJECTS if validation_subjects is None else validation_subjects
    return lcn_pickles.read(files, allow_pickle, subjects)


def _elepose(
    files: Sequence[Path], allow_pickle: bool, validation_subjects: Sequence[str] | None
) -> Iterable[Recording]:
    _count(files, 1, 1, "one folder with new_d2.npy and new_d3.npy")
    subjects = elepose_npy.VALIDATION_SUBJECTS if validation_subjects is None else validation_subjects
    return elepose_npy.read(files[0], allow_pickle, subjects)


def _3dhp(files: Sequence[Path], allow_pickle: bool, validation_subjects: Sequence[str] | None) -> Iterable[Recording]:
    _count(files, 1, 1, "one folder with S1/Seq1/annot.mat or TS1/annot_data.mat")
    subjects = mpi_inf_3dhp.VALIDATION_SUBJECTS if validation_subjects is None else validation_subjects
    return mpi_inf_3dhp.read(files[0], subjects)


def _3dpw(files: Sequence[Path], allow_pickle: bool, validation_subjects: Sequence[str] | None) -> Iterable[Recording]:
    _count(files, 1, 1, "one folder with sequenceFiles")
    if validation_subjects is not None:
        raise DatasetError("3DPW has validation sequences of its own; leave validation_subjects out")
    return pw3d.read(files[0], allow_pickle)


FORMATS: dict[str, Reader] = {"h36m": _h36m, "lcn": _lcn, "elepose": _elepose, "mpi-inf-3dhp": _3dhp, "3dpw": _3dpw}


def read_recordings(
    name: str, files: Sequence[Path], allow_pickle: bool = False, validation_subjects: Sequence[str] | None = None
) -> Iterable[Recording]:
    """The recordings of a data set by the name of its format. Raises DatasetError."""
    if name not in FORMATS:
        raise DatasetError(f"unknown data format {name!r}; known: {', '.join(FORMATS)}")
    return FORMATS[name](files, allow_pickle, validation_subjects)
