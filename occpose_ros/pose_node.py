"""pose_node: keypoints and camera_info, and maybe images, in; skeletons and markers out.

A lifecycle node that configures and activates itself unless `autostart:=false`. It has two threads. The executor's
thread (one: rclpy's multi-threaded executor is slower, and nothing here needs it) takes parameters, transitions and
messages other than keypoints and never works long (the model is loaded beside it); the worker's thread lifts and
publishes, and alone touches the pipeline. It waits for keypoints itself, for they come sooner that way (listening.py);
the executor takes those that come while it is long at work, and all of them where they wait for their images
(image_input.py). Between them are a mailbox of one message (worker.py), the
camera and the parameters (frozen objects, replaced whole), and the statistics (their own lock). Publishing is safe from
any thread in rcl; publishers are destroyed only after the worker has ended.

The pipeline does the thinking and the adapters know the messages; this file only connects them.
"""

from __future__ import annotations

import argparse
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo

from occpose_core.errors import OccposeError
from occpose_core.pipeline import PosePipeline
from occpose_core.types import Camera
from occpose_ros.adapters import read_camera, reader_of
from occpose_ros.answerer import Answerer
from occpose_ros.diagnostics import Period, verdict
from occpose_ros.ground import Ground
from occpose_ros.heights import Heights
from occpose_ros.image_input import ImageInput
from occpose_ros.inputs import Input, open_input, silence
from occpose_ros.lifecycle import ManagedNode
from occpose_ros.message_types import MessageTypes
from occpose_ros.node_engine import UNCONFIGURED, NodeEngine
from occpose_ros.outputs import Outputs
from occpose_ros.parameter_fields import explain
from occpose_ros.parameters import NodeParameters
from occpose_ros.process import run
from occpose_ros.qos import subscribe
from occpose_ros.timing import Received, other_clock
from occpose_ros.transform_listener import TransformListener
from occpose_ros.transforms import TransformBuffer
from occpose_ros.worker import LatestWorker

# The executor lets an idle worker go first for so long; services and parameters wait meanwhile.
_PATIENCE_S = 0.02


class EngineHangsError(OccposeError):
    """The engine has not come back from a frame."""


