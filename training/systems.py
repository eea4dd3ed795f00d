"""Train a published system: all its phases in order, then export the result.

What is finished is not run again, and what was interrupted goes on from its last epoch: give the same command again.
Everything is in RUNS/NAME: a folder for each phase, and the exported model. Options that are not listed here go to
every phase's `python -m training fit`, for example --data.shares=[0.7,0.3] or --trainer.accelerator=gpu.

    python -m training system htnet --data.files="['motion.npz']" --form masked --budget 2e7
    python -m training system strided-posegraph --window 27 --causal --data.files="['motion.npz']" \\
        --set finetune.data.batch_size=32
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from occpose_core.catalogue import CATALOGUE
from occpose_core.errors import OccposeError
from occpose_core.files import make_folder, write_atomically
from training.phases import CONFIGS, SYSTEMS, System, Variant

Train = Callable[[list[str]], int]  # runs the training command with arguments; returns its exit code
_PLANNED = ("trainer.max_epochs", "trainer.limit_train_batches")  # by the budget
_SETTINGS = ("system", "form", "causal", "refine", "budget", "batch", "precision", "set")
# options of the machine rather than of the model: a run may go on with others
_OF_MACHINE = ("--trainer.accelerator", "--trainer.devices", "--trainer.strategy", "--trainer.num_nodes")
_KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True, kw_only=True)
class Run:
    """One phase to do: the arguments of the training command, and the file that it is finished with."""

    phase: str
    arguments: list[str]
    result: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's own options."""
    add = parser.add_argument
    add(
        "system",
        choices=SYSTEMS,
        metavar="SYSTEM",
        help="; ".join(f"{name}: {s.summary}" for name, s in SYSTEMS.items()),
    )
    add("--form", choices=("paper", "masked"), default="paper", help="masked: told which joints are missing, has sigma")
    add("--window", type=int, help="frames of a windowed system: 27, 81 (default), 243 or 351")
    add("--causal", action="store_true", help="answer for the window's newest frame instead of the middle one")
    add("--refine", action="store_true", help="add the refine phase, which needs the true root's depth to run")
    add("--budget", type=float, metavar="POSES", help="poses that all phases see in all (default: as published)")
    add("--batch", type=int, metavar="N", help="windows a step, in every phase")
    add("--precision", help="of arithmetic, for example bf16-mixed")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs (default: runs)")
    add("--name", help="name of the model and of its folder (default: as `occpose models` lists it)")
    add("--set", action="append", default=[], metavar="PHASE.OPTION=VALUE", help="an option for one phase only")
    add("--fresh", action="store_true", help="train everything anew")
    add("--no-export", action="store_true", help="train only")
    add("--dry-run", action="store_true", help="print the commands of the phases, run none")


def _variant(args: argparse.Namespace, system: System) -> Variant:
    if args.form not in system.forms:
        raise OccposeError(f"{args.system} has no {args.form} form; leave out --form")
    if not system.windows and (args.window or args.causal):
        raise OccposeError(f"{args.system} is a single-frame system; leave out --window and --causal")
    window = args.window or (81 if system.windows else 0)
    if system.windows and window not in system.windows:
        raise OccposeError(f"no window of {window} frames; known: {', '.join(map(str, system.windows))}")
    return Variant(masked=args.form == "masked", window=window, causal=args.causal)


def _name(args: argparse.Namespace, variant: Variant) -> str:
    """As given, or of the catalogue's entry for the variant; where a system makes several models, of its last."""
    wanted = (args.system, args.form, variant.window or 1, variant.look_ahead)
    entries = [e for e in CATALOGUE.values() if (e.system, e.form, e.window, e.look_ahead) == wanted]
    last = SYSTEMS[args.system].phases[-1].name
    fitting = [entry.name for entry in entries if entry.phase in ("", last)]
    return args.name or fitting[-1]


def _for_phases(given: Sequence[str], system: System) -> dict[str, list[str]]:
    """The arguments of each phase from those of --set; OccposeError on a phase that the system has not."""
    arguments: dict[str, list[str]] = {phase.name: [] for phase in system.phases}
    for each in given:
        phase, dot, option = each.partition(".")
        if phase not in arguments or not dot or "=" not in option:
            raise OccposeError(f"--set {each!r} is not PHASE.OPTION=VALUE with a phase of {', '.join(arguments)}")
        arguments[phase].append(f"--{option}")
    return arguments


def _check_budget(poses: float, overrides: Sequence[str]) -> None:
    if not 0 < poses < math.inf:
        raise OccposeError(f"--budget {poses:g} is no number of poses; give a positive one, for example 2e7")
    planned = [each for each in overrides if any(name in each for name in _PLANNED)]
    if planned:
        raise OccposeError(f"--budget sets {' and '.join(_PLANNED)}; leave out {', '.join(planned)}")


