"""A running node to look at, over DDS: its skeletons, their camera, and TF if that matters."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions

from occpose_ros.bag import CAMERA_INFO_TYPE, SKELETONS_TYPE, TF_TYPE, typestore
from occpose_ros.message_types import message_class
from occpose_ros.qos import SENSOR
from occpose_ros.transforms import TransformBuffer
from occpose_ros.view.playback import Playback
from occpose_ros.view.source import STALE_S, Cameras, Moment, ViewError, moment_of, only_topic

_LOOK_S = 0.5  # how often it is asked which topics there are
_RATE_OVER_S = 2.0
_LATCHED = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)


class LiveSource:
    """The skeletons of a topic; a context manager. Raises ViewError, and MissingMessagesError if tf2_msgs lacks.

    skeletons: name of the topic; None: the only one of its type, as soon as it is there. with_tf: whether TF is heard.
    Messages are taken as they come and unpacked only when they are looked at, so a fast node costs no more than a slow
    one.
    """

    playback: Playback | None = None

    def __init__(self, skeletons: str | None = None, *, with_tf: bool = False) -> None:
        self.title = "a running node"
        self.transforms = TransformBuffer()
        self._topic = skeletons
        self._with_tf = with_tf
        self._cameras = Cameras()
        self._camera_subscriptions: dict[str, Any] = {}
        self._newest: tuple[bytes, float] | None = None  # and when it came, in monotonic seconds
        self._moment: tuple[bytes, Moment] | None = None
        self._came_s: deque[float] = deque()
        self._looked_s = 0.0
        self._subscribed = False

    def __enter__(self) -> LiveSource:
        tf_class = message_class(TF_TYPE) if self._with_tf else None
        with contextlib.ExitStack() as stack:
            try:
                self._join(stack, tf_class)
            except RuntimeError as error:  # RCLError is one
                raise ViewError(
                    f"ROS refuses ({error}): check ROS_DOMAIN_ID, RMW_IMPLEMENTATION and the name of the topic"
                ) from None
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _join(self, stack: contextlib.ExitStack, tf_class: Any) -> None:
        """Join the graph; the stack takes what is to be left."""
        context = rclpy.Context()
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(context.try_shutdown)
        self._node = rclpy.create_node("occpose_view", context=context)
        stack.callback(self._node.destroy_node)
        self._executor = SingleThreadedExecutor(context=context)
        stack.callback(self._executor.shutdown)
        self._executor.add_node(self._node)
        if self._topic is not None:
            self._topic = self._node.resolve_topic_name(self._topic)
        if tf_class is not None:
            self._hear_tf(tf_class)
        self._look()

    def _hear_tf(self, tf_class: Any) -> None:
        for topic, qos, static in (("/tf", QoSProfile(depth=100), False), ("/tf_static", _LATCHED, True)):
            self._node.create_subscription(tf_class, topic, self._tf_hearer(static), qos)

    def _tf_hearer(self, static: bool) -> Callable[[Any], None]:
        return lambda msg: None if self.transforms.add_msg(msg, static) else None

    def _on_skeletons(self, raw: bytes) -> None:
        now_s = time.monotonic()
        self._newest = raw, now_s
        self._came_s.append(now_s)
        while now_s - self._came_s[0] > _RATE_OVER_S:
            self._came_s.popleft()

    def _look(self) -> None:
        """Join the topics that are there now. Raises ViewError if it is not clear which, or it is of another type."""
        self._looked_s = time.monotonic()
        types = dict(self._node.get_topic_names_and_types())
        if self._topic is None:
            self._topic = only_topic(topic for topic, kinds in types.items() if SKELETONS_TYPE in kinds)
        if self._topic is not None and self._newest is None:
            self._check_type(self._topic)
        if self._topic is not None and not self._subscribed:
            kind = message_class(SKELETONS_TYPE)
            self._node.create_subscription(kind, self._topic, self._on_skeletons, SENSOR, raw=True)
            self._subscribed, self.title = True, self._topic
        self._look_for_camera({topic for topic, kinds in types.items() if CAMERA_INFO_TYPE in kinds})

    def _check_type(self, topic: str) -> None:
        """Raise ViewError if what is published there is something else."""
        kinds = {publisher.topic_type for publisher in self._node.get_publishers_info_by_topic(topic)}
        if kinds and SKELETONS_TYPE not in kinds:
            raise ViewError(f"{topic} is of type {', '.join(sorted(kinds))}, not {SKELETONS_TYPE}; name another topic")

    def _look_for_camera(self, topics: set[str]) -> None:
        """Listen to every CameraInfo until one is of the skeletons' frame; then to that one."""
        frame_id = self._moment[1].frame_id if self._moment else ""
        topic = self._cameras.topic_of(frame_id)
        wanted = topics if topic is None else {topic}
        for name in wanted - set(self._camera_subscriptions):
            kind, hear = message_class(CAMERA_INFO_TYPE), self._camera_hearer(name)
            self._camera_subscriptions[name] = self._node.create_subscription(kind, name, hear, SENSOR, raw=True)
        for name in set(self._camera_subscriptions) - wanted:
            self._node.destroy_subscription(self._camera_subscriptions.pop(name))

    def _camera_hearer(self, topic: str) -> Callable[[bytes], None]:
        return lambda raw: self._cameras.hear(topic, raw, lambda: typestore().deserialize_cdr(raw, CAMERA_INFO_TYPE))

    def wait(self, seconds: float) -> None:
        """Listen for so long. Raises ViewError if there are several topics and none was named."""
        until_s = time.monotonic() + seconds
        self._executor.spin_once(timeout_sec=max(seconds, 0.0))  # also when there is no time
        while (left_s := until_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)
        if time.monotonic() - self._looked_s >= _LOOK_S:
            self._look()

    def moment(self) -> Moment | None:
        """See Source."""
        if self._newest is None or time.monotonic() - self._newest[1] > STALE_S:
            return None
        raw = self._newest[0]
        if self._moment is None or self._moment[0] is not raw:
            self._moment = raw, moment_of(typestore().deserialize_cdr(raw, SKELETONS_TYPE), self._cameras)
        return self._moment[1]

    def status(self) -> str:
        """See Source."""
        if self._newest is not None and time.monotonic() - self._newest[1] <= STALE_S:
            return f"{self._topic}, {self._rate_hz():.0f} messages a second"
        return self._silence()

    def _rate_hz(self) -> float:
        spent_s = self._came_s[-1] - self._came_s[0]
        return (len(self._came_s) - 1) / spent_s if spent_s else 0.0

    def _silence(self) -> str:
        """Why nothing may come, and what to check."""
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        if self._topic is None or not self._node.count_publishers(self._topic):
            what = self._topic or f"a topic of type {SKELETONS_TYPE}"
            others = [] if self._topic is None else self._node.get_topic_names_and_types()
            there = [topic for topic, kinds in others if SKELETONS_TYPE in kinds and topic != self._topic]
            hint = f"; skeletons are on {', '.join(sorted(there))}" if there else ""
            return (
                f"nobody publishes {what}{hint}: start pose_node, with ROS_DOMAIN_ID={domain} as here, and the same"
                " ROS_AUTOMATIC_DISCOVERY_RANGE and RMW_IMPLEMENTATION"
            )
        return (
            f"nothing comes on {self._topic}, though it has a publisher: pose_node answers when keypoints and"
            " camera_info come and it is active; `ros2 topic echo /diagnostics` tells what it lacks"
        )
