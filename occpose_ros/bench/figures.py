"""All measurements of `occpose bench`, and the figures that they give.

Pipeline and node stand beside their floors, taken in the same run: the ratio says what occpose costs, whatever the
machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.runtime import Engine
from occpose_core.runtime.image_engine import ImageEngine
from occpose_ros.adapters import camera_from_msg, keypoints_from_occpose_msg
from occpose_ros.bag import CAMERA_INFO_TYPE, BagReader
from occpose_ros.bench.crowd import crowd
from occpose_ros.bench.eager import eager_engines
from occpose_ros.bench.images import image_model_ms
from occpose_ros.bench.replay_speed import replay_figures
from occpose_ros.bench.round_trip import RoundTrip, round_trips
from occpose_ros.bench.stopwatch import model_ms, pipeline_ms
from occpose_ros.bench.training_speed import training_speed
from occpose_ros.replay.topics import find_topics
from occpose_ros.report.tables import latency_figures

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure.

    engines, image_engines: by the names to print; of models of keypoints and of images. main: name of the one that
    pipeline, node and replay run, a lifter. batches: people in a call of the bare models. people: in an image, for
    pipeline and node. rates_hz: of images, for the node. seconds: that each rate lasts. calls_s: that each measurement
    within this process lasts. replay_s: length of the recording that is replayed. training_s: that training is measured
    for. bag: has the people to copy. left_out: what of "node", "torch" and "training" is not to be measured, and why.
    say: hears what is next.
    """

    engines: dict[str, Engine]
    image_engines: dict[str, ImageEngine]
    main: str
    batches: tuple[int, ...]
    people: tuple[int, ...]
    rates_hz: tuple[int, ...]
    seconds: float
    calls_s: float
    replay_s: float
    training_s: float
    bag: Path
    left_out: dict[str, str]
    say: Callable[[str], None]

    @property
    def lifter(self) -> Engine:
        """The engine of `main`."""
        return self.engines[self.main]


@dataclass(frozen=True, kw_only=True)
class _Inputs:
    """Crowds by the number of people, and their camera."""

    crowds: dict[int, list[Any]]
    camera_info: Any
    camera_info_raw: bytes


def _inputs(bag: BagReader, people: Sequence[int]) -> _Inputs:
    topics = find_topics(bag)
    messages = [record.message for record in bag.messages([topics.keypoints])]
    camera = next(iter(bag.messages(bag.topics_of(CAMERA_INFO_TYPE))))
    return _Inputs(
        crowds={count: crowd(messages, count) for count in {1, *people}},
        camera_info=camera.message,
        camera_info_raw=bytes(camera.raw),
    )


def _percentiles(latency_ms: Sequence[float]) -> Figures:
    return {f"{quantile}_ms": value for quantile, value in latency_figures(latency_ms).items()}


def _over(figures: Mapping[str, float], floor: Mapping[str, float]) -> Figures:
    """How many times its floor something takes: p50, p95, p99."""
    return {name.removesuffix("_ms"): figures[name] / floor[name] for name in ("p50_ms", "p95_ms", "p99_ms")}


def _calls(plan: Plan, name: str, engine: Engine) -> list[Figures]:
    rows = []
    for people in plan.batches:
        plan.say(f"measuring {name} on {engine.backend}, people: {people}")
        figures = _percentiles(model_ms(engine, people, plan.calls_s))
        rows.append({"model": name, "engine": engine.backend, "people": people} | figures)
    return rows


def _models(plan: Plan) -> list[Figures]:
    return [row for name, engine in plan.engines.items() for row in _calls(plan, name, engine)]


def _eager(plan: Plan, exported: Sequence[Figures]) -> list[Figures]:
    """The same of the same networks in torch, beside the exported ones."""
    floors = {(row["model"], row["people"]): row for row in exported}
    rows = [row for name, engine in eager_engines(plan.engines) for row in _calls(plan, name, engine)]
    return [row | {"over_exported": _over(row, floors[row["model"], row["people"]])} for row in rows]


