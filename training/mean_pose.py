"""`python -m training mean-pose FILE.npz ... --out mean_pose.npy`: the baseline that knows people but looks at none.

Writes the mean of the training windows' root-relative joints in the person view, (17, 3) float32 metres.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

from occpose_core.errors import OccposeError
from training.data.mocap import read_clips
from training.data.windows import WindowConfig, Windows


def main(argv: list[str] | None = None) -> int:
    """Run the command; 2 with one sentence on bad input."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m training mean-pose", description=__doc__, formatter_class=formatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=40, help="of 1024 windows (default: 40)")
    args = parser.parse_args(argv)
    try:
        windows = Windows(read_clips(args.files, "train"), {}, WindowConfig(), batch=1024, seed=0)
    except OccposeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    poses = [batch["joints_root_m"][:, -1].numpy() for batch in itertools.islice(windows, args.batches)]
    np.save(args.out, np.concatenate(poses).mean(axis=0, dtype=np.float64).astype(np.float32))
    return 0


if __name__ == "__main__":
    sys.exit(main())
