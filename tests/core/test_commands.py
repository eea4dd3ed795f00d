"""The small commands of `occpose`, and how it ends on bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from occpose_core.cli import main
from occpose_core.runtime import DEFAULT_MODEL, shipped_models

MODEL_KEYS = {
    "name",
    "family",
    "form",
    "parameters",
    "window",
    "look_ahead_s",
    "streaming",
    "default",
    "weights",
    "source",
}


def test_models_are_listed_with_the_stable_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in models if model["weights"]] == shipped_models()
    assert [model["name"] for model in models if model["default"]] == [DEFAULT_MODEL]
    for model in models:
        assert not MODEL_KEYS - set(model)
        assert model["form"] in ("paper", "masked", "own")
        assert model["parameters"] > 0


def test_models_are_listed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["name", "form"]
    shipped = shipped_models()
    assert [row.split()[0] for row in rows[: len(shipped)]] == shipped
    assert max(map(len, rows)) <= 160


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["lcm", "--out", "out"], "did you mean 'lcn'?", id="unknown model"),
        pytest.param(["missing.safetensors", "--out", "out"], "no model file at missing.safetensors", id="no file"),
        pytest.param(["lcn", "--out", "file"], "cannot make the folder file: File exists", id="a file for a folder"),
        pytest.param(
            ["lcn", "--out", "file/out"], "cannot make the folder file/out: Not a directory", id="below a file"
        ),
        pytest.param(["lcn", "--out", "old"], "lcn.onnx exists already", id="exported before"),
        pytest.param(["lcn", "--filling", "lcn", "--out", "out"], "needed, got LCN and LCN", id="no filling network"),
        pytest.param(
            ["lcn", "--out", "out", "--compute-capability", "8.6"], "--engine tensorrt-rtx is built", id="no engine"
        ),
    ],
)
def test_an_export_that_cannot_be_gets_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    says: str,
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("old").mkdir()
    Path("old/lcn.onnx").touch()
    assert main(["export", *arguments]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    assert Path("old/lcn.onnx").read_bytes() == b""


def test_an_error_of_the_system_gets_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", "figures.json")

    monkeypatch.setattr("occpose_core.commands.models.shipped_models", fail)
    assert main(["models"]) == 2
    assert "cannot use figures.json: No space left on device" in capsys.readouterr().err


def run_occpose(*words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """`occpose WORDS` in a process of its own. before: Python that it does first."""
    code = f"import signal, sys\n{before}\nfrom occpose_core.cli import main\nsys.exit(main({list(words)!r}))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_ctrl_c_while_libraries_are_loaded_ends_it_without_a_word() -> None:
    """SIGINT comes with the first import of NumPy."""
    before = (
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'numpy':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())"
    )
    ended = run_occpose("models", before=before)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_without_stderr_it_still_works() -> None:
    ended = run_occpose("export", "nothing", "--out", "nowhere", before="sys.stderr = None")
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "")
