"""What is said about true poses: by settings, or on the command line."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from occpose_ros.scoring.truth_npz import check_npz
from occpose_ros.scoring.truth_rows import TruthError
from occpose_ros.scoring.truth_tf import check_template, joint_names


@dataclass(frozen=True, kw_only=True)
class TruthSettings:
    """Where to look for true poses; as it is by default, on the only topic of skeletons under /ground_truth.

    topic: of Skeleton3DArray. tf: names of TF frames, as in `mocap/{id}/{joint}`; joints_file: what the joints are
    called there. npz: a file; offset_s: when its time begins, after the first image. Raises TruthError.
    """

    topic: str = ""
    tf: str = ""
    joints_file: Path | None = None
    npz: Path | None = None
    offset_s: float = 0.0

    def __post_init__(self) -> None:
        named = [bool(self.topic), bool(self.tf), self.npz is not None]
        if sum(named) > 1:
            raise TruthError("the truth comes from one place: give --truth or --truth-tf, not both")
        if self.joints_file is not None and not self.tf:
            raise TruthError("--truth-joints says what joints are called in --truth-tf: give that too")
        if not math.isfinite(self.offset_s):
            raise TruthError(f"--truth-offset must be a number of seconds, got {self.offset_s:g}")
        if self.offset_s and self.npz is None:
            raise TruthError("--truth-offset is of the time in a file: give --truth FILE.npz too")
        if self.tf:
            check_template(self.tf)


def add_truth_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `truth_settings` reads."""
    group = parser.add_argument_group("true poses, if there are any")
    group.add_argument(
        "--truth",
        metavar="TOPIC|FILE.npz",
        help="topic of true skeletons (default: the one under /ground_truth), or a file with joints_m (T[, P], J, 3) in"
        " metres, layout, fps or stamps_s, and camera_from_world (4, 4) unless they are in the camera's frame",
    )
    group.add_argument(
        "--truth-offset",
        type=float,
        default=0.0,
        metavar="S",
        help="time 0 of the file is so many seconds after the stamp of the first keypoints (default: %(default)g)",
    )
    group.add_argument(
        "--truth-tf", default="", metavar="FRAMES", help="TF frames of true joints, for example 'mocap/{id}/{joint}'"
    )
    group.add_argument(
        "--truth-joints",
        type=Path,
        metavar="FILE.yaml",
        help="what the joints are called there, one `left_wrist: LWrist` a line (default: as in h36m17)",
    )


def truth_settings(args: argparse.Namespace) -> TruthSettings:
    """The settings that the arguments ask for. Raises TruthError, also if a file cannot be read."""
    file = Path(args.truth) if args.truth and args.truth.endswith(".npz") else None
    if file is not None and not file.is_file():
        raise TruthError(f"there is no file {file} with true poses: check the path after --truth")
    settings = TruthSettings(
        topic="" if file is not None else args.truth or "",
        tf=args.truth_tf,
        joints_file=args.truth_joints,
        npz=file,
        offset_s=args.truth_offset,
    )
    joint_names(settings.joints_file)
    if settings.npz is not None:
        check_npz(settings.npz)
    return settings
