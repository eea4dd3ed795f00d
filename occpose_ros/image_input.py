"""The camera's images for an image model: each keypoints message waits a little for the image that it was seen in.

Most images are there before their keypoints, for the detector takes its time. Keypoints go on in the order in which
they came: at once when their image is there, without one when `image_wait_s` is over or when later ones have theirs.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CompressedImage, Image

from occpose_ros.lifecycle import ManagedNode
from occpose_ros.message_types import stamp_ns_from_msg
from occpose_ros.pairing import Pairing
from occpose_ros.parameters import NodeParameters
from occpose_ros.qos import subscribe
from occpose_ros.timing import Received

IMAGE_TYPES = {"raw": Image, "compressed": CompressedImage}
_TOPICS = ("image", "keypoints")


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """Keypoints whose image is not there yet. until_s: monotonic seconds."""

    received: Received
    until_s: float


def image_topic(node: ManagedNode) -> str:
    """The full name of the topic that images of the node's parameter `image_transport` come on."""
    topic: str = node.resolve_topic_name("image")
    return topic if node.parameters.image_transport == "raw" else f"{topic}/compressed"


class ImageInput:
    """Hands over keypoints with the images that they were seen in. All methods are the executor's thread's.

    hand_over: gets each keypoints message once, with its image or without; it must not raise.
    """

    def __init__(self, node: ManagedNode, hand_over: Callable[[Received], None]) -> None:
        parameters: NodeParameters = node.parameters
        self._node = node
        self._hand_over = hand_over
        self._waiting: deque[_Waiting] = deque()
        self._came: Counter[str] = Counter()
        self._pairing = Pairing(
            self._on_pair, topics=_TOPICS, queue_size=parameters.queue_size, slop_s=parameters.slop_s
        )
        if self._pairing.restriction:
            node.get_logger().warning(self._pairing.restriction)
        self.topic = image_topic(node)
        self._subscription: Any = None
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a paused or missing /clock must not hold keypoints back
        self._timer = node.create_timer(1.0, node.guarded(self._on_time, "image wait"), clock=steady)
        self._timer.cancel()

    def join(self) -> None:
        """Subscribe to the images."""
        kind = IMAGE_TYPES[self._node.parameters.image_transport]
        self._subscription = subscribe(self._node, kind, self.topic, self._node.guarded(self._on_image, "image"))

    def leave(self) -> None:
        """Want no more images, and forget all that waits."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription = None
        self.clear()

    def take(self, received: Received) -> None:
        """Hand keypoints over as soon as their image is there, or there is no hope of one."""
        if stamp_ns_from_msg(received.msg.header.stamp) <= 0:  # no image can be told to be theirs
            self._give_up(len(self._waiting))
            self._hand_over(received)
            return
        self._waiting.append(_Waiting(received=received, until_s=received.received_s + self._wait_s))
        self._add("keypoints", received.msg)
        self._on_time()

    def clear(self) -> None:
        """Forget all that waits."""
        self._waiting.clear()
        self._timer.cancel()
        self._pairing.clear()

    def destroy(self) -> None:
        """Leave the graph."""
        self.leave()
        self._node.destroy_timer(self._timer)

    def report(self, seconds: float) -> tuple[str, dict[str, str]]:
        """Since the last report: why keypoints got no image, "" if all did; and values for the diagnostics."""
        came, self._came = self._came, Counter()
        return self._reason(came), {"image rate (Hz)": f"{came['images'] / seconds:.1f}"}

    def _reason(self, came: Counter[str]) -> str:
        if not came["alone"]:
            return ""
        if not came["images"]:
            return f"no images on {self.topic}, so keypoints alone are lifted"
        if came["late"]:
            return (
                f"images come later than image_wait_s ({self._wait_s:g} s) after their keypoints, which are lifted"
                " alone: raise it"
            )
        return (
            f"no image has the stamp of the keypoints {self._pairing.tolerance}, so keypoints alone are lifted: let the"
            " detector copy the stamps of the images, raise slop_s, or queue_size if the detector is slow"
        )

    @property
    def _wait_s(self) -> float:
        return float(self._node.parameters.image_wait_s)

    def _on_image(self, msg: Any) -> None:
        self._came["images"] += 1
        self._add("image", msg)

    def _add(self, topic: str, msg: Any) -> None:
        if self._pairing.add(topic, msg):
            self._node.warn("image reset", f"the stamps of {topic} went backwards: forgot all images that waited")

    def _on_pair(self, image: Any, keypoints: Any) -> None:
        """Called by message_filters, which an exception would lock up for ever; so nothing here can raise."""
        place = next((place for place, item in enumerate(self._waiting) if item.received.msg is keypoints), None)
        if place is None:
            self._came["late"] += 1
            return
        self._give_up(place)
        self._hand_over(replace(self._waiting.popleft().received, image=image))

    def _on_time(self) -> None:
        """Give up those whose time is over, and look again when the next one's is."""
        now_s = time.monotonic()
        self._give_up(sum(item.until_s <= now_s for item in self._waiting))
        if not self._waiting:
            self._timer.cancel()
            return
        self._timer.timer_period_ns = max(1, round((self._waiting[0].until_s - now_s) * 1e9))
        self._timer.reset()

    def _give_up(self, count: int) -> None:
        """Hand the first so many over without an image."""
        for _ in range(count):
            self._came["alone"] += 1
            self._hand_over(self._waiting.popleft().received)
