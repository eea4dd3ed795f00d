"""Engines: shipped models run, exports equal torch, wrong files are refused in one sentence."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from occpose_core.checkpoint import METADATA_KEY, ModelFileError, ModelInfo
from occpose_core.runtime import DEFAULT_MODEL, WEIGHTS, load, shipped_models
from tests.tolerances import ENGINE, FLOAT32

JOINTS = 17


def inputs(people: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(people, 1, JOINTS, 2)).astype(np.float32), rng.random((people, 1, JOINTS)) > 0.3


def test_the_default_model_is_shipped() -> None:
    assert DEFAULT_MODEL in shipped_models()


def test_shipped_weights_stay_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 20e6


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_answer_for_any_number_of_people(name: str) -> None:
    engine = load(name)
    assert engine.info.name == name
    kpts, visible = inputs(7)
    together = engine.run(kpts, visible)
    for people in (1, 3):
        some = engine.run(kpts[:people], visible[:people])
        for output in engine.info.outputs:
            array = getattr(some, output)
            assert array.shape[:2] == (people, JOINTS)
            assert np.isfinite(array).all()
            np.testing.assert_allclose(array, getattr(together, output)[:people], atol=FLOAT32, rtol=0)


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_do_not_read_masked_values(name: str) -> None:
    engine = load(name)
    kpts, visible = inputs(8)
    garbage = np.where(visible[..., None], kpts, 1e5).astype(np.float32)
    expected, answer = engine.run(kpts, visible), engine.run(garbage, visible)
    for output in engine.info.outputs:
        np.testing.assert_array_equal(getattr(answer, output), getattr(expected, output))


@pytest.mark.parametrize("name", sorted({path.stem for path in WEIGHTS.glob("*.safetensors")}))
def test_shipped_onnx_and_checkpoint_agree(name: str) -> None:
    pytest.importorskip("torch")
    kpts, visible = inputs(16)
    onnx, torch = load(name).run(kpts, visible), load(name, "torch").run(kpts, visible)
    # weights are rounded to half precision once before and once after folding
    for output in load(name).info.outputs:
        np.testing.assert_allclose(getattr(onnx, output), getattr(torch, output), atol=5e-3)


@pytest.fixture(scope="module")
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small exported lifter; exporting takes seconds."""
    pytest.importorskip("torch")
    from occpose_core.export import export_onnx
    from occpose_core.models import build, describe

    model = build("lcn", {"channels": 8, "masked": True, "target": "metric"}).eval()
    path = tmp_path_factory.mktemp("export") / "small.onnx"
    export_onnx(model, describe("small", "lcn", model, {}), path)
    assert [each.name for each in path.parent.iterdir()] == ["small.onnx"], "nothing else is left behind"
    return path


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copy(exported_once, tmp_path / "small.onnx"))


def test_export_writes_what_it_measured(exported: Path) -> None:
    info = load(exported).info
    differences = info.training["export"]["max_difference"]
    assert set(differences) == {"joints_root_m", "sigma_m"}
    assert max(differences.values()) <= ENGINE


def test_export_holds_no_path_of_the_machine_that_made_it(exported: Path) -> None:
    assert str(Path(__file__).parents[2]).encode() not in exported.read_bytes()


def rewrite_info(path: Path, **changes: object) -> None:
    import onnx

    proto = onnx.load(path)
    info = ModelInfo.from_metadata({p.key: p.value for p in proto.metadata_props}, path)
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=dataclasses.replace(info, **changes).to_json())
    onnx.save(proto, path)


def strip_metadata(path: Path) -> None:
    import onnx

    proto = onnx.load(path)
    del proto.metadata_props[:]
    onnx.save(proto, path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(Path.unlink, "no model file at .*occpose models", id="missing"),
        pytest.param(lambda path: path.write_bytes(b""), "cannot load", id="empty"),
        pytest.param(lambda path: path.write_text("hello"), "cannot load", id="text"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:5000]), "cannot load", id="truncated"),
        pytest.param(strip_metadata, "not exported by occpose", id="foreign"),
        pytest.param(lambda path: rewrite_info(path, layout="coco17"), "layout 'coco17'", id="layout"),
        pytest.param(lambda path: rewrite_info(path, normalisation="screen"), "normalisation 'screen'", id="screen"),
        pytest.param(lambda path: rewrite_info(path, outputs=("filled",)), "export it again", id="outputs"),
    ],
)
def test_wrong_model_files_are_refused(exported: Path, damage: object, says: str) -> None:
    damage(exported)
    with pytest.raises(ModelFileError, match=says):
        load(exported)


@pytest.mark.parametrize(
    ("model", "backend", "says"),
    [
        pytest.param("filing", "auto", "did you mean 'filling'", id="typing error"),
        pytest.param("filling", "cuda", "known: auto, onnxruntime", id="backend"),
        pytest.param("filling-lcn", "torch", "not shipped as .safetensors", id="not for this backend"),
        pytest.param(WEIGHTS / "filling.onnx", "torch", "runs .safetensors files", id="file of another backend"),
    ],
)
def test_unknown_models_and_backends_are_refused(model: str | Path, backend: str, says: str) -> None:
    with pytest.raises(ModelFileError, match=says):
        load(model, backend)
