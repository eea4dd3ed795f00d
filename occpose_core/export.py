"""Export of a trained model to ONNX: folded, described by its metadata, and compared with torch number by number."""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from occpose_core.checkpoint import HALF_FROM, METADATA_KEY, RAYS, ModelInfo
from occpose_core.errors import OccposeError
from occpose_core.runtime.engine import FRAME_S, Lifted, input_names
from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine
from occpose_core.skeleton import H36M17

OPSET = 18
TOLERANCE_M = 1e-5
_HALF_RANGE = (-65504.0, 65504.0)
_STEPS_BEYOND = 8  # frames that a streaming model is compared for after its memory is full
_STEPS_REMEMBERED = 40  # frames that one is compared for that remembers everything
_STEP_S = (1 / 120, 1 / 5)  # between frames of a timed model
_ROWS_COMPARED = 256  # people times frames, about
_RAYS_SPREAD = 0.2  # of a person, in rays
_GARBAGE = 1e4  # where joints are hidden


class ExportError(OccposeError):
    """The exported model does not give the answers of the trained one."""


class _Graph(nn.Module):
    """The model with outputs in a fixed order; time and state only for one that takes them."""

    def __init__(self, model: nn.Module, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.outputs = model, outputs

    def forward(
        self, kpts: Tensor, visible: Tensor, dt_s: Tensor | None = None, state: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The outputs, for kpts (B, T, J, 2), visible (B, T, J), dt_s (B,) and state (B, S)."""
        answer = self.model(kpts, visible, *(each for each in (dt_s, state) if each is not None))
        return tuple(answer[name] for name in self.outputs)


def probes(window: int, batch: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random inputs to compare runtimes on: (B, T, J, 2) and (B, T, J), from nothing to everything hidden."""
    generator = torch.Generator().manual_seed(seed)
    joints = len(H36M17.joints)
    kpts = torch.randn((batch, window, joints, 2), generator=generator)
    share = torch.linspace(0, 1, batch)[:, None, None]
    visible = (torch.rand((batch, window, joints), generator=generator) >= share).float()
    return kpts, visible


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
    twin.fold()  # type: ignore[operator]
    if half_weights:
        round_weights(twin)
    return twin


def export_onnx(
    model: nn.Module, info: ModelInfo, path: Path, half_weights: bool = False, streaming: bool = False
) -> ModelInfo:
    """Write a model to an ONNX file with dynamic people and compare ONNX Runtime with torch on it.

    half_weights stores the large weights in half precision (arithmetic stays single). streaming: as can_stream allows;
    inputs and outputs then have a state besides. A model without a window streams in any case. Returns the info with
    what the comparison found, as it stands in the file. Raises ExportError if answers differ by more than TOLERANCE_M.
    """
    twin = deployment_twin(model, half_weights)
    streaming = streaming or info.streaming
    deployed: Any = twin.streaming() if streaming else twin  # type: ignore[operator]
    if streaming:
        info = dataclasses.replace(info, streaming=True, state_size=deployed.state_size)
    proto = _to_onnx(deployed, info)
    if half_weights:
        _store_half(proto)
    temporary = path.with_name(f".{path.name}.tmp.onnx")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(proto, info, temporary)
        info = dataclasses.replace(info, training={**info.training, "export": _compare(temporary, twin, model, info)})
        _write(proto, info, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return info


def _to_onnx(deployed: nn.Module, info: ModelInfo) -> onnx.ModelProto:
    kpts, visible = probes(info.frames, batch=2)
    memory = {"dt_s": torch.full((2,), FRAME_S), "state": torch.zeros((2, info.state_size))}
    inputs = {name: {"kpts": kpts, "visible": visible, **memory}[name] for name in input_names(info)}
    outputs = [*info.outputs, *(["new_state"] if info.streaming else [])]
    people = torch.export.Dim("people", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of libraries that these models do not need
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own deprecations
        program = torch.onnx.export(
            _Graph(deployed, tuple(outputs)).eval(),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes={name: {0: people} for name in inputs},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.optimize()
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # stack traces of the exporting machine
        node.doc_string = ""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    return proto


def _store_half(proto: onnx.ModelProto) -> None:
    """Keep large weights as float16 and cast them where the graph begins; runtimes fold the casts when they load.

    Only what round_weights has rounded, and so loses nothing: tables that folding made stay as they are.
    """
    casts = []
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < HALF_FROM:
            continue
        half = np.clip(array, *_HALF_RANGE).astype(np.float16)
        if not np.array_equal(half, array):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        proto.graph.node.insert(0, cast)


def _write(proto: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=info.to_json())
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def _compare(path: Path, twin: nn.Module, model: nn.Module, info: ModelInfo) -> dict[str, Any]:
    """Largest differences of the file's answers to those of the twin and of the model itself, both asked at once."""
    model.eval()
    deployed, trained = (dict.fromkeys(info.outputs, 0.0) for _ in range(2))
    for answer, inputs in _answers(OnnxRuntimeEngine(path), info):
        with torch.inference_mode():
            for largest, expected in ((deployed, twin(*inputs)), (trained, model(*inputs))):
                for name in info.outputs:
                    difference = float(np.abs(getattr(answer, name) - expected[name].numpy()).max())
                    largest[name] = max(largest[name], difference)
                    if not np.isfinite(difference):
                        raise ExportError(f"the model gives {name} that are not finite; train it again")
    for name, difference in deployed.items():
        if difference > TOLERANCE_M:
            raise ExportError(f"ONNX Runtime and torch differ by {difference:.2g} in {name}, more than {TOLERANCE_M:g}")
    return {"opset": OPSET, "max_difference": deployed, "max_difference_to_training_form": trained}


def _answers(engine: OnnxRuntimeEngine, info: ModelInfo) -> Iterator[tuple[Lifted, tuple[Tensor, ...]]]:
    """Answers of a file, and the inputs that the windowed model has for each: kpts, visible, the times if it is timed.

    A streaming file is stepped through, with garbage where joints are hidden.
    """
    if not info.streaming:
        kpts, visible = probes(info.window)
        yield engine.run(kpts.numpy(), visible.numpy()), (kpts, visible)
        return
    frames = info.window + _STEPS_BEYOND if info.window else _STEPS_REMEMBERED
    full = info.window or frames
    kpts, visible, dt_s = _film(info, frames)
    visible[::2, full // 2 : full // 2 + 3] = 0.0  # some are not seen at all for a while
    given = torch.where(visible[..., None] > 0, kpts, _GARBAGE)
    compared = {0, 1, 2, full // 2 + 1, full - 2, full - 1, full, frames - 1}
    state = None
    for newest in range(frames):
        now = slice(newest, newest + 1)
        answer = engine.run(given[:, now].numpy(), visible[:, now].numpy(), state, dt_s=dt_s[:, newest].numpy())
        state = answer.state
        if newest in compared:
            past = torch.arange(newest - full + 1, newest + 1)
            past = past.clamp(min=0) if info.window else past[past >= 0]
            yield answer, (kpts[:, past], visible[:, past], *([dt_s[:, past]] if info.timed else []))


def _film(info: ModelInfo, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """A few people to step through: kpts (B, F, J, 2), visible (B, F, J), and seconds since the frame before (B, F)."""
    kpts, visible = probes(frames, batch=max(2, _ROWS_COMPARED // frames))
    if info.normalisation == RAYS:  # each somewhere else in the image
        kpts = _RAYS_SPREAD * kpts + torch.linspace(-1, 1, len(kpts))[:, None, None, None]
    shortest, longest = _STEP_S
    share = torch.rand((len(kpts), frames), generator=torch.Generator().manual_seed(0))
    return kpts, visible, shortest * (longest / shortest) ** share
