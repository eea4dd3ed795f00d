"""`occpose export` in half precision and with the engines of TensorRT: what is built, what is said, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from occpose_core.checkpoint import save_checkpoint  # noqa: E402
from occpose_core.cli import main  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.runtime import load  # noqa: E402
from occpose_core.runtime.cuda import NoGpuError  # noqa: E402
from tests.core.pretended_gpu import pretend  # noqa: E402
from tests.tolerances import ENGINE  # noqa: E402


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = build("lcn", {"channels": 8, "masked": True, "target": "metric"}).eval()
    path = tmp_path_factory.mktemp("trained") / "small.safetensors"
    save_checkpoint(path, model, describe("small", "lcn", model, {}))
    return path


def no_gpu() -> None:
    raise NoGpuError("there is no NVIDIA driver on this machine")


def test_a_file_is_built_for_gpus_that_are_elsewhere(trained: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("tensorrt_rtx")
    options = ["--precision", "fp16", "--batch", "4,1", "--engine", "tensorrt-rtx", "--compute-capability", "8.6,8.9"]
    assert main(["export", str(trained), "--out", str(tmp_path), *options, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["plan_bytes"].keys() == {"8.6", "8.9"} and min(measured["plan_bytes"].values()) > 1e4
    info = load(tmp_path / "small.onnx").info
    assert (info.precision, info.batches) == ("fp16", (1, 4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.onnx", "small.safetensors"], (
        "plans do not travel"
    )


@pytest.mark.parametrize("error_m", [pytest.param(0.0, id="right"), pytest.param(0.002, id="wrong")])
def test_an_engine_is_built_for_this_machine_and_its_answers_are_compared(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, error_m: float
) -> None:
    pytest.importorskip("tensorrt_rtx")
    out = tmp_path / "out"
    pretend(monkeypatch, out / "small.onnx", error_m=error_m)
    monkeypatch.setattr("occpose_core.export.engines.find_gpu", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    status = main(["export", str(trained), "--out", str(out), "--engine", "tensorrt-rtx", "--json"])
    said = capsys.readouterr()
    assert (out / "small.onnx").exists(), "the file itself is right"
    if error_m:
        assert status == 2 and "its answers differ from ONNX Runtime's by 2 mm, more than 1 mm" in said.err
    else:
        assert status == 0 and list(tmp_path.glob("occpose/engines/*.plan"))
        differences = json.loads(said.out)["engine_difference_by_input"]
        assert differences.keys() == {"random", "masked", "golden"} and max(differences.values()) < ENGINE


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(
            ["--engine", "tensorrt-rtx"], "no tensorrt-rtx engine can run here: there is no NVIDIA", id="no GPU"
        ),
        pytest.param(
            ["--engine", "tensorrt", "--compute-capability", "8.6"], "for the GPU of this machine only", id="elsewhere"
        ),
        pytest.param(
            ["--engine", "tensorrt-rtx", "--compute-capability", "1.0"], "compute capability 1.0; it does for", id="old"
        ),
    ],
)
def test_an_engine_that_cannot_be_had_is_one_sentence(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, options: list[str], says: str
) -> None:
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setattr("occpose_core.export.engines.require", lambda backend: None)
    monkeypatch.setattr("occpose_core.export.engines.find_gpu", no_gpu)
    assert main(["export", str(trained), "--out", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--batch", "0,1"], id="nobody"),
        pytest.param(["--batch", "many"], id="no number"),
        pytest.param(["--compute-capability", "86"], id="no point"),
        pytest.param(["--precision", "int8"], id="precision"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, capsys, options: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["export", "lcn", "--out", str(tmp_path / "out"), *options])
    assert options[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_exported_already_is_refused(tmp_path: Path, capsys) -> None:
    exported = tmp_path / "model.onnx"
    exported.touch()
    assert main(["export", str(exported), "--out", str(tmp_path / "out")]) == 2
    assert "is exported already; give the checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
