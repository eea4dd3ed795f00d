"""The exported file: half precision where it should be and nowhere else, what is compared, and its checksum."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from occpose_core.checkpoint import METADATA_KEY, ModelFileError, ModelInfo  # noqa: E402
from occpose_core.checksum import check, with_checksum  # noqa: E402
from occpose_core.export import TOLERANCES_M, ExportError, export_onnx  # noqa: E402
from occpose_core.export.films import films  # noqa: E402
from occpose_core.export.graph import OPSET, count_nodes  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.runtime import WEIGHTS, load, shipped_models  # noqa: E402

HALF, SINGLE = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
LAYERS = {"MatMul", "Gemm"}
NEVER_IN_HALF = {
    "LayerNormalization",
    "Softmax",
    "Exp",
    "Log",
    "Tanh",
    "Sigmoid",
    "Div",
    "Sqrt",
    "ReduceSum",
    "ReduceL2",
}
SIZES = {
    "stream": {"width": 64, "memory": 16, "blocks": 1},
    "lcn": {"channels": 16, "masked": True, "target": "metric"},
    "htnet": {"channels": 48, "hidden": 64, "blocks": 1, "masked": True},
}


def small(family: str) -> tuple[torch.nn.Module, ModelInfo]:
    torch.manual_seed(0)
    model = build(family, SIZES[family]).eval()
    return model, describe("small", family, model, {})


@pytest.fixture(scope="module", params=["stream", "htnet"])
def in_half(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in half precision; exporting takes seconds."""
    path = tmp_path_factory.mktemp("half") / "small.onnx"
    export_onnx(*small(request.param), path, precision="fp16")
    return path


def types_of(proto: onnx.ModelProto) -> dict[str, int]:
    """Precision of every tensor by its name, as ONNX infers it."""
    graph = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    values = (*graph.input, *graph.value_info, *graph.output)
    return types | {value.name: value.type.tensor_type.elem_type for value in values}


def test_layers_compute_in_half_precision_and_all_else_in_single(in_half: Path) -> None:
    proto = onnx.load(in_half)
    onnx.checker.check_model(proto, full_check=True)
    types = types_of(proto)
    assert {types[value.name] for value in (*proto.graph.input, *proto.graph.output)} == {SINGLE}
    for node in proto.graph.node:
        given = {types[name] for name in node.input if name}
        assert len(given & {HALF, SINGLE}) <= 1, "precision changes at casts alone"
        if node.op_type in NEVER_IN_HALF:
            assert HALF not in given
    large = [each.name for each in proto.graph.initializer if np.prod(each.dims) >= 1024]
    layers = [node for node in proto.graph.node if node.op_type in LAYERS and set(large).intersection(node.input)]
    in_single = [node for node in layers if types[node.output[0]] == SINGLE]
    assert len(layers) - len(in_single) > 4
    assert len(in_single) <= 1, "the last layer alone"
    sums = [node for node in proto.graph.node if node.op_type == "Add" and types[node.output[0]] == HALF]
    constants = {each.name for each in proto.graph.initializer}
    assert all(constants.intersection(node.input) for node in sums), "what layers add up stays in single precision"


def test_a_file_in_half_precision_runs_and_says_so(in_half: Path) -> None:
    info = load(in_half).info
    measured = info.training["export"]
    assert info.precision == "fp16"
    assert set(measured["max_difference_by_input"]) == {"random", "masked", "golden"}
    assert 0 < max(measured["max_difference"].values()) <= TOLERANCES_M["fp16"]
    assert (measured["opset"], measured["nodes"]) == (OPSET, count_nodes(onnx.load(in_half)))


def test_a_model_that_half_precision_spoils_is_not_written(tmp_path: Path) -> None:
    model, info = small("lcn")
    with torch.no_grad():  # joints far from each other: three digits are not enough
        model.tail.weight.mul_(3e4)
    with pytest.raises(ExportError, match="more than 0.005 for fp16"):
        export_onnx(model, info, tmp_path / "small.onnx", precision="fp16")
    assert list(tmp_path.iterdir()) == []


def test_engines_are_compared_on_random_masked_and_detected_people() -> None:
    made = films(small("stream")[1])
    shares = {name: float((film.visible > 0).float().mean()) for name, film in made.items()}
    assert shares["random"] == 1.0
    assert 0.2 < shares["masked"] < 0.8
    assert 0.2 < shares["golden"] < 0.9
    hidden = (made["golden"].visible == 0).all(dim=2)
    assert hidden.any() and not hidden[:, 0].any(), "detected people are lost for some images"
    assert all(film.kpts.isfinite().all() and film.kpts.abs().max() < 10 for film in made.values())


# --- checksum


@given(st.binary(max_size=300), st.data())
def test_no_bit_of_a_file_changes_unnoticed(content: bytes, data: st.DataObject) -> None:
    whole = with_checksum(content)
    check(whole, Path("model.onnx"))
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for changed in (bytes(damaged), whole[:-1], whole + b"\0", content, b""):
        with pytest.raises(ModelFileError, match="model.onnx is not as it was exported"):
            check(changed, Path("model.onnx"))


def test_the_checksum_is_an_entry_of_the_metadata(in_half: Path) -> None:
    entries = {entry.key: entry.value for entry in onnx.load(in_half).metadata_props}
    assert set(entries) == {METADATA_KEY, "sha256"}
    content = in_half.read_bytes()
    assert entries["sha256"] == hashlib.sha256(content[: -len(with_checksum(b""))]).hexdigest()


@pytest.mark.parametrize("name", shipped_models())
def test_the_metadata_of_shipped_files_are_complete(name: str) -> None:
    info = load(name).info
    measured = info.training["export"]
    assert measured["opset"] == OPSET
    assert measured["nodes"] == count_nodes(onnx.load(WEIGHTS / f"{name}.onnx"))
    assert max(measured["max_difference"].values()) <= TOLERANCES_M[info.precision]


def test_the_table_of_the_manual_has_the_nodes_of_the_shipped_files() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()
    rows = dict(re.findall(r"^\| `([\w-]+)` \| \d+ \| (\d+) \|", manual, re.MULTILINE))
    assert rows == {name: str(load(name).info.training["export"]["nodes"]) for name in shipped_models()}
