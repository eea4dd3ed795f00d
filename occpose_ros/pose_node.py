"""pose_node: keypoints and camera_info in, skeletons and markers out.

A lifecycle node that configures and activates itself unless `autostart:=false`. It has two threads. The executor's
thread (one: rclpy's multi-threaded executor is slower, and nothing here needs it) takes messages, parameters and
transitions and never works long; the worker's thread lifts and publishes, and alone touches the pipeline. Between them
are a mailbox of one message (worker.py), the camera and the parameters (frozen objects, replaced whole), and the
statistics (their own lock). Publishing is safe from any thread in rcl; publishers are destroyed only after the worker
has ended.

The pipeline does the thinking and the adapters know the messages; this file only connects them.
"""

from __future__ import annotations

import argparse
import time
import traceback
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

from occpose_core.errors import OccposeError
from occpose_core.pipeline import PosePipeline
from occpose_core.runtime import load
from occpose_core.types import Camera, CameraError
from occpose_ros.adapters import INPUTS, RejectedMessageError, camera_from_msg
from occpose_ros.answerer import Answerer, Received
from occpose_ros.diagnostics import Period, Statistics, diagnostic_array, verdict
from occpose_ros.message_types import MessageTypes, message_class
from occpose_ros.outputs import Outputs
from occpose_ros.parameters import changed, declare, explain
from occpose_ros.process import run
from occpose_ros.qos import SENSOR, on_incompatible, overridable
from occpose_ros.worker import LatestWorker

_WARNING_PERIOD_S = 5.0


