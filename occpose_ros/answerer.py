"""What the node does with one keypoints message: read it, lift it, publish the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from occpose_core.pipeline import PosePipeline
from occpose_core.types import Camera, Origin
from occpose_ros.adapters import KeypointsArray, RejectedMessageError, finite_skeletons, match_camera
from occpose_ros.diagnostics import Statistics
from occpose_ros.message_types import stamp_ns_from_msg
from occpose_ros.outputs import Outputs
from occpose_ros.parameters import NodeParameters


@dataclass(frozen=True, kw_only=True)
class Received:
    """A keypoints message and when it came, in monotonic seconds."""

    msg: Any
    received_s: float


class Answerer:
    """Lifts and publishes; all methods are called by one thread at a time, and none is safe to call from two.

    read_keypoints: the adapter of the message family. now_ns: the node's clock. warn: logs a sentence, under a reason.
    """

    def __init__(
        self,
        *,
        pipeline: PosePipeline,
        outputs: Outputs,
        statistics: Statistics,
        read_keypoints: Callable[..., KeypointsArray],
        now_ns: Callable[[], int],
        warn: Callable[[str, str], None],
    ) -> None:
        self._pipeline = pipeline
        self._outputs = outputs
        self._statistics = statistics
        self._read_keypoints = read_keypoints
        self._now_ns = now_ns
        self._warn = warn

    def answer(self, received: Received, camera: Camera | None, parameters: NodeParameters) -> None:
        """Publish the skeletons of one message; RejectedMessageError if it cannot be answered."""
        keypoints = self._read(received.msg, camera, parameters)
        assert camera is not None
        self._pipeline.config = parameters.pipeline_config()
        begun_s = time.monotonic()
        output = self._pipeline.step(keypoints.people, keypoints.stamp_ns, camera)
        step_ms = (time.monotonic() - begun_s) * 1e3
        self._statistics.dropped(keypoints.dropped)
        self._statistics.dropped(output.dropped)
        if output.reset:
            self._statistics.reset()
            self._warn("reset", "time went backwards or the camera's frame changed: forgot everybody")
        if not output.answered:
            return
        skeletons = finite_skeletons(output.skeletons)
        self._statistics.dropped({"non_finite": len(output.skeletons) - len(skeletons)})
        latency_ms = self._outputs.publish(
            skeletons,
            output.lost_ids,
            stamp_ns=output.stamp_ns,
            camera=camera,
            received_s=received.received_s,
            reset=output.reset,
            parameters=parameters,
        )
        self._statistics.answered(
            people=len(skeletons),
            joints=sum(len(skeleton.origin) for skeleton in skeletons),
            filled_joints=sum(int((skeleton.origin == Origin.FILLED).sum()) for skeleton in skeletons),
            step_ms=step_ms,
            latency_ms=latency_ms,
        )

    def _read(self, msg: Any, camera: Camera | None, parameters: NodeParameters) -> KeypointsArray:
        if camera is None:
            raise RejectedMessageError(
                "no_camera_info", "no CameraInfo has come yet: start the camera, or remap camera_info to its topic"
            )
        age_s = (self._now_ns() - stamp_ns_from_msg(msg.header.stamp)) * 1e-9
        if parameters.max_age_s > 0 and age_s > parameters.max_age_s:
            raise RejectedMessageError(
                "too_old",
                f"keypoints are {age_s:.2f} s old, more than max_age_s ({parameters.max_age_s:g} s): raise it, speed up"
                " the detector, or, if this is a recording, set use_sim_time",
            )
        return match_camera(self._read_keypoints(msg, parameters.layout), camera)

    def forget(self) -> None:
        """Forget everybody and clear RViz."""
        self._pipeline.reset()
        self._outputs.clear_markers(self._now_ns())
        self._statistics.reset()
