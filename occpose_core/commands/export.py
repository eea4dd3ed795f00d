"""Export a trained model to ONNX, which the node runs, and prove that it gives the same numbers.

OUT gets NAME.onnx and, for a single network, its checkpoint NAME.safetensors. With --filling the lifter and the
filling network that guesses its missing joints become one model. `--half-weights` halves the files: large weights are
stored in half precision, arithmetic stays in single. Needs torch and onnx: pip install 'occpose[train]'.

A model with a window of frames becomes a streaming one: it takes each frame once and hands back what it wants to
remember of it, the state of each person. Its answers are the same, and a live step costs a fraction. `--windowed` keeps
the whole window as the input.

    occpose export lcn --out exported
    occpose export runs/lcn/lcn.safetensors --filling runs/filling/filling.safetensors --out exported
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from occpose_core.errors import OccposeError
from occpose_core.files import make_folder, refuse_existing
from occpose_core.runtime import model_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .safetensors checkpoint, or the name of a shipped one")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write to; made if it is not there")
    add("--filling", metavar="MODEL", help="checkpoint of the filling network to put before this lifter")
    add("--name", help="name of the exported model (default: the checkpoint's)")
    add("--half-weights", action="store_true", help="store large weights in half precision")
    add("--windowed", action="store_true", help="do not make a streaming model of one with a window")
    add("--force", action="store_true", help="overwrite existing files")
    add("--json", action="store_true", help="print what was measured as JSON")


def run(args: argparse.Namespace) -> int:
    """Export, compare, print the differences."""
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise OccposeError(f"export needs the package {error.name!r}: pip install 'occpose[train]'") from error
    from occpose_core.checkpoint import load_checkpoint, save_checkpoint
    from occpose_core.export import can_stream, export_onnx, round_weights
    from occpose_core.models import with_filling

    model, info = load_checkpoint(model_path(args.model, ".safetensors"))
    if args.filling:
        filling, _ = load_checkpoint(model_path(args.filling, ".safetensors"))
        model, info = with_filling(filling, model, info)
    info = dataclasses.replace(info, name=args.name or info.name)
    if args.windowed and info.remembers:
        raise OccposeError(f"model {info.name} has no window: leave out --windowed")
    targets = [
        args.out / f"{info.name}{suffix}" for suffix in (".onnx", *((".safetensors",) if not args.filling else ()))
    ]
    make_folder(args.out)
    for target in targets:
        refuse_existing(target, args.force)
    if args.half_weights:
        round_weights(model)
    exported = export_onnx(model, info, targets[0], args.half_weights, can_stream(model) and not args.windowed)
    for target in targets[1:]:
        save_checkpoint(target, model, info, half_weights=args.half_weights)
    measured = exported.training["export"]
    print(json.dumps(measured, indent=2) if args.json else _summary(targets, measured))
    return 0


def _summary(targets: list[Path], measured: dict[str, object]) -> str:
    differences = measured["max_difference"]
    assert isinstance(differences, dict)
    worst = ", ".join(f"{name} {difference:.1e}" for name, difference in differences.items())
    return f"largest difference between ONNX Runtime and torch: {worst}\nwrote {', '.join(map(str, targets))}"
