"""Body models are read from SMPL's own kinds of files, without SMPL's own files; what is wrong is one sentence."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from occpose_core.body.capsules import capsule_body
from occpose_core.body.files import H36M_NAME, NPZ_NAME, PKL_NAME, BodyFile, BodyFileError, read_body, write_body
from occpose_core.body.joints import SMPL24, SMPL_PARENTS
from occpose_core.dataset import DatasetError
from occpose_core.errors import OccposeError
from occpose_core.files import OutputError

ARRAYS = ("vertices_m", "shapes_m", "correctives_m", "joint_regressor", "weights", "faces", "head_regressor")
SMPL_VERTICES = 6890
CAPSULES = capsule_body()


def assert_same(one: BodyFile, other: BodyFile) -> None:
    for name in (*ARRAYS, "h36m17_regressor"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def smpl_like() -> dict[str, Any]:
    """Numbers of the size and kind of SMPL's: 6890 vertices, 300 shape components, no regressors of ours."""
    rng = np.random.default_rng(0)
    weights = rng.random((SMPL_VERTICES, 24))
    regressor = sparse.csc_matrix(rng.random((24, SMPL_VERTICES)) * (rng.random((24, SMPL_VERTICES)) < 0.002))
    return {
        "v_template": rng.normal(size=(SMPL_VERTICES, 3)),
        "shapedirs": rng.normal(size=(SMPL_VERTICES, 3, 11)),
        "posedirs": np.zeros((SMPL_VERTICES, 3, 207), dtype=np.int8),  # small in the file
        "J_regressor": regressor,
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *SMPL_PARENTS[1:]], range(24)], dtype=np.int64),
        "f": rng.integers(0, SMPL_VERTICES, (100, 3)).astype(np.uint32),
        "bs_type": "lrotmin",
        "J": None,
    }


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Classes with the names and states of chumpy's, to pickle with: the library itself is dead."""
    made = {}
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select"), ("chumpy.ch", "MatVecMult")):
        made[name] = type(name, (), {"__module__": module})
        library = sys.modules.get(module) or types.ModuleType(module)
        setattr(library, name, made[name])
        monkeypatch.setitem(sys.modules, module, library)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))

    def make(name: str, **state: Any) -> Any:
        array = made[name]()
        array.__dict__.update(state, _dirty_vars=set())
        return array

    return types.SimpleNamespace(make=make)


def pickled(folder: Path, content: object, protocol: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / PKL_NAME).write_bytes(pickle.dumps(content, protocol=protocol))
    return folder


@pytest.mark.parametrize("name", [NPZ_NAME, PKL_NAME])
def test_what_is_written_is_read_from_either_file(name: str, tmp_path: Path) -> None:
    for path in write_body(tmp_path, CAPSULES):
        if path.name != name:
            path.unlink()
    found = read_body(tmp_path)
    assert_same(found, read_body("capsules"))
    assert found.source == str(tmp_path / name)


def test_arrays_are_as_documented() -> None:
    body = read_body()
    vertices = len(body.vertices_m)
    assert body.vertices_m.dtype == body.correctives_m.dtype == np.float32
    assert body.faces.dtype == np.int64
    assert body.h36m17_regressor.shape == (17, vertices) and body.head_regressor.shape == (6, vertices)


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_pickle_of_chumpy_and_sparse_arrays_is_read(
    protocol: int, chumpy: types.SimpleNamespace, tmp_path: Path
) -> None:
    pytest.importorskip("smplx")
    content = smpl_like()
    whole = chumpy.make("Ch", x=content["shapedirs"])
    chosen = np.arange(content["shapedirs"].size)
    theirs = {
        **content,
        "weights": chumpy.make("Ch", x=content["weights"]),
        "shapedirs": chumpy.make("Select", a=whole, idxs=chosen, preferred_shape=content["shapedirs"].shape),
        "J": chumpy.make("MatVecMult", mtx=content["J_regressor"]),
    }
    body = read_body(pickled(tmp_path, theirs, protocol))
    np.testing.assert_array_equal(body.shapes_m, content["shapedirs"][..., :10].astype(np.float32))
    np.testing.assert_array_equal(body.weights, content["weights"].astype(np.float32))
    np.testing.assert_array_equal(body.joint_regressor, content["J_regressor"].toarray().astype(np.float32))


