"""Edge maps at run time: Canny's magnitude, networks that the user brings, and zeros where there is none."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.export.edge_network import with_edge_network  # noqa: E402
from occpose_core.export.graph import OPSET  # noqa: E402
from occpose_core.models.edges import EDGE_NETWORKS, EDGES, canny_edges, edge_source, no_edges  # noqa: E402
from tests.tolerances import ENGINE  # noqa: E402

SIZE = 64


def step(size: int = SIZE) -> torch.Tensor:
    """A picture that is black left of the middle and white right of it."""
    image = torch.zeros(1, 3, size, size)
    image[..., size // 2 :] = 1
    return image


def network(path: Path, weights: np.ndarray, scale: int = 1) -> Path:
    """A convolution of an image's channels by 1x1 weights (C, 3), with another output before it, as networks have."""
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["maps"], strides=[scale, scale]),
        helper.make_node("Neg", ["maps"], ["side"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None, None, None])
        for name in ("image", "side", "maps")
    ]
    stored = numpy_helper.from_array(weights.astype(np.float32)[:, :, None, None], "weights")
    graph = helper.make_graph(nodes, "edges", values[:1], values[1:], [stored])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def summing() -> onnx.ModelProto:
    """A model of an image and its edge map: red plus edges."""
    rows = numpy_helper.from_array(np.array([0]), "rows")
    nodes = [
        helper.make_node("Gather", ["image", "rows"], ["red"], axis=1),
        helper.make_node("Add", ["red", "edge"], ["sum"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None, SIZE, SIZE])
        for name in ("image", "edge", "sum")
    ]
    graph = helper.make_graph(nodes, "sum", values[:2], values[2:], [rows])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


@pytest.mark.parametrize(("size", "width"), [(256, 5), (128, 3), (32, 3)])
def test_canny_gives_a_line_of_the_gradients_strength(size: int, width: int) -> None:
    pytest.importorskip("kornia")
    edges = canny_edges(step(size))
    row = edges[0, 0, size // 2]
    assert edges.shape == (1, 1, size, size)
    assert int((row > 0.1).sum()) == width and abs(int(row.argmax()) - size // 2) <= width
    weaker = canny_edges(0.5 * step(size))[0, 0, size // 2]
    assert weaker.max().item() == pytest.approx(0.5 * row.max().item(), rel=0.01), "not thresholded"
    assert canny_edges(torch.full((1, 3, size, size), 0.3)).max() < 0.01


def test_canny_computes_in_single_precision_under_mixed_precision() -> None:
    pytest.importorskip("kornia")
    image = torch.rand((2, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        edges = canny_edges(image)
    assert torch.equal(edges, canny_edges(image))


@pytest.mark.parametrize("kind", list(EDGE_NETWORKS))
def test_a_kind_without_its_network_gives_zeros_and_says_so_once(kind: str) -> None:
    with pytest.warns(UserWarning, match=f"no ONNX file for {kind} edges: all edge maps are zero"):
        source = edge_source(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            assert torch.equal(source(step()), torch.zeros(1, 1, SIZE, SIZE))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # of a pixel (0.2, 0.4, 0.6) of RGB, the three channels that the network is given, summed 1 : 2 : 4
        pytest.param("hed", 153 - 104.00698793 + 2 * (102 - 116.66876762) + 4 * (51 - 122.67891434), id="hed"),
        pytest.param("rcf", 153 - 104.00698793 + 2 * (102 - 116.66876762) + 4 * (51 - 122.67891434), id="rcf"),
        pytest.param(
            "pidinet", (0.2 - 0.485) / 0.229 + 2 * (0.4 - 0.456) / 0.224 + 4 * (0.6 - 0.406) / 0.225, id="pidinet"
        ),
        pytest.param("see", 0.2 + 2 * 0.4 + 4 * 0.6, id="see"),
    ],
)
def test_networks_see_what_they_were_trained_on(kind: str, expected: float, tmp_path: Path) -> None:
    scale = 1e-3  # to within 0 to 1
    image = torch.tensor([0.2, 0.4, 0.6])[:, None, None].expand(1, 3, SIZE, SIZE).contiguous()
    weights = scale * np.array([[1.0, 2.0, 4.0]])
    for sign in (1, -1):
        edges = edge_source(kind, network(tmp_path / "edges.onnx", sign * weights))(image)
        assert edges.shape == (1, 1, SIZE, SIZE)
        assert edges.mean().item() == pytest.approx(max(0.0, sign * scale * expected), abs=1e-6)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param(np.array([[0, 0, 1.0], [9, 9, 9], [0, 0, 2]]), 1 / 25, id="logits of three labels"),
        pytest.param(np.array([[0.0, 0.0, 1.0]]), (1 - 0.406) / 0.225 / 25, id="a map of numbers"),
    ],
)
def test_parts_become_numbers_between_0_and_1(weights: np.ndarray, expected: float, tmp_path: Path) -> None:
    edges = edge_source("parsing", network(tmp_path / "parts.onnx", weights))(torch.ones(1, 3, SIZE, SIZE))
    assert edges.unique().tolist() == [pytest.approx(expected, rel=1e-5)]


def test_smaller_maps_are_enlarged_to_the_image(tmp_path: Path) -> None:
    edges = edge_source("see", network(tmp_path / "small.onnx", np.array([[1.0, 0, 0]]), scale=4))(step())
    assert torch.equal(edges, step()[:, :1])


@pytest.mark.parametrize("kind", list(EDGE_NETWORKS))
def test_a_network_that_is_joined_to_a_model_makes_the_same_maps(kind: str, tmp_path: Path) -> None:
    weights = np.array([[0.003, -0.002, 0.001], [0.001, 0.001, 0.002]])[: 2 if kind == "parsing" else 1]
    path = network(tmp_path / "edges.onnx", weights, scale=2)
    joined = with_edge_network(summing(), kind, path, SIZE)
    onnx.checker.check_model(joined)
    assert [each.name for each in joined.graph.input] == ["image"]
    image = torch.rand((3, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(joined.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = image[:, :1] + edge_source(kind, path)(image)
    np.testing.assert_allclose(session.run(None, {"image": image.numpy()})[0], expected.numpy(), rtol=0, atol=ENGINE)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "no edge network at ", id="missing"),
        pytest.param(b"nonsense", "is no ONNX file that can be joined: ", id="nonsense"),
    ],
)
def test_what_cannot_be_joined_is_refused(content: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "edges.onnx"
    if content:
        path.write_bytes(content)
    with pytest.raises(OccposeError, match=says) as raised:
        with_edge_network(summing(), "hed", path, SIZE)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        pytest.param("sobel", None, "unknown kind of edges 'sobel'; known: canny, zero, hed", id="unknown"),
        pytest.param("canny", b"", "edges of the kind 'canny' need no network", id="no file needed"),
        pytest.param("hed", None, "no edge network at ", id="not there"),
        pytest.param("hed", b"not a model", "cannot be run as an edge network: ", id="no model"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(
    kind: str, content: bytes | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "edges.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OccposeError, match=says) as raised:
        edge_source(kind, path)
    assert "\n" not in str(raised.value)


def test_no_edges_are_zeros_of_one_channel() -> None:
    assert torch.equal(no_edges(step()), torch.zeros(1, 1, SIZE, SIZE))
    assert {"canny", "zero", "hed", "rcf", "pidinet", "see", "parsing"} == set(EDGES)
