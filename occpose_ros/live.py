"""Play messages to a real node over DDS and record what it says. Used by the demo and the benchmark.

The node is another process, as in a robot; this one has a player and a recorder in a single thread. Nothing waits for
a fixed time: the node is ready when it has said on `skeleton_info` that it is active and in its diagnostics that it
knows the camera, and it is finished when it has answered every message, or is silent because it dropped some.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from occpose_core.errors import OccposeError
from occpose_ros.bag import CAMERA_INFO_TYPE, KEYPOINTS_TYPE, MARKERS_TYPE, SKELETON_INFO_TYPE, SKELETONS_TYPE, Record
from occpose_ros.interrupts import held_back
from occpose_ros.message_types import message_class, stamp_ns_from_cdr

_READY_S = 60.0  # a cold start on a loaded machine: imports, model, discovery
_SILENCE_S = 2.0  # after which the node has no more answers: it dropped some messages
_STOP_S = 10.0
_RUN_NODE = "from {module} import main; raise SystemExit(main())"  # what ROS's executable does
_DIAGNOSTICS_TYPE = "diagnostic_msgs/msg/DiagnosticArray"
RECORDED = {"skeletons": SKELETONS_TYPE, "markers": MARKERS_TYPE, "skeleton_info": SKELETON_INFO_TYPE}


class LiveError(OccposeError):
    """The node did not start, did not answer, or ended before its time."""


def ros_missing() -> str:
    """Why no node can be started here, "" if one can."""
    try:
        import rclpy  # noqa: F401

        import occpose_ros.msg  # noqa: F401
    except ImportError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def own_domain() -> Iterator[int]:
    """A DDS domain that no other process on this machine uses, and discovery that does not leave the machine.

    Sets the environment of this process and its children, and restores it. The domain is held by a port, in the same
    way as ROS's domain_coordinator does it. Raises LiveError if all are taken.
    """
    local = {"ROS_LOCALHOST_ONLY": "1"} if os.environ.get("ROS_DISTRO") == "humble" else {}
    ours = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", **local}
    before = {name: os.environ.get(name) for name in ("ROS_DOMAIN_ID", *ours)}
    for domain_id in random.sample(range(1, 101), 100):
        with socket.socket() as holder:
            try:
                holder.bind(("127.0.0.1", 32768 + domain_id))
            except OSError:
                continue
            os.environ.update(ROS_DOMAIN_ID=str(domain_id), **ours)
            try:
                yield domain_id
            finally:
                for name, value in before.items():
                    os.environ.pop(name, None)
                    if value is not None:
                        os.environ[name] = value
            return
    raise LiveError("all 100 DDS domains of this machine are in use; stop some ROS programs and try again")


class NodeProcess:
    """A node in a process group of its own; a context manager that leaves no process behind, whatever happens.

    parameters: ROS parameters by name, as they stand in YAML. module: of occpose_ros, its main() runs the node.
    """

    def __init__(self, parameters: Mapping[str, str], module: str = "pose_node") -> None:
        settings = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        run = _RUN_NODE.format(module=f"occpose_ros.{module}")
        self._name = module.rpartition(".")[2]
        self._command = [sys.executable, "-c", run, "--ros-args", *settings]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> NodeProcess:
        self._log = self._stack.enter_context(tempfile.NamedTemporaryFile(prefix=f"{self._name}-", suffix=".log"))
        try:
            with held_back():  # interrupted halfway, Popen would not tell us whom to stop
                # A session of its own: Ctrl-C in the terminal reaches only us, and we stop the node in order.
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
                )
        except KeyboardInterrupt:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._stack.close()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def check(self) -> None:
        """Raise LiveError with the node's last words if it has ended."""
        code = self._process.poll()
        if code is not None:
            raise LiveError(f"{self._name} ended with exit code {code}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line that the node logged."""
        with open(self._log.name, encoding="utf-8", errors="replace") as log:
            lines = log.read().strip().splitlines()
        return lines[-1].strip() if lines else "it logged nothing"

    def stop(self) -> int:
        """End the node, by force if it does not end by itself; its exit code."""
        self._signal(signal.SIGINT)
        try:
            return self._process.wait(_STOP_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._signal(signal.SIGKILL)
            return self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


@dataclass(kw_only=True, eq=False)
class Recording:
    """What the node said: (topic, serialised message, nanoseconds since the first played message), in order of receipt.

    diagnostics: the last values of the node's own status. sent_ns: when each keypoints message went out, on the same
    clock. wall_s: how long it took.
    """

    messages: list[tuple[str, bytes, int]] = field(default_factory=list)
    diagnostics: dict[str, str] = field(default_factory=dict)
    sent_ns: list[int] = field(default_factory=list)
    wall_s: float = 0.0

    def answered_ns(self) -> dict[int, int]:
        """When the skeletons of each stamp came, on the clock of sent_ns."""
        return {stamp_ns_from_cdr(raw): came_ns for topic, raw, came_ns in self.messages if topic == "skeletons"}

    def dropped(self) -> dict[str, int]:
        """What the node left out: reason -> count."""
        prefix = "dropped."
        counts = {key.removeprefix(prefix): int(v) for key, v in self.diagnostics.items() if key.startswith(prefix)}
        return {reason: count for reason, count in counts.items() if count}


class Player:
    """A ROS node that publishes keypoints and CameraInfo and records the answers; a context manager.

    alive: called often, raises if the other end is gone. recorded: topic -> message type. bare: the other end is no
    pose_node but only answers keypoints; it takes no CameraInfo and says nothing about itself.
    """

    def __init__(
        self, alive: Callable[[], None], recorded: Mapping[str, str] = RECORDED, *, bare: bool = False
    ) -> None:
        self._alive = alive
        self._recorded = recorded
        self._bare = bare
        self._recording = Recording()
        self._hardware_id = ""
        self._reports = 0
        self._begin_ns: int | None = None

    def __enter__(self) -> Player:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rclpy.signals import SignalHandlerOptions

        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("player", context=self._context)
        self._publishers = {
            kind: self._node.create_publisher(message_class(kind), topic, 10)
            for kind, topic in ((KEYPOINTS_TYPE, "keypoints"), (CAMERA_INFO_TYPE, "camera_info"))
            if not (self._bare and kind == CAMERA_INFO_TYPE)
        }
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for topic, kind in self._recorded.items():
            qos = latched if topic == "skeleton_info" else QoSProfile(depth=100)
            # raw: the bytes go into the bag as they are, and unpacking them would take time from the player
            self._node.create_subscription(message_class(kind), topic, self._recorder(topic), qos, raw=True)
        self._node.create_subscription(message_class(_DIAGNOSTICS_TYPE), "/diagnostics", self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _recorder(self, topic: str) -> Callable[[bytes], None]:
        def record(raw: bytes) -> None:
            since_ns = 0 if self._begin_ns is None else time.monotonic_ns() - self._begin_ns
            self._recording.messages.append((topic, bytes(raw), since_ns))

        return record

    def _on_diagnostics(self, message: Any) -> None:
        self._reports += 1
        for status in message.status:
            self._hardware_id = status.hardware_id
            self._recording.diagnostics = {item.key: item.value for item in status.values}

    def _heard(self, topic: str) -> int:
        return sum(1 for name, _, _ in self._recording.messages if name == topic)

    def _ready(self) -> bool:
        acquainted = self._bare or (self._heard("skeleton_info") and self._hardware_id)
        return bool(
            acquainted
            and all(publisher.get_subscription_count() for publisher in self._publishers.values())
            and all(self._node.count_publishers(topic) for topic in self._recorded)
        )

    def wait_until_ready(self, camera_info: bytes) -> None:
        """Return when the node is active, knows the camera, and hears and is heard. Raises LiveError.

        camera_info: the serialised first CameraInfo, with which the node is made acquainted; not sent to a bare one.
        """
        deadline_s = time.monotonic() + _READY_S
        camera = self._publishers.get(CAMERA_INFO_TYPE)
        while not self._ready():
            self._alive()
            if time.monotonic() > deadline_s:
                raise LiveError(f"the node was not ready after {_READY_S:.0f} s: {self._recording.diagnostics}")
            if camera is not None:
                camera.publish(camera_info)
            self._executor.spin_once(timeout_sec=0.1)

    def begin_anew(self) -> None:
        """Forget what was recorded so far, but for the node's last words about itself."""
        self._recording = Recording(diagnostics=self._recording.diagnostics)

    def play(self, records: Sequence[Record], progress: Callable[[float], None] = lambda seconds: None) -> Recording:
        """Publish keypoints and CameraInfo in real time and record the answers to the end. Raises LiveError.

        records: in order of receipt; those of other types are passed over.
        """
        recording, first_ns = self._recording, records[0].stamp_ns
        self._begin_ns = time.monotonic_ns()
        for record in records:
            publisher = self._publishers.get(record.msgtype)
            if publisher is None:
                continue
            while (left_s := (record.stamp_ns - first_ns + self._begin_ns - time.monotonic_ns()) * 1e-9) > 0:
                self._executor.spin_once(timeout_sec=left_s)
            if record.msgtype == KEYPOINTS_TYPE:
                recording.sent_ns.append(time.monotonic_ns() - self._begin_ns)
            publisher.publish(bytes(record.raw))
            self._alive()
            progress((record.stamp_ns - first_ns) * 1e-9)
        recording.wall_s = (time.monotonic_ns() - self._begin_ns) * 1e-9
        self._finish()
        return recording

    def _finish(self) -> None:
        """Spin until as many answers have come as messages went out, or none come any more; then for a last word."""
        sent, last_s, heard = len(self._recording.sent_ns), time.monotonic(), 0
        while heard < sent and time.monotonic() - last_s < _SILENCE_S:
            self._alive()
            self._executor.spin_once(timeout_sec=0.1)
            if self._heard("skeletons") > heard:
                last_s, heard = time.monotonic(), self._heard("skeletons")
        self._reports = 0
        while not (self._bare or self._reports) and time.monotonic() - last_s < _READY_S:
            self._alive()
            self._executor.spin_once(timeout_sec=0.1)
