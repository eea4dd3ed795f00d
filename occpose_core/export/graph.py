"""From a torch model to an ONNX graph without anything that only training or the exporter needs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from occpose_core.checkpoint import ModelInfo
from occpose_core.runtime.engine import FRAME_S, input_names
from occpose_core.skeleton import H36M17

OPSET = 20  # the newest that TensorRT 10.0 and ONNX Runtime 1.17 read; the first with Gelu as one node


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


def to_onnx(deployed: nn.Module, info: ModelInfo) -> onnx.ModelProto:
    """The graph of a folded model in evaluation mode, for any number of people, with the names that info gives."""
    people, joints = 2, len(H36M17.joints)  # 1 would be taken for a constant
    examples = {
        "kpts": torch.zeros((people, info.frames, joints, 2)),
        "visible": torch.ones((people, info.frames, joints)),
        "dt_s": torch.full((people,), FRAME_S),
        "state": torch.zeros((people, info.state_size)),
    }
    inputs = {name: examples[name] for name in input_names(info)}
    outputs = [*info.outputs, *(["new_state"] if info.streaming else [])]
    return traced(_Graph(deployed, tuple(outputs)), inputs, outputs)


def traced(module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str]) -> onnx.ModelProto:
    """The graph of a module that takes these inputs by name, for any number of people, and gives a tuple."""
    any_number = torch.export.Dim("people", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of libraries that these models do not need
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own deprecations
        program = torch.onnx.export(
            module.eval(),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: {0: any_number} for name in inputs},
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


def count_nodes(proto: onnx.ModelProto) -> int:
    """Nodes that run for each call: runtimes cast weights that are stored in half precision once, when they load."""
    stored = {tensor.name for tensor in proto.graph.initializer}
    return sum(not (node.op_type == "Cast" and node.input[0] in stored) for node in proto.graph.node)
