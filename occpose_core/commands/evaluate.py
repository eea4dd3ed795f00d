"""Measure models with OccKP-1: how far their 3D poses are from the truth when joints are hidden.

Recordings of people are filmed by simulated cameras, a simulated detector looks at them, and a pattern hides joints.
Every figure stands beside what the training-mean pose, the model's own last answer (held, or moved on at constant
velocity) and the same model with nothing hidden achieve. The same command gives the same figures on every machine, but
for the rounding of what runs the model (`--backend`).

    occpose evaluate --model NAME --data motion.npz --pattern natural --max-frames 2000
    occpose evaluate --model NAME FILE.onnx --data motion.npz --json figures.json --html figures.html

With --images the models are measured on the people of an image set instead, image models with the pictures and
others with the same 2D joints alone: errors of joints, surfaces (MPVPE) and rotations, with and without occlusion.

    occpose evaluate --model sefd.onnx stream-s --images rendered --split test

docs/evaluation.md explains the patterns, the people in images and how to read the tables.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from occpose_core.charts import Scene
from occpose_core.clips import Shot, film
from occpose_core.dataset import Sequences, read_sequences
from occpose_core.evaluation import MODES, CleanAnswers, EvaluationError, check_mode, figure_patterns, score
from occpose_core.evaluation_report import example_scenes, page, pictured_pattern, tables
from occpose_core.figures import figures_of
from occpose_core.files import refuse_existing
from occpose_core.imagesets import IMAGE_SETS, IMAGE_SPLITS
from occpose_core.occlusion import PATTERNS
from occpose_core.report import text_table, write_html, write_json
from occpose_core.runtime import BACKENDS, Engine, load, model_path
from occpose_core.simulation import INPUTS, RIGS
from occpose_core.skeleton import H36M17, SKELETONS

# Options that say something of recordings or of images alone, and their values if nobody does.
_OF_RECORDINGS: dict[str, Any] = {"pattern": None, "pool": False, "rig": None, "mode": "causal", "rate": 30.0}
_OF_IMAGES: dict[str, Any] = {"image_set": "rendered", "layout": H36M17.name, "body": None, "allow_pickle": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add: Any = parser.add_argument
    names = {"required": True, "nargs": "+", "action": "extend"}
    add("--model", **names, metavar="NAME_OR_FILE", help="a shipped model or an .onnx file")
    add("--backend", choices=["auto", *BACKENDS], default="auto", help="what runs the models (default: %(default)s)")
    data = parser.add_mutually_exclusive_group(required=True)
    recordings: Any = data.add_argument
    recordings("--data", nargs="+", action="extend", type=Path, metavar="FILE.npz", help="recordings of people")
    data.add_argument("--images", type=Path, metavar="FOLDER", help="a set of images of people")
    add("--pattern", nargs="+", action="extend", help=f"what is hidden: {', '.join(PATTERNS)} (default: all)")
    add("--pool", action="store_true", help="one row for all arguments of a pattern, taken in turns: k-missing, ...")
    add(
        "--input",
        nargs="+",
        action="extend",
        choices=list(INPUTS),
        help="2D keypoints (default: noisy; of images detector)",
    )
    add("--rig", nargs="+", action="extend", choices=list(RIGS), help="simulated cameras (default: held-out)")
    add("--mode", choices=MODES, help="causal: no future, the newest frame is scored (default)")
    add(
        "--split",
        choices=IMAGE_SPLITS,
        default="test",
        help="subjects (default: test); select models on val, never on test",
    )
    add("--rate", type=_positive(float), metavar="HZ", help="frames a second (default: 30)")
    add("--max-frames", type=_positive(int), metavar="N", help="score at most N frames, or people, spread over all")
    add("--seed", type=_seed, default=0, help="of cameras, noise and masks (default: 0, the published one)")
    add("--json", type=Path, metavar="FILE", help="write every figure")
    add("--html", type=Path, metavar="FILE", help="write tables and curves")
    add("--force", action="store_true", help="overwrite existing files")
    of_images: Any = parser.add_argument_group("with --images").add_argument
    of_images("--image-set", choices=list(IMAGE_SETS), help="kind of set (default: %(default)s)")
    of_images("--layout", choices=sorted(SKELETONS), help="of the detector (default: %(default)s)")
    of_images("--body", type=Path, metavar="FOLDER", help="SMPL's files, for sets that have its parameters")
    of_images("--allow-pickle", action="store_true", help="open a set's pickled files, which you trust")
    parser.set_defaults(**_OF_RECORDINGS, **_OF_IMAGES)


def _positive(kind: type[float]) -> Any:
    """Parser of positive, finite numbers of a kind, int or float; argparse reports what does not fit."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(0)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
        return value

    return parse


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2**64 - 1")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Measure, print, write. Raises OccposeError for anything that the user can mend."""
    for path in filter(None, (args.json, args.html)):
        refuse_existing(path, args.force)
    if args.json and args.json == args.html:
        raise EvaluationError(f"--json and --html both name {args.json}; name two files")
    others, has = (_OF_RECORDINGS, "--images") if args.images else (_OF_IMAGES, "--data")
    if foreign := [f"--{name.replace('_', '-')}" for name, usual in others.items() if getattr(args, name) != usual]:
        raise EvaluationError(f"{', '.join(foreign)} has no meaning with {has}: leave it out")
    if args.images:
        from occpose_core.image_evaluation import evaluate_images

        return evaluate_images(args, _progress)
    groups = figure_patterns(args.pattern or list(PATTERNS), args.pool)
    engines = [load(name, args.backend) for name in args.model]
    for engine in engines:
        check_mode(engine, args.mode, args.rate)
    data = [read_sequences(path) for path in args.data]
    if len({file.sha256 for file in data}) < len(data):
        raise EvaluationError(f"a data file is given twice: {', '.join(map(str, args.data))}; name each once")

    results: list[dict[str, Any]] = []
    examples: list[Scene] = []
    for engine, rig, detector, shots in _settings(args, engines, data):
        clean: CleanAnswers = {}
        for pattern, concrete in groups.items():
            _progress(f"{engine.info.name}: {rig} cameras, {detector} input, {pattern}")
            look_ahead = check_mode(engine, args.mode, args.rate)
            scores = score(engine, shots, concrete, look_ahead, args.max_frames, args.seed, clean)
            if not examples and pattern == pictured_pattern(list(groups)):
                examples = example_scenes(scores)
            head = {"model": engine.info.name, "pattern": pattern, "input": detector, "rig": rig, "mode": args.mode}
            results.append({**head, "look_ahead_s": engine.info.look_ahead_s, **figures_of(scores, args.seed)})
    _progress("")
    print("\n\n".join(text_table(table) for table in tables(results)))
    if args.json:
        write_json(args.json, _figures(args, engines, data, results), args.force)
        print(f"figures: {args.json}")
    if args.html:
        write_html(args.html, page(results, examples, _title(args)), args.force)
        print(f"page: {args.html}")
    return 0


