"""Play a bag to pose_node in the bag's own time, and look at it in RViz.

ros2 launch occpose_ros replay.launch.py bag:=my_bag
ros2 launch occpose_ros replay.launch.py --show-args
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchContext, LaunchDescription

SHARE = get_package_share_directory("occpose_ros")


NAMES = ("bag", "rate", "loop", "input", "keypoints", "camera_info", "overlay", "image", "image_transport", "namespace")


def played_topics(given: dict[str, str]) -> list[str]:
    """The input alone: answers of an earlier run may be in the bag too. Images only if drawn on."""
    topics = [given["keypoints"], given["camera_info"]]
    if given["overlay"] == "true":
        topics.append(given["image"] + {"raw": "", "compressed": "/compressed"}[given["image_transport"]])
    # relative names are the nodes', which live in the namespace
    return [topic if topic.startswith("/") else f"{given['namespace']}/{topic}" for topic in topics]


def play(context: LaunchContext) -> list:
    """`ros2 bag play` in the bag's own time."""
    given = {name: LaunchConfiguration(name).perform(context) for name in NAMES}
    if not Path(given["bag"]).exists():  # else the node would wait for a player that is gone
        raise RuntimeError(f"bag must be a .mcap file or a rosbag2 folder, got {given['bag']!r}: it does not exist")
    command = ["ros2", "bag", "play", given["bag"], "--clock", "100", "--rate", given["rate"]]
    command += ["--loop"] if given["loop"] == "true" else []
    if given["input"] != "hri":  # which has a topic for each person, named in the bag only
        topics = [f"/{topic.lstrip('/')}" for topic in played_topics(given)]
        command += ["--topics", *topics, "/tf", "/tf_static"]
    return [ExecuteProcess(cmd=command, output="screen")]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    pose = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(f"{SHARE}/launch/pose.launch.py"),
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="the bag: a .mcap file or a rosbag2 folder"),
            DeclareLaunchArgument("rate", default_value="1.0", description="speed, 1.0 = as recorded"),
            DeclareLaunchArgument(
                "loop", default_value="false", description="begin again at the end", choices=["true", "false"]
            ),
            pose,
            OpaqueFunction(function=play),
        ]
    )
