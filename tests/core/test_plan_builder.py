"""Every shipped model becomes an engine: built by NVIDIA's own builder, here without a GPU, for two of its chips."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from occpose_core.checkpoint import ModelFileError
from occpose_core.runtime import WEIGHTS, plan_process, shipped_models
from occpose_core.runtime.plan_builder import PlanRequest, build
from occpose_core.runtime.plan_process import build_plan
from occpose_core.runtime.preparation import CancelledError
from occpose_core.runtime.tensorrt_library import TensorRtLibrary, installed

tensorrt_rtx = pytest.importorskip("tensorrt_rtx")

SMALL = WEIGHTS / "posegraphnet-masked.onnx"
CHIPS = ((8, 6), (8, 9))


def request_for(onnx: Path = SMALL, **changes: object) -> PlanRequest:
    return PlanRequest(
        **{"onnx": onnx, "backend": "tensorrt-rtx", "batches": (1, 2, 16), "compute_capabilities": CHIPS, **changes}
    )


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_build(name: str) -> None:
    shares: list[float] = []
    onnx = WEIGHTS / f"{name}.onnx"
    built = build(request_for(onnx), shares.append)
    assert len(built.plan) > 1e5
    assert shares == sorted(set(shares)) and shares[-1] > 0.5


def test_another_process_builds_the_same_and_tells_how_far_it_is() -> None:
    shares: list[float] = []
    built = build_plan(request_for(), shares.append)
    assert abs(len(built.plan) - len(build(request_for(), lambda share: None).plan)) < 1e4
    assert len(shares) > 3 and shares == sorted(shares)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param(
            {"compute_capabilities": ((9, 0),)}, "does not build for compute capability 9.0; .*SM86", id="chip"
        ),
        pytest.param({"onnx": Path(__file__)}, "cannot build .*test_plan_builder.py", id="no model"),
        pytest.param({"onnx": Path("/nowhere.onnx")}, "cannot build /nowhere.onnx: .*No such file", id="no file"),
        pytest.param({"batches": (0, -1)}, "cannot build", id="numbers of people"),
        pytest.param(
            {"backend": "tensorrt"},
            "needs the package tensorrt: pip install tensorrt cuda-bindings",
            id="no library",
            marks=pytest.mark.skipif("tensorrt" in installed(), reason="TensorRT is installed"),
        ),
    ],
)
def test_what_cannot_be_built_is_one_sentence(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ModelFileError, match=says) as caught:
        build_plan(request_for(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("", id="at once"),
        pytest.param('{"share"', id="in a message"),
        pytest.param('{"plan": 10, "timing_cache": 0}\\n12345', id="in the plan"),
        pytest.param('{"plan": 3, "timing_cache": 4}\\n12345', id="in what it has measured"),
    ],
)
def test_a_builder_that_dies_is_one_sentence(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = tmp_path / "dying"
    dying.write_text(f"#!/bin/sh\nprintf '{written}'\nexit 3\n")
    dying.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(dying))
    with pytest.raises(ModelFileError, match=f"tensorrt-rtx ends with status 3 while it builds {SMALL}"):
        build_plan(request_for())


@pytest.mark.parametrize("early", [pytest.param(True, id="before"), pytest.param(False, id="while it builds")])
def test_a_build_can_be_cancelled(early: bool) -> None:
    cancelled = threading.Event()
    if early:
        cancelled.set()
    with pytest.raises(CancelledError):
        build_plan(request_for(WEIGHTS / "htnet-masked.onnx"), lambda share: cancelled.set(), cancelled)


def test_a_builder_ends_when_nobody_waits_for_it_any_more() -> None:
    order = {"onnx": str(SMALL), "backend": "tensorrt-rtx", "batches": [1], "level": 3, "timing_cache": 0}
    command = [sys.executable, "-m", plan_process.__name__, json.dumps({**order, "compute_capabilities": CHIPS})]
    with subprocess.Popen(command, cwd=WEIGHTS.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert "share" in json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.wait(60) == 1


def test_differences_between_the_libraries_are_asked_for() -> None:
    library = TensorRtLibrary("tensorrt-rtx")
    assert not library.times_tactics
    errors: list[str] = []
    assert library.module.Runtime(library.logger(errors.append)).deserialize_cuda_engine(b"no plan" * 100) is None
    assert errors


def test_a_library_that_is_too_old_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_rtx, "NetworkDefinitionCreationFlag", SimpleNamespace(EXPLICIT_BATCH=0))
    monkeypatch.setattr(tensorrt_rtx, "__version__", "8.6.2")
    with pytest.raises(ModelFileError, match="tensorrt_rtx 8.6.2 is too old for backend tensorrt-rtx: it takes 10.0"):
        TensorRtLibrary("tensorrt-rtx")
