"""A better engine is made ready beside the one that serves: built, checked, kept; or one sentence says why not.

Engines are built by the real library; what runs them is pretended (pretended_gpu.py), but where the test says so.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from occpose_core import runtime
from occpose_core.checkpoint import ModelFileError
from occpose_core.runtime import WEIGHTS, Preparation, load, preparation, tensorrt_loading
from occpose_core.runtime.engine_cache import EngineCache
from occpose_core.runtime.plan_builder import Plan, PlanRequest
from occpose_core.runtime.preparation import CancelledError, Say
from tests.core.pretended_gpu import pretend

pytest.importorskip("tensorrt_rtx")

ROOT = Path(__file__).parents[2]
MODEL = WEIGHTS / "posegraphnet-masked.onnx"
NAME = "posegraphnet-masked"
KPTS, VISIBLE = np.ones((3, 1, 17, 2), np.float32), np.ones((3, 1, 17), np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineCache:
    """A cache of the test's own, and TensorRT for RTX as the only library."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(runtime, "installed", lambda: ["tensorrt-rtx"])
    return EngineCache()


def finished(prepared: Preparation | None) -> Preparation:
    assert prepared is not None
    prepared.start()
    assert prepared.join(60)
    return prepared


def builds_of(monkeypatch: pytest.MonkeyPatch, plan: bytes = b"plan") -> list[PlanRequest]:
    """What is asked of the builder from now on, which answers with this plan at once."""
    asked: list[PlanRequest] = []

    def build_plan(request: PlanRequest, tell: Callable[[float], None], *_: object) -> Plan:
        asked.append(request)
        return Plan(plan=plan)

    monkeypatch.setattr(tensorrt_loading, "build_plan", build_plan)
    return asked


# --- the thread


def test_what_is_made_comes_once() -> None:
    engine = load(MODEL)
    prepared = Preparation(lambda say, cancelled: engine, "the engine")
    assert (prepared.poll(), prepared.progress) == (None, "the engine will be made ready")
    finished(prepared)
    assert (prepared.poll(), prepared.poll()) == (engine, None)
    assert (prepared.progress, prepared.failure) == ("the engine is ready", "")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        pytest.param(ModelFileError("the chip is too old"), "the chip is too old", id="foreseen"),
        pytest.param(ZeroDivisionError(), "the engine cannot be had: ZeroDivisionError()", id="unforeseen"),
    ],
)
def test_a_failure_is_told(error: Exception, says: str) -> None:
    def fail(say: Say, cancelled: threading.Event) -> None:
        raise error

    prepared = finished(Preparation(fail, "the engine"))
    assert (prepared.poll(), prepared.failure, prepared.progress) == (None, says, says)


def test_nothing_comes_after_it_was_cancelled() -> None:
    engine, working = load(MODEL), threading.Event()

    def patient(say: Say, cancelled: threading.Event) -> object:
        say("at it")
        working.set()
        if not cancelled.wait(60):
            return engine
        raise CancelledError("cancelled")

    prepared = Preparation(patient, "the engine")
    prepared.start()
    assert working.wait(60) and prepared.progress == "at it"
    prepared.cancel()
    assert prepared.join(60)
    assert (prepared.poll(), prepared.failure) == (None, "")
    late = finished(Preparation(lambda say, cancelled: engine, "the engine"))
    late.cancel()
    assert late.poll() is None


# --- with a GPU


def test_an_engine_is_built_once_and_then_served_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, _ = pretend(monkeypatch, MODEL)
    first = load(MODEL)
    assert first.backend == "onnxruntime-cpu"
    assert f"auto takes onnxruntime, for the tensorrt-rtx engine of {NAME} is not built yet" in first.reason
    prepared = finished(preparation(MODEL))
    engine = prepared.poll()
    assert prepared.failure == "" and engine is not None and engine.backend == "tensorrt-rtx"
    np.testing.assert_array_equal(engine.run(KPTS, VISIBLE).joints_root_m, first.run(KPTS, VISIBLE).joints_root_m)

    builds = builds_of(monkeypatch)
    assert preparation(MODEL) is None, "there is nothing left to build"
    for backend, says in (
        ("auto", "auto takes tensorrt-rtx; "),
        ("tensorrt-rtx", "backend tensorrt-rtx was asked for; "),
    ):
        engine = load(MODEL, backend)
        assert engine.backend == "tensorrt-rtx" and engine.reason.startswith(says)
        np.testing.assert_array_equal(engine.run(KPTS, VISIBLE).joints_root_m, first.run(KPTS, VISIBLE).joints_root_m)
    assert load(MODEL, "onnxruntime").backend == "onnxruntime-cpu"
    assert not builds and cuda.calls["cudaGraphLaunch"]


