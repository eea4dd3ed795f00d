"""Measure speed on this machine: models, pipeline, node, replay and training.

Times depend on the machine and on what else runs there, so they are also compared with their floor, measured in the
same run: a step of the pipeline with the bare network, pose_node with a node that only answers. These ratios can be
compared between machines and versions. Takes about five minutes; leave the machine alone meanwhile.

    occpose bench
    occpose bench --quick                                        # a minute
    occpose bench --model stream-s --people 1 20 --json bench.json --picture bench.png
    occpose bench --no-node                                      # also without ROS
    occpose bench --image-model sefd.onnx --people 1 5 20        # bodies from images, too

docs/performance.md says what exactly is measured and how to read it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occpose_core.errors import OccposeError
from occpose_core.files import refuse_existing, write_atomically
from occpose_core.report import text_table, write_json
from occpose_core.runtime import DEFAULT_MODEL, load, shipped_models
from occpose_core.runtime.image_engine import load_image_model
from occpose_ros.adapters import MAX_PEOPLE_IN_MESSAGE
from occpose_ros.bench.eager import torch_missing
from occpose_ros.bench.figures import Plan, figures_of
from occpose_ros.bench.machine import machine, machine_line
from occpose_ros.bench.table import bench_table, sentences
from occpose_ros.bench.training_speed import training_missing
from occpose_ros.demo import SAMPLE
from occpose_ros.interrupts import stopping_in_order
from occpose_ros.live import ros_missing

_MAX_SECONDS = 600.0
_MAX_HZ = 1000
_MAX_CALLS_S = 1.0  # longer, it tells no more of calls within a process
_REPLAY_S = 60.0


class BenchError(OccposeError):
    """What shall be measured makes no sense."""


@dataclass(frozen=True, kw_only=True)
class _Extent:
    """What is measured if nobody says otherwise."""

    batch: tuple[int, ...]
    people: tuple[int, ...]
    rate: tuple[int, ...]
    seconds: float


_WHOLE = _Extent(batch=(1, 4, 16, 64), people=(1, 5, 20, 100), rate=(10, 30, 60), seconds=5.0)
_QUICK = _Extent(batch=(1, 16), people=(1, 20), rate=(30,), seconds=1.0)


def _listed(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add: Any = parser.add_argument
    many = {"nargs": "+", "action": "extend"}
    numbers = {**many, "type": int, "metavar": "N"}
    add("--quick", action="store_true", help="measure less, and for a shorter time: a minute")
    add("--model", **many, metavar="NAME_OR_FILE", help="models to measure (default: all shipped ones)")
    add("--image-model", **many, default=[], metavar="FILE", help="image models to measure, .onnx or .safetensors")
    add("--batch", **numbers, help=f"people in a call of the bare models (default: {_listed(_WHOLE.batch)})")
    add("--people", **numbers, help=f"people in an image (default: {_listed(_WHOLE.people)})")
    add("--rate", **numbers, help=f"images a second, for the node (default: {_listed(_WHOLE.rate)})")
    add("--seconds", type=float, metavar="S", help=f"that the node has each rate (default: {_WHOLE.seconds:g})")
    add("--bag", type=Path, default=SAMPLE, help="has the people that are copied (default: the sample)")
    add("--no-node", action="store_true", help="leave out the node, the only part that needs ROS 2")
    add("--no-torch", action="store_true", help="leave out torch, and training with it")
    add("--json", type=Path, metavar="FILE", help="write every figure")
    add("--picture", type=Path, metavar="FILE", help="draw the figures (.png)")
    add("--force", action="store_true", help="overwrite existing files")


def _say(what: str) -> None:
    """A line on a terminal that the next one replaces; nothing in a log file."""
    if sys.stderr.isatty():
        print(f"\r{what:72}\r", end="", file=sys.stderr, flush=True)


def _numbers(name: str, given: list[int] | None, default: tuple[int, ...], most: int) -> tuple[int, ...]:
    numbers = tuple(dict.fromkeys(given or default))
    for number in numbers:
        if not 1 <= number <= most:
            raise BenchError(f"--{name} must be between 1 and {most}, got {number}")
    return numbers


def _left_out(args: argparse.Namespace) -> dict[str, str]:
    """What is not measured, and why."""
    reasons = {
        "node": "--no-node" if args.no_node else ros_missing(),
        "torch": "--no-torch" if args.no_torch else torch_missing(),
        "training": "--no-torch" if args.no_torch else training_missing(),
    }
    return {what: why for what, why in reasons.items() if why}


def _plan(args: argparse.Namespace) -> Plan:
    """Check the arguments. Raises BenchError and ModelFileError."""
    extent = _QUICK if args.quick else _WHOLE
    numbers = {
        "batches": _numbers("batch", args.batch, extent.batch, MAX_PEOPLE_IN_MESSAGE),
        "people": _numbers("people", args.people, extent.people, MAX_PEOPLE_IN_MESSAGE),
        "rates_hz": _numbers("rate", args.rate, extent.rate, _MAX_HZ),
    }
    seconds = extent.seconds if args.seconds is None else args.seconds
    if not 0 < seconds <= _MAX_SECONDS:
        raise BenchError(f"--seconds must be above 0 and at most {_MAX_SECONDS:g}, got {seconds:g}")
    if args.picture is not None and args.picture.suffix != ".png":
        raise BenchError(f"--picture must end in .png, got {args.picture}")
    engines = {name: load(name) for name in args.model or shipped_models()}
    lifters = [name for name, engine in engines.items() if engine.info.lifts]
    if not lifters:
        raise BenchError(
            f"{', '.join(engines)} gives no 3D joints, and the pipeline needs them: add {DEFAULT_MODEL} to --model"
        )
    return Plan(
        engines=engines,
        image_engines={Path(name).stem: load_image_model(name) for name in args.image_model},
        main=DEFAULT_MODEL if DEFAULT_MODEL in lifters else lifters[0],
        **numbers,
        seconds=seconds,
        calls_s=min(seconds / 5, _MAX_CALLS_S),
        replay_s=min(12 * seconds, _REPLAY_S),
        training_s=seconds,
        bag=args.bag,
        left_out=_left_out(args),
        say=_say,
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print, write. Raises OccposeError for anything that the user can mend."""
    for path in filter(None, (args.json, args.picture)):
        refuse_existing(path, args.force)
    plan = _plan(args)
    where = machine()
    print(machine_line(where), end="\n\n", flush=True)
    try:
        with stopping_in_order():
            figures = {"machine": where, **figures_of(plan)}
    finally:
        _say("")
    print(text_table(bench_table(figures)), *sentences(figures), sep="\n")
    if args.json is not None:
        write_json(args.json, figures, args.force)
        print(f"wrote {args.json}")
    if args.picture is not None:
        from occpose_ros.bench.picture import bench_picture  # only this draws

        write_atomically(args.picture, bench_picture(figures, machine_line(where)), args.force)
        print(f"wrote {args.picture}")
    return 0
