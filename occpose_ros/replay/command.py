"""Run models over recorded bags, without ROS, and report how good their skeletons are.

BAG is a .mcap or .db3 file, the folder of a rosbag2, or a folder with bags somewhere below it. DIR gets output.mcap
(input, skeletons, markers: open it in RViz or Foxglove), report.html and report.json; of several bags each gets a
folder with these, and DIR a report over all. The same bag and model give the same skeletons, byte for byte. What is
done already is not done again.

With true skeletons (a topic /ground_truth/..., TF or an npz file) the report has errors beside those of simple
baselines; without, coverage, flicker and bone length drift. --occlude hides joints on top of what is hidden already and
compares with what was answered when they were seen, which needs no truth.

    occpose replay samples/two_people.mcap                       # into two_people_replay/
    occpose replay samples/two_people.mcap --ground-frame map    # metric, by the ground that TF knows
    occpose replay my_bag --topic /front/keypoints --height 1.82 # a folder that `ros2 bag record` made
    occpose replay my_bag --image-model sefd.onnx                # poses and surfaces from the bag's images too
    occpose replay recordings --out replayed                     # all bags in a folder, one process per core
    occpose replay recordings --occlude natural --model stream-s --model my_model.onnx
    occpose replay recordings --baseline replayed/report.json    # exit code 1 if something got worse
    occpose replay /shared/recordings --out /shared/replayed --ray auto

Exit code: 0; 1 if a bag could not be replayed or something is worse than the baseline; 2 if nothing could be done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from occpose_core.files import make_folder, refuse_existing, utf8, write_atomically
from occpose_core.report import text_table, write_json
from occpose_core.runtime import BACKENDS, model_path
from occpose_ros.interrupts import stopping_in_order
from occpose_ros.replay.bags import Bag, find_bags
from occpose_ros.replay.baseline import TOLERANCE, compare
from occpose_ros.replay.local import cores, replay_locally
from occpose_ros.replay.models import Models
from occpose_ros.replay.occluding import occluding_patterns
from occpose_ros.replay.one_bag import attempt, replay_bag
from occpose_ros.replay.pooling import make_report
from occpose_ros.replay.progress import Display, Step, display
from occpose_ros.replay.result_folder import PAGE, REPORT, alone_in, result_files
from occpose_ros.replay.results import BagResult, Failure, Outcome, SavedReport, read_report
from occpose_ros.replay.run import ReplayError
from occpose_ros.replay.settings import ReplaySettings, SettingsError
from occpose_ros.replay.tables import baseline_tables, report_tables
from occpose_ros.replay.topics import add_source_arguments, source_settings
from occpose_ros.replay.work_list import Task, WorkList, make_work_list, refuse_other_report
from occpose_ros.report.pooled import pooled_page
from occpose_ros.scoring.truth import TruthSettings
from occpose_ros.scoring.truth_settings import add_truth_arguments, truth_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("bags", nargs="+", type=Path, metavar="BAG", help="a bag, or a folder with bags")
    add("--out", type=Path, metavar="DIR", help="results (default: the bag's name + _replay; several bags: replayed)")
    add("--json", type=Path, metavar="FILE", help="write the figures here too")
    add("--force", action="store_true", help="overwrite results of an earlier run")
    add_source_arguments(parser)
    _add_model_arguments(parser)
    add_truth_arguments(parser)
    _add_scale_arguments(parser)


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what answers").add_argument
    model = "a shipped model, see `occpose models`, or a file; several are compared with the first (default: stream-s)"
    add("--model", action="append", metavar="MODEL", help=model)
    add("--backend", choices=["auto", *BACKENDS], help="what runs the models (default: auto)")
    image_model = "an image model, which looks at the bag's images beside the keypoints"
    add("--image-model", metavar="FILE", help=image_model)
    occlude = (
        "hide joints on top by a pattern of `occpose evaluate`, such as natural or 'limb-run(leg,1)'; several may be"
    )
    add("--occlude", action="append", default=[], metavar="PATTERN", help=f"{occlude} given")
    add("--seed", type=int, default=0, metavar="N", help="of what is hidden (default: %(default)s)")
    add("--height", type=float, metavar="M", help="people's height in metres (default: 1.70 is assumed)")
    ground = "frame of the bag's TF, z up, whose plane z = 0 people stand on: their scale is learned from it"
    add("--ground-frame", metavar="FRAME", help=ground)
    add("--no-markers", dest="markers", action="store_false", help="leave the markers out of the written bags")


def _add_scale_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("many bags").add_argument
    add("--jobs", type=int, metavar="N", help="processes for several bags (default: one per core)")
    ray = "do it on a Ray cluster: `auto` on a machine of it, or host:port; all machines need the same paths"
    add("--ray", metavar="ADDRESS", help=ray)
    add("--baseline", type=Path, metavar="FILE", help="report.json of an earlier run: what got better or worse?")
    tolerance = f"share of a figure by which it may get worse (default: {TOLERANCE:g}); 1 mm always"
    add("--tolerance", type=float, default=TOLERANCE, metavar="X", help=tolerance)


def _settings(args: argparse.Namespace) -> ReplaySettings:
    """What the arguments say; those that are not given are as the parameter file has them, if there is one. Raises
    OccposeError."""
    source = source_settings(args)
    parameters = source.parameters
    image_model = args.image_model or parameters.image_model
    if args.image and not image_model:
        raise SettingsError("--image has no meaning without --image-model: leave it out")
    backend = args.backend or parameters.backend
    suffix = ".onnx" if backend == "auto" else BACKENDS[backend][0]
    models = args.model or [parameters.model]
    for model in models:
        model_path(model, suffix)  # said once, and not of every bag
    config = parameters.pipeline_config
    if args.height is not None:
        try:
            config = replace(config, target_height_m=args.height)
        except ValueError as error:
            raise SettingsError(f"--height: {error}") from None
    return ReplaySettings(
        source=source,
        truth=_truth(args),
        models=tuple(_absolute(model) for model in models),
        backend=backend,
        image_model=_absolute(image_model),
        patterns=occluding_patterns(args.occlude),
        seed=args.seed,
        ground_frame=parameters.ground_frame if args.ground_frame is None else args.ground_frame,
        config=config,
        markers=args.markers,
    )


def _truth(args: argparse.Namespace) -> TruthSettings:
    truth = truth_settings(args)
    joints_file, npz = (path and path.absolute() for path in (truth.joints_file, truth.npz))
    return replace(truth, joints_file=joints_file, npz=npz)


def _absolute(model: str) -> str:
    """A model's file as every process finds it."""
    return os.path.abspath(model) if Path(model).suffix else model


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What the user wants, checked."""

    args: argparse.Namespace
    settings: ReplaySettings
    bags: list[Bag]
    out: Path
    before: SavedReport | None


def run(args: argparse.Namespace) -> int:
    """Replay, write all results, print the tables."""
    with stopping_in_order():
        wanted = _checked(args)
        settings = wanted.settings
        with alone_in(wanted.out):
            work = make_work_list(wanted.bags, wanted.out, settings.described, settings.labels, args.force)
            outcomes = [*work.done, *_outcomes(work.todo, wanted)]
            return _report(wanted, work, outcomes)


def _checked(args: argparse.Namespace) -> _Run:
    """Raises OccposeError for all that can be known to be wrong before any work."""
    if args.jobs is not None and args.jobs < 1:
        raise SettingsError(f"--jobs must be 1 or more, got {args.jobs}")
    if not 0 <= args.tolerance < float("inf"):
        raise SettingsError(f"--tolerance must be 0 or more, got {args.tolerance:g}")
    settings = _settings(args)
    bags = find_bags(args.bags)
    out = args.out or Path(f"{bags[0].name}_replay" if len(bags) == 1 else "replayed")
    if args.json is not None:
        if args.json.parent.resolve() != out.resolve():
            refuse_existing(args.json, force=True)
        if not args.force:
            refuse_other_report(args.json, settings.described)
    before = None if args.baseline is None else read_report(args.baseline)
    return _Run(args=args, settings=settings, bags=bags, out=out, before=before)


def _outcomes(tasks: Sequence[Task], wanted: _Run) -> Iterator[Outcome]:
    """What becomes of each bag."""
    with display(tasks, alone=len(wanted.bags) == 1) as shown:
        for event in _events(tasks, wanted, shown):
            shown.show(event)
            if not isinstance(event, Step):
                yield event


def _events(tasks: Sequence[Task], wanted: _Run, shown: Display) -> Iterator[Step | Outcome]:
    """Replay bags wherever the user wants it."""
    if wanted.args.ray and tasks:
        from occpose_ros.replay.cluster import replay_on_ray

        return replay_on_ray(tasks, wanted.settings, wanted.args.ray)
    if len(wanted.bags) == 1:
        return iter([replay_bag(task, wanted.settings, Models(), shown.show) for task in tasks])
    if len(tasks) == 1:
        return iter([attempt(tasks[0], wanted.settings, Models(), shown.show)])
    return replay_locally(tasks, wanted.settings, wanted.args.jobs or cores())


def _report(wanted: _Run, work: WorkList, outcomes: Sequence[Outcome]) -> int:
    """Write what is over all bags and print it; the exit code."""
    results = [outcome for outcome in outcomes if isinstance(outcome, BagResult)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if len(wanted.bags) == len(failures) == 1:
        raise ReplayError(failures[0].reason)
    if not results:
        raise ReplayError(f"none of the {len(failures)} bags could be replayed; the reasons are above")
    report: dict[str, Any] = make_report(wanted.settings.described, results, failures)
    comparison = None
    if wanted.before is not None:
        comparison = compare(results, wanted.before, wanted.args.baseline, wanted.args.tolerance)
        report["baseline"] = comparison.to_json()
    print("\n\n".join(text_table(table) for table in [*report_tables(report), *baseline_tables(comparison)]))
    if comparison is not None:
        print(f"\n{comparison.summary()}")
    if work.done:
        print(f"\n{len(work.done)} of {len(wanted.bags)} bags were done already; --force does them again")
    print("\n" + "\n".join(f"wrote {path}" for path in _written(wanted, work, report)))
    if failures:
        names = ", ".join(failure.bag for failure in failures)
        print(f"occpose replay: {len(failures)} of {len(wanted.bags)} bags failed: {names}", file=sys.stderr)
    return 1 if failures or (comparison is not None and comparison.of("worse")) else 0


def _written(wanted: _Run, work: WorkList, report: Mapping[str, Any]) -> Iterator[Path]:
    """Write what is over all bags; yields that, and what was written for a single bag before."""
    reports = [wanted.out / REPORT, *([] if wanted.args.json is None else [wanted.args.json])]
    if len(wanted.bags) > 1:
        make_folder(wanted.out)
        write_atomically(wanted.out / PAGE, utf8(pooled_page(report)), force=True)
        yield wanted.out / PAGE
    elif work.todo:
        yield from (wanted.out / name for name in result_files(wanted.settings.labels) if name != REPORT)
    for path in {path.resolve(): path for path in reports}.values():
        write_json(path, report, force=True)
        yield path
