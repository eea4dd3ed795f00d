"""Export of models that take an image: as for others, with the body's triangles in the file's metadata."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from occpose_core.checkpoint import BODY_OUTPUTS, METADATA_KEY, ModelInfo
from occpose_core.checksum import with_checksum
from occpose_core.errors import OccposeError
from occpose_core.export import deployment_twin
from occpose_core.export.comparison import Differences, check_finite, judged
from occpose_core.export.edge_network import with_edge_network
from occpose_core.export.films import probes
from occpose_core.export.graph import OPSET, count_nodes, traced
from occpose_core.export.half import compute_in_half, store_half
from occpose_core.models.edges import EDGE_NETWORKS, edge_source
from occpose_core.models.sefd import Sefd
from occpose_core.runtime.image_engine import EDGE_INPUT, FACES_KEY, IMAGE_INPUTS, ImageEngine, text_of_faces
from occpose_core.runtime.onnx_image_engine import OnnxImageEngine

_PEOPLE = 8
_PATCHES = (5, 12, 31)  # a side, of the pictures' patches of one colour, over one another
_NOISE = 0.02  # of the pictures, as cameras have it


class _Graph(nn.Module):
    """The deployed network with outputs in a fixed order."""

    def __init__(self, deployed: nn.Module) -> None:
        super().__init__()
        self.deployed = deployed

    def forward(self, image: Tensor, kpts: Tensor, visible: Tensor, edge: Tensor | None = None) -> tuple[Tensor, ...]:
        """BODY_OUTPUTS of what DeployedSefd takes."""
        answer = self.deployed(image, kpts, visible, edge)
        return tuple(answer[name] for name in BODY_OUTPUTS)


def export_image_model(
    model: Sefd,
    info: ModelInfo,
    path: Path,
    half_weights: bool = False,
    precision: str = "fp32",
    edge_network: Path | None = None,
) -> ModelInfo:
    """Write an image model to an ONNX file for any number of people, and compare ONNX Runtime with torch on it.

    Options and result are those of export_onnx. edge_network: ONNX file of the network that makes the edge maps, for a
    model whose kind of edges needs one; it becomes part of the file. Without it such models, and teachers, have one
    more input, the map. Raises ExportError if answers differ by more than TOLERANCES_M, in their own units, and
    OccposeError if the edge network does not fit.
    """
    kind = model.config.edge
    if edge_network and kind not in EDGE_NETWORKS:
        raise OccposeError(f"model {info.name} has edges of the kind {kind!r}, which takes no network: leave it out")
    model.eval()
    twin: Any = deployment_twin(model, half_weights)
    if half_weights:  # of millimetres and centimetres; the body at rest stays as it is
        for table in (twin.body.correctives_m, twin.body.shapes_m):
            table.copy_(table.half())
    info = dataclasses.replace(info, precision=precision)
    given = examples(model)
    check_finite(_asked(twin, given))  # tracing takes long
    proto = traced(_Graph(twin.deployed()), given, BODY_OUTPUTS)
    if precision == "fp16":
        compute_in_half(proto)
    if half_weights:
        store_half(proto)
    if edge_network:
        proto = with_edge_network(proto, kind, edge_network, model.config.image_size)
        twin.edges = model.edges = edge_source(kind, edge_network)
    temporary = path.with_name(f".{path.name}.tmp.onnx")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(proto, info, model, temporary)
        found = _compared(OnnxImageEngine(temporary), twin, model, info)
        measured = {"opset": OPSET, "nodes": count_nodes(proto), "bytes": temporary.stat().st_size, **found}
        info = dataclasses.replace(info, training={**info.training, "export": measured})
        _write(proto, info, model, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return info


def pictures(size: int, people: int = _PEOPLE, seed: int = 0) -> Tensor:
    """Images (B, 3, size, size) to compare runtimes on: patches of colours, with edges and nearly even places.

    Without noise both pixels of a step are edges of the same strength, and the last bit says which of them is the edge.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = [
        interpolate(torch.rand((people, 3, side, side), generator=generator), size=(size, size)) for side in _PATCHES
    ]
    noise = _NOISE * torch.randn((people, 3, size, size), generator=generator)
    return (torch.stack(layers).mean(dim=0) + noise).clamp(0, 1)


def examples(model: Sefd) -> dict[str, Tensor]:
    """What a network's graph is traced with, by the names of its inputs."""
    kpts, visible = (each[:, 0] for each in probes(1, batch=2))  # of 1 the number would be taken for a constant
    size = model.config.image_size
    given = dict(zip(IMAGE_INPUTS, (pictures(size, 2), kpts, visible), strict=True))
    return {**given, EDGE_INPUT: torch.zeros((2, 1, size, size))} if takes_edges(model) else given


def takes_edges(model: Sefd) -> bool:
    """Whether the exported network wants its edge map from outside."""
    return model.config.edge != "none" and model.edges is None


def _films(model: Sefd) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """By name: people who are all visible, and such of whom more and more is masked."""
    size = model.config.image_size
    for seed, name in enumerate(("random", "masked")):
        kpts, visible = (each[:, 0] for each in probes(1, batch=_PEOPLE, seed=seed))
        given = {
            "image": pictures(size, seed=seed),
            "kpts": kpts,
            "visible": visible if name == "masked" else torch.ones_like(visible),
        }
        yield name, {**given, EDGE_INPUT: pictures(size, seed=seed + 2)[:, :1]} if takes_edges(model) else given


def _compared(engine: ImageEngine, twin: Sefd, model: Sefd, info: ModelInfo) -> dict[str, Any]:
    """As comparison.compare_with_torch, for image models."""
    deployed, trained = Differences(), Differences()
    for film, given in _films(model):
        answer = engine.run(*(each.numpy() for each in given.values()))
        for differences, reference in ((deployed, twin), (trained, model)):
            differences.note_all(film, answer, _asked(reference, given))
    return judged(deployed, trained, info.precision)


def _asked(model: Sefd, given: dict[str, Tensor]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        return {name: value.numpy() for name, value in model.deployed()(**given).items()}


def _write(proto: onnx.ModelProto, info: ModelInfo, model: Sefd, path: Path) -> None:
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=info.to_json())
    proto.metadata_props.add(key=FACES_KEY, value=text_of_faces(model.body.faces))
    onnx.checker.check_model(proto)
    path.write_bytes(with_checksum(proto.SerializeToString()))
