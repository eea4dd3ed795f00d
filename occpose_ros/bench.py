"""All measurements of `occpose bench`, and the figures that they give.

Pipeline and node stand beside their floors, taken in the same run: the ratio says what occpose costs, whatever the
machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import Engine
from occpose_ros.adapters import camera_from_msg, keypoints_from_occpose_msg
from occpose_ros.answer_process import answers_bag
from occpose_ros.bag import BagReader
from occpose_ros.bag_report import latency_figures
from occpose_ros.crowd import crowd
from occpose_ros.replay import find_topics, replay
from occpose_ros.round_trip import RoundTrip, round_trip
from occpose_ros.stopwatch import model_ms, pipeline_ms


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure, each for so many seconds.

    engines: by the names to print. main: name of the one that pipeline, node and replay run, a lifter. people: in one
    image. bag: has the people to copy; is replayed. node: whether ROS 2 is there and wanted. say: hears what is next.
    """

    engines: dict[str, Engine]
    main: str
    people: tuple[int, ...]
    seconds: float
    bag: Path
    node: bool
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
    camera = next(iter(bag.messages([topics.camera_info])))
    return _Inputs(
        crowds={count: crowd(messages, count) for count in people},
        camera_info=camera.message,
        camera_info_raw=bytes(camera.raw),
    )


def _model_steps(plan: Plan) -> list[dict[str, Any]]:
    steps = []
    for name, engine in plan.engines.items():
        for people in plan.people:
            plan.say(f"measuring {name}, people: {people}")
            figures = latency_figures(model_ms(engine, people, plan.seconds))
            row = {"model": name, "engine": engine.backend, "people": people}
            steps.append(row | {f"{quantile}_ms": value for quantile, value in figures.items()})
    return steps


def _pipeline_steps(plan: Plan, inputs: _Inputs) -> dict[str, dict[str, dict[str, float]]]:
    """pipeline and engine -> people -> percentiles, ms."""
    camera = camera_from_msg(inputs.camera_info)
    figures: dict[str, dict[str, dict[str, float]]] = {"pipeline": {}, "engine": {}}
    for people, messages in inputs.crowds.items():
        plan.say(f"measuring the pipeline, people: {people}")
        images = [keypoints_from_occpose_msg(message).people for message in messages]
        times = pipeline_ms(plan.lifter, images, camera, plan.seconds)
        for name, of in zip(figures, times, strict=True):
            figures[name][str(people)] = latency_figures(of)
    return figures


def _round_trips(plan: Plan, inputs: _Inputs) -> dict[str, dict[str, RoundTrip]]:
    """node and echo -> people -> what was measured; empty without a node."""
    trips: dict[str, dict[str, RoundTrip]] = {"node": {}, "echo": {}}
    if not plan.node:
        return trips
    for people, messages in inputs.crowds.items():
        for name, of in trips.items():
            plan.say(f"measuring the {name}, people: {people}")
            echo = name == "echo"
            parameters = {} if echo else {"model": plan.main, "max_persons": str(people)}
            of[str(people)] = round_trip(messages, inputs.camera_info_raw, plan.seconds, parameters, echo=echo)
    return trips


def _drops(trips: dict[str, RoundTrip]) -> int | None:
    return sum(trip.drops for trip in trips.values()) if trips else None


def _replay_x_realtime(plan: Plan, bag: BagReader) -> float:
    plan.say(f"measuring a replay of {plan.bag.name}")
    topics = find_topics(bag)
    answers = bag.count([topics.keypoints])
    with (
        tempfile.TemporaryDirectory(prefix="occpose-bench-") as folder,
        answers_bag(Path(folder) / "output.mcap", answers) as target,
    ):
        seen = replay(bag, topics, PosePipeline(plan.lifter), target)
    return seen.bag_s / seen.wall_s


def figures_of(plan: Plan) -> dict[str, Any]:
    """Measure everything; the figures of the JSON file without `machine`. Raises BagError and LiveError."""
    with BagReader(plan.bag) as bag:
        inputs = _inputs(bag, plan.people)
        steps = _model_steps(plan)
        times = _pipeline_steps(plan, inputs)
        trips = _round_trips(plan, inputs)
        replay_x_realtime = _replay_x_realtime(plan, bag)
    latencies = {
        name: {people: latency_figures(trip.latency_ms) for people, trip in of.items()} for name, of in trips.items()
    }
    return {
        "steps": steps,
        "ratios": {
            "pipeline_over_engine": {
                people: of["p50"] / times["engine"][people]["p50"] for people, of in times["pipeline"].items()
            },
            "node_over_echo": {
                people: {quantile: of[quantile] / latencies["echo"][people][quantile] for quantile in of}
                for people, of in latencies["node"].items()
            },
        },
        "replay_x_realtime": replay_x_realtime,
        "drops": _drops(trips["node"]),
        "echo_drops": _drops(trips["echo"]),
        "messages": sum(trip.sent for trip in trips["node"].values()),
        "times_ms": times | latencies,
        "model": plan.main,
        "seconds": plan.seconds,
        "bag": plan.bag.name,
    }
