"""The bag that a replay leaves: the input as it was, and the answers as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from occpose_core.pipeline import PipelineOutput
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from occpose_ros.adapters import filled_keypoints_to_msg, skeleton_info_to_msg, skeletons_to_msg
from occpose_ros.bag import (
    KEYPOINTS_TYPE,
    MARKERS_TYPE,
    SKELETON_INFO_TYPE,
    SKELETONS_TYPE,
    BagWriter,
    Channel,
    typestore,
)
from occpose_ros.markers import LIFETIME_S, skeleton_markers
from occpose_ros.mesh_markers import MeshMarkers
from occpose_ros.message_types import MessageTypes, header_to_msg

if TYPE_CHECKING:
    from occpose_ros.mesh import CoarseMesh

SKELETONS, MARKERS, FILLED, INFO = "/skeletons", "/markers", "/filled_keypoints", "/skeleton_info"
OUTPUTS = (SKELETONS, MARKERS, FILLED, INFO)


class Answers(Protocol):
    """Where a replay puts its input and its answers."""

    def wait_until_ready(self) -> None:
        """Return when messages can be taken without waiting. Raises BagError if they never will."""

    def show(self, mesh: CoarseMesh) -> None:
        """Have the markers show the surfaces of answers too, as the mesh says."""

    def open(self, channel: Channel) -> None:
        """Describe a topic, once, before anything is copied to it."""

    def copy(self, topic: str, stamp_ns: int, raw: bytes) -> None:
        """Take a message of the input as it is."""

    def answer(self, output: PipelineOutput, camera: Camera, stamp_ns: int) -> None:
        """Take the answer to keypoints that were received at a time."""

    def finish(self) -> None:
        """Return when everything is in the file. Raises BagError if it could not be written."""


class AnswerWriter:
    """Turns answers into messages and writes them. markers: for RViz and Foxglove."""

    def __init__(self, bag: BagWriter, *, markers: bool = True) -> None:
        self._bag = bag
        self._markers = markers
        store = typestore()
        self._types = MessageTypes.from_rosbags(store)
        for msgtype in (SKELETON_INFO_TYPE, SKELETONS_TYPE, MARKERS_TYPE, KEYPOINTS_TYPE):
            store.get_msgdef(msgtype)  # makes what packs them, which takes as long as packing hundreds
        self._marker_ids: dict[str, int] = {}
        self._meshes: MeshMarkers | None = None
        self._started = False

    def wait_until_ready(self) -> None:
        """It is."""

    def show(self, mesh: CoarseMesh) -> None:
        """See Answers."""
        self._meshes = MeshMarkers(mesh, self._types)

    def open(self, channel: Channel) -> None:
        """See Answers."""
        self._bag.open(channel)

    def copy(self, topic: str, stamp_ns: int, raw: bytes) -> None:
        """See Answers."""
        self._bag.append(topic, stamp_ns, raw)

    def finish(self) -> None:
        """See Answers."""
        self._bag.finish()

    def answer(self, output: PipelineOutput, camera: Camera, stamp_ns: int) -> None:
        """See Answers."""
        types = self._types
        if not self._started:
            self._bag.write(INFO, skeleton_info_to_msg(H36M17, types), stamp_ns, latched=True)
            self._started = True
        self._bag.write(SKELETONS, answer_to_msg(output, camera.frame_id, types), stamp_ns)
        if self._markers:
            header = header_to_msg(output.stamp_ns, camera.frame_id, types)
            markers, self._marker_ids = skeleton_markers(
                output.skeletons, header, self._marker_ids, types, reset=output.reset
            )
            if self._meshes is not None:
                manner: dict[str, Any] = {"lifetime_s": LIFETIME_S, "reset": output.reset, "camera": ""}
                markers.markers += self._meshes.update(output.meshes, self._marker_ids, header, **manner)
            self._bag.write(MARKERS, markers, stamp_ns)
        filled = filled_keypoints_to_msg(output.skeletons, camera, stamp_ns=output.stamp_ns, types=types)
        self._bag.write(FILLED, filled, stamp_ns)


def answer_to_msg(output: PipelineOutput, frame_id: str, types: MessageTypes) -> Any:
    """The Skeleton3DArray of an answer. Its latency is 0: the wall clock would make every run differ."""
    return skeletons_to_msg(output.skeletons, output.lost_ids, stamp_ns=output.stamp_ns, frame_id=frame_id, types=types)
