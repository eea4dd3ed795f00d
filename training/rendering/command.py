"""Render pictures of people: `python -m training render --motion FILE.npz --out DIR`.

People, their motion, furniture and textures of the test split are none of those of the training split: people by the
split of the motion's subjects. Started again after a stop, the command goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from functools import cache, partial
from pathlib import Path

import numpy as np

from occpose_core.dataset import SPLITS
from training.rendering.arguments import not_negative, positive
from training.rendering.overlap_edges import need_canny
from training.rendering.processes import alone_in, pool
from training.rendering.raycast import need_embree
from training.rendering.set_writer import Chunk, Plan, RenderingError, Studio, finish_folder, prepare_folder

_IMAGES, _SPLIT_SHARES = 6000, (0.83, 0.05, 0.12)
_REPORTS = 20


def render(plan: Plan, folder: Path, workers: int, report: Callable[[str], None] = lambda line: None) -> int | None:
    """Render a set, or what is missing of it; returns the number of labelled people, None if it was whole already.

    Raises RaycastError or EdgesError without Embree or Kornia, DatasetError if the motion is unreadable or lacks a
    split, OutputError if the folder holds something else, ProcessError if a process died or another fills the folder.
    """
    need_embree()
    need_canny()
    studio = Studio(plan, folder)
    with alone_in(folder):
        if prepare_folder(folder, studio):
            return None
        chunks = plan.chunks()
        for split in {chunk.split for chunk in chunks}:
            studio.recordings(split)
        made = _in_turn(studio, chunks) if workers == 1 else _side_by_side(plan, folder, chunks, workers)
        pictures, every = 0, sum(plan.images) / _REPORTS
        for count in made:
            if (pictures + count) // every > pictures // every:
                report(f"{pictures + count} of {sum(plan.images)} pictures")
            pictures += count
        return finish_folder(folder, studio)


def _in_turn(studio: Studio, chunks: Sequence[Chunk]) -> Iterator[int]:
    return (studio.make(chunk) for chunk in chunks)


def _side_by_side(plan: Plan, folder: Path, chunks: Sequence[Chunk], workers: int) -> Iterator[int]:
    with pool(workers) as processes:
        for done in as_completed([processes.submit(_make, plan, folder, chunk) for chunk in chunks]):
            yield done.result()


def _make(plan: Plan, folder: Path, chunk: Chunk) -> int:
    return _studio(plan, folder).make(chunk)


@cache
def _studio(plan: Plan, folder: Path) -> Studio:
    """One for each process: reading the motion takes longer than a picture."""
    return Studio(plan, folder)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return value


def _plan(args: argparse.Namespace) -> Plan:
    """Raises RenderingError if shares do not fit."""
    if args.motion_shares and len(args.motion_shares) != len(args.motion):
        raise RenderingError(f"{len(args.motion_shares)} motion shares for {len(args.motion)} files; give one for each")
    if args.motion_shares and not sum(args.motion_shares):
        raise RenderingError("all motion shares are 0; give one file at least a share of the poses")
    if not np.isclose(sum(args.splits), 1.0):
        raise RenderingError(f"--splits must sum to 1, got {sum(args.splits):g}; give shares of train, val and test")
    ends = np.round(np.cumsum([0.0, *args.splits]) * args.images).astype(int)
    return Plan(
        motion=tuple(args.motion),
        images=tuple(np.diff(ends).tolist()),
        motion_shares=tuple(args.motion_shares) if args.motion_shares else None,
        seed=args.seed,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; OccposeError on bad input."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m training render", description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "--motion", type=Path, action="append", required=True, metavar="FILE.npz", help="OccKP-1 data file; any number"
    )
    parser.add_argument(
        "--motion-shares",
        type=_share,
        nargs="+",
        metavar="SHARE",
        help="shares of the poses from each file (default: by their numbers of subjects)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the set")
    parser.add_argument("--images", type=positive, default=_IMAGES, help="pictures (default: %(default)s)")
    parser.add_argument(
        "--splits",
        type=_share,
        nargs=len(SPLITS),
        default=_SPLIT_SHARES,
        metavar=tuple(split.upper() for split in SPLITS),
        help="shares of the pictures for " + ", ".join(SPLITS) + " (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="other pictures for another (default: %(default)s)"
    )
    parser.add_argument("--workers", type=positive, default=2, help="processes (default: %(default)s)")
    args = parser.parse_args(argv)
    people = render(_plan(args), args.out, args.workers, partial(print, flush=True))
    print(f"{args.out} was complete" if people is None else f"{people} people in {args.images} pictures in {args.out}")
    return 0
