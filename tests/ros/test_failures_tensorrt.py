"""Rows 30, 32, 35 and 48 of the failure table: engines that are built, damaged and cannot be kept, in the real node.

TensorRT for RTX has built them, in a process of its own; what runs them is pretended, for the machine has no GPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")
pytest.importorskip("tensorrt_rtx", reason="needs TensorRT for RTX: pip install tensorrt-rtx-cu13")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn

from occpose_core import runtime
from occpose_core.runtime import DEFAULT_MODEL, WEIGHTS, tensorrt_loading
from occpose_core.runtime.cuda import NoGpuError, find_gpu
from occpose_core.runtime.engine_cache import CachedPlan, EngineCache
from occpose_core.runtime.plan_builder import Plan
from tests.core.pretended_gpu import GPU, pretend

MODEL = WEIGHTS / f"{DEFAULT_MODEL}.onnx"
RTX = "tensorrt-rtx"
NAME = f"the {RTX} engine of {DEFAULT_MODEL}"
SUCCESS = TransitionCallbackReturn.SUCCESS


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where XDG_CACHE_HOME has a built engine."""
    root = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root))
        pretend(patch, MODEL)
        tensorrt_loading.built_engine(MODEL, RTX)
    return root


@pytest.fixture
def at_once(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The builder hands out the plan that it has built before: some tests need not see the real one at work."""
    (path,) = built.rglob("*.plan")
    plan = Plan(plan=path.read_bytes())
    monkeypatch.setattr(tensorrt_loading, "build_plan", lambda *_: plan)


@pytest.fixture
def only_rtx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """TensorRT for RTX as the only library, and an empty XDG_CACHE_HOME."""
    monkeypatch.setattr(runtime, "installed", lambda: [RTX])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def gpu(only_rtx: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A GPU that is pretended; its library."""
    return pretend(monkeypatch, MODEL)[1]


@pytest.fixture
def cache(gpu: Any, only_rtx: Path, built: Path) -> EngineCache:
    """A cache with an engine that was built before."""
    shutil.copytree(built, only_rtx)
    return EngineCache()


def values(graph: Any, condition: Callable[[dict[str, str]], Any] = bool) -> dict[str, str]:
    """What the diagnostics of the active node say as soon as a condition holds."""
    status = graph.diagnosis(lambda told: told["state"] == "active" and condition(told))
    return {pair.key: pair.value for pair in status.values}


def changes_over(graph: Any) -> dict[str, str]:
    """The node answers meanwhile and as soon as the engine is ready lifts with it; what its diagnostics say then."""
    assert values(graph)["engine"].startswith("onnxruntime")
    before = graph.ask().people[0]
    values(graph, lambda told: told["engine preparation"] == f"{NAME} is ready")
    after = graph.ask().people[0]
    assert after.id == before.id
    np.testing.assert_allclose(after.position, before.position, atol=0.02)
    return values(graph, lambda told: told["engine"] == RTX)


def test_row_30_an_engine_is_built_while_the_node_answers_and_found_at_the_next_start(graph, gpu):
    node = graph.active()
    values(graph, lambda told: re.fullmatch(f"building {NAME}: [0-9]+ %", told["engine preparation"]))
    changes_over(graph)
    assert node.trigger_deactivate() == node.trigger_cleanup() == SUCCESS
    node.start()
    told = values(graph)
    assert told["engine"] == RTX and told["engine preparation"] == "none"
    assert told["engine reason"].startswith(f"auto takes {RTX}")


def builders() -> list[Path]:
    """Processes of this one that build engines."""
    tasks = Path("/proc/self/task").iterdir()
    numbers = [number for task in tasks for number in content(task / "children").decode().split()]
    children = [Path("/proc", number, "cmdline") for number in numbers]
    return [child for child in children if b"plan_process" in content(child)]


def content(path: Path) -> bytes:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return path.read_bytes()
    return b""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to know its children")
@pytest.mark.parametrize("end", ["trigger_cleanup", "trigger_shutdown"])
def test_row_48_who_leaves_while_an_engine_is_built_leaves_no_process_behind(graph, gpu, only_rtx, end):
    node = graph.active()
    graph.wait("the builder", builders)
    assert node.trigger_deactivate() == SUCCESS and getattr(node, end)() == SUCCESS
    graph.wait("its end", lambda: not builders())
    assert not [path for path in only_rtx.rglob("*") if path.is_file()]


def half_a_plan(cache: EngineCache, key: str, library: Any, patch: pytest.MonkeyPatch) -> None:
    path = cache.folder / f"{key}.plan"
    os.truncate(path, path.stat().st_size // 2)


def not_taken(cache: EngineCache, key: str, library: Any, patch: pytest.MonkeyPatch) -> None:
    cached = cache.read(key)
    assert cached is not None
    cache.store(key, CachedPlan(plan=b"\0" * 1000, metadata=cached.metadata), {})


def of_another_version(cache: EngineCache, key: str, library: Any, patch: pytest.MonkeyPatch) -> None:
    library.version = "1.8"


def of_another_gpu(cache: EngineCache, key: str, library: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tensorrt_loading, "find_gpu", lambda: dataclasses.replace(GPU, name="another"))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(half_a_plan, "is not built yet", id="half a plan"),
        pytest.param(not_taken, "has to be built again: tensorrt-rtx does not take the plan", id="not taken"),
        pytest.param(of_another_version, "is not built yet", id="of another version"),
        pytest.param(of_another_gpu, "is not built yet", id="of another GPU"),
    ],
)
def test_row_30_an_engine_that_does_not_fit_is_built_anew_while_the_node_answers(
    graph, gpu, cache, at_once, monkeypatch, spoil, reason
):
    (description,) = cache.folder.glob("*.json")
    spoil(cache, description.stem, gpu, monkeypatch)
    graph.active()
    assert f"auto takes onnxruntime, for {NAME} {reason}" in values(graph)["engine reason"]
    changes_over(graph)


