"""What a trained system ends in: one file of weights and, where a robot can use them, the exported model."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

from occpose_core.checkpoint import LIVE, SCREEN, load_checkpoint, save_checkpoint
from occpose_core.models import with_filling


def write_result(folder: Path, lifter: Path, filling: Path | None) -> int:
    """Write folder/NAME.safetensors and NAME.onnx, NAME being the folder's, from the last phase's result; 0 = done.

    filling: of the filling network that goes before the lifter. A model of the papers' image coordinates is not
    exported, for no engine may run it; the oracle that a refine phase leaves beside its result is taken along. What is
    newer than the results it is made of is not made again.
    """
    model, info = load_checkpoint(lifter, (*LIVE, SCREEN))
    weights, onnx = (folder / f"{folder.name}.{suffix}" for suffix in ("safetensors", "onnx"))
    live = info.normalisation in LIVE
    targets = [weights, *([onnx] if live else [])]
    newest = max(each.stat().st_mtime for each in (lifter, filling) if each)
    if all(each.exists() and each.stat().st_mtime > newest for each in targets):
        print(f"result: finished, {', '.join(map(str, targets))}")
        return 0
    if filling:
        model, info = with_filling(load_checkpoint(filling, (*LIVE, SCREEN))[0], model, info)
    save_checkpoint(weights, model, dataclasses.replace(info, name=folder.name))
    oracle = lifter.with_name(f"{lifter.stem}-oracle.safetensors")
    if oracle.exists():
        shutil.copyfile(oracle, weights.with_name(f"{weights.stem}-oracle.safetensors"))
    if live:
        return _export(weights)
    print(f"result: {weights}; not exported, as it takes the papers' image coordinates", file=sys.stderr)
    return 0


def _export(weights: Path) -> int:
    from occpose_core.cli import main

    return main(["export", str(weights), f"--out={weights.parent}", "--force"])
