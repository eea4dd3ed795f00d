"""`skeletons_in_target_frame`: the skeletons where the camera was at the time of the image.

On a moving robot the transform of an image often comes some milliseconds after its keypoints. So an answer waits a
little for it, in a queue that blocks neither the lifting nor the executor: both look into it when they have something
new, a keypoints message or a transform. What waits too long is counted and left out; `skeletons` goes on without it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace

from occpose_ros.adapters import skeletons_to_msg
from occpose_ros.answer import Answer
from occpose_ros.lifecycle import ManagedNode
from occpose_ros.message_types import MessageTypes
from occpose_ros.parameters import NodeParameters
from occpose_ros.qos import advertise
from occpose_ros.transforms import Transform, TransformBuffer, TransformError

# Answers that may wait at once: half a second at 60 Hz.
_MOST_WAITING = 30


class TargetFrame:
    """An output (answer.py); `publish_waiting` may be called by any thread."""

    def __init__(self, node: ManagedNode, types: MessageTypes, transforms: TransformBuffer) -> None:
        parameters: NodeParameters = node.parameters
        self._node = node
        self._types = types
        self._transforms = transforms
        self._frame_id = parameters.target_frame.lstrip("/")
        self._publisher = advertise(node, types.Skeleton3DArray, "skeletons_in_target_frame")
        self._lock = threading.Lock()
        self._waiting: deque[tuple[float, Answer]] = deque()  # (monotonic deadline, answer), the oldest first

    def wanted(self, parameters: NodeParameters) -> bool:
        """Whether somebody listens."""
        return bool(self._publisher.get_subscription_count() > 0)

    def publish(self, answer: Answer) -> None:
        """Publish the answer, now or as soon as its transform has come."""
        with self._lock:
            if answer.reset:
                self._waiting.clear()
            self._waiting.append((time.monotonic() + answer.parameters.tf_wait_s, answer))
        self.publish_waiting()

    def publish_waiting(self) -> None:
        """Publish, in the order of time, what has its transform now; leave out what has waited for too long."""
        with self._lock:
            while self._waiting:
                deadline_s, answer = self._waiting[0]
                try:
                    transform = self._transforms.lookup(self._frame_id, answer.camera.frame_id, answer.stamp_ns)
                except TransformError as error:
                    patient = error.awaited and time.monotonic() < deadline_s and len(self._waiting) <= _MOST_WAITING
                    if patient:
                        return
                    self._node.statistics.dropped({"no_transform": 1})
                    self._node.warn("no_transform", f"skeletons_in_target_frame lacks an answer: {error}")
                else:
                    self._publish(answer, transform)
                self._waiting.popleft()

    def _publish(self, answer: Answer, transform: Transform) -> None:
        there = [  # in spite of the field's name these are not camera coordinates, but only here
            replace(skeleton, joints_cam_m=transform.apply(skeleton.joints_cam_m)) for skeleton in answer.skeletons
        ]
        self._publisher.publish(
            skeletons_to_msg(
                there,
                answer.lost_ids,
                stamp_ns=answer.stamp_ns,
                frame_id=self._frame_id,
                types=self._types,
                latency_ms=(time.monotonic() - answer.received_s) * 1e3,
            )
        )

    def clear(self, stamp_ns: int) -> None:
        """Forget what waits."""
        with self._lock:
            self._waiting.clear()

    def destroy(self) -> None:
        """Leave the graph."""
        self._node.destroy_lifecycle_publisher(self._publisher)
