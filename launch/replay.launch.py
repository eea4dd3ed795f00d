"""Play a bag to pose_node in the bag's own time, and look at it in RViz.

ros2 launch occpose_ros replay.launch.py bag:=my_bag
ros2 launch occpose_ros replay.launch.py --show-args
"""

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchContext, LaunchDescription

SHARE = get_package_share_directory("occpose_ros")


def play(context: LaunchContext) -> list:
    """`ros2 bag play` of the input alone: answers of an earlier run may be in the bag too. Images only if drawn on."""
    names = ("bag", "rate", "loop", "keypoints", "camera_info", "overlay", "image", "image_transport")
    given = {name: LaunchConfiguration(name).perform(context) for name in names}
    topics = [f"/{given[name].lstrip('/')}" for name in ("keypoints", "camera_info")]
    if given["overlay"] == "true":
        suffix = {"raw": "", "compressed": "/compressed"}[given["image_transport"]]
        topics.append(f"/{given['image'].lstrip('/')}{suffix}")
    command = ["ros2", "bag", "play", given["bag"], "--clock", "100", "--rate", given["rate"]]
    command += ["--loop"] if given["loop"] == "true" else []
    return [ExecuteProcess(cmd=[*command, "--topics", *topics, "/tf", "/tf_static"], output="screen")]


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
