"""What is published about each answer of the pipeline: one small class for each topic, and all of them together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecycleNode

from occpose_core.skeleton import H36M17
from occpose_ros.adapters import filled_keypoints_to_msg, skeleton_info_to_msg, skeletons_to_msg
from occpose_ros.answer import Answer, Output
from occpose_ros.body_frames import BodyFrames
from occpose_ros.humans import Humans
from occpose_ros.lifecycle import ManagedNode
from occpose_ros.markers import delete_all_markers, skeleton_markers
from occpose_ros.mesh_markers import MeshMarkers
from occpose_ros.message_types import MessageTypes, header_to_msg
from occpose_ros.parameters import NodeParameters
from occpose_ros.qos import LATCHED, advertise, let_arrive
from occpose_ros.target_frame import TargetFrame
from occpose_ros.transforms import TransformBuffer

if TYPE_CHECKING:
    from occpose_ros.mesh import CoarseMesh

_Make = Callable[[Any, MessageTypes], Output]


class Outputs:
    """All that the node says about people.

    Made and destroyed by the executor's thread; `publish` and `clear` are called by one thread at a time. The skeletons
    come first, and a fault of one of the others is counted and does not silence the rest. mesh: what the markers show
    of the surfaces of people, if there are any.
    """

    def __init__(
        self, node: ManagedNode, types: MessageTypes, transforms: TransformBuffer, mesh: CoarseMesh | None = None
    ) -> None:
        self._node = node
        self._types = types
        parameters: NodeParameters = node.parameters
        self._others: dict[str, Output] = {}
        self._target_frame: TargetFrame | None = None
        with contextlib.ExitStack() as leave:  # if one cannot be made, the others leave again
            self._skeletons = advertise(node, types.Skeleton3DArray, "skeletons")
            leave.callback(node.destroy_lifecycle_publisher, self._skeletons)
            self._info = advertise(node, types.SkeletonInfo, "skeleton_info", LATCHED)
            leave.callback(node.destroy_lifecycle_publisher, self._info)
            others: dict[str, _Make] = {"markers": partial(_Markers, mesh=mesh), **_OTHERS}
            for name, make in others.items():
                self._others[name] = make(node, types)
                leave.callback(self._others[name].destroy)
            if parameters.target_frame:
                self._others["target_frame"] = self._target_frame = TargetFrame(node, types, transforms)
                leave.callback(self._target_frame.destroy)
            self._leave = leave.pop_all()

    @property
    def active(self) -> bool:
        """Whether the node is: an engine that hung may come back when it no longer is, and not all publishers know."""
        return self._node.state == "active"

    def publish_info(self) -> None:
        """Say what the numbers of a skeleton mean; late subscribers hear it too."""
        self._info.publish(skeleton_info_to_msg(H36M17, self._types))

    def publish(self, answer: Answer) -> float:
        """Publish one answer; milliseconds from receipt of the keypoints to publication of the skeletons."""
        msg = skeletons_to_msg(
            answer.skeletons,
            answer.lost_ids,
            stamp_ns=answer.stamp_ns,
            frame_id=answer.camera.frame_id,
            types=self._types,
        )
        latency_ms = (time.monotonic() - answer.received_s) * 1e3
        msg.latency_ms = latency_ms
        self._skeletons.publish(msg)
        for name, output in self._others.items():
            self._node.guarded(output.publish, name)(answer)
        return latency_ms

    def wanted(self, parameters: NodeParameters) -> bool:
        """Whether anybody listens to anything that is published."""
        return self._skeletons.get_subscription_count() > 0 or any(
            output.wanted(parameters) for output in self._others.values()
        )

    def transforms_came(self) -> None:
        """Publish what has waited for a transform; the executor's thread calls it."""
        if self._target_frame is not None:
            self._target_frame.publish_waiting()

    def clear(self, stamp_ns: int) -> None:
        """Take back everything that is still shown, because everybody is forgotten."""
        for name, output in self._others.items():
            self._node.guarded(output.clear, name)(stamp_ns)

    def destroy(self) -> None:
        """Take the publishers off the graph."""
        self._leave.close()


class _Markers:
    """`markers`, for RViz."""

    def __init__(self, node: LifecycleNode, types: MessageTypes, mesh: CoarseMesh | None) -> None:
        self._node = node
        self._types = types
        self._meshes = None if mesh is None else MeshMarkers(mesh, types)
        self._ids: dict[str, int] = {}
        self._frame_id = ""
        self._publisher = advertise(node, types.MarkerArray, "markers")

    def wanted(self, parameters: NodeParameters) -> bool:
        return parameters.publish_markers and self._publisher.get_subscription_count() > 0

    def publish(self, answer: Answer) -> None:
        self._frame_id = answer.camera.frame_id
        if self.wanted(answer.parameters):
            header = header_to_msg(answer.stamp_ns, self._frame_id, self._types)
            manner: dict[str, Any] = {
                "lifetime_s": answer.parameters.marker_lifetime_s,
                "reset": answer.reset,
                "camera": self._node.get_namespace().strip("/"),
            }
            array, self._ids = skeleton_markers(answer.skeletons, header, self._ids, self._types, **manner)
            if self._meshes is not None:
                array.markers += self._meshes.update(answer.meshes, self._ids, header, **manner)
            self._publisher.publish(array)
        elif self._ids:
            self.clear(answer.stamp_ns)

    def clear(self, stamp_ns: int) -> None:
        self._ids = {}
        if self._meshes is not None:
            self._meshes.forget()
        if self._frame_id:  # else nothing was ever shown
            header = header_to_msg(stamp_ns, self._frame_id, self._types)
            self._publisher.publish(delete_all_markers(header, self._types))

    def destroy(self) -> None:
        let_arrive(self._publisher)  # RViz must hear that everything is to be removed
        self._node.destroy_lifecycle_publisher(self._publisher)


class _FilledKeypoints:
    """`filled_keypoints`: the completed 2D poses."""

    def __init__(self, node: LifecycleNode, types: MessageTypes) -> None:
        self._node = node
        self._types = types
        self._publisher = advertise(node, types.Keypoints2DArray, "filled_keypoints")

    def wanted(self, parameters: NodeParameters) -> bool:
        return parameters.publish_filled and self._publisher.get_subscription_count() > 0

    def publish(self, answer: Answer) -> None:
        if self.wanted(answer.parameters):
            self._publisher.publish(
                filled_keypoints_to_msg(answer.skeletons, answer.camera, stamp_ns=answer.stamp_ns, types=self._types)
            )

    def clear(self, stamp_ns: int) -> None:
        pass

    def destroy(self) -> None:
        self._node.destroy_lifecycle_publisher(self._publisher)


# what is published besides skeletons and markers; the names are those under which errors are told
_OTHERS: dict[str, _Make] = {
    "filled_keypoints": _FilledKeypoints,
    "tf": BodyFrames,
    "humans": Humans,
}
