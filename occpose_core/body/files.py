"""Body models in files: the capsule body, which needs none, or SMPL's own, which only its makers may hand out."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.body.capsules import capsule_body
from occpose_core.body.joints import H36M17_IN_SMPL30, HEAD_POINTS, SMPL24, SMPL30, SMPL_PARENTS
from occpose_core.errors import OccposeError
from occpose_core.files import make_folder, write_atomically
from occpose_core.safe_pickle import Inert, load_npy, load_npz, load_pickle

CAPSULES = "capsules"
SHAPE_COMPONENTS = 10
NPZ_NAME, PKL_NAME, H36M_NAME = "SMPL_NEUTRAL.npz", "SMPL_NEUTRAL.pkl", "J_regressor_h36m.npy"
# The bodies of SMPL, and what its makers call their files.
GENDERS = {"neutral": "neutral", "male": "m", "female": "f"}
_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
_OWN_KEYS = ("h36m17_regressor", "smpl30_regressor")
_WHAT = "a body model of SMPL"
_GET = (
    "get SMPL for Python 1.1.0 from smpl.is.tue.mpg.de (registration; its licence is between you and them), and put its"
    f" basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl there as {PKL_NAME}; the body {CAPSULES!r} needs no file"
)
_SMPL_VERTICES = 6890
_SMPL_HEAD_TOP = 411
# smplx' names of the points of the head, in the order of HEAD_POINTS but for the head top, which it lacks.
_SMPLX_NAMES = ("nose", "leye", "reye", "lear", "rear")


class BodyFileError(OccposeError):
    """A body model's file is missing or not what it should be."""


