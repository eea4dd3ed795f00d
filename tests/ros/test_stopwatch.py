"""The stopwatch measures every kind of model, and pipeline and model with the same batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occpose_core.runtime import Engine, Lifted, load
from occpose_ros.bench.stopwatch import WARM_UPS, model_ms, pipeline_ms
from tests.core.cardboard import CAMERA, JOINTS, standing
from tests.core.remembering import RememberingEngine

IMAGES = [[standing(x + 0.01 * frame, 0, 7, id=str(x)) for x in (-1, 0, 1)] for frame in range(5)]


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """One of each kind."""
    if request.param == "single frames":
        return RememberingEngine(1, streaming=False, sigma=0.1)
    pytest.importorskip("torch")
    from occpose_core.checkpoint import save_checkpoint
    from tests.core.standing_stream import info_of, standing_stream

    save_checkpoint(tmp_path / "standing.safetensors", standing_stream(), info_of(standing_stream()))
    return load(tmp_path / "standing.safetensors")


every_kind = pytest.mark.parametrize("engine", ["single frames", "streaming"], indirect=True)


class Listening:
    """An engine that keeps what it was given."""

    def __init__(self, engine: Engine) -> None:
        self.info, self.backend, self.reason = engine.info, engine.backend, engine.reason
        self._engine, self.calls = engine, []

    def run(self, *given: np.ndarray | None, **more: object) -> Lifted:
        self.calls.append((*given, *more.values()))
        return self._engine.run(*given, **more)


@every_kind
def test_a_model_is_timed_with_as_many_people_as_asked_for(engine: Engine) -> None:
    heard = Listening(engine)
    timings = model_ms(heard, people=4, seconds=0.0)
    assert {call[0].shape for call in heard.calls} == {(4, 1, JOINTS, 2)}
    assert len(heard.calls) == len(timings) + WARM_UPS
    assert min(timings) > 0


@every_kind
def test_pipeline_and_model_are_timed_with_the_same_batches(engine: Engine) -> None:
    heard = Listening(engine)
    steps, calls = pipeline_ms(heard, IMAGES, CAMERA, seconds=0.0)
    assert len(steps) == len(calls) and min(*steps, *calls) > 0
    for live, again in zip(heard.calls[::2], heard.calls[1::2], strict=True):
        for one, other in zip(live, again, strict=False):
            np.testing.assert_array_equal(one, other)
    assert {len(call[0]) for call in heard.calls} == {len(IMAGES[0])}
