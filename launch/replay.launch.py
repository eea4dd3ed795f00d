"""Play a bag to pose_node in the bag's own time, look at it in RViz, and record the answers.

ros2 launch occpose_ros replay.launch.py bag:=my_bag
ros2 launch occpose_ros replay.launch.py bag:=my_bag record:=my_answers
ros2 launch occpose_ros replay.launch.py --show-args
"""

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchContext, LaunchDescription
from occpose_ros.ros2_bag import SETTINGS, Ros2BagError, check, play_command, ready_command, record_command

SHARE = get_package_share_directory("occpose_ros")
SWITCH = ["true", "false"]
LAST_ANSWER_S = 1.0  # so long after the end of the bag the last answers have come

# name -> (default, description, choices); all arguments of pose.launch.py are taken too
ARGUMENTS = {
    "bag": (None, "the bag: a .mcap file or a rosbag2 folder", None),
    "rate": ("1.0", "speed, 1.0 = as recorded", None),
    "loop": ("false", "begin again at the end", SWITCH),
    "record": ("", "record input and answers into this folder, which must not exist; empty: record nothing", None),
}


def need(*packages: str) -> None:
    """Say what to install."""
    for package in packages:
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            name = f"ros-$ROS_DISTRO-{package.replace('_', '-')}"
            raise RuntimeError(f"replay.launch.py needs {package}: apt install {name}") from None


def recording(command: list[str], player: ExecuteProcess) -> list:
    """A recorder that closes its file when the bag is over."""
    recorder = ExecuteProcess(cmd=command, output="screen")
    end = EmitEvent(event=ShutdownProcess(process_matcher=matches_action(recorder)))
    after_it = RegisterEventHandler(
        OnProcessExit(target_action=player, on_exit=[TimerAction(period=LAST_ANSWER_S, actions=[end])])
    )
    return [recorder, after_it]


def start(context: LaunchContext) -> list:
    """The player begins when the node is ready: else the first seconds would be played to nobody."""
    given = {name: LaunchConfiguration(name).perform(context) for name in SETTINGS}
    try:
        check(given)
    except Ros2BagError as error:
        raise RuntimeError(str(error)) from None
    need("ros2bag", "ros2topic", *(["rosbag2_storage_mcap"] if given["record"] else []))
    player = ExecuteProcess(cmd=play_command(given, f"{SHARE}/config/replay_qos.yaml"), output="screen")
    recorder = recording(record_command(given), player) if given["record"] else []
    ready = ExecuteProcess(cmd=ready_command(given["namespace"]), output="log")
    begin = [LogInfo(msg="pose_node is ready: the bag begins"), player]
    return [*recorder, RegisterEventHandler(OnProcessExit(target_action=ready, on_exit=begin)), ready]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, (default, description, choices) in ARGUMENTS.items()
    ]
    pose = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(f"{SHARE}/launch/pose.launch.py"),
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    return LaunchDescription([*arguments, pose, OpaqueFunction(function=start)])