@pytest.mark.parametrize("make", [sparse.csc_matrix, sparse.csr_matrix, np.asarray])
def test_regressors_of_any_storage_are_read(make: Callable[[Any], Any], tmp_path: Path) -> None:
    content = CAPSULES
    found = read_body(pickled(tmp_path, {**content, "J_regressor": make(content["J_regressor"])}))
    np.testing.assert_array_equal(found.joint_regressor, read_body().joint_regressor)


def test_the_oldest_names_of_sparse_matrices_are_known(tmp_path: Path) -> None:
    content = smpl_like() | {key: CAPSULES[key] for key in CAPSULES if key != "posedirs"}
    content["posedirs"] = np.zeros((len(CAPSULES["v_template"]), 3, 207), dtype=np.int8)
    content["J_regressor"] = sparse.csc_matrix(CAPSULES["J_regressor"])
    raw = pickle.dumps(content, protocol=0)
    assert b"scipy.sparse._csc" in raw
    (tmp_path / PKL_NAME).write_bytes(raw.replace(b"scipy.sparse._csc", b"scipy.sparse.csc"))
    np.testing.assert_array_equal(read_body(tmp_path).joint_regressor, read_body().joint_regressor)


def test_points_of_the_head_are_vertices_of_smpl(tmp_path: Path) -> None:
    vertex_ids = pytest.importorskip("smplx.vertex_ids").vertex_ids["smplh"]
    body = read_body(pickled(tmp_path, smpl_like()))
    assert (body.head_regressor.sum(axis=1) == 1).all()
    expected = [vertex_ids[name] for name in ("nose", "leye", "reye", "lear", "rear")]
    assert body.head_regressor.argmax(axis=1).tolist() == [*expected, 411]
    np.testing.assert_array_equal(body.h36m17_regressor[10], body.head_regressor[-1])
    np.testing.assert_array_equal(body.h36m17_regressor[8], body.joint_regressor[SMPL24.index("neck")])


def test_a_regressor_beside_the_model_gives_joints_of_human36m(tmp_path: Path) -> None:
    write_body(tmp_path, CAPSULES)
    regressor = np.random.default_rng(0).random((17, len(CAPSULES["v_template"])))
    np.save(tmp_path / H36M_NAME, regressor)
    np.testing.assert_array_equal(read_body(tmp_path).h36m17_regressor, regressor.astype(np.float32))


def test_men_and_women_have_files_of_their_own(tmp_path: Path) -> None:
    write_body(tmp_path, CAPSULES)
    (tmp_path / NPZ_NAME).rename(tmp_path / "SMPL_FEMALE.npz")
    taller = {**CAPSULES, "v_template": CAPSULES["v_template"] * 1.1}
    (tmp_path / "SMPL_MALE.pkl").write_bytes(pickle.dumps(taller))
    sizes = {gender: np.ptp(read_body(tmp_path, gender).vertices_m[:, 1]) for gender in ("male", "female", "neutral")}
    assert sizes["male"] == pytest.approx(1.1 * sizes["female"])
    assert sizes["neutral"] == sizes["female"]
    (tmp_path / "SMPL_MALE.pkl").unlink()
    with pytest.raises(BodyFileError, match=r"basicmodel_m_lbs_10_207_0_v1.1.0.pkl there as SMPL_MALE.pkl"):
        read_body(tmp_path, "male")
    with pytest.raises(BodyFileError, match="no body model is 'old'; known: neutral, male, female"):
        read_body(tmp_path, "old")


def test_a_missing_model_says_which_file_from_where_to_where(tmp_path: Path) -> None:
    with pytest.raises(BodyFileError) as caught:
        read_body(tmp_path / "smpl")
    told = str(caught.value)
    for need in (
        PKL_NAME,
        NPZ_NAME,
        str(tmp_path / "smpl"),
        "smpl.is.tue.mpg.de",
        "licence",
        "'capsules' needs no file",
    ):
        assert need in told
    assert told.count("\n") == 0


