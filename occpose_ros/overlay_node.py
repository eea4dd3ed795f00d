"""overlay_node: the camera's image and pose_node's skeletons in, the image with the people drawn on it out.

Works only while somebody listens: the subscriptions are made when `overlay` or `overlay/compressed` gets a subscriber
and dropped when the last one leaves. (Events that tell of subscribers exist only since Iron, so a timer asks.) The
executor's thread takes messages and pairs them (pairing.py); the worker's thread decodes, draws and publishes the
newest pair, and a pair that is replaced before it was begun is counted.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from occpose_core.types import Camera
from occpose_ros.adapters import read_camera
from occpose_ros.diagnostics import Period, verdict
from occpose_ros.image_input import IMAGE_TYPES
from occpose_ros.images import READERS, bytes_for_msg, jpeg_from_bgr
from occpose_ros.lifecycle import ManagedNode
from occpose_ros.message_types import message_class
from occpose_ros.overlay import draw_overlay
from occpose_ros.pairing import Pairing
from occpose_ros.parameter_fields import check, explain, parameter
from occpose_ros.process import run
from occpose_ros.qos import RELIABLE, advertise, subscribe
from occpose_ros.worker import LatestWorker

_LOOK_FOR_LISTENERS_S = 0.25


@dataclass(frozen=True, kw_only=True)
class OverlayParameters:
    """Values of all parameters, within their ranges; ParameterError otherwise."""

    image_transport: str = parameter(
        "raw",
        "raw: sensor_msgs/Image on `image`; compressed: sensor_msgs/CompressedImage on `image`/compressed",
        "every camera driver has it",
        choices=list(READERS),
    )
    slop_s: float = parameter(
        0.01,
        "an image and skeletons belong together if their stamps differ by less",
        "a good detector copies the stamp of the image, but some round it",
        bounds=(1e-6, 1.0),
    )
    queue_size: int = parameter(
        20,
        "so many images wait for their skeletons, no more",
        "0.7 s at 30 Hz for detector and lifting; 1080p raw needs 120 MB",
        bounds=(1, 200),
    )
    jpeg_quality: int = parameter(
        80, "quality of overlay/compressed", "small, and lines stay sharp", bounds=(1, 100), live=True
    )
    diagnostics_period_s: float = parameter(
        1.0, "time between two diagnostics messages", "the custom of ROS", bounds=(0.1, 60.0), live=True
    )
    autostart: bool = parameter(
        True, "configure and activate at start, without a lifecycle manager", "one command shall show people"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An image, the skeletons of its moment, and when the later of them came, in monotonic seconds."""

    image: Any
    skeletons: Any
    received_s: float


