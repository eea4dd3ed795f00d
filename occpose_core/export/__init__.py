"""Export of a trained model to ONNX: folded, described by its metadata, and compared with torch number by number."""

from __future__ import annotations

import copy
import dataclasses
import os
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from occpose_core.checkpoint import HALF_FROM, METADATA_KEY, ModelInfo
from occpose_core.checksum import with_checksum
from occpose_core.export.comparison import TOLERANCES_M, ExportError, compare_with_torch
from occpose_core.export.films import probes
from occpose_core.export.graph import OPSET, count_nodes, to_onnx
from occpose_core.export.half import compute_in_half, store_half
from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine

__all__ = [
    "TOLERANCES_M",
    "ExportError",
    "can_stream",
    "deployment_twin",
    "export_onnx",
    "probes",
    "round_weights",
]


def round_weights(model: nn.Module) -> None:
    """Round the large weights to half precision, in place."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() >= HALF_FROM:
                parameter.copy_(parameter.half().float())


def can_stream(model: nn.Module) -> bool:
    """Whether a model with a window can also take one frame at a time and keep what it needs of the others."""
    return hasattr(model, "streaming")


def deployment_twin(model: nn.Module, half_weights: bool) -> nn.Module:
    """A folded copy in evaluation mode, its large weights rounded to half precision if they are to be stored so."""
    twin = copy.deepcopy(model).eval()
    if half_weights:  # before folding, for products of weights are not rounded again
        round_weights(twin)
    twin.fold()  # type: ignore[operator]
    if half_weights:
        round_weights(twin)
    return twin


def export_onnx(
    model: nn.Module,
    info: ModelInfo,
    path: Path,
    half_weights: bool = False,
    streaming: bool = False,
    precision: str = "fp32",
) -> ModelInfo:
    """Write a model to an ONNX file with dynamic people and compare ONNX Runtime with torch on it.

    half_weights stores the large weights in half precision (arithmetic stays single). streaming: as can_stream allows;
    inputs and outputs then have a state besides. A model without a window streams in any case. precision: one of
    checkpoint.PRECISIONS; "fp16" lets the layers compute in half precision. Returns the info with what the comparison
    found, as it stands in the file. Raises ExportError if answers differ by more than TOLERANCES_M.
    """
    twin = deployment_twin(model, half_weights)
    streaming = streaming or info.streaming
    deployed: Any = twin.streaming() if streaming else twin  # type: ignore[operator]
    info = dataclasses.replace(info, precision=precision)
    if streaming:
        info = dataclasses.replace(info, streaming=True, state_size=deployed.state_size)
    proto = to_onnx(deployed, info)
    if precision == "fp16":
        compute_in_half(proto)
    if half_weights:
        store_half(proto)
    temporary = path.with_name(f".{path.name}.tmp.onnx")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(proto, info, temporary)
        found = compare_with_torch(OnnxRuntimeEngine(temporary), twin, model, info)
        measured = {"opset": OPSET, "nodes": count_nodes(proto), **found}
        info = dataclasses.replace(info, training={**info.training, "export": measured})
        _write(proto, info, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return info


def _write(proto: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=info.to_json())
    onnx.checker.check_model(proto)
    path.write_bytes(with_checksum(proto.SerializeToString()))
