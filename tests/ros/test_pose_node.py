"""pose_node over real DDS: what goes in, what comes out, and what it survives."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from occpose_core.runtime.onnxruntime_engine import OnnxRuntimeEngine
from occpose_core.skeleton import H36M17, SKELETONS
from occpose_core.types import State
from occpose_ros.message_types import stamp_to_msg
from tests.ros.graph import FRAME_NS, LATCHED, Graph
from tests.ros.people import FRAME_ID, HEIGHT, WIDTH, keypoints, person_msg, standing_cam_m
from tests.ros.rviz_rules import marker_array_faults, shown_after

COCO17 = SKELETONS["coco17"]
ROOT = Path(__file__).parents[2]


def test_keypoints_become_skeletons_markers_and_completed_keypoints(graph, node):
    xy_px, score = keypoints()
    score[COCO17.indices("left_wrist", "left_elbow")] = 0.0
    answer = graph.ask([person_msg(graph.types, "7", xy_px, score)])
    assert (answer.header.frame_id, answer.layout) == (FRAME_ID, "h36m17")
    (person,) = answer.people
    assert (person.id, person.state, person.metric) == ("7", State.TRACKED, False)
    position = np.asarray(person.position).reshape(-1, 3)
    assert position.shape == (len(H36M17.joints), 3)
    assert np.isfinite(position).all() and (position[:, 2] > 0.5).all()
    assert 0 < answer.latency_ms < 1000.0 * 30
    hidden = set(np.flatnonzero(np.asarray(person.origin)))
    assert hidden >= set(H36M17.indices("left_wrist", "left_elbow", "spine", "head_top"))
    graph.wait("markers and completed keypoints", lambda: graph.heard["markers"] and graph.heard["filled_keypoints"])
    assert marker_array_faults(graph.heard["markers"]) == []
    filled = graph.heard["filled_keypoints"][0]
    assert (filled.layout, filled.width, filled.height, filled.header) == ("h36m17", WIDTH, HEIGHT, answer.header)


def test_a_person_stands_where_the_keypoints_say(graph, node):
    node.set_parameters([Parameter("person_height_m", value=1.75)])
    for _ in range(3):
        answer = graph.ask()
    (person,) = answer.people
    pelvis_cam_m = np.asarray(person.position).reshape(-1, 3)[H36M17.index("pelvis")]
    expected_cam_m = standing_cam_m()[H36M17.index("pelvis")]
    assert person.metric and person.height == pytest.approx(1.75)
    np.testing.assert_allclose(pelvis_cam_m[:2], expected_cam_m[:2], atol=0.3)
    np.testing.assert_allclose(pelvis_cam_m[2], expected_cam_m[2], rtol=0.3)


def test_a_hidden_person_is_held_then_lost_and_deleted(graph, node):
    graph.ask()
    held = graph.ask([])
    assert [(person.id, person.state) for person in held.people] == [("7", State.OCCLUDED)]
    lost = graph.ask([], ahead_ns=int(0.8e9))
    assert (len(lost.people), list(lost.lost_ids)) == (0, ["7"])
    graph.wait("deletion", lambda: graph.heard["markers"] and not shown_after(graph.heard["markers"]))
    assert marker_array_faults(graph.heard["markers"]) == []


def test_skeleton_info_is_latched(graph, node):
    graph.ask()
    graph.listen(graph.types.SkeletonInfo, "skeleton_info", LATCHED)
    graph.wait("skeleton_info", lambda: graph.heard["skeleton_info"])
    assert tuple(graph.heard["skeleton_info"][0].names) == H36M17.joints


def person_with(graph, joint=None, xy=None, score=None, joints=17):
    """A coco17 person with one joint changed or cut to some joints."""
    xy_px, scores = keypoints()
    if xy is not None:
        xy_px[COCO17.index(joint)] = xy
    if score is not None:
        scores[COCO17.index(joint)] = score
    return person_msg(graph.types, "7", xy_px[:joints], scores[:joints])


NAN = float("nan")
BAD_INPUT = [
    pytest.param({"people": lambda g: [person_with(g, "nose", xy=(NAN, 1))]}, "invalid_joint", id="NaN coordinate"),
    pytest.param({"people": lambda g: [person_with(g, "nose", score=NAN)]}, "invalid_joint", id="NaN score"),
    pytest.param({"people": lambda g: [person_with(g, "nose", score=-1)]}, "score_out_of_range", id="negative score"),
    pytest.param({"people": lambda g: [person_with(g, joints=9)]}, "wrong_joint_count", id="wrong joint count"),
    pytest.param({"people": lambda g: [person_with(g, joints=0)]}, "wrong_joint_count", id="empty person"),
    pytest.param({"people": lambda g: g.good_people() * 2}, "duplicate_id", id="two people with one id"),
    pytest.param({"people": lambda g: g.good_people() * 1001}, "too_many_people", id="too many people"),
    pytest.param({"layout": "coco18"}, "unknown_layout", id="unknown layout"),
    pytest.param({"layout": ""}, "unknown_layout", id="no layout"),
    pytest.param({"size": (640, 640)}, "image_size", id="another image"),
    pytest.param({"frame_id": "other_camera"}, "frame_id", id="another camera"),
    pytest.param({"ahead_ns": 0}, "duplicate_stamp", id="duplicated stamp"),
    pytest.param({"ahead_ns": -FRAME_NS}, "out_of_order", id="reversed stamps"),
]


@pytest.mark.parametrize(("message", "reason"), BAD_INPUT)
def test_bad_input_is_counted_and_the_next_message_answered(graph, node, message, reason):
    graph.ask()
    fields = dict(message)
    people = fields.pop("people", Graph.good_people)(graph)
    graph.send(people, **fields)
    status = graph.diagnosis(lambda values: values.get(f"dropped.{reason}") == "1")
    assert status.level in (DiagnosticStatus.OK, DiagnosticStatus.WARN)
    answer = graph.ask(ahead_ns=3 * FRAME_NS)
    assert [person.id for person in answer.people] == ["7"]
    assert all(np.isfinite(np.asarray(person.position)).all() for person in answer.people)
    assert graph.diagnosis(lambda values: True) and node.camera


def test_drops_are_named_in_the_diagnostics(graph, node):
    graph.ask()
    graph.send([person_with(graph, "nose", xy=(NAN, 1))])
    status = graph.diagnosis(lambda values: "1 invalid_joint" in values["message"])
    assert status.level == DiagnosticStatus.WARN


def test_empty_images_are_answered(graph, node):
    assert list(graph.ask([]).people) == []


def test_without_camera_info_it_waits(graph):
    node = graph.make_node()
    node.start()
    graph.connect(node)
    graph.send()
    status = graph.diagnosis(lambda values: values.get("dropped.no_camera_info") == "1")
    assert status.level == DiagnosticStatus.WARN and "no CameraInfo on /camera_info" in status.message
    graph.send_camera(k=(0.0,) * 9)
    graph.diagnosis(lambda values: values.get("dropped.bad_camera_info") == "1")
    graph.send_camera()
    graph.wait("camera", lambda: node.camera)
    assert len(graph.ask().people) == 1


def test_a_camera_that_changes_is_followed(graph, node):
    graph.ask()
    first = node.camera
    graph.send_camera(size=(2 * WIDTH, 2 * HEIGHT))
    graph.wait("camera", lambda: node.camera is not first)
    assert graph.ask(size=(2 * WIDTH, 2 * HEIGHT)).people


def test_stamps_going_back_forget_everybody_and_clear_rviz(graph, node):
    graph.ask()
    answer = graph.ask(ahead_ns=-3_000_000_000)
    assert [person.state for person in answer.people] == [State.TRACKED]
    graph.wait("markers", lambda: len(graph.heard["markers"]) == 2)
    assert graph.heard["markers"][1].markers[0].action == 3
    assert marker_array_faults(graph.heard["markers"]) == []
    graph.diagnosis(lambda values: values["resets"] == "1")


def test_the_clock_jumping_back_clears_rviz(graph):
    node = graph.make_node(use_sim_time=True)
    clock = graph.peer.create_publisher(Clock, "/clock", 10)
    node.start()
    graph.connect(node)
    graph.diagnosis(lambda values: "nothing publishes /clock" in values["message"])
    now = node.get_clock()

    def set_clock(seconds):
        clock.publish(Clock(clock=stamp_to_msg(seconds * 10**9, graph.types)))
        graph.wait("clock", lambda: now.now().nanoseconds == seconds * 10**9)

    graph.wait("clock subscription", clock.get_subscription_count)
    set_clock(100)
    graph.send_camera()
    graph.wait("camera", lambda: node.camera)
    graph.ask()
    graph.wait("markers", lambda: shown_after(graph.heard["markers"]))
    set_clock(50)
    graph.wait("cleared markers", lambda: not shown_after(graph.heard["markers"]))
    assert graph.ask().people


def test_old_keypoints_are_dropped_on_request(graph, node):
    graph.ask()
    node.set_parameters([Parameter("max_age_s", value=1.0)])
    graph.send()
    graph.diagnosis(lambda values: values.get("dropped.too_old") == "1")


def test_a_slow_engine_gets_the_newest_message_only(graph, node, monkeypatch):
    graph.ask()
    entered, gate, run = threading.Event(), threading.Event(), OnnxRuntimeEngine.run

    def slow(self, *given):
        entered.set()
        gate.wait()
        return run(self, *given)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", slow)
    stamps_ns = [graph.send()]
    graph.wait("the engine", entered.is_set)
    for received in ("3", "4", "5"):
        stamps_ns.append(graph.send())
        graph.diagnosis(lambda values, received=received: values["received"] == received)
    gate.set()
    graph.answer_to(stamps_ns[-1])
    graph.diagnosis(lambda values: values.get("dropped.replaced") == "2" and values["answered"] == "3")


def test_an_exception_is_counted_and_the_node_goes_on(graph, node, monkeypatch):
    graph.ask()
    with monkeypatch.context() as broken:
        broken.setattr(OnnxRuntimeEngine, "run", lambda *_: 1 / 0)
        graph.send()
        status = graph.diagnosis(lambda values: values["callback_errors"] == "1")
    assert status.level == DiagnosticStatus.ERROR and "ZeroDivisionError" in status.message
    assert graph.ask().people


def test_an_engine_that_answers_nan_publishes_nothing_of_it(graph, node, monkeypatch):
    run = OnnxRuntimeEngine.run

    def broken(self, *given):
        lifted = run(self, *given)
        lifted.joints_root_m[:] = NAN
        return lifted

    with monkeypatch.context() as patch:
        patch.setattr(OnnxRuntimeEngine, "run", broken)
        assert list(graph.ask().people) == []
    graph.diagnosis(lambda values: values.get("dropped.non_finite") == "1")
    assert graph.ask().people


def test_markers_are_not_built_for_nobody(graph, node, monkeypatch):
    graph.peer.destroy_subscription(next(s for s in graph.peer.subscriptions if s.topic_name == "/markers"))
    monkeypatch.setattr(
        "occpose_ros.outputs.skeleton_markers", lambda *_, **__: pytest.fail("built markers for nobody")
    )
    graph.wait("goodbye", lambda: node.count_subscribers("markers") == 0)
    assert graph.ask().people
    assert graph.diagnosis(lambda values: values["answered"] == "1" and values["callback_errors"] == "0")


def test_the_manual_explains_every_reason():
    manual = (ROOT / "docs" / "diagnostics.md").read_text()
    assert all(f"`{case.values[1]}`" in manual for case in BAD_INPUT)


def test_the_manual_explains_every_diagnostic_value(graph, node):
    graph.ask()
    status = graph.diagnosis(lambda values: values["answered"] == "1")
    manual = (ROOT / "docs" / "diagnostics.md").read_text()
    keys = [pair.key for pair in status.values]
    named = [key.partition(".")[0] + ".<reason>" if key.startswith("dropped") else key for key in keys]
    assert [key for key in named if f"`{key}`" not in manual] == []
    words = {"state", "model", "engine", "engine reason", "engine preparation", "last error"}
    assert all(isinstance(float(pair.value), float) for pair in status.values if pair.key not in words)
