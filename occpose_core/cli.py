"""The `occpose` command: a table of commands and one place where errors become one sentence.

Only the module of the command that is asked for is imported, for some take a second to load their libraries; of the
others the help is read from their files.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import inspect
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

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


# name -> its module
COMMANDS: dict[str, str] = {name: f"occpose_core.commands.{name}" for name in ("models", "evaluate", "export")}

_DESCRIPTION = """occpose: occluded people in 3D from 2D keypoints.

Each command explains itself: occpose COMMAND --help"""


def _help(module: str) -> str:
    """The docstring of a module that is not imported."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return inspect.cleandoc(ast.get_docstring(ast.parse(Path(spec.origin).read_bytes())) or "")


def _parser(commands: Mapping[str, str], asked: str) -> tuple[argparse.ArgumentParser, Command | None]:
    """The parser of all commands, which knows the arguments of the one that is asked for, and that one."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="occpose", description=_DESCRIPTION, formatter_class=formatter)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    command = None
    for name, module in commands.items():
        text = _help(module)
        summary = text.split("\n", 1)[0]
        subparser = subparsers.add_parser(name, help=summary, description=text, formatter_class=formatter)
        if name == asked:
            command = cast(Command, import_module(module))
            command.add_arguments(subparser)
    return parser, command


def _mend_streams() -> None:
    """Let every name be printed, whatever the terminal's encoding; and be silent where nobody hears, as with `2>&-`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # for as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Meanwhile Ctrl-C ends the process without a word, as long as nothing is begun: libraries that are just being
    loaded make something else of it."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def main(argv: Sequence[str] | None = None, commands: Mapping[str, str] = COMMANDS) -> int:
    """Run `occpose`; returns the exit code: 0 done, 2 bad input (one sentence on stderr), 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    _mend_streams()
    with _ended_by_ctrl_c():
        parser, command = _parser(commands, asked=next((word for word in words if not word.startswith("-")), ""))
    args = parser.parse_args(words)
    assert command is not None  # else the parser has exited
    try:
        return command.run(args)
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
