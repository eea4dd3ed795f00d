"""A network that makes edge maps, put before a model that takes them: one file, with the inputs of any image model."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import compose
from torch import Tensor, nn
from torch.nn.functional import interpolate

from occpose_core.errors import OccposeError
from occpose_core.export.graph import OPSET, traced
from occpose_core.models.edges import EDGE_NETWORKS, EdgeNetwork
from occpose_core.runtime.image_engine import EDGE_INPUT

_PREFIX = "edges/"


class _Given(nn.Module):
    """From the image to what the network wants."""

    def __init__(self, kind: EdgeNetwork) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """(B, 3, S, S) RGB in 0 to 1."""
        return (self.kind.given(image),)


class _Read(nn.Module):
    """From the network's last output to the map."""

    def __init__(self, kind: EdgeNetwork, size: int) -> None:
        super().__init__()
        self.kind, self.size = kind, size

    def forward(self, answer: Tensor) -> tuple[Tensor]:
        """(B, C, H, W)."""
        return (interpolate(self.kind.read(answer), size=(self.size, self.size), mode="nearest"),)


def with_edge_network(proto: onnx.ModelProto, kind: str, path: Path, size: int) -> onnx.ModelProto:
    """The graph of a model that takes edge maps, which now makes its own of the image.

    kind: key of EDGE_NETWORKS. path: the ONNX file of the network, with one input and its map as the last output. size:
    of the image, in pixels. Raises OccposeError if the network does not fit.
    """
    network = _network(path)
    maps = _answer(network, size, path)
    before = traced(_Given(EDGE_NETWORKS[kind]), {"image": torch.zeros((2, 3, size, size))}, ["given"])
    after = traced(_Read(EDGE_NETWORKS[kind], size), {"answer": maps}, [EDGE_INPUT])
    parts = [compose.add_prefix(part, f"{_PREFIX}{number}/") for number, part in enumerate((before, network, after))]
    whole = parts[0]
    for part in (*parts[1:], proto):
        target = EDGE_INPUT if part is proto else part.graph.input[0].name
        part.ir_version = whole.ir_version
        whole = compose.merge_models(whole, part, io_map=[(whole.graph.output[-1].name, target)])
    return _with_one_image(whole, parts[0].graph.input[0].name)


def _network(path: Path) -> onnx.ModelProto:
    """The file in the opset of the model."""
    if not path.is_file():
        raise OccposeError(f"no edge network at {path}")
    try:
        network = onnx.version_converter.convert_version(onnx.load(path), OPSET)
    except Exception as error:  # what protobuf and the converter raise has no common base
        raise OccposeError(f"{path} is no ONNX file that can be joined: {str(error).splitlines()[0]}") from error
    if len(network.graph.input) != 1:
        raise OccposeError(f"{path} has {len(network.graph.input)} inputs; an edge network takes the image alone")
    del network.graph.output[:-1]  # side outputs
    return network


def _answer(network: onnx.ModelProto, size: int, path: Path) -> Tensor:
    """What it gives for two black images."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        answer = torch.from_numpy(session.run(None, {name: torch.zeros((2, 3, size, size)).numpy()})[0])
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        reason = str(error).splitlines()[0]
        raise OccposeError(f"{path} cannot make edges of two images of {size} pixels: {reason}") from error
    if answer.ndim != 4 or len(answer) != 2:
        raise OccposeError(f"{path} gives {tuple(answer.shape)} for two images, not maps (2, C, H, W)")
    return answer


def _with_one_image(proto: onnx.ModelProto, double: str) -> onnx.ModelProto:
    """The graph whose edges are made of the same image that the model sees."""
    for node in proto.graph.node:
        node.input[:] = ["image" if name == double else name for name in node.input]
    kept = [given for given in proto.graph.input if given.name != double]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    del proto.graph.value_info[:]
    return proto
