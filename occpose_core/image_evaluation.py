"""`occpose evaluate --images`: models that take images, and models of keypoints, on the people of an image set."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from occpose_core.body_evaluation import AnyEngine, BodyEvaluationError, errors_of, see
from occpose_core.body_figures import figures_of, tables
from occpose_core.body_truth import TrueBodyModel
from occpose_core.imagesets import read_image_set
from occpose_core.report import Report, text_table, write_html, write_json
from occpose_core.runtime import load, model_path
from occpose_core.runtime.engine import ImageModelError
from occpose_core.runtime.image_engine import is_teacher, load_image_model, missing_edges

_DESCRIBED = ("name", "family", "form", "parameters", "image_size")


def evaluate_images(args: argparse.Namespace, progress: Callable[[str], None]) -> int:
    """Measure, print, write. Raises OccposeError for anything that the user can mend."""
    if len(args.input or []) > 1:
        raise BodyEvaluationError(f"of images there is one 2D input at a time, got {', '.join(args.input)}")
    detector = (args.input or ["detector"])[0]
    images = read_image_set(
        args.image_set, args.images, args.split, allow_pickle=args.allow_pickle, body=str(args.body or "")
    )
    truth = TrueBodyModel(images, args.body)
    engines = [_load(name, args.backend) for name in args.model]
    names = _names(engines, args.model)
    seen = see(images, args.seed, args.layout, detector, args.max_frames)
    errors = {}
    for name, engine in zip(names, engines, strict=True):
        say = partial(_say, progress, name, len(seen))
        errors[name] = errors_of(engine, seen, truth, say)
    progress("")
    results = figures_of(errors, seen, args.seed)
    print("\n\n".join(text_table(table) for table in tables(results)))
    if seen.unseen:
        print(f"{seen.unseen} more people show too little to be asked about")
    if args.json:
        models = [_described(engine, given) for engine, given in zip(engines, args.model, strict=True)]
        data = {"set": images.name, "sha256": images.sha256, "license": images.license, "body": images.body}
        settings = {
            "split": args.split,
            "layout": args.layout,
            "input": detector,
            "max_people": args.max_frames,
            "seed": args.seed,
        }
        people = {"people": len(seen), "unseen": seen.unseen}
        write_json(args.json, {"data": data, **settings, **people, "models": models, "results": results}, args.force)
        print(f"figures: {args.json}")
    if args.html:
        where = f"the {args.split} people of {images.name}, {args.layout} joints, {detector} input, seed {args.seed}"
        text = f"{', '.join(names)} on {where}."
        write_html(args.html, Report(title="Bodies in images", text=text, tables=tuple(tables(results))), args.force)
        print(f"page: {args.html}")
    return 0


def _say(progress: Callable[[str], None], name: str, people: int, done: int) -> None:
    progress(f"{name}: {done} of {people} people")


def _load(name: str, backend: str) -> AnyEngine:
    """A model of either kind. Raises ModelFileError."""
    try:
        engine = load(name, backend)
    except ImageModelError:
        image_model = load_image_model(name, backend)
        if not is_teacher(image_model) and (lack := missing_edges(image_model)):
            print(lack, file=sys.stderr)
        return image_model
    if not engine.info.lifts or engine.info.look_ahead_s:
        raise BodyEvaluationError(
            f"{name} is no model for single frames: with --images give lifters without look-ahead"
        )
    return engine


def _names(engines: list[AnyEngine], given: list[str]) -> list[str]:
    """What to call each model: its own name, or what was given where several have the same. Raises if that is equal."""
    count = Counter(engine.info.name for engine in engines)
    names = [
        engine.info.name if count[engine.info.name] == 1 else name for engine, name in zip(engines, given, strict=True)
    ]
    if len(set(names)) < len(names):
        raise BodyEvaluationError(f"a model is given twice: {', '.join(given)}; name each once")
    return names


def _described(engine: AnyEngine, given: str) -> dict[str, Any]:
    suffix = ".safetensors" if engine.backend.startswith("torch") else ".onnx"
    sha256 = hashlib.sha256(model_path(given, suffix).read_bytes()).hexdigest()
    return {**{key: getattr(engine.info, key) for key in _DESCRIBED}, "engine": engine.backend, "sha256": sha256}
