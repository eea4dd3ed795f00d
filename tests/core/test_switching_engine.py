"""The change from one engine to another: nobody's past is lost, and a breakdown costs no answer."""

from __future__ import annotations

import numpy as np
import pytest

from occpose_core.checkpoint import ModelFileError
from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import DEFAULT_MODEL, load
from occpose_core.runtime.engine import Engine
from occpose_core.runtime.switching_engine import SwitchingEngine
from tests.core.building import Build, Counted
from tests.core.cardboard import CAMERA, standing

FRAME_NS = 33_333_333
STEPS, CHANGE_AT = 12, 5


def walk(engine: Engine, before_change=lambda: None) -> list:
    """Skeletons of two people who walk, one of them hidden now and then, lifted by an engine."""
    pipeline, answers = PosePipeline(engine), []
    for step in range(STEPS):
        if step == CHANGE_AT:
            before_change()
        hidden = ("left_wrist", "left_elbow") if step % 3 else ()
        people = [standing(0.02 * step, 0, 3.0, id="1"), standing(-0.5, 0, 4.0 - 0.02 * step, id="2", hidden=hidden)]
        answers.append(pipeline.step(people, step * FRAME_NS, CAMERA).skeletons)
    return answers


def switching(first: Engine, build: Build) -> SwitchingEngine:
    build.preparation.start()
    return SwitchingEngine(first, build.preparation)


def assert_same(answers: list, expected: list) -> None:
    for skeletons, wanted in zip(answers, expected, strict=True):
        assert [skeleton.id for skeleton in skeletons] == [skeleton.id for skeleton in wanted]
        for skeleton, other in zip(skeletons, wanted, strict=True):
            np.testing.assert_array_equal(skeleton.joints_cam_m, other.joints_cam_m)
            np.testing.assert_array_equal(skeleton.sigma_m, other.sigma_m)


@pytest.fixture(scope="module")
def alone() -> list:
    """What one engine that serves all the time answers."""
    return walk(load(DEFAULT_MODEL))


def test_the_better_engine_takes_over_and_nobody_loses_their_past(alone) -> None:
    better = Counted()
    build = Build(better)
    engine = switching(load(DEFAULT_MODEL), build)
    assert_same(walk(engine, build.end), alone)
    assert better.calls == STEPS - CHANGE_AT
    assert (engine.backend, engine.reason) == ("counted", "a test asked for it")


def test_when_the_better_engine_breaks_down_the_first_answers_the_same_image(alone) -> None:
    better = Counted(breaks_at=3)
    build = Build(better)
    first = load(DEFAULT_MODEL)
    engine = switching(first, build)
    assert_same(walk(engine, build.end), alone)
    assert better.calls == 3
    assert engine.backend == first.backend
    assert engine.reason == (
        f"counted broke down: CUDA error 700: an illegal memory access was encountered; {first.reason}"
    )


def test_an_engine_that_was_ready_from_the_start_has_a_first_to_fall_back_on(alone) -> None:
    better, first = Counted(breaks_at=3), load(DEFAULT_MODEL)
    engine = SwitchingEngine(first, better=better)
    assert engine.backend == "counted"
    assert_same(walk(engine), alone)
    assert (better.calls, engine.backend) == (3, first.backend)


def test_without_a_better_engine_the_first_serves_on(alone) -> None:
    build = Build(ModelFileError("the chip is too old"))
    first = load(DEFAULT_MODEL)
    engine = switching(first, build)
    assert_same(walk(engine, build.end), alone)
    assert (engine.backend, engine.reason) == (first.backend, first.reason)
    assert build.preparation.failure == "the chip is too old"


def test_what_is_ready_after_it_was_cancelled_does_not_take_over(alone) -> None:
    better = Counted()
    build = Build(better)
    first = load(DEFAULT_MODEL)
    engine = switching(first, build)

    def too_late() -> None:
        build.end()
        build.preparation.cancel()

    assert_same(walk(engine, too_late), alone)
    assert better.calls == 0 and engine.backend == first.backend


def test_what_the_first_engine_cannot_do_is_an_error() -> None:
    build = Build(ModelFileError("the chip is too old"))
    engine = switching(Counted(breaks_at=1), build)
    build.end()
    with pytest.raises(RuntimeError, match="illegal memory access"):
        walk(engine)
