"""How ONNX Runtime is run: in the caller's thread, and with the same answers whatever was asked before."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from occpose_core.runtime import DEFAULT_MODEL, load

TASKS = Path("/proc/self/task")


def people(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.2, (count, 1, 17, 2)).astype(np.float32), rng.random((count, 1, 17), dtype=np.float32)


@pytest.mark.skipif(not TASKS.is_dir(), reason="threads are counted on Linux")
def test_an_engine_starts_no_thread() -> None:
    pytest.importorskip("onnxruntime")  # the library itself starts one when it is imported
    before = set(os.listdir(TASKS))
    engine = load(DEFAULT_MODEL, "onnxruntime")
    engine.run(*people(20, 0))
    assert set(os.listdir(TASKS)) <= before


def test_answers_do_not_depend_on_how_many_people_were_asked_about_before() -> None:
    engine = load(DEFAULT_MODEL, "onnxruntime")
    counts = [1, 3, 20, 2, 20, 1, 3, 1]  # memory is laid out at the first call for each
    answers = [engine.run(*people(count, count)) for count in counts]
    for count, answer in zip(counts, answers, strict=True):
        alone = load(DEFAULT_MODEL, "onnxruntime").run(*people(count, count))
        for name in ("joints_root_m", "sigma_m", "filled", "state"):
            np.testing.assert_array_equal(getattr(answer, name), getattr(alone, name))


def test_answers_stay_when_others_are_asked_for() -> None:
    engine = load(DEFAULT_MODEL, "onnxruntime")
    first = engine.run(*people(2, 0))
    kept = {name: getattr(first, name).copy() for name in ("joints_root_m", "sigma_m", "filled", "state")}
    for seed in range(1, 5):
        engine.run(*people(2, seed))
    for name, values in kept.items():
        np.testing.assert_array_equal(getattr(first, name), values)