def test_row_30_an_engine_that_no_gpu_takes_is_told_once_and_the_node_goes_on(graph, only_rtx, monkeypatch, capfd):
    """Built for a GPU that is not there: here all is real, but the sight of the GPU."""
    try:
        find_gpu()
        pytest.skip("there is a GPU")
    except NoGpuError:
        monkeypatch.setattr(tensorrt_loading, "find_gpu", lambda: GPU)
    graph.active()
    told = values(graph, lambda told: "does not take the plan" in told["engine preparation"])
    assert told["engine"].startswith("onnxruntime") and graph.ask().people
    values(graph)
    assert "".join(capfd.readouterr()).count("does not take the plan") == 1


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file can grow as large as an engine is."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_row_35_on_a_full_disk_the_engine_serves_and_is_not_kept(graph, gpu, at_once, only_rtx, full_disk):
    graph.active()
    assert "has to be built at every start: the engine cache cannot be written" in changes_over(graph)["engine reason"]
    assert not [path for path in only_rtx.rglob("*") if path.is_file()]


def test_row_35_where_nothing_can_be_written_the_engine_serves_and_is_not_kept(graph, gpu, at_once, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    graph.active()
    assert "/proc/occpose/engines cannot be written" in changes_over(graph)["engine reason"]


def test_row_35_a_node_waits_until_another_process_has_built(graph, gpu, built, only_rtx, monkeypatch):
    monkeypatch.setattr(tensorrt_loading, "build_plan", lambda *_: pytest.fail("it was built twice"))
    cache = EngineCache()
    with cache.lock(threading.Event(), lambda: pytest.fail("somebody else has the cache")):
        graph.active()
        values(graph, lambda told: "waits until another process has built" in told["engine preparation"])
        assert graph.ask().people
        shutil.copytree(built, only_rtx, dirs_exist_ok=True)  # as the other process does it
    changes_over(graph)


def test_row_35_plans_that_others_could_have_put_there_are_not_run(graph, cache):
    cache.folder.chmod(0o755)
    graph.active()
    assert "others can enter the engine cache" in values(graph)["engine reason"]
    cache.folder.chmod(0o700)


def test_row_32_an_engine_that_was_asked_for_by_name_is_there_or_configuring_fails(graph, cache, monkeypatch):
    node = graph.active(backend=RTX)
    told = values(graph)
    assert told["engine"] == RTX and told["engine reason"].startswith(f"backend {RTX} was asked for")
    assert graph.ask().people
    assert node.trigger_deactivate() == node.trigger_cleanup() == SUCCESS
    monkeypatch.setattr(tensorrt_loading, "find_gpu", no_gpu)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    status = graph.diagnosis(lambda told: told["state"] == "unconfigured")
    assert status.level == DiagnosticStatus.ERROR
    assert f"backend {RTX} cannot run" in status.message and "the NVIDIA driver finds no GPU" in status.message


def no_gpu() -> None:
    raise NoGpuError("the NVIDIA driver finds no GPU")