def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, MODEL)
    said: list[str] = []
    tensorrt_loading.TensorRtModel(MODEL, "tensorrt-rtx").built(said.append, threading.Event())
    assert said[0] == f"building the tensorrt-rtx engine of {NAME}: 0 %"
    assert said[-1] == f"checking the tensorrt-rtx engine of {NAME}"
    assert len(said) > 4


def test_kernels_and_measurements_are_kept_for_the_next_time(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, library = pretend(monkeypatch, MODEL)
    given: list[bytes] = []

    def build_plan(request: PlanRequest, tell: object, cancelled: object, timing_cache: bytes) -> Plan:
        given.append(timing_cache)
        return Plan(plan=b"plan", timing_cache=b"measured")

    monkeypatch.setattr(tensorrt_loading, "build_plan", build_plan)
    load(MODEL, "tensorrt-rtx")
    assert given == [b""] and {path.suffix for path in cache.folder.iterdir()} == {
        ".plan",
        ".json",
        ".kernels",
        ".timing",
    }
    contexts, compiled = library.contexts, []
    monkeypatch.setattr(library, "contexts", lambda *args: compiled.append(args[-1]) or contexts(*args))
    load(MODEL)
    assert compiled == [b"kernels"]
    next(cache.folder.glob("*.plan")).unlink()
    load(MODEL, "tensorrt-rtx")
    assert given == [b"", b"measured"]


@pytest.mark.parametrize("plan", [pytest.param(b"\0" * 100, id="not taken"), pytest.param(None, id="damaged")])
def test_a_plan_that_does_not_work_is_built_again(
    plan: bytes | None, cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, MODEL)
    builds = builds_of(monkeypatch)
    load(MODEL, "tensorrt-rtx")
    (description,) = cache.folder.glob("*.json")
    if plan is None:
        description.with_suffix(".plan").write_bytes(b"plaN")
    else:
        cached = cache.read(description.stem)
        assert cached is not None
        cache.store(description.stem, type(cached)(plan=plan, metadata=cached.metadata), {})
    engine = load(MODEL)
    assert engine.backend == "onnxruntime-cpu"
    assert ("is not built yet" if plan is None else "has to be built again") in engine.reason
    assert finished(preparation(MODEL)).poll() is not None
    assert len(builds) == 2 and load(MODEL).backend == "tensorrt-rtx"


def test_an_engine_with_wrong_answers_never_serves_and_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, MODEL, error_m=0.002)
    builds = builds_of(monkeypatch)
    prepared = finished(preparation(MODEL))
    assert prepared.poll() is None
    assert "must not serve: its answers differ from ONNX Runtime's by 2 mm, more than 1 mm" in prepared.failure
    engine = load(MODEL)
    assert engine.backend == "onnxruntime-cpu" and "must not serve: its answers differ" in engine.reason
    assert preparation(MODEL) is None
    with pytest.raises(ModelFileError, match="must not serve.* to try again empty .*engines"):
        load(MODEL, "tensorrt-rtx")
    assert len(builds) == 1


def test_a_cancelled_build_ends_soon_and_leaves_nothing(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, MODEL)
    prepared = preparation(MODEL)
    assert prepared is not None
    prepared.start()
    prepared.cancel()
    assert prepared.join(10)
    assert prepared.poll() is None and prepared.failure == ""
    assert not list(cache.folder.iterdir())


def test_without_a_place_to_keep_it_an_engine_still_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, MODEL)
    builds = builds_of(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    assert load(MODEL).backend == "onnxruntime-cpu"
    engine = finished(preparation(MODEL)).poll()
    assert engine is not None and engine.backend == "tensorrt-rtx"
    assert "has to be built at every start: the engine cache /proc/occpose/engines cannot be written" in engine.reason
    assert len(builds) == 1 and preparation(MODEL) is not None


TOGETHER = """
import sys
from pathlib import Path
import pytest
from occpose_core.runtime import load, tensorrt_loading
from tests.core.pretended_gpu import pretend
pretend(pytest.MonkeyPatch(), Path(sys.argv[1]))
build_plan = tensorrt_loading.build_plan
tensorrt_loading.build_plan = lambda *args: print("built") or build_plan(*args)
assert load(sys.argv[1], "tensorrt-rtx").backend == "tensorrt-rtx"
"""


def test_two_processes_that_want_the_same_engine_build_it_once() -> None:
    command = [sys.executable, "-c", TOGETHER, str(MODEL)]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(said) == ["", "built\n"]
