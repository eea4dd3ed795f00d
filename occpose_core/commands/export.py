"""Export a trained model to ONNX, which the node runs, and prove that it gives the same numbers.

OUT gets NAME.onnx and, for a single network, its checkpoint NAME.safetensors. With --filling the lifter and the
filling network that guesses its missing joints become one model. `--half-weights` halves the files: large weights are
stored in half precision, arithmetic stays in single. `--precision fp16` lets the layers compute in half precision; what
it cannot hold (norms, softmax, memory, geometry, inputs and outputs) stays in single. Needs torch and onnx:
pip install 'occpose[train]'.

A model with a window of frames becomes a streaming one: it takes each frame once and hands back what it wants to
remember of it, the state of each person. Its answers are the same, and a live step costs a fraction. `--windowed` keeps
the whole window as the input.

A model that takes images gives a body besides; its triangles go into the file. `--body` says where the files of the
body model are, if they have moved since the training. `--edge-network` is the network that makes its edge maps, where
they are of a kind that needs one; it becomes part of the file.

The answers are compared with torch's on random, masked and detected people. `--engine` has the file built by TensorRT
too: for the GPU of this machine, into the cache that the node takes it from, and compared once more; or, with
`--compute-capability`, for GPUs elsewhere, to see that it can be built.

    occpose export lcn --out exported
    occpose export runs/lcn/lcn.safetensors --filling runs/filling/filling.safetensors --out exported
    occpose export stream-s --out exported --precision fp16 --engine tensorrt-rtx --compute-capability 8.6,8.9
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from occpose_core.checkpoint import PRECISIONS
from occpose_core.errors import OccposeError
from occpose_core.files import make_folder, refuse_existing
from occpose_core.runtime import model_path
from occpose_core.runtime.tensorrt_library import LIBRARIES

if TYPE_CHECKING:
    from occpose_core.checkpoint import ModelInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a .safetensors checkpoint, or the name of a shipped one")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write to; made if it is not there")
    add("--filling", metavar="MODEL", help="checkpoint of the filling network to put before this lifter")
    add("--name", help="name of the exported model (default: the checkpoint's)")
    add("--body", type=Path, metavar="DIR", help="folder of the body model's files, for a model that takes images")
    add("--edge-network", type=Path, metavar="FILE", help="ONNX file of the network that makes its edge maps")
    add("--precision", choices=PRECISIONS, default="fp32", help="that layers compute in (default: fp32)")
    add("--half-weights", action="store_true", help="store large weights in half precision")
    add("--windowed", action="store_true", help="do not make a streaming model of one with a window")
    add(
        "--batch",
        type=_numbers,
        metavar="N,...",
        help="numbers of people that TensorRT engines are made for; fewer are filled up, more are divided (default:"
        " 1,2,4,8,16)",
    )
    add("--engine", choices=list(LIBRARIES), help="build the engine of this library, and compare its answers too")
    add(
        "--compute-capability",
        type=_capabilities,
        default=(),
        metavar="X.Y,...",
        help="only build, for GPUs like these; for --engine tensorrt-rtx",
    )
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
    from occpose_core.export import round_weights
    from occpose_core.export.engines import check_possible
    from occpose_core.models import with_filling

    if args.engine:
        check_possible(args.engine, args.compute_capability)
    elif args.compute_capability:
        raise OccposeError("--compute-capability says what --engine tensorrt-rtx is built for: give that too")
    path = model_path(args.model, ".safetensors")
    if path.suffix == ".onnx":
        raise OccposeError(f"{path} is exported already; give the checkpoint that it was made of (.safetensors)")
    model, info = load_checkpoint(path, body=args.body)
    _check_fits(args, info)
    if args.filling:
        filling, _ = load_checkpoint(model_path(args.filling, ".safetensors"))
        model, info = with_filling(filling, model, info)
    info = dataclasses.replace(info, name=args.name or info.name, batches=args.batch or info.batches)
    targets = [
        args.out / f"{info.name}{suffix}" for suffix in (".onnx", *((".safetensors",) if not args.filling else ()))
    ]
    make_folder(args.out)
    for target in targets:
        refuse_existing(target, args.force)
    if args.half_weights:
        round_weights(model)
    exported = _export(args, model, info, targets[0])
    for target in targets[1:]:
        save_checkpoint(target, model, info, half_weights=args.half_weights)
    measured = {**exported.training["export"], **_engine(args, targets[0], exported)}
    print(json.dumps(measured, indent=2) if args.json else _summary(targets, measured))
    return 0


def _check_fits(args: argparse.Namespace, info: ModelInfo) -> None:
    """Raise OccposeError for an option that this model has no use for."""
    if args.windowed and (info.remembers or info.image_size):
        raise OccposeError(f"model {info.name} has no window: leave out --windowed")
    if info.image_size and args.filling:
        raise OccposeError(f"model {info.name} takes images and needs no filling network: leave out --filling")
    if info.image_size and args.engine and not args.compute_capability:
        raise OccposeError(
            f"{args.engine} does not run models that take images; --compute-capability 8.9 sees whether one builds"
        )
    for option, given in (("--body", args.body), ("--edge-network", args.edge_network)):
        if given and not info.image_size:
            raise OccposeError(f"model {info.name} takes no images: leave out {option}")


def _export(args: argparse.Namespace, model: Any, info: ModelInfo, path: Path) -> ModelInfo:
    """Write the file; its info, with what the comparison found."""
    from occpose_core.export import can_stream, export_onnx
    from occpose_core.export.images import export_image_model

    if info.image_size:
        return export_image_model(model, info, path, args.half_weights, args.precision, args.edge_network)
    streaming = can_stream(model) and not args.windowed
    return export_onnx(model, info, path, args.half_weights, streaming, args.precision)


def _engine(args: argparse.Namespace, path: Path, info: ModelInfo) -> dict[str, Any]:
    """What was found about the engine that was asked for, if any."""
    from occpose_core.export.engines import engine_differences, plan_sizes

    if args.compute_capability:
        return {"plan_bytes": plan_sizes(path, info, args.compute_capability)}
    return {"engine_difference_by_input": engine_differences(path, args.engine)} if args.engine else {}


def _summary(targets: list[Path], measured: dict[str, Any]) -> str:
    lines = [f"largest difference between ONNX Runtime and torch: {_figures(measured['max_difference'])}"]
    if sizes := measured.get("plan_bytes"):
        plans = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in sizes.items())
        lines.append(f"builds for compute capability {plans}; no GPU has run it")
    if differences := measured.get("engine_difference_by_input"):
        lines.append(f"largest difference between engine and ONNX Runtime: {_figures(differences)}")
    wrote = ", ".join(f"{target} ({target.stat().st_size / 1e6:.1f} MB)" for target in targets)
    return "\n".join([*lines, f"wrote {wrote}, {measured['nodes']} nodes"])


def _figures(differences: dict[str, float]) -> str:
    return ", ".join(f"{name} {difference:.1e}" for name, difference in differences.items())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        numbers = (0,)
    if numbers[0] < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, not positive numbers like 1,2,4")
    return numbers


def _capabilities(text: str) -> tuple[tuple[int, int], ...]:
    try:
        pairs = tuple(tuple(int(number) for number in part.split(".")) for part in text.split(","))
        return tuple((major, minor) for major, minor in pairs)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, not compute capabilities like 8.6,8.9") from None
