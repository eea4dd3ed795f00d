"""The `occpose` command: a table of commands and one place where errors become one sentence."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from occpose_core.commands import evaluate, export, models
from occpose_core.errors import OccposeError


class Command(Protocol):
    """A module of occpose_core.commands or one of its form; the docstring is its help."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code, raises OccposeError for what the user can mend."""
        ...


COMMANDS: dict[str, Command] = {"models": models, "evaluate": evaluate, "export": export}

_DESCRIPTION = """occpose: occluded people in 3D from 2D keypoints.

Each command explains itself: occpose COMMAND --help"""


def _parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="occpose", description=_DESCRIPTION, formatter_class=formatter)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in commands.items():
        text = inspect.cleandoc(command.__doc__ or "")
        summary = text.split("\n", 1)[0]
        command.add_arguments(subparsers.add_parser(name, help=summary, description=text, formatter_class=formatter))
    return parser


def main(argv: Sequence[str] | None = None, commands: Mapping[str, Command] = COMMANDS) -> int:
    """Run `occpose`; returns the exit code: 0 done, 2 bad input (one sentence on stderr), 130 interrupted."""
    args = _parser(commands).parse_args(argv)
    try:
        return commands[args.command].run(args)
    except OccposeError as error:
        print(f"occpose {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"occpose {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, missing rights
        where = f" {error.filename}" if error.filename else ""
        print(
            f"occpose {args.command}: cannot use{where}: {error.strerror}; check path, rights and space",
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
