"""A detector and its camera, for tests with several of them or with other topics than the peer's own."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import CameraInfo

from tests.ros.graph import FRAME_NS
from tests.ros.people import FRAME_ID, camera_info_msg, keypoints_msg


class Detector:
    """Keypoints and CameraInfo of one camera from the peer of a graph, under any topics."""

    def __init__(self, graph: Any, keypoints: str, camera_info: str, skeletons: str, frame_id: str = FRAME_ID) -> None:
        types = graph.types
        self.graph, self.frame_id = graph, frame_id
        self.keypoints = graph.peer.create_publisher(types.Keypoints2DArray, keypoints, 10)
        self.camera_info = graph.peer.create_publisher(CameraInfo, camera_info, 10)
        graph.listen(types.Skeleton3DArray, skeletons)
        self.answers = graph.heard[skeletons]

    def ask(self) -> None:
        """Again and again: what is sent before both sides have discovered each other is lost."""
        graph = self.graph
        graph.stamp_ns += FRAME_NS
        self.camera_info.publish(camera_info_msg(graph.types, frame_id=self.frame_id))
        people, stamp_ns = graph.good_people(), graph.stamp_ns
        self.keypoints.publish(keypoints_msg(graph.types, people, stamp_ns=stamp_ns, frame_id=self.frame_id))

    def wait_for_answer(self) -> Any:
        self.answers.clear()

        def answered() -> bool:
            self.ask()
            return bool(self.answers)

        self.graph.wait("an answer", answered)
        return self.answers[-1]
