"""pose_node's transitions and parameters: what it refuses, and what it leaves behind."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from occpose_core.runtime import DEFAULT_MODEL
from tests.ros.rviz_rules import marker_array_faults, shown_after

SUCCESS, FAILURE, ERROR = (TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
                           TransitionCallbackReturn.ERROR)  # fmt: skip
NAN = float("nan")


def test_lifecycle(graph):
    node = graph.make_node()
    for _ in range(3):
        assert node.trigger_configure() == SUCCESS
        graph.connect(node)
        graph.send()
        graph.diagnosis(lambda values: values["state"] == "inactive")
        assert node.trigger_activate() == SUCCESS
        graph.send_camera()
        graph.wait("camera", lambda: node.camera)
        answer = graph.ask(ahead_ns=10**9)
        assert answer.people
        graph.wait("markers", lambda: shown_after(graph.heard["markers"]))
        assert node.trigger_deactivate() == SUCCESS
        graph.wait("cleared markers", lambda: not shown_after(graph.heard["markers"]))
        assert node.trigger_cleanup() == SUCCESS
        graph.wait("goodbye", lambda: graph.peer.count_publishers("skeletons") == 0)
    assert len(graph.heard["skeletons"]) == 3
    assert node.trigger_shutdown() == SUCCESS
    assert marker_array_faults(graph.heard["markers"]) == []


@pytest.mark.parametrize(
    ("end", "policy", "value"),
    [
        pytest.param("/markers.publisher", "reliability", "nonsense", id="no such policy"),
        pytest.param("/filled_keypoints.publisher", "depth", "deep", id="no number"),
        pytest.param("/camera_info.subscription", "durability", "nonsense", id="of a subscription"),
    ],
)
def test_quality_of_service_that_does_not_exist_is_a_sentence_and_leaves_nothing_behind(graph, end, policy, value):
    node = graph.make_node(**{f"qos_overrides.{end}.{policy}": value})
    before = {endpoint.topic_name for endpoint in (*node.publishers, *node.subscriptions)}
    node.start()
    assert node.state == "unconfigured"
    assert f"mend the parameters qos_overrides.{end}" in node.failure and "failed" not in node.failure
    assert {endpoint.topic_name for endpoint in (*node.publishers, *node.subscriptions)} == before


def test_a_lifecycle_manager_can_drive_it(graph):
    node = graph.make_node(autostart=False)
    node.start()
    client = graph.peer.create_client(ChangeState, "pose_node/change_state")
    graph.wait("the service", client.service_is_ready)

    def change(transition):
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        graph.wait("the transition", future.done)
        return future.result().success

    assert change(Transition.TRANSITION_CONFIGURE) and change(Transition.TRANSITION_ACTIVATE)
    graph.connect(node)
    graph.wait("camera", lambda: node.camera or graph.send_camera())
    assert graph.ask().people
    assert change(Transition.TRANSITION_DEACTIVATE) and change(Transition.TRANSITION_CLEANUP)
    graph.diagnosis(lambda values: values["state"] == "unconfigured")


def lifting_threads():
    return [thread for thread in threading.enumerate() if thread.name == "lifting"]


def test_transitions_under_load_leave_nothing_behind(graph):
    node = graph.make_node()
    steps = [node.trigger_configure, node.trigger_activate, node.trigger_deactivate, node.trigger_cleanup]
    for number in range(40):
        graph.send_camera()
        graph.send()
        assert steps[number % 4]() == SUCCESS
        graph.executor.spin_once(timeout_sec=0.01)
    assert not lifting_threads()
    own = [topic for topic, _ in node.get_publisher_names_and_types_by_node("pose_node", "/")]
    assert "/skeletons" not in own


@pytest.mark.parametrize(
    ("model", "words"),
    [
        pytest.param("no-such-model", "unknown model 'no-such-model'", id="unknown name"),
        pytest.param("missing.onnx", "no model file", id="missing file"),
        pytest.param("corrupt.onnx", "cannot load", id="corrupt file"),
        pytest.param("empty.onnx", "cannot load", id="empty file"),
    ],
)
def test_a_bad_model_fails_to_configure_and_can_be_mended(graph, tmp_path, model, words):
    (tmp_path / "corrupt.onnx").write_bytes(b"no model at all" * 100)
    (tmp_path / "empty.onnx").write_bytes(b"")
    node = graph.make_node(model=str(tmp_path / model) if model.endswith(".onnx") else model)
    assert node.trigger_configure() == FAILURE
    status = graph.diagnosis(lambda values: values["state"] == "unconfigured")
    assert status.level == DiagnosticStatus.ERROR and words in status.message
    assert node.set_parameters([Parameter("model", value=DEFAULT_MODEL)])[0].successful
    node.start()
    graph.diagnosis(lambda values: values["state"] == "active")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        pytest.param("min_score", 1.5, "min_score", id="out of range"),
        pytest.param("hold_s", NAN, "hold_s", id="NaN"),
        pytest.param("max_persons", 0, "max_persons", id="nobody"),
        pytest.param("person_height_m", 2, "Wrong parameter type", id="integer for a double"),
        pytest.param("person_height_m", 0.1, "person_height_m must be 0.0 (unknown) or lie in", id="a doll"),
        pytest.param("model", "other", "model cannot change while the node is configured", id="structural"),
    ],
)
def test_parameters_are_refused_with_a_reason(graph, node, name, value, words):
    before = node.parameters
    (result,) = node.set_parameters([Parameter(name, value=value)])
    assert not result.successful and words in result.reason
    assert node.parameters == before


def test_structural_parameters_may_change_before_configuration(graph):
    node = graph.make_node()
    refused, taken = node.set_parameters([Parameter("input", value="fax"), Parameter("rectified", value=True)])
    assert not refused.successful and "openpose, got 'fax'" in refused.reason
    assert taken.successful and node.parameters.rectified


def test_parameters_are_set_together_or_not_at_all(graph, node):
    before = node.parameters
    result = node.set_parameters_atomically([Parameter("hold_s", value=2.0), Parameter("input", value="fax")])
    assert not result.successful and node.parameters == before
    assert node.set_parameters_atomically([Parameter("hold_s", value=2.0)]).successful
    assert node.parameters.hold_s == 2.0
