"""`python -m training COMMAND ...`: a table of commands, each of which explains itself with --help."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from occpose_core.errors import OccposeError


@dataclass(frozen=True, kw_only=True)
class Command:
    """module: has main(argv) -> exit code, and is imported only when the command runs.

    whole: main gets everything, its own name first: argv, or None for the process's own.
    """

    module: str
    summary: str
    whole: bool = False


def _lightning(summary: str) -> Command:
    return Command(module="training.cli", summary=summary, whole=True)


COMMANDS: dict[str, Command] = {
    "fit": _lightning("train one recipe: fit --config training/configs/.../PHASE.yaml --data.files FILE.npz"),
    "validate": _lightning("validation figures of a checkpoint"),
    "test": _lightning("test figures of a checkpoint, where a recipe has them"),
    "predict": _lightning("predictions of a checkpoint, where a recipe has them"),
    "system": Command(
        module="training.systems", summary="train a published system: its phases in order, then export the result"
    ),
    "calibrate": Command(
        module="training.calibrate", summary="make a streaming model's sigma keep its promises, on validation subjects"
    ),
    "literature": Command(
        module="training.literature.command", summary="P1 and P2 per action, as papers print them, of a checkpoint"
    ),
    "mean-pose": Command(module="training.mean_pose", summary="the baseline that knows people but looks at none"),
    "convert": Command(module="training.convert", summary="turn a published data set into a file of motion"),
    "render": Command(
        module="training.rendering.command", summary="render pictures of people from recorded motion, with exact labels"
    ),
    "edges": Command(
        module="training.rendering.edge_command",
        summary="draw the edge maps that teachers see, for the images of others",
    ),
    "body": Command(module="training.body", summary="write the capsule body in the files of SMPL"),
    "throughput": Command(
        module="training.throughput", summary="how fast this machine trains: a short fit on made-up motion"
    ),
    "shards": Command(
        module="training.shards", summary="write motion as memory-mapped shards, for sets larger than memory"
    ),
}


def _help(commands: Mapping[str, Command]) -> str:
    lines = [f"  {name:<12} {command.summary}" for name, command in commands.items()]
    title = "usage: python -m training COMMAND ...\n\nEach command explains itself: python -m training COMMAND --help"
    return "\n".join([title, "", *lines])


def main(argv: Sequence[str] | None = None, commands: Mapping[str, Command] = COMMANDS) -> int:
    """Run a command; returns the exit code: 0 done, 2 bad input (one sentence on stderr), 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ""
    if name in ("", "-h", "--help"):
        print(_help(commands))
        return 0 if name else 2
    if name not in commands:
        print(f"error: no command {name!r}; known: {', '.join(commands)}", file=sys.stderr)
        return 2
    command = commands[name]
    try:
        return int(import_module(command.module).main(argv if command.whole else arguments[1:]))
    except OccposeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, missing rights
        where = f" {error.filename}" if error.filename else ""
        print(f"error: cannot use{where}: {error.strerror}; check path, rights and space", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"python -m training {name}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
