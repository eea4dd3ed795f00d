"""Thousands of broken messages: whatever comes, the node answers the next good one, and nothing unsound comes out."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="needs ROS 2: run `make setup`, or source your ROS")

from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import load
from occpose_core.types import CameraError
from occpose_ros.adapters import (
    RejectedMessageError,
    camera_from_msg,
    finite_skeletons,
    keypoints_from_occpose_msg,
    match_camera,
)
from occpose_ros.answerer import Answerer
from occpose_ros.message_types import MessageTypes, stamp_to_msg
from occpose_ros.worker import LatestWorker
from tests.ros.families import WRITERS, read, standing
from tests.ros.graph import TIMEOUT_S
from tests.ros.mutations import FRAME_NS, MUTATIONS, Saboteur, good, mutate, mutated_camera_info
from tests.ros.people import camera
from tests.ros.rviz_rules import marker_array_faults

MESSAGES = 10_000
EVERY = 50  # messages: then a good one must be answered
ROUND_NS = 100 * 10**9  # between good messages: farther than any mutation moves a stamp a little
# reliable: each message shall get there
RELIABLE = {f"qos_overrides./{topic}.subscription.reliability": "reliable" for topic in ("keypoints", "camera_info")}


def is_sound(people):
    """Whether all numbers of published people are finite and no sigma negative."""
    numbers = np.concatenate([np.asarray(x, np.float64) for p in people for x in (p.position, p.std_dev, p.xy)] or [[]])
    return np.isfinite(numbers).all() and all(min(p.std_dev) >= 0 and np.isfinite(p.height) for p in people)


class Fuzz:
    """Gives messages to the node one at a time: over DDS, or by hand, which takes less time."""

    def __init__(self, graph, monkeypatch, seed):
        self.graph, self.rng = graph, np.random.default_rng(seed)
        self.sent, self.mutations = 0, Counter()
        self._arrived, self._done = threading.Event(), threading.Event()
        answer, offer = Answerer.answer, LatestWorker.offer

        def arriving(worker, *given):
            self._arrived.set()
            return offer(worker, *given)

        def telling(answerer, *arguments):
            try:
                answer(answerer, *arguments)
            finally:
                self._done.set()

        monkeypatch.setattr(Answerer, "answer", telling)
        monkeypatch.setattr(LatestWorker, "offer", arriving)
        self.node = graph.make_node(**RELIABLE)
        self.node.start()
        self._callback = next(s.callback for s in self.node.subscriptions if s.topic_name == "/keypoints")
        graph.connect(self.node)
        graph.wait("camera", lambda: self.node.camera or graph.send_camera())

    def send(self, draft, by_hand=False):
        message = draft.message(self.graph.types)
        if by_hand:
            self._callback(message, {"received_timestamp": 0})
        else:
            self.graph.keypoints.publish(message)
            self.graph.wait(f"{draft.mutations} to arrive", self._arrived.is_set)
        self.sent += 1
        assert self._done.wait(TIMEOUT_S), f"the node does not come back from {draft.mutations}"
        self._arrived.clear()
        self._done.clear()

    def run(self, messages, over_dds=1):
        """Send so many broken messages, each n-th over DDS, and a good one now and then; values of the diagnostics."""
        for number in range(1, messages + 1):
            round_ns, frame = (number // EVERY + 1) * ROUND_NS, number % EVERY
            draft = mutate(good(round_ns + frame * FRAME_NS, people=1 + (number % 10 == 0)), self.rng)
            self.mutations.update(draft.mutations)
            self.send(draft, by_hand=number % over_dds > 0)
            if frame == 0:
                self.answers(round_ns + ROUND_NS // 2)
        status = self.graph.diagnosis(lambda values: values["received"] == str(self.sent))
        values = {pair.key: pair.value for pair in status.values}
        assert values["callback_errors"] == "0", status.message
        return values

    def answers(self, stamp_ns):
        """A good message is answered, whatever came before, and all that was published is sound."""
        self.send(good(stamp_ns))
        (person,) = self.graph.answer_to(stamp_ns).people
        assert person.id == "7"
        assert all(is_sound(message.people) for message in self.graph.heard["skeletons"])
        self.graph.heard["skeletons"].clear()


def stop_listening(graph, *topics):
    """The node builds nothing for topics that nobody hears."""
    for subscription in list(graph.peer.subscriptions):
        if subscription.topic_name in topics:
            graph.peer.destroy_subscription(subscription)


def test_ten_thousand_broken_messages(graph, monkeypatch):
    fuzz = Fuzz(graph, monkeypatch, seed=20)
    stop_listening(graph, "/markers", "/filled_keypoints")
    values = fuzz.run(MESSAGES, over_dds=5)
    assert set(fuzz.mutations) == set(MUTATIONS)
    dropped = {key.removeprefix("dropped."): int(count) for key, count in values.items() if key.startswith("dropped.")}
    assert {"invalid_joint", "score_out_of_range", "wrong_joint_count", "duplicate_id", "too_few_joints",
            "max_persons", "too_many_people", "unknown_layout", "frame_id", "image_size", "bad_stamp",
            "duplicate_stamp", "out_of_order"} <= set(dropped)  # fmt: skip
    print(f"{fuzz.sent} messages, {values['answered']} answered, {values['resets']} resets; dropped: {dropped}")


def test_rviz_and_the_completed_keypoints_stay_sound(graph, monkeypatch):
    fuzz = Fuzz(graph, monkeypatch, seed=21)
    fuzz.run(200)
    assert marker_array_faults(graph.heard["markers"]) == []
    for message in graph.heard["filled_keypoints"]:
        assert all(np.isfinite(np.asarray(x)).all() for person in message.people for x in (person.xy, person.score))


def test_broken_cameras_between_good_ones(graph, monkeypatch):
    fuzz = Fuzz(graph, monkeypatch, seed=22)
    stop_listening(graph, "/markers", "/filled_keypoints")
    for number in range(300):
        broken = mutated_camera_info(graph.types, fuzz.rng)
        broken.header.stamp = stamp_to_msg(number, graph.types)
        graph.camera_info.publish(broken)
        # whichever camera holds now, nothing unsound comes out
        fuzz.send(good((number + 1) * ROUND_NS, people=2))
        if number % 20 == 0:
            graph.send_camera()
            graph.wait("camera", lambda: node_has_good_camera(fuzz.node))
            fuzz.answers((number + 1) * ROUND_NS + ROUND_NS // 2)
    status = graph.diagnosis(lambda values: int(values["dropped.bad_camera_info"]) > 50)
    assert {pair.key: pair.value for pair in status.values}["callback_errors"] == "0", status.message


def node_has_good_camera(node):
    return node.camera is not None and node.camera.same_as(camera())


ENGINE = load()
TYPES = MessageTypes.from_rclpy()


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from(list(MUTATIONS)), min_size=0, max_size=3), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_adapter_and_pipeline_survive_any_order_of_mutations(film, seed):
    rng, pipeline = np.random.default_rng(seed), PosePipeline(ENGINE)
    for frame, names in enumerate(film, start=1):
        message = mutate(good(frame * FRAME_NS, people=2), rng, names).message(TYPES)
        try:
            keypoints = match_camera(keypoints_from_occpose_msg(message), camera())
        except RejectedMessageError as error:
            assert error.reason and len(str(error)) < 600
            continue
        output = pipeline.step(keypoints.people, keypoints.stamp_ns, camera())
        assert len({skeleton.id for skeleton in output.skeletons}) == len(output.skeletons)
        for skeleton in output.skeletons:
            numbers = (skeleton.joints_cam_m, skeleton.sigma_m, skeleton.kpts_px, np.float64(skeleton.height_m))
            assert all(np.isfinite(values).all() for values in numbers)
    last = keypoints_from_occpose_msg(good(2**30 * 10**9).message(TYPES))
    pipeline.reset()
    assert [skeleton.id for skeleton in pipeline.step(last.people, last.stamp_ns, camera()).skeletons] == ["7"]


@pytest.mark.parametrize("name", list(WRITERS))
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_family_is_read_or_refused(name, seed):
    pipeline, saboteur = PosePipeline(ENGINE), Saboteur(np.random.default_rng(seed))
    for _ in range(3):
        try:
            keypoints = read(saboteur, name, [standing(), standing("8", 1.0)])
        except RejectedMessageError as error:
            assert error.reason and len(str(error)) < 600
            continue
        output = pipeline.step(keypoints.people, keypoints.stamp_ns, camera())
        assert finite_skeletons(output.skeletons) == output.skeletons


@given(st.integers(0, 2**32 - 1))
def test_a_camera_is_read_or_refused_in_one_sentence(seed):
    message = mutated_camera_info(TYPES, np.random.default_rng(seed))
    for rectified in (False, True):
        try:
            read = camera_from_msg(message, rectified)
        except CameraError as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(read.K).all() and np.isfinite(read.D).all() and read.width > 0 and read.height > 0
