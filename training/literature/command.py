"""Measure a trained checkpoint as papers do: P1 and P2 per action on a data set with real cameras.

    python -m training literature --model runs/htnet/htnet.safetensors --set h36m --allow-pickle \\
        --data data_3d_h36m.npz --keypoints data_2d_h36m_cpn_ft_h36m_dbb.npz --flip

Without options nothing of the truth reaches the model, and nothing but each frame's root is aligned before P1. What the
papers did beyond that is off unless asked for, and named in the output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from occpose_core.checkpoint import NORMALISATION, SCREEN, ModelInfo, load_checkpoint
from occpose_core.dataset import SPLITS
from occpose_core.files import refuse_existing
from occpose_core.report import text_table, write_json
from training.data.formats import FORMATS, read_recordings
from training.data.recording import Recording
from training.literature.lifting import Lifter, LiteratureError, load_refine
from training.literature.protocols import AS_PUBLISHED, SWEEPS, Result, Trial, standard, sweep


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training literature",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Any = parser.add_argument
    add("--model", type=Path, required=True, metavar="FILE.safetensors", help="a trained checkpoint")
    add("--set", choices=list(FORMATS), required=True, help="the data set's format")
    add("--data", type=Path, required=True, nargs="+", metavar="FILE", help="what that format's reader takes")
    add("--keypoints", type=Path, metavar="FILE", help="2D joints, as the last of the files (default: the true ones)")
    add("--allow-pickle", action="store_true", help="open pickled files; only numbers and texts are taken out")
    add("--split", choices=SPLITS, default="test", help="subjects (default: test); select models on val, never on test")
    add("--every", type=_count, default=1, metavar="N", help="score one in N frames (default: all)")
    add("--flip", action="store_true", help="average with the answer for the mirrored person")
    add("--refine", action="store_true", help="correct answers by the refine phase's module: an oracle of root depth")
    add("--sweep", choices=list(SWEEPS), help="also: each joint missing in 30 of 81 frames, random or in runs of 6")
    add("--as-published", nargs="+", choices=list(AS_PUBLISHED), default=[], help="also: these systems' own evaluation")
    add("--seed", type=int, default=0, help="of what is missing (default: 0)")
    add("--json", type=Path, metavar="FILE", help="write every figure")
    add("--force", action="store_true", help="overwrite an existing file")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames from 1")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write. Raises OccposeError for anything that the user can mend."""
    args = _parser().parse_args(argv)
    if args.json:
        refuse_existing(args.json, args.force)
    model, info = load_checkpoint(args.model, (NORMALISATION, SCREEN))
    lifter = Lifter(model, info, args.flip, load_refine(args.model) if args.refine else None)
    if "lcn" in args.as_published:
        lifter.need_image_pose()
    recordings = _recordings(args)
    trial = Trial(lifter=lifter, recordings=recordings, every=args.every, seed=args.seed, progress=_progress)
    results: dict[str, Result] = {"standard": standard(trial)}
    if args.sweep:
        results[f"sweep_{args.sweep}"] = sweep(trial, args.sweep)
    for name in args.as_published:
        results[f"as_published_{name}"] = AS_PUBLISHED[name](trial)
    _progress("")
    conditions = _conditions(args, info, lifter, recordings)
    print("\n".join(conditions), *(text_table(result.table) for result in results.values()), sep="\n\n")
    if args.json:
        write_json(args.json, _figures(args, info, recordings, conditions, results), args.force)
        print(f"\nfigures: {args.json}")
    return 0


def _recordings(args: argparse.Namespace) -> list[Recording]:
    files = [*args.data, *([args.keypoints] if args.keypoints else [])]
    found = read_recordings(args.set, files, args.allow_pickle)
    chosen = [each for each in found if each.split == args.split and len(each)]
    if not chosen:
        names = ", ".join(map(str, files))
        raise LiteratureError(f"{names} has no recording of split {args.split!r}; choose another --split")
    return chosen


def _conditions(
    args: argparse.Namespace, info: ModelInfo, lifter: Lifter, recordings: Sequence[Recording]
) -> list[str]:
    """What the figures depend on, in sentences."""
    subjects = ", ".join(sorted({each.subject for each in recordings}))
    given = args.keypoints.name if args.keypoints else "as the data set has it"
    lines = [
        f"{info.name} ({info.family}, {info.form} form) on {args.set}, {args.split} subjects {subjects}, 2D {given}.",
        f"2D normalisation: {info.normalisation}. Flip averaging: {'on' if lifter.averages else 'off'}.",
    ]
    if args.refine:
        lines.append("oracle: root depth and camera. Answers are refined with the true depth of the root.")
    if info.window > 1:
        ahead = lifter.model.look_ahead
        lines.append(f"Windows of {info.window} frames, {ahead} of them behind the answered one; edges repeated.")
    if lifter.resampled(recordings):
        lines.append(f"Windows have {info.rate_hz:g} frames a second, as in training: the nearest recorded ones.")
    if args.every > 1:
        lines.append(f"One in {args.every} frames is scored.")
    return lines


def _figures(
    args: argparse.Namespace,
    info: ModelInfo,
    recordings: Sequence[Recording],
    conditions: list[str],
    results: dict[str, Result],
) -> dict[str, Any]:
    described = ("name", "family", "form", "config", "parameters", "window", "look_ahead_s", "normalisation")
    return {
        "model": {key: getattr(info, key) for key in described},
        "set": args.set,
        "split": args.split,
        "subjects": sorted({each.subject for each in recordings}),
        "files": [path.name for path in (*args.data, *([args.keypoints] if args.keypoints else []))],
        "frames": sum(-(-len(each) // args.every) for each in recordings),
        "options": {"flip": args.flip, "refine": args.refine, "every": args.every, "seed": args.seed},
        "conditions": conditions,
        "notes": {name: result.table.note for name, result in results.items()},
        "results": {name: result.figures for name, result in results.items()},
    }


def _progress(text: str) -> None:
    """One line that is overwritten, for people only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
