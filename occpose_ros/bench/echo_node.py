"""The least that a Python node can do with pose_node's messages: what `occpose bench` compares pose_node with.

For every Keypoints2DArray it publishes a Skeleton3DArray of as many people, made beforehand: unpacking, packing and
transport are those of pose_node, and there is nothing else. Its latency is the floor under any rclpy node.
"""

from __future__ import annotations

import argparse
import threading
from functools import lru_cache
from typing import Any

import numpy as np
from rclpy.node import Node

from occpose_core.skeleton import H36M17
from occpose_core.types import Skeleton3D, State
from occpose_ros.adapters import skeletons_to_msg
from occpose_ros.message_types import MessageTypes
from occpose_ros.process import run
from occpose_ros.qos import RELIABLE, SENSOR


class EchoNode(Node):
    """Answers on `skeletons` what comes on `keypoints`, with pose_node's quality of service."""

    def __init__(self) -> None:
        super().__init__("echo_node")
        self._types = MessageTypes.from_rclpy()
        self._answer = lru_cache(maxsize=1)(self._make_answer)
        skeletons_class: Any = self._types.Skeleton3DArray
        keypoints_class: Any = self._types.Keypoints2DArray
        self._skeletons = self.create_publisher(skeletons_class, "skeletons", RELIABLE)
        self.create_subscription(keypoints_class, "keypoints", self._on_keypoints, SENSOR)

    def _make_answer(self, people: int) -> Any:
        joints = len(H36M17.joints)
        skeletons = [
            Skeleton3D(
                id=str(person),
                state=State.TRACKED,
                joints_cam_m=np.zeros((joints, 3), np.float32),
                sigma_m=np.zeros(joints, np.float32),
                origin=np.zeros(joints, np.uint8),
                kpts_px=np.zeros((joints, 2), np.float32),
                height_m=0.0,
                metric=False,
            )
            for person in range(1, people + 1)
        ]
        return skeletons_to_msg(skeletons, [], stamp_ns=0, frame_id="", types=self._types)

    def _on_keypoints(self, msg: Any) -> None:
        answer = self._answer(len(msg.people))
        answer.header = msg.header
        self._skeletons.publish(answer)

    def start(self, stopping: threading.Event) -> None:
        """It has been answering since it was made."""

    def close(self) -> None:
        """It holds nothing."""


def main(argv: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; returns the exit status."""
    parser = argparse.ArgumentParser(prog="echo_node", description="Answers keypoints with skeletons of nobody.")
    return run([EchoNode], parser, argv)
