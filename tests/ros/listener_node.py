"""A subscriber of skeletons in a process of its own, which tells the header of each on the topic `heard`."""

from __future__ import annotations

import rclpy
from std_msgs.msg import Header

from occpose_ros.message_types import MessageTypes

if __name__ == "__main__":
    rclpy.init()
    node = rclpy.create_node("listener")
    heard = node.create_publisher(Header, "heard", 1000)
    skeletons = MessageTypes.from_rclpy().Skeleton3DArray
    node.create_subscription(skeletons, "skeletons", lambda msg: heard.publish(msg.header), 1000)
    rclpy.spin(node)