def plan(args: argparse.Namespace, overrides: Sequence[str]) -> list[Run]:
    """The runs of all phases. Raises OccposeError on options that do not fit the system or each other."""
    system = SYSTEMS[args.system].with_refine() if args.refine else SYSTEMS[args.system]
    variant = _variant(args, system)
    if args.budget is not None:
        _check_budget(args.budget, [*overrides, *args.set])
    folder = args.runs / _name(args, variant)
    common = [f"--data.batch_size={args.batch}"] if args.batch else []
    common += [f"--trainer.precision={args.precision}"] if args.precision else []
    common += ["--fresh=true"] if args.fresh else []
    special = _for_phases(args.set, system)
    results = {phase.name: folder / phase.name / f"{phase.name}.safetensors" for phase in system.phases}
    shares = sum(phase.share for phase in system.phases)
    runs = []
    for phase in system.phases:
        options: dict[str, object] = {
            "config": CONFIGS / args.system / phase.config(variant),
            "runs": folder,
            "name": phase.name,
            **phase.options(variant),
            **{f"model.init_args.{option}": results[earlier] for option, earlier in phase.files.items()},
            **({"budget": round(args.budget * phase.share / shares)} if args.budget else {}),
        }
        written = [
            f"--{option}={str(value).lower() if isinstance(value, bool) else value}"
            for option, value in options.items()
        ]
        arguments = ["fit", *written, *common, *overrides, *special[phase.name]]
        runs.append(Run(phase=phase.name, arguments=arguments, result=results[phase.name]))
    return runs


def _check_same(args: argparse.Namespace, overrides: Sequence[str], folder: Path) -> None:
    """Remember what a system is trained with; OccposeError if its folder is of other options, or of `fit`."""
    if (folder / "last.ckpt").exists():
        raise OccposeError(f"{folder} holds a single phase that `fit` trained; give another --name")
    settings: dict[str, object] = {name: getattr(args, name) for name in _SETTINGS}
    settings["window"] = _variant(args, SYSTEMS[args.system]).window
    settings["overrides"] = [each for each in overrides if not each.startswith(_OF_MACHINE)]
    file = folder / "system.json"
    if file.exists() and not args.fresh:
        known = json.loads(file.read_text())
        other = [name for name, value in settings.items() if (known.get(name) or None) != (value or None)]
        if other:
            raise OccposeError(
                f"{folder} was trained with other options ({', '.join(other)}: see {file}); give the same ones, another"
                " --name, or --fresh to train it anew"
            )
    make_folder(folder)
    write_atomically(file, json.dumps(settings, indent=1).encode(), force=True)


def train(runs: Sequence[Run], fresh: bool, run: Train) -> int:
    """Do what is not done yet, in order; returns the exit code of the first phase that fails, or 0."""
    for each in runs:
        if each.result.exists() and not fresh:
            print(f"{each.phase}: finished, {each.result}", flush=True)
            continue
        print(f"{each.phase}: python -m training {shlex.join(each.arguments)}", flush=True)
        code = run(each.arguments)
        if code:
            return code
    return 0


def in_child(arguments: list[str]) -> int:
    """Run the training command in a process of its own, which an interrupt stops politely; returns its exit code."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def end_with_parent() -> None:  # a system that is killed must not go on training unseen
        if libc is not None:
            libc.prctl(_KILL_WITH_PARENT, signal.SIGKILL)

    command = [sys.executable, "-m", "training", *arguments]
    # in a session of its own Ctrl-C reaches it once, through us
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_parent)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        child.wait()
        return 130


def main(argv: Sequence[str] | None = None, run: Train = in_child) -> int:
    """Run the command; returns the exit code: 0 done, 2 bad input, 130 interrupted. Raises OccposeError.

    run: runs the training command for a phase.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m training system", description=__doc__, formatter_class=formatter, allow_abbrev=False
    )
    add_arguments(parser)
    args, overrides = parser.parse_known_args(argv)
    if "TORCHELASTIC_RUN_ID" in os.environ:  # its meeting point serves one training only
        raise OccposeError(
            "torchrun starts single phases (see --dry-run); give system --trainer.devices and --trainer.strategy ddp"
        )
    runs = plan(args, overrides)
    if args.dry_run:
        print("\n".join(f"python -m training {shlex.join(run.arguments)}" for run in runs))
        return 0
    folder = runs[0].result.parent.parent
    _check_same(args, overrides, folder)
    code = train(runs, args.fresh, run)
    if code or args.no_export or os.environ.get("NODE_RANK", "0") != "0":
        return code
    from training.result import write_result  # here, for it imports torch

    filling = [each.result for each in runs if each.phase == SYSTEMS[args.system].filling]
    return write_result(folder, runs[-1].result, filling[0] if filling else None)
