"""Measure speed on this machine: models, pipeline, node and replay.

Times depend on the machine and on what else runs there, so they are also compared with their floor, measured in the
same run: a step of the pipeline with the bare network, pose_node with a node that only answers. These ratios can be
compared between machines and versions. Takes about a minute; leave the machine alone meanwhile.

    occpose bench
    occpose bench --model stream-s --people 1 5 20 --json bench.json
    occpose bench --no-node --seconds 1                          # a quick look, also without ROS

docs/performance.md says what exactly is measured and how to read it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from occpose_core.errors import OccposeError
from occpose_core.files import refuse_existing
from occpose_core.report import Cell, Table, text_table, write_json
from occpose_core.runtime import DEFAULT_MODEL, load, shipped_models
from occpose_ros.adapters import MAX_PEOPLE_IN_MESSAGE
from occpose_ros.bench import Plan, figures_of
from occpose_ros.demo import SAMPLE
from occpose_ros.interrupts import stopping_in_order
from occpose_ros.live import ros_missing
from occpose_ros.machine import machine, machine_line
from occpose_ros.round_trip import RATE_HZ

_MAX_SECONDS = 600.0
_QUANTILES = ("p50", "p95", "p99")


class BenchError(OccposeError):
    """What shall be measured makes no sense."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add: Any = parser.add_argument
    many = {"nargs": "+", "action": "extend"}
    add("--model", **many, metavar="NAME_OR_FILE", help="models to measure (default: all shipped ones)")
    add("--people", **many, type=int, metavar="N", help="people in an image (default: 1 20)")
    add("--seconds", type=float, default=4.0, metavar="S", help="length of each measurement (default: %(default)s)")
    add("--bag", type=Path, default=SAMPLE, help="is replayed, and its people are copied (default: the sample)")
    add("--no-node", action="store_true", help="leave out the node, the only part that needs ROS 2")
    add("--json", type=Path, metavar="FILE", help="write every figure")
    add("--force", action="store_true", help="overwrite an existing file")


def _say(what: str) -> None:
    """A line on a terminal that the next one replaces; nothing in a log file."""
    if sys.stderr.isatty():
        print(f"\r{what:72}\r", end="", file=sys.stderr, flush=True)


def _plan(args: argparse.Namespace, node: bool) -> Plan:
    """Check the arguments. Raises BenchError and ModelFileError."""
    people = tuple(dict.fromkeys(args.people or (1, 20)))
    for count in people:
        if not 1 <= count <= MAX_PEOPLE_IN_MESSAGE:
            raise BenchError(f"--people must be between 1 and {MAX_PEOPLE_IN_MESSAGE}, got {count}")
    if not 0 < args.seconds <= _MAX_SECONDS:
        raise BenchError(f"--seconds must be above 0 and at most {_MAX_SECONDS:g}, got {args.seconds:g}")
    engines = {name: load(name) for name in args.model or shipped_models()}
    lifters = [name for name, engine in engines.items() if engine.info.lifts]
    if not lifters:
        raise BenchError(
            f"{', '.join(engines)} gives no 3D joints, and the pipeline needs them: add {DEFAULT_MODEL} to --model"
        )
    return Plan(
        engines=engines,
        main=DEFAULT_MODEL if DEFAULT_MODEL in lifters else lifters[0],
        people=people,
        seconds=args.seconds,
        bag=args.bag,
        node=node,
        say=_say,
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print, write. Raises OccposeError for anything that the user can mend."""
    if args.json is not None:
        refuse_existing(args.json, args.force)
    missing = "--no-node" if args.no_node else ros_missing()
    plan = _plan(args, node=not missing)
    where = machine()
    print(machine_line(where), end="\n\n", flush=True)
    try:
        with stopping_in_order():
            figures = {"machine": where, **figures_of(plan)}
    finally:
        _say("")
    if args.json is not None:
        write_json(args.json, figures, args.force)
    print(text_table(times_table(figures)), text_table(ratios_table(figures)), sep="\n\n", end="\n\n")
    print(f"replay of {figures['bag']}: {figures['replay_x_realtime']:.1f} x real time")
    print(f"node: not measured ({missing})" if missing else _drops(figures))
    if args.json is not None:
        print(f"wrote {args.json}")
    return 0


def _drops(figures: dict[str, Any]) -> str:
    return f"left unanswered of {figures['messages']}: node {figures['drops']}, echo {figures['echo_drops']}"


def times_table(figures: dict[str, Any]) -> Table:
    """What was measured, in milliseconds."""
    titles = {
        "pipeline": "pipeline step",
        "engine": "its network alone",
        "node": f"node, {RATE_HZ} Hz",
        "echo": f"echo, {RATE_HZ} Hz",
    }
    rows: list[tuple[Cell, ...]] = [
        ("model", step["model"], step["people"], *(step[f"{quantile}_ms"] for quantile in _QUANTILES))
        for step in figures["steps"]
    ]
    rows += [
        (title, "" if name == "echo" else figures["model"], int(people), *(of[quantile] for quantile in _QUANTILES))
        for name, title in titles.items()
        for people, of in figures["times_ms"][name].items()
    ]
    return Table(title="Times (ms)", columns=("", "model", "people", *_QUANTILES), rows=tuple(rows), digits=2)


def ratios_table(figures: dict[str, Any]) -> Table:
    """What occpose adds to its floors: what counts."""
    ratios = figures["ratios"]
    rows: list[tuple[Cell, ...]] = [
        ("pipeline over network", int(people), ratio, None, None)
        for people, ratio in ratios["pipeline_over_engine"].items()
    ]
    rows += [
        ("node over echo", int(people), *(of[quantile] for quantile in _QUANTILES))
        for people, of in ratios["node_over_echo"].items()
    ]
    return Table(title="Ratios: these count", columns=("", "people", *_QUANTILES), rows=tuple(rows), digits=2)
