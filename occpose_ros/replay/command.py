"""Run a model over a recorded bag, without ROS, and report how good its skeletons are.

DIR gets output.mcap (input, skeletons, markers: open it in RViz or Foxglove), report.html and report.json. The same bag
and model give the same skeletons, byte for byte. With true skeletons on a topic /ground_truth/... the report has errors
beside those of simple baselines; without, coverage, flicker and bone length drift.

    occpose replay samples/two_people.mcap                       # into two_people_replay/
    occpose replay samples/two_people.mcap --ground-frame map    # metric, by the ground that TF knows
    occpose replay my_bag --topic /front/keypoints --height 1.82 # a folder that `ros2 bag record` made
    occpose replay my_bag --model my_model.onnx --json figures.json --force
    occpose replay my_bag --image-model sefd.onnx                # poses and surfaces from the bag's images too
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from occpose_core.camera import load_lens_models
from occpose_core.files import refuse_existing, write_atomically
from occpose_core.pipeline import PosePipeline
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.report import text_table, write_json
from occpose_core.runtime import BACKENDS, DEFAULT_MODEL, load
from occpose_core.tracking import load_solver
from occpose_ros.bag import BagReader
from occpose_ros.helper_process import worth_helpers
from occpose_ros.replay.answer_process import answers_bag
from occpose_ros.replay.answer_writer import Answers
from occpose_ros.replay.run import Replay, ReplayError, replay
from occpose_ros.replay.source import ReadingProcess, read
from occpose_ros.replay.topics import add_source_arguments, find_topics, source_settings
from occpose_ros.report.page import ReportRun, bag_page
from occpose_ros.report.tables import latency_figures, tables
from occpose_ros.scoring.score import Score, score
from occpose_ros.scoring.truth import truth_from_msgs

if TYPE_CHECKING:
    from occpose_core.runtime.image_engine import ImageEngine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("bag", type=Path, metavar="BAG", help="a .mcap or .db3 file, or the folder of a rosbag2")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (default: BAG's name + _replay)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help="a shipped model, see `occpose models` (default: %(default)s), or a file"
    )
    parser.add_argument(
        "--backend", choices=["auto", *BACKENDS], default="auto", help="what runs the model (default: %(default)s)"
    )
    parser.add_argument(
        "--image-model", metavar="FILE", help="an image model, which looks at the bag's images beside the keypoints"
    )
    parser.add_argument("--truth", metavar="TOPIC", help="topic of true skeletons (default: /ground_truth/...)")
    parser.add_argument(
        "--height", type=float, metavar="M", help="people's height in metres (default: 1.70 is assumed)"
    )
    parser.add_argument(
        "--ground-frame",
        default="",
        metavar="FRAME",
        help="frame of the bag's TF, z up, whose plane z = 0 people stand on: their scale is learned from it",
    )
    parser.add_argument("--no-markers", dest="markers", action="store_false", help="leave the markers out of the bag")
    parser.add_argument("--force", action="store_true", help="overwrite results of an earlier run")
    add_source_arguments(parser)


def _progress() -> Callable[[int, int], None]:
    """A counter on a terminal; nothing in a log file."""
    if not sys.stderr.isatty():
        return lambda done, total: None

    def show(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            print(f"\r{done} of {total} messages", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show


@contextlib.contextmanager
def _little_garbage() -> Iterator[None]:
    """Meanwhile what was there before is not looked through for garbage."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@dataclass(frozen=True, kw_only=True)
class _Outputs:
    bag: Path
    json: tuple[Path, ...]
    html: Path


def _outputs(args: argparse.Namespace) -> _Outputs:
    """Where the results go; OutputError, before any work, if something is there already."""
    folder = args.out or Path(f"{args.bag.resolve().stem}_replay")
    json = {path.resolve(): path for path in (folder / "report.json", args.json) if path is not None}
    outputs = _Outputs(bag=folder / "output.mcap", json=tuple(json.values()), html=folder / "report.html")
    for path in (outputs.bag, *outputs.json, outputs.html):
        if folder.is_dir() or path.parent.resolve() != folder.resolve():
            refuse_existing(path, args.force)
    return outputs


def figures_of(seen: Replay, scored: Score, engine: Any) -> dict[str, Any]:
    """The figures of report.json."""
    return {
        **scored.figures,
        "latency_ms": latency_figures([1000.0 * seconds for seconds in seen.step_s]),
        "latency_note": "one pipeline step, from keypoints to skeletons",
        "speed_x_realtime": seen.bag_s / seen.wall_s if seen.wall_s else None,
        "dropped": {reason: count for reason, count in sorted(seen.dropped.items()) if count},
        "resets": seen.resets,
        "model": engine.info.name,
        "engine": engine.backend,
    }


def _image_model(model: str, target: Answers) -> ImageEngine:
    """The loaded image model, whose surfaces the markers will show."""
    from occpose_core.runtime.image_engine import load_image_model, missing_edges
    from occpose_ros.mesh import shown_mesh

    engine = load_image_model(model)
    if lack := missing_edges(engine):
        print(lack, file=sys.stderr)
    target.show(shown_mesh(engine))
    return engine


def run(args: argparse.Namespace) -> int:
    """Replay, write all results, print the tables."""
    if args.image and not args.image_model:
        raise ReplayError("--image has no meaning without --image-model: leave it out")
    outputs = _outputs(args)
    config = dataclasses.replace(PipelineConfig(), target_height_m=args.height)
    settings = source_settings(args)
    with BagReader(args.bag, settings.message_files) as bag:
        topics = find_topics(bag, settings, args.truth, with_images=bool(args.image_model))
        messages = bag.count(topics.detections)
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(answers_bag(outputs.bag, messages, force=args.force, markers=args.markers))
            helped = worth_helpers(messages) and not topics.image  # images would take long to hand over
            source = (
                stack.enter_context(ReadingProcess(args.bag, topics, settings))
                if helped
                else read(bag, topics, settings)
            )
            engine = load(args.model, backend=args.backend)  # meanwhile the helpers get ready
            body_engine = _image_model(args.image_model, target) if args.image_model else None
            load_lens_models()
            load_solver()
            pipeline = PosePipeline(engine, config, body_engine=body_engine)
            options: dict[str, Any] = {"settings": settings, "ground_frame": args.ground_frame}
            with _little_garbage():
                seen = replay(bag, topics, pipeline, target, source, progress=_progress(), **options)
    scored = score(seen.detected, seen.answers, truth_from_msgs(seen.truth), engine.info.interval_radii)
    figures = figures_of(seen, scored, engine)
    if body_engine is not None:
        figures |= {"image_model": body_engine.info.name, "image_engine": body_engine.backend}
    text = f"{args.bag.name}: {topics.described(settings)}."
    for path in outputs.json:
        write_json(path, figures, args.force)
    latencies_ms = [1000.0 * seconds for seconds in seen.step_s]
    run = ReportRun(
        model=args.model, pattern="", figures=figures, intervals={}, score=scored, latencies_ms=latencies_ms
    )
    write_atomically(outputs.html, bag_page(args.bag.name, text, [run]).encode(), args.force)
    print("\n\n".join(text_table(table) for table in tables(figures)))
    print("\n" + "\n".join(f"wrote {path}" for path in (outputs.bag, *outputs.json, outputs.html)))
    return 0
