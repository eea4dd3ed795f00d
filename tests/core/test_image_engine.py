"""Image models: what files are taken, what they answer, and what is said of files that do not fit."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from occpose_core.checkpoint import METADATA_KEY, ModelFileError
from occpose_core.runtime import WEIGHTS, load
from occpose_core.runtime.image_engine import (
    faces_of_text,
    load_image_model,
    missing_edges,
    network_images,
    text_of_faces,
)
from tests.core.cardboard import FIGURE
from tests.core.tiny_body import CORNERS, FACES, INFO, SIZE, tiny_body
from tests.onnx_files import save
from tests.tolerances import ENGINE


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_body(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


def inputs(people, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 1, (people, 3, SIZE, SIZE)).astype(np.float32)
    kpts = rng.uniform(-2, 2, (people, 17, 2)).astype(np.float32)
    return images, kpts, (rng.uniform(size=(people, 17)) < 0.7).astype(np.float32)


def test_an_exported_model_answers_in_the_pelvis(file):
    engine = load_image_model(file)
    images, kpts, visible = inputs(2)
    images[:, 0] = np.array([0.0, 0.5])[:, None, None]
    answer = engine.run(images, kpts, visible)
    expected = np.repeat(FIGURE[None], 2, axis=0)
    expected[1, 13, 1] -= 0.5
    assert answer.joints_root_m == pytest.approx(expected, abs=ENGINE)
    assert answer.vertices_root_m[:, :17] == pytest.approx(expected, abs=ENGINE)
    assert answer.vertices_root_m[:, 17:] == pytest.approx(np.stack([CORNERS, CORNERS]), abs=ENGINE)
    assert answer.rotations.shape == (2, 24, 3, 3)
    assert np.array_equal(engine.faces, FACES) and engine.faces.dtype == np.int64
    assert engine.info.image_size == SIZE
    assert engine.backend.startswith("onnxruntime-")
    assert engine.reason.startswith("auto takes onnxruntime; ")


@pytest.mark.parametrize("people", [1, 4, 5, 9])
def test_any_number_of_people_is_answered_each_for_himself(file, people):
    engine = load_image_model(file, "onnxruntime")
    images, kpts, visible = inputs(people)
    together = engine.run(images, kpts, visible)
    for person in range(people):
        which = slice(person, person + 1)
        alone = engine.run(images[which], kpts[which], visible[which])
        for name in vars(alone):
            assert getattr(together, name)[which] == pytest.approx(getattr(alone, name), abs=ENGINE)


def damaged(path, file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def changed(change):
    """A way to make a file: the exported one, with its protobuf changed."""

    def make(path, file):
        proto = onnx.load(file)
        change(proto)
        save(proto, path)

    return make


def renamed_output(proto):
    for node in proto.graph.node:
        node.output[:] = ["form" if name == "shape" else name for name in node.output]
    next(value for value in proto.graph.output if value.name == "shape").name = "form"


def metadata(key, value):
    def change(proto):
        next(entry for entry in proto.metadata_props if entry.key == key).value = value

    return change


def not_a_number(proto):
    figure = next(tensor for tensor in proto.graph.initializer if tensor.name == "figure")
    figure.CopyFrom(numpy_helper.from_array(np.full((1, *FIGURE.shape), np.nan, dtype=np.float32), "figure"))


def size_of_64(proto):
    metadata(METADATA_KEY, dataclasses.replace(INFO, image_size=64).to_json())(proto)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda path, file: None, "no model file at", id="no file"),
        pytest.param(lambda path, file: path.write_bytes(b"\0\1\2"), "cannot load", id="not ONNX"),
        pytest.param(damaged, "(its checksum does not fit|cannot load|not exported)", id="a flipped bit"),
        pytest.param(changed(renamed_output), "has inputs .* export it again", id="another output"),
        pytest.param(changed(metadata("occpose_faces", "?")), "triangles that cannot be read", id="faces not base64"),
        pytest.param(changed(metadata("occpose_faces", "")), "has no triangles", id="no faces"),
        pytest.param(
            changed(metadata("occpose_faces", text_of_faces(FACES + 2))), "vertices that it does not have", id="faces"
        ),
        pytest.param(changed(not_a_number), "joints_root_m that is not finite", id="nan"),
        pytest.param(changed(size_of_64), "cannot be run: .*export it again", id="another size"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_one_sentence(tmp_path, file, make, words):
    path = tmp_path / "model.onnx"
    make(path, file)
    with pytest.raises(ModelFileError, match=words) as error:
        load_image_model(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        pytest.param("tensorrt", "runs no image models; known: auto, onnxruntime, torch", id="tensorrt"),
        pytest.param("torch", "backend torch runs .safetensors files", id="torch"),
    ],
)
def test_backends_that_do_not_fit_are_refused(file, backend, words):
    with pytest.raises(ModelFileError, match=words):
        load_image_model(file, backend)


def test_each_loader_says_where_the_other_kind_of_model_goes(file):
    with pytest.raises(ModelFileError, match="is an image model: give it as image_model"):
        load(file)
    for name in (WEIGHTS / "stream-s.onnx", WEIGHTS / "stream-s.safetensors", "stream-s"):
        with pytest.raises(ModelFileError, match="takes no images"):
            load_image_model(name)


@pytest.mark.parametrize(
    ("takes_edges", "kind", "words"),
    [
        pytest.param(True, "given", "only labels have the true ones", id="teacher"),
        pytest.param(True, "hed", "export it with --edge-network", id="a network that is not there"),
        pytest.param(False, "hed", "", id="a network in the file"),
        pytest.param(False, "canny", "", id="its own"),
    ],
)
def test_a_model_that_gets_no_edges_says_so(takes_edges, kind, words):
    info = dataclasses.replace(INFO, config={"edge": kind})
    said = missing_edges(SimpleNamespace(info=info, takes_edges=takes_edges))
    assert words in said and bool(said) == bool(words)


def test_triangles_survive_the_way_through_text(tmp_path):
    faces = np.random.default_rng(0).integers(0, 6890, (13776, 3))
    assert np.array_equal(faces_of_text(text_of_faces(faces), tmp_path), faces)


def test_crops_become_images_of_the_network():
    crops = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    images = network_images(crops)
    assert images.dtype == np.float32 and images.shape == (2, 3, 4, 4)
    assert images[1, 2, 3, 0] == pytest.approx(crops[1, 3, 0, 2] / 255)
