"""Write motion as memory-mapped shards: `python -m training shards FILE.npz ... --out DIR`.

The folder then stands wherever a recipe takes data files. Started again after a stop, it goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from training.data.shards import FRAMES_PER_SHARD, write_shards


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is no number of frames")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; OccposeError on bad input."""
    parser = argparse.ArgumentParser(prog="python -m training shards", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.npz", help="OccKP-1 data files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the shards")
    parser.add_argument(
        "--frames", type=_positive, default=FRAMES_PER_SHARD, help="at most so many a shard (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    write_shards(args.files, args.out, args.frames, print)
    print(f"{args.out} is complete")
    return 0
