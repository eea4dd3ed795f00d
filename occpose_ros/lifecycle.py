"""A lifecycle node whose failures are sentences: what pose_node and overlay_node have in common.

rclpy swallows exceptions of transitions without a word, and an exception of a callback ends the executor. Here a
transition is a list of steps that may fail, and every callback goes through a border where its error is counted,
logged (each reason only now and then) and shown in the diagnostics; then the node goes on.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from occpose_core.errors import OccposeError
from occpose_core.pipeline_config import PipelineConfig
from occpose_ros.adapters import RejectedMessageError
from occpose_ros.diagnostics import Statistics, diagnostic_array
from occpose_ros.parameter_fields import changed, declare
from occpose_ros.worker import in_background

Result = TypeVar("Result")
_SAID_AGAIN_S = 5.0
# The wait for work in a thread looks so often for a signal.
_PATIENCE_S = 0.1


class StoppedError(OccposeError):
    """A signal came before the work was done."""


class ManagedNode(LifecycleNode):
    """A node that configures and activates itself unless its parameter `autostart` is false.

    A subclass names its parameters (a dataclass, parameter_fields.py, with `autostart` and `diagnostics_period_s`) and
    its task (a word for the diagnostics), and says what happens in `configure`, `begin`, `stop` and `release`, and what
    it knows of itself in `diagnosis`.
    """

    task = "working"

    def __init__(self, name: str, parameters: type[Any], **node_options: Any) -> None:
        """Declare the parameters; ParameterError if one of them makes no sense."""
        super().__init__(name, **node_options)
        self.parameters = declare(self, parameters)
        self.statistics = Statistics()
        self.state = "unconfigured"
        self.failure = ""
        self._busy = ""
        self._said_s: dict[str, float] = {}
        self._stopping = threading.Event()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # on the steady clock: a paused or missing /clock must not silence the node
        self._report_timer = self.create_timer(
            self.parameters.diagnostics_period_s,
            self.guarded(self._report, "diagnostics"),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    # for subclasses

    def configure(self) -> None:
        """Get everything that may fail, then join the topics. What is left behind by an error is released."""
        raise NotImplementedError

    def begin(self) -> None:
        """Start answering."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop answering; may be called when nothing has begun."""
        raise NotImplementedError

    def release(self) -> None:
        """Leave the topics and forget everything; may be called when nothing is configured."""
        raise NotImplementedError

    def diagnosis(self) -> tuple[bytes, str, dict[str, str], str]:
        """Level, sentence, values and hardware id of a DiagnosticStatus, once a period."""
        raise NotImplementedError

    # transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and join the topics; FAILURE, and the reason in log and diagnostics, if that is impossible."""
        return self._transition("inactive", self._configure, lambda: super(ManagedNode, self).on_configure(state))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start answering."""
        result = self._transition("active", lambda: super(ManagedNode, self).on_activate(state), self.begin)
        if result != TransitionCallbackReturn.SUCCESS:
            super().on_deactivate(state)  # else the publishers would be active in a node that is not
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop answering."""
        return self._transition("inactive", self.stop, lambda: super(ManagedNode, self).on_deactivate(state))

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave the topics and forget everything."""
        return self._transition("unconfigured", lambda: super(ManagedNode, self).on_cleanup(state), self.release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and leave, from any state."""
        return self._transition("finalized", self.stop, self.release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured after a transition that failed badly; it can be configured again."""
        failure = self.failure
        result = self._transition("unconfigured", self.stop, self.release)
        self.failure = self.failure or failure
        return result

    def _configure(self) -> None:
        try:
            self.configure()
        except Exception:
            self.release()
            raise

    def _transition(self, target: str, *steps: Callable[[], Any]) -> TransitionCallbackReturn:
        self.failure = ""
        try:
            for step in steps:
                step()
        except OccposeError as error:
            self.failure = str(error)
            self.get_logger().error(self.failure)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # noqa: BLE001  the callback border
            self.failure = f"transition to {target} failed: {type(error).__name__}: {error}"
            self.get_logger().error(f"{self.failure}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self.state = target
        return TransitionCallbackReturn.SUCCESS

    def start(self, stopping: threading.Event | None = None) -> None:
        """Configure and activate, as far as that is wanted and possible. stopping: set when the process shall end."""
        self._stopping = stopping or self._stopping
        if self.parameters.autostart and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Shut down from any state; then the node can be destroyed."""
        if self.state != "finalized":
            self.trigger_shutdown()

    def patiently(self, work: Callable[[], Result], name: str) -> Result:
        """What `configure` has to wait for, maybe for minutes, done in a thread while the diagnostics go on.

        Raises StoppedError if the process shall end first.
        """
        future = in_background(work, name)
        told_s, self._busy = time.monotonic(), name
        try:
            while not wait([future], _PATIENCE_S).done:
                if self._stopping.is_set():
                    raise StoppedError(f"stopped while {name}")
                if time.monotonic() - told_s >= self.parameters.diagnostics_period_s:
                    told_s = time.monotonic()
                    self._report()
        finally:
            self._busy = ""
        return future.result()

    # callbacks

    def when_time_jumps_back(self, callback: Callable[[], None]) -> Any:
        """Call back when the node's clock goes back by more than a late message does, or is exchanged.

        The callback lives as long as what is returned.
        """
        back = Duration(nanoseconds=-int(PipelineConfig().backward_reset_s * 1e9))
        threshold = JumpThreshold(min_forward=None, min_backward=back, on_clock_change=True)
        guarded = self.guarded(lambda _: callback(), "clock jump")
        return self.get_clock().create_jump_callback(threshold, post_callback=guarded)

    def guarded(self, callback: Callable[..., None], name: str) -> Callable[..., None]:
        """The callback border: what gets here is counted and reported, and the node goes on."""

        def guarded(*args: Any) -> None:
            try:
                callback(*args)
            except RejectedMessageError as error:
                self.statistics.dropped({error.reason: 1})
                self.warn(error.reason, str(error))
            except Exception as error:  # noqa: BLE001  the callback border
                sentence = f"{name} failed: {type(error).__name__}: {error}"
                self.statistics.error(sentence)
                self.warn(f"{name} {type(error).__name__}", sentence)
                self.get_logger().debug(traceback.format_exc())

        return guarded

    def warn(self, reason: str, sentence: str) -> None:
        """Log a warning, but each reason only now and then."""
        if self._is_due(reason):
            self.get_logger().warning(sentence)

    def note(self, reason: str, sentence: str) -> None:
        """Log what is as it should be, but each reason only now and then."""
        if self._is_due(reason):
            self.get_logger().info(sentence)

    def _is_due(self, reason: str) -> bool:
        now_s = time.monotonic()
        due = now_s - self._said_s.get(reason, -_SAID_AGAIN_S) >= _SAID_AGAIN_S
        if due:
            self._said_s[reason] = now_s
        return due

    def _on_set_parameters(self, changes: list[Any]) -> SetParametersResult:
        period_s = self.parameters.diagnostics_period_s
        try:
            self.parameters = changed(
                self.parameters,
                {change.name: change.value for change in changes},
                configured=self.state in ("inactive", "active"),
            )
        except OccposeError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self.parameters.diagnostics_period_s != period_s:
            self._report_timer.timer_period_ns = int(self.parameters.diagnostics_period_s * 1e9)
            self._report_timer.reset()  # else the period that has begun would be as long as before
        return SetParametersResult(successful=True)

    def _report(self) -> None:
        level, message, values, hardware_id = self.diagnosis()
        state = self.state
        if self._busy:
            level, message, state = DiagnosticStatus.OK, self._busy, "configuring"
        self._diagnostics.publish(
            diagnostic_array(
                name=f"{self.get_fully_qualified_name()}: {self.task}",
                hardware_id=hardware_id,
                level=level,
                message=message,
                values={"state": state, **values},
                stamp=self.get_clock().now().to_msg(),
            )
        )
