"""The `occpose` command: what the core offers, and what needs bags and messages."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from occpose_core import cli
from occpose_ros import bench_command, keypoints_file, replay_command

# occpose_core may not import occpose_ros, so the commands that read bags are added here.
COMMANDS: dict[str, cli.Command] = {
    **cli.COMMANDS,
    "replay": replay_command,
    "import-keypoints": keypoints_file,
    "bench": bench_command,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, 2 after bad input."""
    return cli.main(argv, COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
