"""The engine on a GPU: any number of people in batches of a few sizes, copies and recordings in the right order.

On a pretended GPU, see there; what a real one does is described in docs/engines.md.
"""

from __future__ import annotations

import dataclasses
import gc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.checkpoint import ModelFileError
from occpose_core.runtime import WEIGHTS
from occpose_core.runtime.accuracy import largest_differences, refusal
from occpose_core.runtime.buckets import chunks
from occpose_core.runtime.cuda import CudaError, call
from occpose_core.runtime.engine import Lifted
from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine
from occpose_core.runtime.tensorrt_engine import TensorRtEngine
from tests.core.pretended_gpu import PretendedCuda, pretend
from tests.tolerances import ENGINE

STREAMING, SINGLE = WEIGHTS / "stream-s.onnx", WEIGHTS / "posegraphnet-masked.onnx"


def engine_of(onnx: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> tuple[TensorRtEngine, PretendedCuda]:
    cuda, library = pretend(monkeypatch, onnx, **options)
    return TensorRtEngine(library, b"plan", OnnxRuntimeEngine(onnx).info), cuda


@given(people=st.integers(0, 200), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6, unique=True))
def test_every_row_is_answered_once_in_the_smallest_batch_that_holds_it(people: int, sizes: list[int]) -> None:
    parts = list(chunks(people, sizes))
    assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == list(range(people))
    for rows, size in parts:
        count = rows.stop - rows.start
        assert size in sizes and count <= size and not any(count <= other < size for other in sizes)
    assert all(size == max(sizes) for _, size in parts[:-1])


@pytest.mark.parametrize("onnx", [pytest.param(path, id=path.stem) for path in (STREAMING, SINGLE)])
@pytest.mark.parametrize("people", [1, 2, 3, 16, 17, 40])
def test_batches_have_the_answers_of_the_model(onnx: Path, people: int, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = engine_of(onnx, monkeypatch)
    reference = OnnxRuntimeEngine(onnx)
    rng = np.random.default_rng(people)
    kpts = rng.normal(size=(people, engine.info.frames, 17, 2)).astype(np.float32)
    state = rng.normal(size=(people, engine.info.state_size)).astype(np.float32)
    given_arrays = (kpts, rng.random(kpts.shape[:3]), state, False, rng.uniform(0.01, 0.2, people))
    answer, expected = engine.run(*given_arrays), reference.run(*given_arrays)
    for name in ("joints_root_m", "sigma_m", "filled", "state"):
        values, wanted = getattr(answer, name), getattr(expected, name)
        assert (values is None) == (wanted is None)
        if wanted is not None:
            np.testing.assert_allclose(values, wanted, atol=ENGINE, rtol=1e-4)


def test_an_answer_stays_when_the_next_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = engine_of(SINGLE, monkeypatch)
    kpts, visible = np.ones((2, 1, 17, 2), np.float32), np.ones((2, 1, 17), np.float32)
    first = engine.run(kpts, visible)
    kept = first.joints_root_m.copy()
    engine.run(-kpts, visible)
    np.testing.assert_array_equal(first.joints_root_m, kept)


def test_frames_without_an_answer_give_only_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = engine_of(STREAMING, monkeypatch)
    kpts, visible = np.zeros((3, 1, 17, 2), np.float32), np.ones((3, 1, 17), np.float32)
    only, all_of_it = engine.run(kpts, visible, only_state=True), engine.run(kpts, visible)
    assert only.joints_root_m is None and only.sigma_m is None
    np.testing.assert_array_equal(only.state, all_of_it.state)


@pytest.mark.parametrize(
    ("recordable", "launches", "copies"),
    [
        pytest.param(True, 3, 0, id="recorded: one call a batch"),
        pytest.param(False, 0, 3 * 8, id="what cannot be recorded is queued call by call"),
        pytest.param(None, 0, 3 * 8, id="and what turns out so"),
    ],
)
def test_a_batch_is_played_and_waited_for(
    recordable: bool | None, launches: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, cuda = engine_of(STREAMING, monkeypatch, recordable=recordable)
    assert ("without CUDA graphs" in engine.reason) == (not recordable)
    cuda.calls.clear()
    engine.run(np.zeros((33, 1, 17, 2), np.float32), np.ones((33, 1, 17), np.float32))
    assert cuda.calls["cudaStreamSynchronize"] == 3  # 16 + 16 + 1
    assert (cuda.calls["cudaGraphLaunch"], cuda.calls["cudaMemcpyAsync"]) == (launches, copies)
    assert cuda.calls["cudaMalloc"] == 0


def test_all_memory_is_freed_with_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, cuda = engine_of(SINGLE, monkeypatch)
    assert cuda.alive
    del engine
    gc.collect()
    assert not cuda.alive


def test_a_plan_of_another_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, library = pretend(monkeypatch, SINGLE)
    with pytest.raises(ModelFileError, match="the plan has tensors"):
        TensorRtEngine(library, b"plan", OnnxRuntimeEngine(STREAMING).info)


def test_a_plan_that_the_library_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _, library = pretend(monkeypatch, SINGLE)
    with pytest.raises(ModelFileError, match="does not take the plan: it is made of zeros"):
        TensorRtEngine(library, b"\0" * 100, OnnxRuntimeEngine(SINGLE).info)


# --- the check of the answers


@pytest.mark.parametrize(
    ("error_m", "precision", "refused"),
    [
        pytest.param(0.0, "fp32", "", id="equal"),
        pytest.param(0.0009, "fp32", "", id="single precision, near enough"),
        pytest.param(0.002, "fp32", "by 2 mm, more than 1 mm", id="single precision, too far"),
        pytest.param(0.002, "fp16", "", id="half precision, near enough"),
        pytest.param(0.006, "fp16", "by 6 mm, more than 5 mm", id="half precision, too far"),
        pytest.param(np.nan, "fp16", "by inf mm", id="not finite"),
    ],
)
def test_an_engine_whose_answers_differ_is_refused(
    error_m: float, precision: str, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = engine_of(SINGLE, monkeypatch, error_m=error_m)
    reference = OnnxRuntimeEngine(SINGLE)
    reference.info = dataclasses.replace(reference.info, precision=precision)
    reason = refusal(engine, reference)
    assert refused in reason and bool(reason) == bool(refused)


def test_what_a_streaming_engine_remembers_wrongly_is_found() -> None:
    reference = OnnxRuntimeEngine(STREAMING)

    class Forgetful:
        info = reference.info

        def run(self, kpts: np.ndarray, visible: np.ndarray, state: object = None, **times: np.ndarray) -> Lifted:
            return reference.run(kpts, visible, None, **times)

    assert largest_differences(reference, reference) == {"golden": 0.0, "random": 0.0, "masked": 0.0}
    assert min(largest_differences(Forgetful(), reference).values()) > 0.001


# --- CUDA itself


def test_failed_calls_raise_with_their_name() -> None:
    cuda = pytest.importorskip("cuda.bindings.runtime")
    with pytest.raises(CudaError, match="cudaGraphInstantiate fails with cudaError"):
        call(cuda.cudaGraphInstantiate, cuda.cudaGraph_t(), 0)


def test_cuda_has_all_that_is_pretended() -> None:
    cuda = pytest.importorskip("cuda.bindings.runtime")
    names = [name for name in vars(PretendedCuda) if name.startswith("cuda")]
    assert len(names) > 15 and not [name for name in names if not hasattr(cuda, name)]