class OverlayNode(ManagedNode):
    """The ROS node; see the module. Raises ParameterError if a parameter it is started with makes no sense."""

    task = "overlay"

    def __init__(self, **node_options: Any) -> None:
        super().__init__("overlay_node", OverlayParameters, **node_options)
        self.camera: Camera | None = None
        self._pairing: Pairing | None = None
        self._worker: LatestWorker[Pair] | None = None
        self._inputs: list[Any] = []
        self._outputs: dict[str, Any] = {}
        self._listeners_timer: Any = None
        self._came = {"images": 0, "pairs": 0}
        self._jump = self.when_time_jumps_back(self._on_clock_jump)

    def configure(self) -> None:
        """Get ready to pair and offer the topics."""
        queue_size, slop_s = self.parameters.queue_size, self.parameters.slop_s
        self._pairing = Pairing(self._on_pair, topics=("image", "skeletons"), queue_size=queue_size, slop_s=slop_s)
        if self._pairing.restriction:
            self.get_logger().warning(self._pairing.restriction)
        compressed = f"{self.resolve_topic_name('overlay')}/compressed"  # goes where `overlay` is remapped to
        self._outputs = {
            "raw": advertise(self, Image, "overlay", RELIABLE),
            "compressed": advertise(self, CompressedImage, compressed, RELIABLE),
        }

    def begin(self) -> None:
        """Wait for somebody who listens."""
        self._worker = LatestWorker(self.guarded(self._draw, "overlay"), lambda: None, name="overlay")
        self._listeners_timer = self.create_timer(
            _LOOK_FOR_LISTENERS_S,
            self.guarded(self._look_for_listeners, "listeners"),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._look_for_listeners()

    def stop(self) -> None:
        """Leave the inputs and stop drawing."""
        if self._listeners_timer is not None:
            self.destroy_timer(self._listeners_timer)
        self._leave_inputs()
        worker, self._worker, self._listeners_timer = self._worker, None, None
        if worker is not None and not worker.stop():
            self.get_logger().error("drawing does not come to an end; going on without it")

    def release(self) -> None:
        """Leave the outputs."""
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs, self._pairing, self.camera = {}, None, None

    # the executor's thread

    def _image_topic(self) -> str:
        topic: str = self.resolve_topic_name("image")
        return topic if self.parameters.image_transport == "raw" else f"{topic}/compressed"

    def _look_for_listeners(self) -> None:
        wanted = any(publisher.get_subscription_count() for publisher in self._outputs.values())
        if wanted and not self._inputs:
            self._join_inputs()
        elif self._inputs and not wanted:
            self._leave_inputs()

    def _join_inputs(self) -> None:
        image = IMAGE_TYPES[self.parameters.image_transport]
        skeletons = message_class("occpose_ros/msg/Skeleton3DArray")
        self._inputs = [
            subscribe(self, CameraInfo, "camera_info", self.guarded(self._on_camera_info, "camera_info")),
            subscribe(self, skeletons, "skeletons", self.guarded(self._on_skeletons, "skeletons")),
            subscribe(self, image, self._image_topic(), self.guarded(self._on_image, "image")),
        ]

    def _leave_inputs(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if self._pairing is not None:
            self._pairing.clear()  # what waits there would be paired with nothing, and images are large

    def _on_camera_info(self, msg: CameraInfo) -> None:
        self.camera = read_camera(msg)

    def _on_image(self, msg: Any) -> None:
        self._came["images"] += 1
        self._add("image", msg)

    def _on_skeletons(self, msg: Any) -> None:
        self.statistics.received()
        self._add("skeletons", msg)

    def _add(self, topic: str, msg: Any) -> None:
        if self._pairing is not None and self._pairing.add(topic, msg):
            self.statistics.reset()
            self.warn("reset", f"the stamps of {topic} went backwards: forgot all images and skeletons that waited")

    def _on_pair(self, image: Any, skeletons: Any) -> None:
        """Called by message_filters, which an exception would lock up for ever; so nothing here can raise."""
        self._came["pairs"] += 1
        if self._worker is not None and self._worker.offer(
            Pair(image=image, skeletons=skeletons, received_s=time.monotonic())
        ):
            self.statistics.dropped({"replaced": 1})

    def _on_clock_jump(self) -> None:
        if self._pairing is not None:
            self.warn("clock jump", "the clock went backwards or was changed: forgot all images that waited")
            self._pairing.clear()
            self.statistics.reset()

    # the worker's thread

    def _draw(self, pair: Pair) -> None:
        begun_s = time.monotonic()
        image_bgr = READERS[self.parameters.image_transport](pair.image)
        camera = self.camera
        people = draw_overlay(image_bgr, pair.skeletons, (camera.width, camera.height) if camera else None)
        step_ms = (time.monotonic() - begun_s) * 1e3
        for transport, publisher in self._outputs.items():
            if publisher.get_subscription_count():
                publisher.publish(self._message(transport, pair.image.header, image_bgr))
        latency_ms = (time.monotonic() - pair.received_s) * 1e3
        self.statistics.answered(people=people, joints=0, filled_joints=0, step_ms=step_ms, latency_ms=latency_ms)

    def _message(self, transport: str, header: Any, image_bgr: Any) -> Any:
        if transport == "compressed":
            data = jpeg_from_bgr(image_bgr, self.parameters.jpeg_quality)
            return CompressedImage(header=header, format="bgr8; jpeg compressed bgr8", data=bytes_for_msg(data))
        height, width = image_bgr.shape[:2]
        return Image(
            header=header,
            height=height,
            width=width,
            encoding="bgr8",
            is_bigendian=0,
            step=3 * width,
            data=bytes_for_msg(image_bgr),
        )

    # diagnostics

    def diagnosis(self) -> tuple[bytes, str, dict[str, str], str]:
        """What the node knows about itself."""
        period, values = self.statistics.report()
        came, self._came = self._came, {"images": 0, "pairs": 0}
        level, message = self._verdict(period, came)
        values = {
            "listening": str(bool(self._inputs)),
            "image rate (Hz)": f"{came['images'] / period.seconds:.1f}",
            "pair rate (Hz)": f"{came['pairs'] / period.seconds:.1f}",
            **values,
        }
        return level, message, values, self.camera.frame_id if self.camera else ""

    def _verdict(self, period: Period, came: dict[str, int]) -> tuple[bytes, str]:
        error = self.failure or self.statistics.recent_error
        overlay, skeletons = (self.resolve_topic_name(topic) for topic in ("overlay", "skeletons"))
        dropped = period.left_out
        tolerance = self._pairing.tolerance if self._pairing is not None else ""
        cases = (
            (DiagnosticStatus.ERROR, error, error),
            (DiagnosticStatus.OK, self.state != "active", self.state),
            (DiagnosticStatus.OK, not self._inputs, f"nobody listens to {overlay}"),
            (DiagnosticStatus.WARN, dropped, f"dropped in {period.seconds:.1f} s: {dropped}"),
            (DiagnosticStatus.WARN, not came["images"], f"no images on {self._image_topic()}"),
            (DiagnosticStatus.WARN, not period.received, f"no skeletons on {skeletons}"),
            (
                DiagnosticStatus.WARN,
                not came["pairs"],
                f"no image has the stamp of the skeletons {tolerance}: let the detector copy the stamps of the images,"
                " raise slop_s, or queue_size if the detector is slow",
            ),
        )
        return verdict(cases, f"{period.people} people at {period.answered / period.seconds:.1f} Hz")


def main(argv: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="overlay_node",
        description="Draws the skeletons of pose_node (topic skeletons) on the camera's image (image, camera_info)\n"
        "and publishes it (overlay, overlay/compressed). Settings are ROS parameters:\n\n"
        "  ros2 run occpose_ros overlay_node --ros-args -r image:=/camera/image_raw"
        " -r camera_info:=/camera/camera_info",
        epilog=f"parameters:\n{explain(OverlayParameters)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return run([OverlayNode], parser, argv)
