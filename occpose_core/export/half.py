"""Half precision that is written in the graph itself, so that every runtime computes what the export has compared.

In half precision are the layers: products with large weights, what is done to nothing but their answers (bias,
activation, the products of attention), and moving such numbers about. All else stays in single precision: inputs and
outputs, the last layers, what a model remembers, sums over layers, norms, softmax, exponentials, divisions, geometry.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from occpose_core.checkpoint import HALF_FROM

_LAYERS = ("MatMul", "Gemm", "Conv")
_SUMS = ("Add", "Mul")  # of an answer and a constant; of two answers they are sums over layers
_ALONG = (
    *("MatMul", "Relu", "LeakyRelu", "Gelu", *_SUMS),
    *("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Gather", "Slice", "Split", "Concat"),
)


def store_half(proto: onnx.ModelProto) -> None:
    """Keep large weights as float16 and cast them where the graph begins; runtimes fold the casts when they load.

    Only what round_weights has rounded, and so loses nothing: tables that folding made stay as they are.
    """
    casts, taken = [], {tensor.name for tensor in proto.graph.initializer}
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < HALF_FROM or _in_half(tensor.name) in taken:
            continue
        half = _rounded(array)
        if not np.array_equal(half, array):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, _in_half(name)))
        casts.append(helper.make_node("Cast", [_in_half(name)], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        proto.graph.node.insert(0, cast)


def compute_in_half(proto: onnx.ModelProto) -> None:
    """Let the layers of a graph compute in half precision, in place; casts stand where the precision changes."""
    rewriting = _Rewriting(proto.graph, _last_layers(proto.graph))
    for node in proto.graph.node:
        rewriting.take(node)
    for output in proto.graph.output:
        rewriting.in_single(output.name)
    rewriting.finish()


class _Rewriting:
    """The graph's nodes one after the other. A tensor x that is there in half precision is called x.half."""

    def __init__(self, graph: onnx.GraphProto, in_single: Collection[str]) -> None:
        self._graph, self._stays = graph, in_single
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._half: set[str] = set()  # tensors that nodes give in half precision
        self._casts: set[str] = set()  # names that casts give
        self._needed: set[str] = set()  # constants by the names under which nodes take them
        self._nodes: list[NodeProto] = []

    def take(self, node: NodeProto) -> None:
        """The next node, in either precision."""
        new = NodeProto()
        new.CopyFrom(node)
        in_half = self._computes_in_half(node)
        new.input[:] = [(self._take_half if in_half else self.in_single)(name) for name in node.input]
        if in_half:
            self._half.update(node.output)
            new.output[:] = [_in_half(name) for name in node.output]
        self._nodes.append(new)

    def in_single(self, name: str) -> str:
        """The name, after a cast to single precision if the tensor is there in half alone."""
        self._needed.add(name)
        return self._cast(_in_half(name), name, TensorProto.FLOAT) if name in self._half else name

    def finish(self) -> None:
        """Give the graph its new nodes, and the constants that they take."""
        constants = [tensor for name, tensor in self._constants.items() if name in self._needed]
        for name, tensor in self._constants.items():
            if _in_half(name) in self._needed:
                constants.append(numpy_helper.from_array(_rounded(numpy_helper.to_array(tensor)), _in_half(name)))
        for field, values in ((self._graph.node, self._nodes), (self._graph.initializer, constants)):
            del field[:]
            field.extend(values)
        del self._graph.value_info[:]  # of tensors that are not there any more

    def _computes_in_half(self, node: NodeProto) -> bool:
        if node.output[0] in self._stays:
            return False
        given = [name for name in node.input if name and name not in self._constants]
        large = any(np.prod(self._constants[name].dims) >= HALF_FROM for name in node.input if name in self._constants)
        if node.op_type in _LAYERS and large:
            return True
        if node.op_type in _SUMS and len(given) > 1:
            return False
        return node.op_type in _ALONG and bool(given) and self._half.issuperset(given)

    def _take_half(self, name: str) -> str:
        if name in self._constants and self._constants[name].data_type != TensorProto.FLOAT:
            self._needed.add(name)  # shapes and places are whole numbers
            return name
        if not name or name in self._half:
            return name and _in_half(name)
        if name in self._constants:
            self._needed.add(_in_half(name))
            return _in_half(name)
        return self._cast(name, _in_half(name), TensorProto.FLOAT16)

    def _cast(self, source: str, target: str, to: int) -> str:
        if target not in self._casts:
            self._casts.add(target)
            self._nodes.append(helper.make_node("Cast", [source], [target], to=to))
        return target


def _last_layers(graph: onnx.GraphProto) -> set[str]:
    """What the layers give that are the last before an output; what is remembered is none."""
    constants = {tensor.name for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    waiting = [output.name for output in graph.output if output.name != "new_state"]
    seen, last = set(waiting), set[str]()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None:
            continue
        if node.op_type in _LAYERS and constants.intersection(node.input):
            last.add(node.output[0])
            continue
        before = set(node.input) - seen
        seen |= before
        waiting.extend(before)
    return last


def _in_half(name: str) -> str:
    return f"{name}.half"


def _rounded(array: np.ndarray) -> np.ndarray:
    limit = np.finfo(np.float16).max
    return np.asarray(np.clip(array, -limit, limit), dtype=np.float16)