def _pipeline(plan: Plan, inputs: _Inputs) -> list[Figures]:
    camera = camera_from_msg(inputs.camera_info)
    rows = []
    for people in plan.people:
        plan.say(f"measuring the pipeline, people: {people}")
        images = [keypoints_from_occpose_msg(message).people for message in inputs.crowds[people]]
        step, network = map(_percentiles, pipeline_ms(plan.lifter, images, camera, plan.calls_s))
        rows.append({"people": people, "step": step, "network": network, "over_network": _over(step, network)})
    return rows


def _bodies(plan: Plan, inputs: _Inputs) -> list[Figures]:
    """Image models: crops, network and step."""
    camera = camera_from_msg(inputs.camera_info)
    rows = []
    for (name, engine), people in itertools.product(plan.image_engines.items(), plan.people):
        plan.say(f"measuring {name} on {engine.backend}, people: {people}")
        images = [keypoints_from_occpose_msg(message).people for message in inputs.crowds[people]]
        found = image_model_ms(engine, plan.lifter, images, camera, plan.calls_s)
        figures = {part: _percentiles(times_ms) for part, times_ms in found.items()}
        rows.append({"model": name, "engine": engine.backend, "people": people, **figures})
    return rows


def _trip_figures(trip: RoundTrip) -> Figures:
    jitter_ms = {name: float(of(trip.jitter_ms)) for name, of in (("mean", np.mean), ("max", np.max))}
    counts = {"sent": trip.sent, "unanswered": trip.unanswered}
    return _percentiles(trip.latency_ms) | {"jitter_ms": jitter_ms, "cpu_percent": trip.cpu_percent} | counts


def _node(plan: Plan, inputs: _Inputs) -> list[Figures]:
    """Node and echo, in turns for each number of people."""
    rows = []
    for people in plan.people:
        trips = {}
        for name in ("node", "echo"):

            def say(rate_hz: int, name: str = name, people: int = people) -> None:
                plan.say(f"measuring the {name}, people: {people}, Hz: {rate_hz}")

            parameters = {"model": plan.main, "max_persons": str(people)} if name == "node" else {}
            trips[name] = round_trips(
                inputs.crowds[people],
                inputs.camera_info_raw,
                plan.rates_hz,
                plan.seconds,
                parameters,
                echo=name == "echo",
                say=say,
            )
        for rate_hz in plan.rates_hz:
            node, echo = (_trip_figures(trips[name][rate_hz]) for name in ("node", "echo"))
            row = {"people": people, "rate_hz": rate_hz, "node": node, "echo": echo}
            rows.append(row | {"over_echo": _over(node, echo)})
    return rows


def _training(plan: Plan) -> Figures:
    plan.say("measuring training")
    return training_speed(plan.training_s)


def figures_of(plan: Plan) -> Figures:
    """Measure everything; the figures of the JSON file without `machine`.

    Raises BagError, LiveError, ReplayError and TrainingSpeedError.
    """
    with BagReader(plan.bag) as bag:
        inputs = _inputs(bag, plan.people)
    models = _models(plan)
    pipeline = _pipeline(plan, inputs)
    bodies = _bodies(plan, inputs)
    node = [] if "node" in plan.left_out else _node(plan, inputs)
    replays = replay_figures(plan.main, inputs.crowds[1], inputs.camera_info, plan.replay_s, plan.say)
    eager = [] if "torch" in plan.left_out else _eager(plan, models)  # behind the others, for it stays in memory
    return {
        "model": plan.main,
        "seconds": plan.seconds,
        "models": [*models, *eager],
        "pipeline": pipeline,
        "bodies": bodies,
        "node": node,
        "replay": replays,
        "training": None if "training" in plan.left_out else _training(plan),
        "not_measured": plan.left_out,
    }
