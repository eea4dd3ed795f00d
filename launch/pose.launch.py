"""Start pose_node beside a 2D detector, and RViz; with overlay:=true also overlay_node.

ros2 launch occpose_ros pose.launch.py keypoints:=/detector/keypoints camera_info:=/camera/camera_info
ros2 launch occpose_ros pose.launch.py --show-args
"""

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

SHARE = get_package_share_directory("occpose_ros")
SWITCH = ["true", "false"]

# name -> (default, description, choices); an empty default leaves the matter to params_file
ARGUMENTS = {
    "keypoints": ("keypoints", "topic of the 2D keypoints", None),
    "camera_info": ("camera_info", "topic of the camera's CameraInfo", None),
    "input": ("", "message family of the keypoints, as `pose_node --help` lists them", None),
    "layout": ("", "keypoint layout that replaces the one in the messages", None),
    "model": ("", "name of a shipped model (`occpose models` lists them) or path of an .onnx file", None),
    "backend": ("", "inference engine: auto, onnxruntime, torch, tensorrt or tensorrt-rtx", None),
    "image_model": ("", "path of an image model's .onnx file: bodies with their surface from `image` too", None),
    "person_height_m": ("", "stature of the people in metres, if you know it: it sets the scale", None),
    "mirror": ("", "the image is a mirror image: true or false", ["", *SWITCH]),
    "ground_frame": ("", "frame of TF whose x-y plane is the ground that people stand on: it sets the scale", None),
    "target_frame": ("", "frame that the skeletons are brought to; empty: the camera's", None),
    "publish_tf": ("", "say on /tf where each body is: true or false", ["", *SWITCH]),
    "publish_joint_tf": ("", "say on /tf where each joint is: true or false", ["", *SWITCH]),
    "publish_humans": ("", "publish the people as REP-155 (ROS4HRI) says: true or false", ["", *SWITCH]),
    "params_file": (f"{SHARE}/config/pose.yaml", "file with all parameters; the arguments above win over it", None),
    "namespace": ("", "namespace of the nodes and their topics, for one launch per camera", None),
    "use_sim_time": ("false", "take the time from /clock, as a replayed bag needs", SWITCH),
    "respawn": ("false", "start a node again when its process died", SWITCH),
    "overlay": ("false", "draw the people on the camera's image (topic overlay)", SWITCH),
    "image": ("image", "topic of the camera's image, for the overlay and for image_model", None),
    "image_transport": ("", "transport of that image, raw or compressed", ["", "raw", "compressed"]),
    "rviz": ("true", "show the skeletons in RViz", SWITCH),
    "camera_frame": ("camera_optical_frame", "optical frame of the camera (frame_id of the keypoints), for RViz", None),
    "fixed_frame": ("occpose_view", "fixed frame of RViz; occpose_view is camera_frame turned upright", None),
}


def switch(text: str) -> bool:
    """The value of a launch argument that is true or false."""
    return text == "true"


# argument -> how its text becomes the value of pose_node's parameter of that name; a number may be written as 2 or 2.0
PARAMETERS = {
    "input": str,
    "layout": str,
    "model": str,
    "backend": str,
    "image_model": str,
    "image_transport": str,
    "person_height_m": float,
    "mirror": switch,
    "ground_frame": str,
    "target_frame": str,
    "publish_tf": switch,
    "publish_joint_tf": switch,
    "publish_humans": switch,
}


def converted(name: str, text: str) -> object:
    """The value of a parameter, from the text of its argument."""
    try:
        return PARAMETERS[name](text)
    except ValueError:
        raise RuntimeError(f"{name} must be a number, got {text!r}") from None


def node(given: dict[str, str], executable: str, overrides: dict, topics: tuple[str, ...]) -> Node:
    """One of the nodes; none needs a lifecycle manager. topics: those that have an argument of their name."""
    return Node(
        package="occpose_ros",
        executable=executable,
        name=executable,
        namespace=given["namespace"],
        parameters=[given["params_file"], {**overrides, "use_sim_time": switch(given["use_sim_time"])}],
        remappings=[(topic, given[topic]) for topic in topics if given[topic] != topic],
        respawn=switch(given["respawn"]),
        respawn_delay=1.0,
        output="screen",
    )


def nodes(given: dict[str, str]) -> list:
    """pose_node, and overlay_node if it is wanted."""
    overrides = {name: converted(name, given[name]) for name in PARAMETERS if given[name]}
    started = [node(given, "pose_node", overrides, ("keypoints", "camera_info", "image"))]
    if switch(given["overlay"]):
        transport = {name: value for name, value in overrides.items() if name == "image_transport"}
        started.append(node(given, "overlay_node", transport, ("image", "camera_info")))
    return started


def rviz(given: dict[str, str]) -> list:
    """RViz, and a frame for it in which the people stand upright: a child of the camera's, so that no tree breaks."""
    use_sim_time = {"use_sim_time": switch(given["use_sim_time"])}
    namespace = given["namespace"].strip("/")
    viewer = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz_occpose",
        arguments=["-d", f"{SHARE}/rviz/occpose.rviz", "-f", given["fixed_frame"]],
        remappings=[(f"/{topic}", f"/{namespace}/{topic}") for topic in ("markers", "overlay")] if namespace else [],
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
    if not Path(given["params_file"]).is_file():  # else the nodes would run with their defaults
        raise RuntimeError(f"params_file must be a file, got {given['params_file']!r}")
    actions = nodes(given)
    if switch(given["rviz"]):
        missing = [package for package in ("rviz2", "tf2_ros") if not installed(package)]
        hint = LogInfo(msg=f"no RViz: install {' and '.join(missing)}, or say rviz:=false")
        actions += [hint] if missing else rviz(given)
    return actions


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, (default, description, choices) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
