"""Turn a published data set into a file of motion: `python -m training convert h36m data_3d_h36m.npz --out h36m.npz`.

The file is as those of docs/evaluation.md ("Data files"): `occpose evaluate` and the recipes take it as any other.
Subjects are split as the data set's users do, but for a validation subject out of those for training.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occpose_core.dataset import DatasetError, Motion
from occpose_core.files import refuse_existing, write_atomically
from occpose_core.safe_pickle import FLAG
from occpose_core.skeleton import H36M17
from training.data import h36m, mpi_inf_3dhp, pw3d
from training.data.upright import stand_upright

RATE_HZ = 30.0  # what the shipped configurations expect

Found = Iterator[tuple[str, Motion]]  # split and recording


@dataclass(frozen=True, kw_only=True)
class Source:
    """read(path, allow_pickle) gives what is converted. upright: z is up and the floor at 0 already."""

    read: Callable[[Path, bool], Found]
    takes: str
    license: str
    upright: bool


def _motion(name: str, subject: str, description: str, rate_hz: float, joints_m: np.ndarray) -> Motion:
    joints = joints_m.astype(np.float64)
    return Motion(name=name, subject=subject, description=description, rate_hz=rate_hz, joints_world_m=joints)


def _h36m(path: Path, allow_pickle: bool) -> Found:
    for subject, action, joints_m in h36m.read_world(path, allow_pickle):
        motion = _motion(f"{subject}/{action}", subject, h36m.pool(action), h36m.RATE_HZ, joints_m)
        yield h36m.split_of(subject), motion


# The official test set is given before its cameras only, which nobody knows the tilt of.
_3DHP_SPLITS = {"S7": "val", "S8": "test"}


def _mpi_inf_3dhp(path: Path, allow_pickle: bool) -> Found:
    for subject, sequence, rate_hz, joints_m in mpi_inf_3dhp.read_world(path):
        motion = _motion(f"{subject}/{sequence}", subject, sequence, rate_hz, joints_m)
        yield _3DHP_SPLITS.get(subject, "train"), motion


def _3dpw(path: Path, allow_pickle: bool) -> Found:
    for split, subject, sequence, joints_m in pw3d.read_world(path, allow_pickle):
        yield split, _motion(subject, subject, sequence, pw3d.RATE_HZ, joints_m)


SOURCES: dict[str, Source] = {
    "h36m": Source(
        read=_h36m,
        takes="VideoPose3D's data_3d_h36m.npz",
        license="Human3.6M: free for academic use only, not to be passed on (vision.imar.ro/human3.6m)",
        upright=True,
    ),
    "mpi-inf-3dhp": Source(
        read=_mpi_inf_3dhp,
        takes="the folder of S1/Seq1/annot.mat; subject S7 becomes validation, S8 test",
        license="MPI-INF-3DHP: for research only, not to be passed on (vcai.mpi-inf.mpg.de/3dhp-dataset)",
        upright=False,
    ),
    "3dpw": Source(
        read=_3dpw,
        takes="the folder of sequenceFiles",
        license="3DPW: for non-commercial research only, not to be passed on (virtualhumans.mpi-inf.mpg.de/3DPW)",
        upright=False,
    ),
}


def convert(name: str, path: Path, out: Path, allow_pickle: bool, rate_hz: float = RATE_HZ, force: bool = False) -> int:
    """Write the data set of that name (a key of SOURCES) to a file of motion; returns its frames.

    Raises DatasetError if it cannot be read, OutputError if the file cannot be written or is there already.
    """
    refuse_existing(out, force)
    source = SOURCES[name]
    splits, found = _list(source.read(path, allow_pickle))
    if not found:
        raise DatasetError(f"{path} has no recordings; expected {source.takes}")
    if not source.upright:
        found = stand_upright(found)
    motions = [motion.resampled(rate_hz) for motion in found]
    write_atomically(out, _npz(motions, splits, rate_hz, source.license), force)
    return sum(len(motion.joints_world_m) for motion in motions)


def _list(found: Found) -> tuple[list[str], list[Motion]]:
    both = [(split, motion) for split, motion in found if len(motion.joints_world_m)]
    return [split for split, _ in both], [motion for _, motion in both]


def _npz(motions: Sequence[Motion], splits: Sequence[str], rate_hz: float, license_text: str) -> bytes:
    length = np.array([len(motion.joints_world_m) for motion in motions])
    content = io.BytesIO()
    np.savez_compressed(
        content,
        positions=np.concatenate([motion.joints_world_m for motion in motions]).astype(np.float32),
        start=np.cumsum(length) - length,
        length=length,
        name=[motion.name for motion in motions],
        subject=[motion.subject for motion in motions],
        description=[motion.description for motion in motions],
        split=list(splits),
        fps=rate_hz,
        joints=H36M17.joints,
        license=license_text,
    )
    return content.getvalue()


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no frame rate")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; OccposeError on bad input."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m training convert", description=__doc__, formatter_class=formatter)
    sets = "; ".join(f"{name}: {source.takes}" for name, source in SOURCES.items())
    parser.add_argument("data_set", choices=SOURCES, help="which data set")
    parser.add_argument("path", type=Path, help=sets)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("--rate", type=_positive, default=RATE_HZ, help="frames a second (default: %(default)g)")
    parser.add_argument(FLAG, action="store_true", help="open pickled files; only numbers are ever taken out of them")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    args = parser.parse_args(argv)
    frames = convert(args.data_set, args.path, args.out, args.allow_pickle, args.rate, args.force)
    print(f"{frames} frames written to {args.out}")
    return 0