BAD_BODIES = [
    pytest.param({"weights": CAPSULES["weights"] * 2}, "weights of a vertex must sum to 1", id="weights"),
    pytest.param(
        {"weights": CAPSULES["weights"][:-1]}, r"weights must be \(1660, 24\), got \(1659, 24\)", id="vertices"
    ),
    pytest.param({"shapedirs": CAPSULES["shapedirs"][..., :5]}, r"shapedirs must be .* got", id="shapes"),
    pytest.param({"f": CAPSULES["f"] + 1}, "f must be .* 1660 vertices", id="faces beyond the vertices"),
    pytest.param({"f": CAPSULES["f"][:, :2]}, r"f must be \(F, 3\)", id="edges"),
    pytest.param({"kintree_table": CAPSULES["kintree_table"][::-1]}, "not SMPL's tree", id="tree"),
    pytest.param({"v_template": CAPSULES["v_template"] * np.nan}, "v_template: .*not all finite", id="not a number"),
    pytest.param({"v_template": "a body"}, "cannot make an array of v_template", id="text"),
    pytest.param({"posedirs": None}, "cannot make an array of posedirs", id="nothing"),
    pytest.param({"smpl30_regressor": None}, "cannot make an array of smpl30_regressor", id="no regressor"),
]


@pytest.mark.parametrize(("change", "message"), BAD_BODIES)
def test_a_model_that_contradicts_itself_is_one_sentence(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BodyFileError, match=message) as caught:
        read_body(pickled(tmp_path, {**CAPSULES, **change}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param([1, 2], "must be a dict with v_template", id="no dict"),
        pytest.param({"v_template": np.zeros((5, 3))}, "must be a dict with v_template, shapedirs", id="too little"),
        pytest.param(
            {key: value for key, value in CAPSULES.items() if "regressor" not in key or key == "J_regressor"},
            "1660 vertices where SMPL has 6890, and no smpl30_regressor",
            id="neither SMPL's nor ours",
        ),
        pytest.param({**CAPSULES, "f": sparse.coo_matrix(CAPSULES["f"])}, "refused to read", id="other sparse matrix"),
    ],
)
def test_other_pickles_are_one_sentence(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(OccposeError, match=message) as caught:
        read_body(pickled(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_sparse_matrix_that_lies_about_itself_is_refused(tmp_path: Path) -> None:
    regressor = sparse.csc_matrix(CAPSULES["J_regressor"])
    regressor.indices = regressor.indices + 24
    with pytest.raises(BodyFileError, match="cannot make an array of J_regressor"):
        read_body(pickled(tmp_path, {**CAPSULES, "J_regressor": regressor}))


def test_an_empty_stand_in_is_named(chumpy: types.SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(BodyFileError, match=r"weights: it is a chumpy\.ch\.Ch of _dirty_vars"):
        read_body(pickled(tmp_path, {**CAPSULES, "weights": chumpy.make("Ch")}))


class Trap:
    """Makes a folder when it is unpickled by an ordinary reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def test_code_in_a_model_is_never_run(tmp_path: Path) -> None:
    folder = pickled(tmp_path / "smpl", {**CAPSULES, "J": Trap(tmp_path / "sprung")})
    with pytest.raises(DatasetError, match="refused to read .*mkdir"):
        read_body(folder)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "harmful",
    [
        pytest.param(
            b"ccopyreg\n_reconstructor\n(cbuiltins\nset\ncbuiltins\nobject\nNtR.", id="another class from nothing"
        ),
        pytest.param(b"cchumpy.ch\nCh\n(cposix\nsystem\ntR.", id="beside a stand-in"),
        pytest.param(b"cscipy.sparse.linalg\ninv\n.", id="another name of scipy"),
        pytest.param(b"cchumpyx\nCh\n.", id="a module that is called alike"),
    ],
)
def test_stand_ins_open_no_door(harmful: bytes, tmp_path: Path) -> None:
    (tmp_path / PKL_NAME).write_bytes(harmful)
    with pytest.raises(DatasetError, match="refused to read"):
        read_body(tmp_path)


def test_files_are_not_overwritten_unasked(tmp_path: Path) -> None:
    write_body(tmp_path, CAPSULES)
    with pytest.raises(OutputError, match="exists already"):
        write_body(tmp_path, CAPSULES)
    write_body(tmp_path, CAPSULES, force=True)