class MissingBodyError(BodyFileError):
    """There is no file of the body model that is asked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BodyFile:
    """A body model as float32 arrays; at rest x to the person's left, y up, z forward.

    vertices_m (V, 3), shapes_m (V, 3, 10) for one unit of a component, correctives_m (V, 3, 207) for one unit of an
    entry of the rotations of joints 1 to 23 less the identity, joint_regressor (24, V), weights (V, 24), faces (F, 3)
    int64 counter-clockwise from outside, h36m17_regressor (17, V), head_regressor (6, V) of joints.HEAD_POINTS.
    """

    source: str
    vertices_m: np.ndarray
    shapes_m: np.ndarray
    correctives_m: np.ndarray
    joint_regressor: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    h36m17_regressor: np.ndarray
    head_regressor: np.ndarray


def read_body(source: str | Path = CAPSULES, gender: str = "neutral") -> BodyFile:
    """The body model called `capsules`, or the one in a folder with SMPL_NEUTRAL.npz or SMPL_NEUTRAL.pkl.

    gender: a key of GENDERS; SMPL_MALE and SMPL_FEMALE are files of their own, the capsules are of none. A
    J_regressor_h36m.npy (17, V) beside them gives Human3.6M's joints; without one they are SMPL's of the same place.
    Files may be pickles: they are read without running code from them. Raises MissingBodyError, BodyFileError or
    DatasetError.
    """
    if gender not in GENDERS:
        raise BodyFileError(f"no body model is {gender!r}; known: {', '.join(GENDERS)}")
    if str(source) == CAPSULES:
        return _body(CAPSULES, capsule_body())
    folder = Path(source)
    for suffix, read in _READERS.items():
        path = folder / f"SMPL_{gender.upper()}{suffix}"
        if path.is_file():
            content = read(path)
            break
    else:
        raise MissingBodyError(_missing(folder, gender))
    if (folder / H36M_NAME).is_file():
        content["h36m17_regressor"] = load_npy(folder / H36M_NAME, True, "a regressor of Human3.6M's joints")
    return _body(str(path), content)


def _missing(folder: Path, gender: str) -> str:
    name = f"SMPL_{gender.upper()}"
    get = _GET.replace("_neutral_", f"_{GENDERS[gender]}_").replace(PKL_NAME, f"{name}.pkl")
    return f"there is no {name}.pkl or {name}.npz in {folder}: expected {_WHAT}; {get}"


def write_body(folder: str | Path, content: Mapping[str, np.ndarray], force: bool = False) -> tuple[Path, ...]:
    """Write a model in the keys of SMPL (as capsule_body gives it) as .npz and .pkl; returns the files.

    Raises OutputError if they exist and force is False, or if they cannot be written.
    """
    from scipy.sparse import csc_matrix

    folder = Path(folder)
    make_folder(folder)
    archive = io.BytesIO()
    np.savez_compressed(archive, **dict(content))  # type: ignore[arg-type]
    pickled = pickle.dumps({**content, "J_regressor": csc_matrix(content["J_regressor"])}, protocol=2)
    files = {NPZ_NAME: archive.getvalue(), PKL_NAME: pickled}
    for name, written in files.items():
        write_atomically(folder / name, written, force)
    return tuple(folder / name for name in files)


def _read_npz(path: Path) -> dict[str, Any]:
    return load_npz(path, _KEYS, True, _WHAT, _GET, optional=_OWN_KEYS)


def _read_pkl(path: Path) -> dict[str, Any]:
    content = load_pickle(path, True, _WHAT, _GET, stand_ins=True)
    if not isinstance(content, dict) or not all(key in content for key in _KEYS):
        raise BodyFileError(f"{path} is not {_WHAT}: it must be a dict with {', '.join(_KEYS)}; {_GET}")
    return {key: content[key] for key in (*_KEYS, *_OWN_KEYS) if key in content}


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {".npz": _read_npz, ".pkl": _read_pkl}


def _body(source: str, content: dict[str, Any]) -> BodyFile:
    arrays = {key: _dense(value, key, source) for key, value in content.items()}
    if arrays["shapedirs"].ndim == 3:
        arrays["shapedirs"] = arrays["shapedirs"][..., :SHAPE_COMPONENTS]
    vertices = len(arrays["v_template"])
    _check(arrays, vertices, source)
    return BodyFile(
        source=source,
        vertices_m=arrays["v_template"].astype(np.float32),
        shapes_m=arrays["shapedirs"].astype(np.float32),
        correctives_m=arrays["posedirs"].astype(np.float32),
        joint_regressor=arrays["J_regressor"].astype(np.float32),
        weights=arrays["weights"].astype(np.float32),
        faces=arrays["f"].astype(np.int64),
        h36m17_regressor=_h36m17_regressor(arrays, vertices).astype(np.float32),
        head_regressor=_head_regressor(arrays, vertices, source).astype(np.float32),
    )


def _dense(value: Any, key: str, source: str) -> np.ndarray:
    """An array out of an array, or of the stand-in that safe unpickling leaves of a sparse or a chumpy one."""
    try:
        array = np.asarray(_unwrapped(value))
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise ValueError(f"its numbers are of the type {array.dtype}, or not all finite")
    except (IndexError, KeyError, MemoryError, TypeError, ValueError) as error:
        raise BodyFileError(f"{source}: cannot make an array of {key}: {error}; {_GET}") from error
    return array


def _unwrapped(value: Any) -> Any:
    if not isinstance(value, Inert):
        return value
    state = dict(value.state)
    unwrap = next((unwrap for part, unwrap in _UNWRAP.items() if part in state), None)
    if unwrap is None:
        raise ValueError(f"it is a {value.origin} of {', '.join(map(str, state)) or 'nothing'}")
    return unwrap(state)


def _from_columns(state: Mapping[str, Any]) -> np.ndarray:
    """A sparse matrix of compressed columns (or rows)."""
    from scipy.sparse import csc_matrix, csr_matrix

    shape = state["_shape"] if "_shape" in state else state["shape"]
    make = csc_matrix if len(state["indptr"]) == shape[1] + 1 else csr_matrix
    matrix = make((state["data"], state["indices"], state["indptr"]), shape=shape)
    matrix.check_format(full_check=True)
    return np.asarray(matrix.toarray())


def _selected(state: Mapping[str, Any]) -> np.ndarray:
    """A part of another chumpy array."""
    chosen = np.ravel(_unwrapped(state["a"]))[np.asarray(state["idxs"])]
    return np.reshape(chosen, state.get("preferred_shape", chosen.shape))


# What of the state of a stand-in tells its kind, and how its array is made.
_UNWRAP: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "indptr": _from_columns,
    "idxs": _selected,
    "x": lambda state: _unwrapped(state["x"]),
}


def _check(arrays: Mapping[str, np.ndarray], vertices: int, source: str) -> None:
    joints = len(SMPL24)
    shapes = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, SHAPE_COMPONENTS),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
        "kintree_table": (2, joints),
        "h36m17_regressor": (len(H36M17_IN_SMPL30), vertices),
        "smpl30_regressor": (len(SMPL30), vertices),
    }
    for key, shape in shapes.items():
        if key in arrays and arrays[key].shape != shape:
            raise BodyFileError(f"{source}: {key} must be {shape}, got {arrays[key].shape}; {_GET}")
    faces = arrays["f"]
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.size == 0 or faces.min() < 0 or faces.max() >= vertices:
        raise BodyFileError(f"{source}: f must be (F, 3) numbers of the {vertices} vertices, got {faces.shape}; {_GET}")
    if tuple(arrays["kintree_table"][0, 1:].tolist()) != SMPL_PARENTS[1:]:
        raise BodyFileError(f"{source}: kintree_table is not SMPL's tree of {joints} joints; {_GET}")
    if not np.allclose(arrays["weights"].sum(axis=1), 1.0, atol=1e-3):
        raise BodyFileError(f"{source}: the weights of a vertex must sum to 1; {_GET}")


def _h36m17_regressor(arrays: Mapping[str, np.ndarray], vertices: int) -> np.ndarray:
    if "h36m17_regressor" in arrays:
        return arrays["h36m17_regressor"]
    regressor = np.zeros((len(SMPL30), vertices))
    regressor[: len(SMPL24)] = arrays["J_regressor"]
    regressor[SMPL30.index("head_top"), _SMPL_HEAD_TOP] = 1.0
    return np.asarray(regressor[H36M17_IN_SMPL30])


def _head_regressor(arrays: Mapping[str, np.ndarray], vertices: int, source: str) -> np.ndarray:
    """(6, V): from the file if it has one, or SMPL's own vertices."""
    if "smpl30_regressor" in arrays:
        return arrays["smpl30_regressor"][len(SMPL24) :]
    if vertices != _SMPL_VERTICES:
        raise BodyFileError(
            f"{source} has {vertices} vertices where SMPL has {_SMPL_VERTICES}, and no smpl30_regressor that says which"
            f" are nose, eyes, ears and head top; {_GET}"
        )
    regressor = np.zeros((len(HEAD_POINTS), vertices))
    regressor[np.arange(len(HEAD_POINTS)), _smpl_head_vertices()] = 1.0
    return regressor


def _smpl_head_vertices() -> list[int]:
    try:
        from smplx.vertex_ids import vertex_ids
    except ImportError as error:
        raise missing_smplx(error) from error
    return [*(vertex_ids["smplh"][name] for name in _SMPLX_NAMES), _SMPL_HEAD_TOP]


def missing_smplx(error: ImportError) -> BodyFileError:
    """What to say where SMPL's files are wanted and their library is not there."""
    return BodyFileError(
        f"SMPL's files need the package smplx, which is not here ({error}); accept its licence"
        f" (docs/dependencies.md) and run: pip install 'occpose[smpl]'; the body {CAPSULES!r} needs neither"
    )
