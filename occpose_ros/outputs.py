"""The node's publishers, and what is said on them about one answer of the pipeline."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rclpy.lifecycle import LifecycleNode

from occpose_core.skeleton import H36M17
from occpose_core.types import Camera, Skeleton3D
from occpose_ros.adapters import filled_keypoints_to_msg, skeleton_info_to_msg, skeletons_to_msg
from occpose_ros.markers import delete_all_markers, skeleton_markers
from occpose_ros.message_types import MessageTypes, header_to_msg
from occpose_ros.parameters import NodeParameters
from occpose_ros.qos import LATCHED, RELIABLE, advertise


class Outputs:
    """Publishers of `skeletons`, `markers`, `filled_keypoints` and `skeleton_info`.

    Made and destroyed by the executor's thread; `publish` and `clear_markers` are called by one thread at a time.
    """

    def __init__(self, node: LifecycleNode, types: MessageTypes) -> None:
        self._node = node
        self._types = types
        self._marker_ids: dict[str, int] = {}
        self._frame_id = ""
        self._skeletons = advertise(node, types.Skeleton3DArray, "skeletons", RELIABLE)
        self._markers = advertise(node, types.MarkerArray, "markers", RELIABLE)
        self._filled = advertise(node, types.Keypoints2DArray, "filled_keypoints", RELIABLE)
        self._info = advertise(node, types.SkeletonInfo, "skeleton_info", LATCHED)

    def publish_info(self) -> None:
        """Say what the numbers of a skeleton mean; late subscribers hear it too."""
        self._info.publish(skeleton_info_to_msg(H36M17, self._types))

    def publish(
        self,
        skeletons: Sequence[Skeleton3D],
        lost_ids: Sequence[str],
        *,
        stamp_ns: int,
        camera: Camera,
        received_s: float,
        reset: bool,
        parameters: NodeParameters,
    ) -> float:
        """Publish one answer; milliseconds from receipt (monotonic seconds) to publication of the skeletons."""
        types, frame_id = self._types, camera.frame_id
        msg = skeletons_to_msg(skeletons, lost_ids, stamp_ns=stamp_ns, frame_id=frame_id, types=types)
        latency_ms = (time.monotonic() - received_s) * 1e3
        msg.latency_ms = latency_ms
        self._skeletons.publish(msg)
        self._frame_id = frame_id
        if parameters.publish_markers and self._markers.get_subscription_count() > 0:
            header = header_to_msg(stamp_ns, frame_id, types)
            array, self._marker_ids = skeleton_markers(
                skeletons,
                header,
                self._marker_ids,
                types,
                lifetime_s=parameters.marker_lifetime_s,
                reset=reset,
                camera=self._node.get_namespace().strip("/"),
            )
            self._markers.publish(array)
        elif self._marker_ids:
            self.clear_markers(stamp_ns)
        if parameters.publish_filled and self._filled.get_subscription_count() > 0:
            self._filled.publish(filled_keypoints_to_msg(skeletons, camera, stamp_ns=stamp_ns, types=types))
        return latency_ms

    def wanted(self, parameters: NodeParameters) -> bool:
        """Whether anybody listens to anything that is published."""
        publishers = (self._skeletons, self._markers, self._filled)
        wanted = (True, parameters.publish_markers, parameters.publish_filled)
        return any(on and p.get_subscription_count() > 0 for on, p in zip(wanted, publishers, strict=True))

    def clear_markers(self, stamp_ns: int) -> None:
        """Remove everything from RViz."""
        self._marker_ids = {}
        if self._frame_id:  # else nothing was ever shown
            self._markers.publish(delete_all_markers(header_to_msg(stamp_ns, self._frame_id, self._types), self._types))

    def destroy(self) -> None:
        """Take the publishers off the graph."""
        for publisher in (self._skeletons, self._markers, self._filled, self._info):
            self._node.destroy_lifecycle_publisher(publisher)