def _settings(
    args: argparse.Namespace, engines: list[Engine], data: list[Sequences]
) -> Iterator[tuple[Engine, str, str, list[Shot]]]:
    """All combinations of model, cameras and 2D input; recordings are filmed once for all models."""
    for rig in args.rig or ["held-out"]:
        for detector in args.input or ["noisy"]:
            _progress(f"filming: {rig} cameras, {detector} input")
            motions = (motion.resampled(args.rate) for file in data for motion in file.of_split(args.split))
            shots = [film(motion, rig, detector, args.seed) for motion in motions]
            for engine in engines:
                yield engine, rig, detector, shots


def _progress(text: str) -> None:
    """One line that is overwritten, for people only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _figures(
    args: argparse.Namespace, engines: list[Engine], data: list[Sequences], results: list[dict[str, Any]]
) -> dict[str, Any]:
    """The JSON file: what was measured, on what, and the results."""
    files = [{"file": file.path.name, "sha256": file.sha256, "license": file.license} for file in data]
    described = ("name", "family", "form", "parameters", "window", "look_ahead_s", "interval_radii")
    suffix = ".onnx" if args.backend == "auto" else BACKENDS[args.backend][0]
    hashes = [hashlib.sha256(model_path(name, suffix).read_bytes()).hexdigest() for name in args.model]
    models = [
        {**{key: getattr(engine.info, key) for key in described}, "engine": engine.backend, "sha256": sha256}
        for engine, sha256 in zip(engines, hashes, strict=True)
    ]
    settings = {"split": args.split, "rate_hz": args.rate, "max_frames": args.max_frames, "seed": args.seed}
    return {"data": files, **settings, "models": models, "results": results}


def _title(args: argparse.Namespace) -> str:
    names = ", ".join(path.name for path in args.data)
    return f"{', '.join(args.model)} on the {args.split} subjects of {names}, {args.rate:g} Hz, seed {args.seed}."
