"""What `replay.launch.py` tells `ros2 bag`: commands that every distribution from Humble to Lyrical understands.

Topics to play are named by `--topics`, because Humble's player can leave none out. Topics to record are a regular
expression: Humble's recorder takes names without `--topics`, Lyrical's with it only, and all take `--regex`.

Settings are the launch file's arguments as texts. Names of topics are resolved as the nodes do it: relative ones lie in
their namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from occpose_core.errors import OccposeError

# the arguments of replay.launch.py and pose.launch.py that decide what is played and recorded
SETTINGS = (
    *("bag", "rate", "loop", "record", "input", "keypoints", "camera_info", "namespace"),
    *("overlay", "image_model", "image", "image_transport"),
)
ANSWERS = ("skeletons", "skeletons_in_target_frame", "markers", "filled_keypoints", "skeleton_info")
FRAMES = ("/tf", "/tf_static")
BODIES = ".*/humans/bodies/.*"  # ROS4HRI, as input and as answer: a topic for each person
CLOCK_HZ = 100
# The player's publishers are there before the first message by so much that recorder and node have found them.
HEAD_START_S = 1.0
_TRANSPORTS = {"": ("", "/compressed"), "raw": ("",), "compressed": ("/compressed",)}


class Ros2BagError(OccposeError):
    """Something that `ros2 bag` cannot be asked for."""


def check(given: Mapping[str, str]) -> None:
    """Raise Ros2BagError if nothing sensible could be played or recorded."""
    bag, rate, record = given["bag"], given["rate"], given["record"]
    if not Path(bag).exists():  # else the node would wait for a player that is gone
        raise Ros2BagError(f"bag must be a .mcap file or a rosbag2 folder, got {bag!r}: it does not exist")
    try:
        positive = float(rate) > 0.0
    except ValueError:
        positive = False
    if not positive:
        raise Ros2BagError(f"rate must be a number above 0, got {rate!r}")
    if record and Path(record).exists():
        raise Ros2BagError(f"record must be a folder that is not there yet, got {record!r}: choose another name")
    if record and given["loop"] == "true":
        raise Ros2BagError("record and loop:=true exclude each other: one recording cannot hold the same time twice")


def absolute(topic: str, namespace: str) -> str:
    """The full name of a topic of the nodes."""
    return topic if topic.startswith("/") else f"/{namespace.strip('/')}/{topic}".replace("//", "/")


def input_topics(given: Mapping[str, str]) -> list[str]:
    """What the nodes listen to, beside the bodies of ROS4HRI; images only if somebody looks at them."""
    topics = [given["keypoints"], given["camera_info"]]
    if given["overlay"] == "true" or given["image_model"]:
        topics += [given["image"] + suffix for suffix in _TRANSPORTS[given["image_transport"]]]
    return [*(absolute(topic, given["namespace"]) for topic in topics), *FRAMES]


def answer_topics(given: Mapping[str, str]) -> list[str]:
    """What `pose_node` publishes about people, beside frames and ROS4HRI."""
    return [absolute(topic, given["namespace"]) for topic in ANSWERS]


def play_command(given: Mapping[str, str], qos_file: str) -> list[str]:
    """Play the input alone, in the bag's own time: answers of an earlier run may be in the bag too.

    qos_file: what publishers offer where the bag does not know it; without it a bag that was not recorded by ROS has
    a /tf_static that nobody who comes later hears.
    """
    command = ["ros2", "bag", "play", given["bag"], "--clock", str(CLOCK_HZ), "--rate", given["rate"]]
    command += ["--qos-profile-overrides-path", qos_file]
    command += ["--loop"] if given["loop"] == "true" else ["--delay", str(HEAD_START_S)]  # which each pass would have
    if given["input"] == "hri":  # its topics are named in the bag only, so everything is played
        return [*command, "--remap", *(f"{topic}:=/recorded{topic}" for topic in answer_topics(given))]
    return [*command, "--topics", *input_topics(given)]


def record_command(given: Mapping[str, str]) -> list[str]:
    """Record input and answers into the folder `record`, with the bag's own time."""
    names = "|".join([*input_topics(given), *answer_topics(given), BODIES])
    command = ["ros2", "bag", "record", "--storage", "mcap", "--use-sim-time", "--output", given["record"]]
    return [*command, "--regex", f"^({names})$"]


def ready_command(namespace: str) -> list[str]:
    """Ends as soon as `pose_node` is active: then it has said, latched, what its skeletons are."""
    command = ["ros2", "topic", "echo", "--once", "--no-daemon", "--qos-durability", "transient_local"]
    topic = absolute("skeleton_info", namespace)
    return [*command, "--qos-reliability", "reliable", topic, "occpose_ros/msg/SkeletonInfo"]