class PoseNode(ManagedNode):
    """The ROS node; see the module. Raises ParameterError if a parameter it is started with makes no sense."""

    task = "lifting"

    def __init__(self, **node_options: Any) -> None:
        super().__init__("pose_node", NodeParameters, **node_options)
        self._types = MessageTypes.from_rclpy()
        self.camera: Camera | None = None
        self._engine: NodeEngine | None = None
        self._answerer: Answerer | None = None
        self._outputs: Outputs | None = None
        self._worker: LatestWorker[Received] | None = None
        self._input: Input | None = None
        self._images: ImageInput | None = None
        self._camera_info: Any = None
        self._transforms = TransformBuffer()
        self._listener: TransformListener | None = None
        self._heights: Heights | None = None
        self._hung: LatestWorker[Received] | None = None
        self._jump = self.when_time_jumps_back(self._on_clock_jump)

    def configure(self) -> None:
        """Load the model and join the topics."""
        # what may fail comes first, so that a failure leaves nothing behind
        chosen = self.parameters.model, self.parameters.backend, self.parameters.image_model
        triangles = self.parameters.mesh_triangles
        self._engine = self.patiently(lambda: NodeEngine(*chosen, triangles), "loading the model")
        own_prefix = f"t{secrets.token_hex(2)}_"  # so that nobody gets the id of somebody whom a former run has seen
        pipeline = PosePipeline(
            self._engine.engine, self.parameters.pipeline_config, own_prefix, body_engine=self._engine.image_engine
        )
        self._heights = Heights(self, self.get_logger().info)
        self._outputs = Outputs(self, self._types, self._transforms, self._engine.mesh)
        self._answerer = Answerer(
            pipeline=pipeline,
            outputs=self._outputs,
            transforms=self._transforms,
            ground=Ground(self.parameters.ground_frame, self._transforms) if self.parameters.ground_frame else None,
            statistics=self.statistics,
            read_keypoints=reader_of(self.parameters.input, self.parameters.first_joint_id),
            read_image=self._image_reader() if self._engine.image_engine is not None else None,
            now_ns=lambda: self.get_clock().now().nanoseconds,
            warn=self.warn,
        )
        self._input = open_input(self, self._on_keypoints)
        self._camera_info = subscribe(
            self, CameraInfo, "camera_info", self.guarded(self._on_camera_info, "camera_info")
        )
        if self._engine.image_engine is not None:
            self._images = ImageInput(self, self._lift)
        if self.parameters.hears_tf:
            self._listener = TransformListener(self, self._transforms, self._outputs.transforms_came)
        self._engine.start()
        self._tell_of_engine()

    def begin(self) -> None:
        """Start answering."""
        answerer, outputs, heights = self._answerer, self._outputs, self._heights
        assert answerer is not None and outputs is not None and heights is not None
        if self._hung is not None:
            if self._hung.running:
                raise EngineHangsError(
                    "the engine still works on its last frame: clean up, configure and activate again"
                )
            self._hung = None
            answerer.forget()
        outputs.publish_info()
        if self._images is not None:
            self._images.join()
        self._worker = LatestWorker(
            self.guarded(
                lambda received: answerer.answer(received, self.camera, self.parameters, heights.by_id_m), "answer"
            ),
            self.guarded(answerer.forget, "forget"),
            name="lifting",
            listener=self._input.listener if self._input and self._images is None else None,
        )

    def stop(self) -> None:
        """Stop answering and clear RViz."""
        if self._images is not None:
            self._images.leave()
        worker, self._worker = self._worker, None
        if worker is None or self._answerer is None:
            return
        if worker.stop():
            self._answerer.forget()
        else:
            self._hung = worker
            self.get_logger().error("the engine does not come back from its last frame; going on without it")

    def release(self) -> None:
        """Leave the topics and forget the model."""
        if self._engine is not None:
            self._engine.cancel()
        for part in (self._input, self._images, self._listener, self._heights, self._outputs):
            if part is not None:
                part.destroy()
        if self._camera_info is not None:
            self.destroy_subscription(self._camera_info)
        self._input = self._images = self._camera_info = self._listener = self._heights = self._outputs = None
        self._answerer = self._hung = self.camera = self._engine = None
        self._transforms = TransformBuffer()

    def _image_reader(self) -> Callable[[Any, Camera], np.ndarray]:
        from occpose_ros.images import rgb_for_camera

        return partial(rgb_for_camera, transport=self.parameters.image_transport)

    # the worker's thread, or the executor's while the worker is long at work

    def _on_keypoints(self, msg: Any, waited_s: float = 0.0) -> None:
        if self._worker is None:
            return
        self.statistics.received()
        received_s, received_ns = time.monotonic() - waited_s, self.get_clock().now().nanoseconds
        received = Received(msg=msg, received_s=received_s, received_ns=received_ns)
        if self._images is None:
            self._lift(received)
        else:
            self._images.take(received)

    def _lift(self, received: Received) -> None:
        if self._worker is not None and self._worker.offer(received, _PATIENCE_S):
            self.statistics.dropped({"replaced": 1})

    # the executor's thread

    def _on_camera_info(self, msg: CameraInfo) -> None:
        camera = read_camera(msg, self.parameters.rectified)
        if self.camera is None or not camera.same_as(self.camera):
            self.camera = camera
            self.note(
                "camera",
                f"camera {camera.frame_id}: {camera.width} x {camera.height} px,"
                f" focal length {camera.K[0, 0]:.0f} px, distortion {camera.distortion_model}",
            )

    def _on_clock_jump(self) -> None:
        if self._worker is not None:
            self.warn("clock jump", "the clock went backwards or was changed: forgetting everybody")
            self._worker.request_reset()
        if self._images is not None:
            self._images.clear()
        self._transforms.clear()

    def diagnosis(self) -> tuple[bytes, str, dict[str, str], str]:
        """What the node knows about itself."""
        self._tell_of_engine()
        about_engine = UNCONFIGURED if self._engine is None else self._engine.values()
        period, values = self.statistics.report()
        alone, about_images = ("", {}) if self._images is None else self._images.report(period.seconds)
        level, message = self._verdict(period, alone)
        return level, message, {**about_engine, **about_images, **values}, self.camera.frame_id if self.camera else ""

    def _tell_of_engine(self) -> None:
        about, failure = ("", "") if self._engine is None else self._engine.news()
        if about:
            self.get_logger().info(about)
        if failure:
            self.get_logger().warning(failure)

    def _verdict(self, period: Period, alone: str) -> tuple[bytes, str]:
        """Level and sentence. alone: why keypoints were lifted without their images, if they were."""
        error = self.failure or self.statistics.recent_error
        waits_for_clock = self.get_parameter("use_sim_time").value and self.get_clock().now().nanoseconds == 0
        dropped = period.left_out
        if period.dropped["max_persons"]:
            dropped += f"; more than {self.parameters.max_persons} people are seen: raise max_persons to follow all"
        if dropped and alone:
            dropped += f"; {alone}"
        unheard = silence(self, self._input.topic) if self._input and not period.received else ""
        camera_info = self.resolve_topic_name("camera_info")
        fov_deg = self.parameters.assumed_fov_deg
        assumed = f": a field of view of {fov_deg:g} degrees is assumed" if fov_deg else ""
        strange_age = other_clock(self.statistics.age_s)
        breakdown = self._engine.breakdown if self._engine is not None else ""
        cases = (
            (DiagnosticStatus.ERROR, error, error),
            (DiagnosticStatus.OK, self.state != "active", self.state),
            (DiagnosticStatus.STALE, waits_for_clock, "use_sim_time is true, but nothing publishes /clock"),
            (DiagnosticStatus.WARN, self.camera is None, f"no CameraInfo on {camera_info}{assumed}"),
            (DiagnosticStatus.WARN, dropped, f"dropped in {period.seconds:.1f} s: {dropped}"),
            (DiagnosticStatus.WARN, alone, alone),
            (DiagnosticStatus.WARN, unheard, unheard),
            (DiagnosticStatus.WARN, breakdown, breakdown),
            (DiagnosticStatus.WARN, strange_age, strange_age),
            (DiagnosticStatus.OK, period.rested and not period.answered, "idle: nobody listens"),
        )
        return verdict(cases, f"{period.people} people at {period.answered / period.seconds:.1f} Hz")


def main(argv: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="pose_node",
        description="Turns 2D human keypoints (topics keypoints, camera_info) into 3D skeletons (skeletons, markers,\n"
        "filled_keypoints, skeleton_info). Settings are ROS parameters:\n\n"
        "  ros2 run occpose_ros pose_node --ros-args -p person_height_m:=1.8 -r keypoints:=/detector/keypoints",
        epilog=f"parameters:\n{explain(NodeParameters)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return run([PoseNode], parser, argv)
