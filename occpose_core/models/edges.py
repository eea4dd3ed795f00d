"""Edge maps of a crop as they are made at run time: Canny, maps of a network that the user brings, or none at all.

A map is (B, 1, S, S), 0 where there is no edge. Kinds that need a network and have none give a map of zeros and say so
once: the network that takes the map then works as without edges.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from occpose_core.errors import OccposeError
from occpose_core.models.pose_model import full_precision

EdgeSource = Callable[[Tensor], Tensor]  # image (B, 3, S, S) RGB in 0 to 1 -> map (B, 1, S, S)

_FULL_SIZE = 256  # pixels of the crop for which the width of Canny's edges was chosen
_BGR_MEAN = (104.00698793, 116.66876762, 122.67891434)  # of 0 to 255, as Caffe's VGG-16 wants it
_IMAGENET_MEAN, _IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB of 0 to 1
_PARTS = 25.0  # that label maps of human parsing are divided by


def canny_edges(image: Tensor) -> Tensor:
    """Gradient magnitude where it is the largest across the edge, not thresholded, 5 pixels wide in a crop of 256.

    That is kornia's first output, of the grey image. image: (B, 3, S, S) RGB in 0 to 1.
    """
    try:
        from kornia.filters import canny
    except ImportError as error:
        raise OccposeError(f"Canny edges need the package {error.name!r}: pip install 'occpose[sefd]'") from error
    radius = max(1, round(2 * image.shape[-1] / _FULL_SIZE))
    with full_precision(image):
        magnitude = canny(image.float(), hysteresis=False)[0]
        return max_pool2d(magnitude, 2 * radius + 1, stride=1, padding=radius)


def no_edges(image: Tensor) -> Tensor:
    """A map of zeros."""
    return torch.zeros_like(image[:, :1])


def _caffe(image: Tensor) -> Tensor:
    return image.flip(1) * 255 - image.new_tensor(_BGR_MEAN)[:, None, None]


def _imagenet(image: Tensor) -> Tensor:
    return (image - image.new_tensor(_IMAGENET_MEAN)[:, None, None]) / image.new_tensor(_IMAGENET_SD)[:, None, None]


def _as_it_is(image: Tensor) -> Tensor:
    return image


def _clipped(answer: Tensor) -> Tensor:
    return answer[:, :1].clamp(0, 1)


def _labels(answer: Tensor) -> Tensor:
    """Label maps are one channel of numbers or a channel of logits for each label."""
    number = answer.argmax(dim=1, keepdim=True).to(answer.dtype) if answer.shape[1] > 1 else answer
    return number / _PARTS


@dataclass(frozen=True, kw_only=True)
class EdgeNetwork:
    """What a network of a kind wants to see (of RGB in 0 to 1), and how its last output (B, C, H, W) becomes a map."""

    given: Callable[[Tensor], Tensor]
    read: Callable[[Tensor], Tensor]


EDGE_NETWORKS: dict[str, EdgeNetwork] = {
    "hed": EdgeNetwork(given=_caffe, read=_clipped),
    "rcf": EdgeNetwork(given=_caffe, read=_clipped),
    "pidinet": EdgeNetwork(given=_imagenet, read=_clipped),
    "see": EdgeNetwork(given=_as_it_is, read=_clipped),
    "parsing": EdgeNetwork(given=_imagenet, read=_labels),
}
# Kinds that need no file.
PLAIN_EDGES: dict[str, EdgeSource] = {"canny": canny_edges, "zero": no_edges}
EDGES: tuple[str, ...] = (*PLAIN_EDGES, *EDGE_NETWORKS)


def edge_source(kind: str, network: Path | None = None) -> EdgeSource:
    """What makes the maps of a kind, one of EDGES; network: the ONNX file of those that need one.

    Raises OccposeError if the kind is unknown, the kind takes no file, or the file cannot be used.
    """
    if kind not in EDGES:
        raise OccposeError(f"unknown kind of edges {kind!r}; known: {', '.join(EDGES)}")
    if kind in PLAIN_EDGES:
        if network is not None:
            raise OccposeError(f"edges of the kind {kind!r} need no network, got {network}")
        return PLAIN_EDGES[kind]
    if network is None:
        warnings.warn(f"no ONNX file for {kind} edges: all edge maps are zero", stacklevel=2)
        return no_edges
    return _OnnxEdges(EDGE_NETWORKS[kind], network)


class _OnnxEdges:
    """Maps of an ONNX file with one input (B, 3, H, W); its last output counts: networks give side outputs first."""

    def __init__(self, kind: EdgeNetwork, path: Path) -> None:
        import onnxruntime

        if not path.is_file():
            raise OccposeError(f"no edge network at {path}; leave it out for maps of zeros")
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise OccposeError(f"{path} cannot be run as an edge network: {str(error).splitlines()[0]}") from error
        self._kind, self._path = kind, path
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[-1].name

    def __call__(self, image: Tensor) -> Tensor:
        given = np.ascontiguousarray(self._kind.given(image.detach().float()).cpu().numpy())
        try:
            answer = self._session.run([self._output], {self._input: given})[0]
        except Exception as error:
            raise OccposeError(f"{self._path} took no images {given.shape}: {str(error).splitlines()[0]}") from error
        if answer.ndim != 4 or len(answer) != len(given):
            raise OccposeError(f"{self._path} gives {answer.shape} for {given.shape}, not maps (B, C, H, W)")
        edges = self._kind.read(torch.from_numpy(answer).float())
        return interpolate(edges, size=image.shape[-2:], mode="nearest").to(image.device)