class PoseNode(LifecycleNode):
    """The ROS node; see the module. Raises ParameterError if a parameter it is started with makes no sense."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("pose_node", **node_options)
        self.parameters = declare(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._types = MessageTypes.from_rclpy()
        self._statistics = Statistics()
        self._state = "unconfigured"
        self._failure = ""
        self._warned_s: dict[str, float] = {}
        self.camera: Camera | None = None
        self._engine_name = self._model_name = "none"
        self._answerer: Answerer | None = None
        self._outputs: Outputs | None = None
        self._worker: LatestWorker[Received] | None = None
        self._inputs: list[Any] = []
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # on the steady clock: a paused or missing /clock must not silence the node
        self.create_timer(
            self.parameters.diagnostics_period_s,
            self._guarded(self._report, "diagnostics"),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        backwards = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump = self.get_clock().create_jump_callback(
            backwards, post_callback=self._guarded(self._on_clock_jump, "clock jump")
        )

    # transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and join the topics; FAILURE, and the reason in log and diagnostics, if that is impossible."""
        return self._transition("inactive", self._configure, lambda: super(PoseNode, self).on_configure(state))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start answering."""
        return self._transition("active", lambda: super(PoseNode, self).on_activate(state), self._start)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop answering and clear RViz."""
        return self._transition("inactive", self._stop, lambda: super(PoseNode, self).on_deactivate(state))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave the topics and forget the model."""
        return self._transition("unconfigured", lambda: super(PoseNode, self).on_cleanup(state), self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and leave, from any state."""
        return self._transition("finalized", self._stop, self._release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured after a transition that failed badly; it can be configured again."""
        failure = self._failure
        result = self._transition("unconfigured", self._stop, self._release)
        self._failure = self._failure or failure
        return result

    def _transition(self, target: str, *steps: Callable[[], Any]) -> TransitionCallbackReturn:
        """Run the steps. rclpy would swallow their exceptions without a word."""
        self._failure = ""
        try:
            for step in steps:
                step()
        except OccposeError as error:
            self._failure = str(error)
            self.get_logger().error(self._failure)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001  the callback border
            self._failure = f"transition to {target} failed: {type(error).__name__}: {error}"
            self.get_logger().error(f"{self._failure}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self._state = target
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        # what may fail comes first, so that a failure leaves nothing behind
        engine = load(self.parameters.model, self.parameters.backend)
        pipeline = PosePipeline(engine, self.parameters.pipeline_config())
        msgtype, read_keypoints = INPUTS[self.parameters.input]
        keypoints_class = message_class(msgtype)
        self._outputs = Outputs(self, self._types)
        self._answerer = Answerer(
            pipeline=pipeline,
            outputs=self._outputs,
            statistics=self._statistics,
            read_keypoints=read_keypoints,
            now_ns=lambda: self.get_clock().now().nanoseconds,
            warn=self._warn,
        )
        self._inputs = [
            self._subscribe(keypoints_class, "keypoints", self._on_keypoints),
            self._subscribe(CameraInfo, "camera_info", self._on_camera_info),
        ]
        self._model_name, self._engine_name = engine.info.name, engine.backend
        self.get_logger().info(f"model {self._model_name} on {self._engine_name}")

    def _start(self) -> None:
        answerer, outputs = self._answerer, self._outputs
        assert answerer is not None and outputs is not None
        outputs.publish_info()
        self._worker = LatestWorker(
            self._guarded(lambda received: answerer.answer(received, self.camera, self.parameters), "answer"),
            self._guarded(answerer.forget, "forget"),
            name="lifting",
        )

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None or self._answerer is None:
            return
        if worker.stop():
            self._answerer.forget()
        else:
            self.get_logger().error("the engine does not come back from its last frame; going on without it")

    def _release(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        if self._outputs is not None:
            self._outputs.destroy()
        self._inputs, self._outputs, self._answerer, self.camera = [], None, None, None

    # the executor's thread

    def _subscribe(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> Any:
        events = SubscriptionEventCallbacks(incompatible_qos=on_incompatible(self, topic, "subscription"))
        guarded = self._guarded(callback, topic)
        return self.create_subscription(
            kind, topic, guarded, SENSOR, event_callbacks=events, qos_overriding_options=overridable()
        )

    def _guarded(self, callback: Callable[..., None], name: str) -> Callable[..., None]:
        """The callback border: what gets here is counted and reported, and the node goes on."""

        def guarded(*args: Any) -> None:
            try:
                callback(*args)
            except RejectedMessageError as error:
                self._statistics.dropped({error.reason: 1})
                self._warn(error.reason, str(error))
            except Exception as error:  # noqa: BLE001  the callback border
                sentence = f"{name} failed: {type(error).__name__}: {error}"
                self._statistics.error(sentence)
                self._warn(f"{name} {type(error).__name__}", sentence)
                self.get_logger().debug(traceback.format_exc())

        return guarded

    def _warn(self, reason: str, sentence: str) -> None:
        """Log, but each reason only now and then."""
        now_s = time.monotonic()
        if now_s - self._warned_s.get(reason, -_WARNING_PERIOD_S) >= _WARNING_PERIOD_S:
            self._warned_s[reason] = now_s
            self.get_logger().warning(sentence)

    def _on_set_parameters(self, changes: list[Any]) -> SetParametersResult:
        try:
            self.parameters = changed(
                self.parameters,
                {change.name: change.value for change in changes},
                configured=self._state in ("inactive", "active"),
            )
        except OccposeError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _on_camera_info(self, msg: CameraInfo) -> None:
        try:
            camera = camera_from_msg(msg, self.parameters.rectified)
        except CameraError as error:
            raise RejectedMessageError("bad_camera_info", str(error)) from None
        if self.camera is None or not camera.same_as(self.camera):
            self.camera = camera
            self.get_logger().info(
                f"camera {camera.frame_id}: {camera.width} x {camera.height} px,"
                f" focal length {camera.K[0, 0]:.0f} px, distortion {camera.distortion_model}"
            )

    def _on_keypoints(self, msg: Any) -> None:
        if self._worker is None:
            return
        self._statistics.received()
        if self._worker.offer(Received(msg=msg, received_s=time.monotonic())):
            self._statistics.dropped({"replaced": 1})

    def _on_clock_jump(self, jump: Any) -> None:
        if self._worker is not None:
            self.get_logger().info("the clock went backwards or was changed: forgetting everybody")
            self._worker.request_reset()

    def _report(self) -> None:
        period, values = self._statistics.report()
        level, message = self._verdict(period)
        values = {"state": self._state, "model": self._model_name, "engine": self._engine_name, **values}
        self._diagnostics.publish(
            diagnostic_array(
                name=f"{self.get_fully_qualified_name()}: lifting",
                hardware_id=self.camera.frame_id if self.camera else "",
                level=level,
                message=message,
                values=values,
                stamp=self.get_clock().now().to_msg(),
            )
        )

    def _verdict(self, period: Period) -> tuple[bytes, str]:
        error = self._failure or self._statistics.recent_error
        waits_for_clock = self.get_parameter("use_sim_time").value and self.get_clock().now().nanoseconds == 0
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted((+period.dropped).items()))
        keypoints, camera_info = (self.resolve_topic_name(topic) for topic in ("keypoints", "camera_info"))
        cases = (
            (DiagnosticStatus.ERROR, error, error),
            (DiagnosticStatus.OK, self._state != "active", self._state),
            (DiagnosticStatus.STALE, waits_for_clock, "use_sim_time is true, but nothing publishes /clock"),
            (DiagnosticStatus.WARN, self.camera is None, f"no CameraInfo on {camera_info}"),
            (DiagnosticStatus.WARN, dropped, f"dropped in {period.seconds:.1f} s: {dropped}"),
            (DiagnosticStatus.WARN, not period.received, f"no keypoints on {keypoints}"),
        )
        return verdict(cases, f"{period.people} people at {period.answered / period.seconds:.1f} Hz")

    def start(self) -> None:
        """Configure and activate, as far as that is wanted and possible."""
        if self.parameters.autostart and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Shut down from any state; then the node can be destroyed."""
        if self._state != "finalized":
            self.trigger_shutdown()


def main(argv: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="pose_node",
        description="Turns 2D human keypoints (topics keypoints, camera_info) into 3D skeletons (skeletons, markers,\n"
        "filled_keypoints, skeleton_info). Settings are ROS parameters:\n\n"
        "  ros2 run occpose_ros pose_node --ros-args -p person_height_m:=1.8 -r keypoints:=/detector/keypoints",
        epilog=f"parameters:\n{explain()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return run(PoseNode, parser, argv)
