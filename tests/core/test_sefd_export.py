"""Exported image models: the answers of torch for any number of people, in a file that says everything of itself."""

from __future__ import annotations

import contextlib
import copy
import io
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("kornia")

from occpose_core.checkpoint import save_checkpoint  # noqa: E402
from occpose_core.cli import main  # noqa: E402
from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.export import deployment_twin  # noqa: E402
from occpose_core.export.comparison import ExportError  # noqa: E402
from occpose_core.export.engines import plan_sizes  # noqa: E402
from occpose_core.export.graph import traced  # noqa: E402
from occpose_core.export.images import examples, export_image_model, pictures  # noqa: E402
from occpose_core.models import describe  # noqa: E402
from occpose_core.models.edges import canny_edges  # noqa: E402
from occpose_core.runtime.image_engine import load_image_model  # noqa: E402
from tests.core.small_sefd import SIZE, small  # noqa: E402
from tests.tolerances import ENGINE  # noqa: E402

EDGE = "given"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "small.safetensors"
    save_checkpoint(path, small(EDGE), describe("small", "sefd", small(EDGE), {"steps": 3}))
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> tuple[Path, str]:
    """The file that the command writes, and what the command says; tracing takes seconds."""
    out, said = checkpoint.parent / "out", io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["export", str(checkpoint), "--out", str(out), "--half-weights"]) == 0
    return out / "small.onnx", said.getvalue()


def given(people: int) -> tuple[np.ndarray, ...]:
    generator = torch.Generator().manual_seed(people)
    kpts = torch.randn((people, 17, 2), generator=generator)
    visible = (torch.rand((people, 17), generator=generator) > 0.3).float()
    return pictures(SIZE, people, seed=7).numpy(), kpts.numpy(), visible.numpy()


def test_the_file_gives_torchs_answers_for_any_number_of_people(exported: tuple[Path, str]) -> None:
    engine = load_image_model(exported[0])
    twin = deployment_twin(small(EDGE), half_weights=True).deployed()
    for people in (1, 2, 3, 5):
        inputs = given(people)
        with torch.inference_mode():
            expected = twin(*map(torch.from_numpy, inputs))
        answer = engine.run(*inputs)
        for name in engine.info.outputs:
            np.testing.assert_allclose(getattr(answer, name), expected[name].numpy(), rtol=0, atol=1e-4)


def test_the_file_says_what_it_is_and_how_nearly_it_is_torchs(exported: tuple[Path, str]) -> None:
    engine, said = load_image_model(exported[0]), exported[1]
    measured = engine.info.training["export"]
    assert (engine.info.image_size, engine.info.name, engine.info.training["steps"]) == (SIZE, "small", 3)
    assert set(measured["max_difference"]) == set(engine.info.outputs)
    assert max(measured["max_difference"].values()) < ENGINE
    assert set(measured["max_difference_by_input"]) == {"random", "masked"}
    assert "largest difference between ONNX Runtime and torch: joints_root_m" in said
    assert f"{exported[0].stat().st_size / 1e6:.1f} MB" in said
    assert measured["bytes"] == pytest.approx(exported[0].stat().st_size, rel=0.01)


def test_the_checkpoint_beside_it_gives_the_same(exported: tuple[Path, str]) -> None:
    beside = load_image_model(exported[0].with_suffix(".safetensors"))
    answers = [engine.run(*given(2)) for engine in (load_image_model(exported[0]), beside)]
    for name in beside.info.outputs:
        first, second = (getattr(answer, name) for answer in answers)
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-3)


def test_a_checkpoint_that_needs_kornia_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "canny.safetensors"
    save_checkpoint(path, small("canny"), describe("canny", "sefd", small("canny"), {}))
    monkeypatch.setitem(sys.modules, "kornia.filters", None)
    with pytest.raises(OccposeError, match=r"^Canny edges need the package .*: pip install 'occpose\[sefd\]'$"):
        load_image_model(path)


