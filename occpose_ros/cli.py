"""The `occpose` command: what the core offers, and what needs bags and messages."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from occpose_core import cli

# occpose_core may not import occpose_ros, so the commands that read bags are added here.
COMMANDS: dict[str, str] = {
    **cli.COMMANDS,
    "replay": "occpose_ros.replay.command",
    "import-keypoints": "occpose_ros.keypoints_file",
    "bench": "occpose_ros.bench.command",
    "view": "occpose_ros.view.command",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, 2 after bad input."""
    return cli.main(argv, COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
