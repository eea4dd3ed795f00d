"""Machines without a GPU, or without a library: nothing is loaded in vain, and one sentence says what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from occpose_core import runtime
from occpose_core.checkpoint import ModelFileError
from occpose_core.runtime import WEIGHTS, load, preparation, tensorrt_loading
from occpose_core.runtime.cuda import NoGpuError, find_gpu
from occpose_core.runtime.engine_cache import EngineCache
from occpose_core.runtime.tensorrt_library import installed
from tests.core.pretended_gpu import GPU

pytest.importorskip("tensorrt_rtx")

ROOT = Path(__file__).parents[2]
MODEL = WEIGHTS / "posegraphnet-masked.onnx"


@pytest.fixture(autouse=True)
def _only_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        find_gpu()
    except NoGpuError:
        return
    pytest.skip("there is a GPU")


def test_no_driver_is_said_without_a_call_of_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", no_library)
    monkeypatch.setattr("occpose_core.runtime.cuda.cudart", lambda: pytest.fail("CUDA was called"))
    with pytest.raises(NoGpuError, match="there is no NVIDIA driver on this machine"):
        find_gpu.__wrapped__()


def test_a_driver_that_does_not_work_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cuda.bindings.runtime")
    monkeypatch.setattr("ctypes.CDLL", lambda name: None)
    with pytest.raises(NoGpuError, match="the NVIDIA driver cannot be used: cudaGetDeviceCount fails with cudaError"):
        find_gpu.__wrapped__()


def test_an_engine_that_is_built_but_not_taken_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_loading, "find_gpu", lambda: GPU)
    prepared = preparation(MODEL)
    assert prepared is not None
    prepared.start()
    assert prepared.join(60) and prepared.poll() is None
    assert prepared.failure.startswith("tensorrt-rtx does not take the plan: ")
    assert not list(EngineCache().folder.iterdir())


NOTHING_TOUCHED = """
import sys
from occpose_core.runtime import load, preparation
print(load().reason)
assert preparation() is None and preparation(backend="tensorrt-rtx") is None
large = ("tensorrt", "tensorrt_rtx", "cuda", "torch", "onnx")
print(*(name for name in sys.modules if name.partition(".")[0] in large))
"""


def test_without_a_gpu_no_library_is_loaded() -> None:
    command = [sys.executable, "-c", NOTHING_TOUCHED]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    reason, modules = done.stdout.splitlines()
    assert reason.startswith("auto takes onnxruntime, for there is no NVIDIA driver on this machine; ")
    assert not modules


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_a_backend_that_cannot_work_here_is_one_sentence(backend: str) -> None:
    with pytest.raises(ModelFileError, match=f"backend {backend} (needs the package|cannot run .*no NVIDIA driver)"):
        load(MODEL, backend)


def test_without_a_library_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "installed", list)
    assert load(MODEL).reason.startswith("auto takes onnxruntime, for no TensorRT is installed; ")
    assert preparation(MODEL) is None


def test_a_folder_with_the_name_of_a_library_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = installed()
    (tmp_path / "tensorrt").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert installed() == before


def test_what_torch_runs_has_nothing_better() -> None:
    assert preparation(WEIGHTS / "stream-s.safetensors") is None