def test_the_file_holds_the_bodys_triangles(exported: tuple[Path, str]) -> None:
    assert np.array_equal(load_image_model(exported[0]).faces, small(EDGE).body.faces)


def test_masked_values_have_no_influence_in_the_file(exported: tuple[Path, str]) -> None:
    engine = load_image_model(exported[0])
    image, kpts, visible = given(3)
    hidden = np.where(visible[..., None] > 0, kpts, np.float32(1e4))
    expected, answer = engine.run(image, kpts, visible), engine.run(image, hidden, visible)
    for name in engine.info.outputs:
        assert np.array_equal(getattr(answer, name), getattr(expected, name))


def test_a_teachers_file_takes_the_edge_map(exported: tuple[Path, str]) -> None:
    assert [each.name for each in onnx.load(exported[0]).graph.input] == ["image", "kpts", "visible", "edge"]
    engine, edges = load_image_model(exported[0]), np.ones((3, 1, SIZE, SIZE), dtype=np.float32)
    expected, answer = engine.run(*given(3)), engine.run(*given(3), edges)
    assert np.abs(answer.rotations - expected.rotations).max() > 1e-3


def test_half_weights_leave_little_in_single_precision(exported: tuple[Path, str]) -> None:
    single = sum(
        int(np.prod(each.dims))
        for each in onnx.load(exported[0]).graph.initializer
        if each.data_type == onnx.TensorProto.FLOAT
    )
    network = sum(parameter.numel() for parameter in small(EDGE).parameters())
    at_rest = small(EDGE).body.vertices_m.shape[0] * (3 + 24 + 24 + 17 + 6)  # template, weights, three regressors
    assert single < 0.2 * network + at_rest


def test_canny_edges_in_a_graph_are_torchs() -> None:
    class Edges(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
            return (canny_edges(image),)

    proto = traced(Edges(), {"image": pictures(SIZE, 2)}, ["edge"])
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    image = pictures(SIZE, 3, seed=5)
    np.testing.assert_allclose(
        session.run(None, {"image": image.numpy()})[0], canny_edges(image).numpy(), rtol=0, atol=ENGINE
    )


@pytest.mark.parametrize(
    ("edge", "names"),
    [
        pytest.param("none", ["image", "kpts", "visible"], id="baseline"),
        pytest.param("canny", ["image", "kpts", "visible"], id="student"),
        pytest.param("given", ["image", "kpts", "visible", "edge"], id="teacher"),
    ],
)
def test_only_networks_without_a_map_of_their_own_take_one(edge: str, names: list[str]) -> None:
    assert list(examples(small(edge))) == names


def test_a_network_whose_answers_are_not_finite_is_not_exported(tmp_path: Path) -> None:
    broken = copy.deepcopy(small("none"))
    with torch.no_grad():
        broken.shape.bias.fill_(float("nan"))
    with pytest.raises(ExportError, match="gives joints_root_m that are not finite; train it again"):
        export_image_model(broken, describe("broken", "sefd", broken, {}), tmp_path / "broken.onnx")
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param(["--windowed"], "has no window: leave out --windowed", id="window"),
        pytest.param(["--filling", "filling"], "needs no filling network: leave out --filling", id="filling"),
        pytest.param(["--body", "nowhere"], "SMPL_NEUTRAL", id="no body files"),
        pytest.param(["--edge-network", "n.onnx"], "edges of the kind 'given', which takes no network", id="edges"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_sentence(
    options: list[str], says: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(checkpoint), "--out", str(tmp_path), *options]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--body", "--edge-network"])
def test_a_lifter_has_neither_body_nor_edges(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "lcn", "--out", str(tmp_path), option, "file"]) == 2
    assert f"model lcn takes no images: leave out {option}" in capsys.readouterr().err


def test_it_builds_for_gpus_that_are_elsewhere(exported: tuple[Path, str]) -> None:
    pytest.importorskip("tensorrt_rtx")
    sizes = plan_sizes(exported[0], load_image_model(exported[0]).info, ((8, 9),))
    assert sizes["8.9"] > 1e5
