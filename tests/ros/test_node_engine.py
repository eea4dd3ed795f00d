"""pose_node while a better engine is made ready beside it: it answers, tells, changes over, and lets go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn

from occpose_core.checkpoint import ModelFileError
from occpose_ros import node_engine
from tests.core.building import Build, Counted
from tests.ros.graph import values

HANGING = Path(__file__).parent / "hanging_node.py"
SUCCESS = TransitionCallbackReturn.SUCCESS


@pytest.fixture
def offer(monkeypatch):
    """Have the next nodes make this engine ready, or fail with this error, when `end` is called on what is returned."""

    def offer(engine) -> Build:
        build = Build(engine)
        monkeypatch.setattr(node_engine, "preparation", lambda model, backend: build.preparation)
        return build

    return offer


def poses(graph, images: int) -> list[np.ndarray]:
    return [np.asarray(graph.ask().people[0].position) for _ in range(images)]


def test_the_node_answers_meanwhile_and_changes_over_without_a_jump(graph, offer, capfd):
    expected = poses_of_a_node_of_its_own(graph)
    better = Counted()
    build = offer(better)
    graph.active()
    before = poses(graph, 4)
    status = graph.diagnosis(lambda values: values["engine preparation"] == "building the better engine: 43 %")
    told = {pair.key: pair.value for pair in status.values}
    assert told["engine"].startswith("onnxruntime") and told["state"] == "active" and better.calls == 0
    build.end()
    after = poses(graph, 4)
    assert better.calls == 4
    np.testing.assert_array_equal([*before, *after], expected)
    graph.diagnosis(
        lambda values: (
            (values["engine"], values["engine reason"]) == ("counted", "a test asked for it")
            and values["engine preparation"] == "the better engine is ready"
        )
    )
    said = "".join(capfd.readouterr())
    assert said.count("on counted (a test asked for it)") == 1


def poses_of_a_node_of_its_own(graph) -> list[np.ndarray]:
    """What the same images give without any change."""
    node = graph.active()
    expected = poses(graph, 8)
    assert node.trigger_deactivate() == SUCCESS and node.trigger_cleanup() == SUCCESS
    graph.wait("goodbye", lambda: graph.peer.count_publishers("skeletons") == 0)
    graph.executor.remove_node(node)
    node.destroy_node()
    return expected


def test_why_nothing_better_comes_is_told_once_and_the_node_goes_on(graph, offer, capfd):
    build = offer(ModelFileError("the better engine must not serve"))
    graph.active()
    build.end()
    told = "the better engine must not serve"
    for _ in range(3):
        graph.diagnosis(lambda values: values["engine preparation"] == told)
    assert graph.ask().people
    assert "".join(capfd.readouterr()).count(told) == 1


def test_a_breakdown_costs_no_image_and_is_told(graph, offer):
    build = offer(Counted(breaks_at=2))
    graph.active()
    build.end()
    for _ in range(4):
        assert [person.id for person in graph.ask().people] == ["7"]
    status = graph.diagnosis(lambda values: "counted broke down: CUDA error 700" in values["engine reason"])
    told = {pair.key: pair.value for pair in status.values}
    assert told["engine"].startswith("onnxruntime") and told["callback_errors"] == "0"
    assert status.level == DiagnosticStatus.WARN and status.message.startswith("counted broke down")


@pytest.mark.parametrize("end", ["trigger_cleanup", "trigger_shutdown"])
def test_who_leaves_wants_no_engine_any_more(graph, offer, end):
    build = offer(Counted())
    node = graph.make_node(autostart=False)
    assert node.trigger_configure() == SUCCESS
    graph.diagnosis(lambda values: "43 %" in values["engine preparation"])
    assert getattr(node, end)() == SUCCESS
    assert build.preparation.join(30) and build.cancelled
    graph.diagnosis(lambda values: values["engine preparation"] == "none" and values["engine"] == "none")


def test_diagnostics_go_on_while_a_model_is_loaded(graph, start, monkeypatch, tmp_path):
    """A TensorRT engine that was asked for by name is built at once, which may take minutes."""
    monkeypatch.setenv("HANG_IN", "loading the model")
    monkeypatch.setenv("HANG_SIGN", str(tmp_path / "hangs"))
    start("-p", "diagnostics_period_s:=0.1", script=HANGING)
    heard = graph.heard["/diagnostics"]
    graph.wait("reports", lambda: [message.status[0].message for message in heard].count("loading the model") >= 3)
    assert heard[-1].status[0].level == DiagnosticStatus.OK and values(heard[-1])["state"] == "configuring"
