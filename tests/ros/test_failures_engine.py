"""Models and engines that do not work, in the real node; the number in a test's name is its row in docs/failures.md."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from occpose_core.checkpoint import METADATA_KEY, ModelInfo
from occpose_core.runtime import BACKENDS, DEFAULT_MODEL, WEIGHTS
from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine

SHIPPED = WEIGHTS / f"{DEFAULT_MODEL}.onnx"


def truncated(path: Path, share: float) -> None:
    data = SHIPPED.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def rewritten(path: Path, change) -> None:
    """The shipped model with a change of its ONNX."""
    onnx = pytest.importorskip("onnx")
    from tests import onnx_files

    proto = onnx.load(SHIPPED)
    change(proto)
    onnx_files.save(proto, path)


def flip_a_bit(path: Path) -> None:
    """What a bad disk does to one weight: the number is another, but a number."""
    data = bytearray(SHIPPED.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rename_input(proto) -> None:
    proto.graph.input[0].name = "keypoints"
    for node in proto.graph.node:
        node.input[:] = ["keypoints" if name == "kpts" else name for name in node.input]


def drop_output(proto) -> None:
    del proto.graph.output[0]


def spoil_weights(proto) -> None:
    """What a bad disk does to the large weights."""
    for tensor in proto.graph.initializer:
        if len(tensor.raw_data) > 10_000:
            tensor.raw_data = np.full(len(tensor.raw_data), 0xFF, dtype=np.uint8).tobytes()


def forget_metadata(proto) -> None:
    del proto.metadata_props[:]


def change_info(proto, **changes) -> None:
    info = ModelInfo.from_metadata({item.key: item.value for item in proto.metadata_props}, SHIPPED)
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=dataclasses.replace(info, **changes).to_json())


def shrink_state(proto) -> None:
    """The state of the file is larger than its metadata say."""
    change_info(proto, state_size=3)


def fails_to_configure(graph, node, words):
    """The node says why it cannot be configured, in log and diagnostics, and stays there."""
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    status = graph.diagnosis(lambda values: values["state"] == "unconfigured")
    assert status.level == DiagnosticStatus.ERROR
    assert words in status.message and "\n" not in status.message
    assert not graph.peer.count_publishers("skeletons")


def can_be_mended(graph, node, **parameters):
    """After its parameters are mended it configures and answers."""
    changes = [Parameter(name, value=value) for name, value in parameters.items()]
    assert all(result.successful for result in node.set_parameters(changes))
    node.start()
    graph.connect(node)
    graph.wait("camera", lambda: node.camera or graph.send_camera())
    assert graph.ask().people


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda path: None, "no model file at", id="missing"),
        pytest.param(Path.mkdir, "no model file at", id="a folder"),
        pytest.param(lambda path: path.write_bytes(b""), "cannot load", id="0 bytes"),
        pytest.param(lambda path: path.write_bytes(b"not a model" * 999), "cannot load", id="no model"),
        pytest.param(lambda path: truncated(path, 0.01), "cannot load", id="only the beginning"),
        pytest.param(lambda path: truncated(path, 0.999), "cannot load", id="the end is missing"),
        pytest.param(lambda path: rewritten(path, rename_input), "has inputs ['keypoints', ", id="input name"),
        pytest.param(lambda path: rewritten(path, drop_output), "and outputs [", id="output"),
        pytest.param(lambda path: rewritten(path, forget_metadata), "was not exported by occpose", id="another's"),
        pytest.param(lambda path: rewritten(path, shrink_state), "cannot be run", id="shape"),
        pytest.param(lambda path: rewritten(path, spoil_weights), "is not finite: the file is damaged", id="weights"),
        pytest.param(flip_a_bit, "its checksum does not fit", id="one bit"),
    ],
)
def test_row_31_a_bad_model_file_fails_to_configure_and_can_be_mended(graph, tmp_path, capfd, damage, words):
    path = tmp_path / "model.onnx"
    damage(path)
    node = graph.make_node(model=str(path))
    fails_to_configure(graph, node, words)
    can_be_mended(graph, node, model=DEFAULT_MODEL)
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out


def test_row_32_a_backend_that_is_not_installed_fails_to_configure(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as Python does it where the package is missing
    monkeypatch.delitem(sys.modules, "occpose_core.runtime.torch_engine", raising=False)
    node = graph.make_node(backend="torch")
    fails_to_configure(graph, node, "backend torch needs the package 'torch': pip install torch")
    can_be_mended(graph, node, backend="auto")


def test_row_32_a_backend_that_does_not_run_this_file_fails_to_configure(graph):
    node = graph.make_node(model=str(SHIPPED), backend="torch")
    fails_to_configure(graph, node, "backend torch runs .safetensors files")
    can_be_mended(graph, node, backend="onnxruntime")


@pytest.mark.parametrize(
    ("providers", "words"),
    [
        pytest.param(["CPUExecutionProvider"], "this onnxruntime has no CUDA provider", id="not built in"),
        pytest.param(["CUDAExecutionProvider", "CPUExecutionProvider"], "does not start on this machine", id="no GPU"),
    ],
)
def test_row_32_auto_takes_what_works_and_says_why(graph, monkeypatch, providers, words):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is a GPU, or at least the library for one")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    node = graph.make_node()
    can_be_mended(graph, node)
    (reason,) = {pair.value for pair in graph.diagnosis(bool).values if pair.key == "engine reason"}
    assert "auto takes onnxruntime" in reason and words in reason


def test_row_32_an_unknown_backend_is_refused(graph):
    (result,) = graph.make_node().set_parameters([Parameter("backend", value="abacus")])
    assert not result.successful
    assert f"backend must be one of auto, {', '.join(BACKENDS)}, got 'abacus'" in result.reason


def test_row_33_an_engine_that_runs_out_of_memory_is_reported_and_tried_again(graph, node, monkeypatch):
    """As ONNX Runtime says it; a GPU whose context is lost does not come back, and has no test here."""
    graph.ask()
    with monkeypatch.context() as broken:
        broken.setattr(OnnxRuntimeEngine, "run", out_of_memory)
        for number in range(1, 4):
            graph.send()
            status = graph.diagnosis(lambda values, number=number: values["callback_errors"] == str(number))
    assert status.level == DiagnosticStatus.ERROR
    assert "Failed to allocate memory" in status.message
    assert [person.id for person in graph.ask().people] == ["7"]


def out_of_memory(*_):
    raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer of size 4096")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["joints_root_m", "sigma_m", "state"])
def test_row_34_an_answer_that_is_not_finite_is_not_published_and_not_remembered(
    graph, node, monkeypatch, field, value
):
    first = graph.ask()
    run = OnnxRuntimeEngine.run

    def broken(self, *given):
        lifted = run(self, *given)
        getattr(lifted, field)[:] = value
        return lifted

    with monkeypatch.context() as patch:
        patch.setattr(OnnxRuntimeEngine, "run", broken)
        for _ in range(3):
            sound(graph.ask())
    answers = [sound(graph.ask()) for _ in range(3)]
    assert [person.id for person in answers[-1].people] == ["7"]
    np.testing.assert_allclose(answers[0].people[0].position, first.people[0].position, atol=0.2)
    graph.diagnosis(lambda values: int(values.get("dropped.non_finite", "0")) >= 1)


def sound(answer):
    """The answer, all of whose numbers are finite."""
    for person in answer.people:
        assert all(np.isfinite(np.asarray(numbers)).all() for numbers in (person.position, person.std_dev, person.xy))
    return answer
