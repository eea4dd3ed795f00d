"""Start pose_node beside a 2D detector, and RViz.

ros2 launch occpose_ros pose.launch.py keypoints:=/detector/keypoints camera_info:=/camera/camera_info
ros2 launch occpose_ros pose.launch.py --show-args
"""

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

SHARE = get_package_share_directory("occpose_ros")

# name -> (default, description, choices); an empty default leaves the matter to params_file
ARGUMENTS = {
    "keypoints": ("keypoints", "topic of the 2D keypoints", None),
    "camera_info": ("camera_info", "topic of the camera's CameraInfo", None),
    "input": ("", "message family of the keypoints: occpose", None),
    "model": ("", "name of a shipped model (`occpose models` lists them) or path of an .onnx file", None),
    "backend": ("", "inference engine: auto, onnxruntime or torch", None),
    "person_height_m": ("", "stature of the people in metres, if you know it: it sets the scale", None),
    "params_file": (f"{SHARE}/config/pose.yaml", "file with all parameters; the arguments above win over it", None),
    "namespace": ("", "namespace of the node and its topics, for one node per camera", None),
    "use_sim_time": ("false", "take the time from /clock, as a replayed bag needs", ["true", "false"]),
    "rviz": ("true", "show the skeletons in RViz", ["true", "false"]),
    "camera_frame": ("camera_optical_frame", "optical frame of the camera (frame_id of the keypoints), for RViz", None),
    "fixed_frame": ("occpose_view", "fixed frame of RViz; occpose_view is camera_frame turned upright", None),
}

# argument -> how its text becomes the value of the parameter of that name
PARAMETERS = {"input": str, "model": str, "backend": str, "person_height_m": float}


def pose_node(given: dict[str, str]) -> Node:
    """The node itself; it needs no lifecycle manager."""
    overrides = {name: kind(given[name]) for name, kind in PARAMETERS.items() if given[name]}
    return Node(
        package="occpose_ros",
        executable="pose_node",
        name="pose_node",
        namespace=given["namespace"],
        parameters=[given["params_file"], {**overrides, "use_sim_time": given["use_sim_time"] == "true"}],
        remappings=[(topic, given[topic]) for topic in ("keypoints", "camera_info") if given[topic] != topic],
        output="screen",
    )


def rviz(given: dict[str, str]) -> list:
    """RViz, and a frame for it in which the people stand upright: a child of the camera's, so that no tree breaks."""
    use_sim_time = {"use_sim_time": given["use_sim_time"] == "true"}
    namespace = given["namespace"].strip("/")
    viewer = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz_occpose",
        arguments=["-d", f"{SHARE}/rviz/occpose.rviz", "-f", given["fixed_frame"]],
        remappings=[("/markers", f"/{namespace}/markers")] if namespace else [],
        parameters=[use_sim_time],
    )
    # x right, y down, z forward -> x forward, y left, z up (REP-103)
    rotation = {"--qx": "0.5", "--qy": "-0.5", "--qz": "0.5", "--qw": "0.5"}
    frames = {"--frame-id": given["camera_frame"], "--child-frame-id": "occpose_view"}
    upright = Node(
        package="tf2_ros",
        executable="static_transform_publisher",
        name="occpose_view",
        arguments=[word for pair in {**rotation, **frames}.items() for word in pair],
        parameters=[use_sim_time],
    )
    return [viewer, upright]


def installed(package: str) -> bool:
    """Whether ROS knows a package."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def start(context: LaunchContext) -> list:
    """All processes, from the arguments as given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    actions = [pose_node(given)]
    if given["rviz"] == "true":
        missing = [package for package in ("rviz2", "tf2_ros") if not installed(package)]
        hint = LogInfo(msg=f"no RViz, because {' and '.join(missing)} is not installed: install it, or say rviz:=false")
        actions += [hint] if missing else rviz(given)
    return actions


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, (default, description, choices) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
