"""People as the messages of each detector family spell them, for both worlds of message types.

The writers number joints by themselves: by the constants of the messages, or by the lists that their makers publish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17, convert_keypoints, get_skeleton
from occpose_ros.adapters import INPUTS, Bodies, KeypointsArray, match_camera
from tests.ros.people import FRAME_ID, HEIGHT, WIDTH, camera, keypoints

COCO17 = get_skeleton("coco17")
STAMP_NS = 5_000_000_000
_INTERFACES = Path(__file__).parents[1] / "interfaces"
_ZED_ROOM = 70


def _numbers(joints: str) -> dict[str, int]:
    return {joint: number for number, joint in enumerate(joints.split()) if joint != "-"}


_OPENPOSE = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist {} right_hip right_knee"
    " right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"
)
# layout -> joint -> its number, as the makers document it; joints that occpose does not use are left out
NUMBERS = {
    "coco17": _numbers(
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist"
        " right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
    ),
    "openpose18": _numbers(_OPENPOSE.format("")),
    "body25": _numbers(_OPENPOSE.format("pelvis")),
    "zed18": _numbers(_OPENPOSE.format("")),
    "zed34": _numbers(
        "pelvis - - neck - left_shoulder left_elbow left_wrist - - - - right_shoulder right_elbow right_wrist - - -"
        " left_hip left_knee left_ankle - right_hip right_knee right_ankle - - nose left_eye left_ear right_eye"
        " right_ear"
    ),
    "zed38": _numbers(
        "pelvis - - - neck nose left_eye right_eye left_ear right_ear - - left_shoulder right_shoulder left_elbow"
        " right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
    ),
}


class World:
    """Makes messages, and sends them through their serialised form, so that they are read as they come in."""

    def __init__(self, name: str) -> None:
        self._classes, self._pack, self._unpack = {"rclpy": _rclpy, "rosbags": _rosbags}[name]()

    def kind(self, name: str) -> Any:
        """The class of a type like "std_msgs/Header"."""
        package, kind = name.split("/")
        return self._classes(f"{package}/msg/{kind}")

    def make(self, name: str, **fields: Any) -> Any:
        """A message of a type like "std_msgs/Header"."""
        return self.kind(name)(**fields)

    def sent(self, name: str, msg: Any) -> Any:
        """The message after a journey."""
        package, kind = name.split("/")
        full = f"{package}/msg/{kind}"
        return self._unpack(self._pack(msg, full), full)

    def header(self, stamp_ns: int = STAMP_NS, frame_id: str = FRAME_ID) -> Any:
        """std_msgs/Header."""
        sec, nanosec = divmod(stamp_ns, 10**9)
        return self.make(
            "std_msgs/Header", stamp=self.make("builtin_interfaces/Time", sec=sec, nanosec=nanosec), frame_id=frame_id
        )


def _rclpy() -> tuple[Any, Any, Any]:
    from rclpy.serialization import deserialize_message, serialize_message

    from occpose_ros.message_types import message_class

    return (
        message_class,
        lambda msg, name: serialize_message(msg),
        lambda raw, name: deserialize_message(raw, message_class(name)),
    )


def _rosbags() -> tuple[Any, Any, Any]:
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    for file in sorted(_INTERFACES.glob("*/msg/*.msg")):
        name = f"{file.parts[-3]}/msg/{file.stem}"
        if name not in store.types:
            store.register(get_types_from_msg(file.read_text(encoding="utf-8"), name))
    return store.types.__getitem__, store.serialize_cdr, store.deserialize_cdr


@dataclass(frozen=True)
class Person:
    """A person in coco17: id, (17, 2) pixels, (17,) scores, 0 = missing."""

    id: str
    xy_px: np.ndarray
    score: np.ndarray

    def joints(self, layout: str) -> dict[str, tuple[float, float, float]]:
        """name -> x, y, score of the visible joints in some layout, in the layout's order."""
        skeleton = get_skeleton(layout)
        xy_px, score = convert_keypoints(self.xy_px, self.score, COCO17, skeleton)
        return {
            joint: (*map(float, xy_px[i]), float(score[i])) for i, joint in enumerate(skeleton.joints) if score[i] > 0
        }


def yolo_msg(world: World, people: Sequence[Person], stamp_ns: int = STAMP_NS, first_joint_id: int = 1) -> Any:
    """yolo_msgs/DetectionArray: the visible joints only, from the last to the first."""

    def joint(number: int, x: float, y: float, score: float) -> Any:
        return world.make(
            "yolo_msgs/KeyPoint2D",
            id=number + first_joint_id,
            point=world.make("yolo_msgs/Point2D", x=x, y=y),
            score=score,
        )

    detections = [
        yolo_detection(
            world,
            [joint(NUMBERS["coco17"][name], *at) for name, at in person.joints("coco17").items()][::-1],
            person.id,
        )
        for person in people
    ]
    return world.make("yolo_msgs/DetectionArray", header=world.header(stamp_ns), detections=detections)


def yolo_detection(world: World, joints: list[Any], id: str = "", class_name: str = "person") -> Any:
    """yolo_msgs/Detection of such joints."""
    array = world.make("yolo_msgs/KeyPoint2DArray", data=joints)
    return world.make("yolo_msgs/Detection", class_id=0, class_name=class_name, score=0.9, id=id, keypoints=array)


def hri_skeleton(world: World, person: Person, stamp_ns: int = STAMP_NS, frame_id: str = FRAME_ID) -> Any:
    """hri_msgs/Skeleton2D."""
    numbers = world.kind("hri_msgs/Skeleton2D")
    values = np.zeros((18, 3))
    for name, (x, y, score) in person.joints("hri18").items():
        values[getattr(numbers, name.upper())] = (x + 0.5) / WIDTH, (y + 0.5) / HEIGHT, score
    points = [
        world.make("hri_msgs/NormalizedPointOfInterest2D", x=x, y=y, c=c) for x, y, c in np.float32(values).tolist()
    ]
    return world.make("hri_msgs/Skeleton2D", header=world.header(stamp_ns, frame_id), skeleton=points)


def zed_msg(world: World, people: Sequence[Person], stamp_ns: int = STAMP_NS, layout: str = "zed38") -> Any:
    """zed_msgs/ObjectsStamped: a person's confidence is its highest score, hidden joints are NaN."""
    objects = [zed_object(world, person, layout) for person in people]
    header = world.header(stamp_ns, "zed_left_camera_frame")
    return world.make("zed_msgs/ObjectsStamped", header=header, objects=objects)


def zed_object(world: World, person: Person, layout: str = "zed38", hidden: float = np.nan, **fields: Any) -> Any:
    """zed_msgs/Object."""
    xy_px = np.zeros((_ZED_ROOM, 2), dtype=np.float32)
    xy_px[: len(get_skeleton(layout).joints)] = hidden
    for name, (x, y, _) in person.joints(layout).items():
        if name in NUMBERS[layout]:
            xy_px[NUMBERS[layout][name]] = x, y
    joints = world.make(
        "zed_msgs/Skeleton2D", keypoints=[world.make("zed_msgs/Keypoint2Df", kp=point.copy()) for point in xy_px]
    )
    values = {
        "label_id": int(person.id or -1),
        "confidence": float(np.float32(100 * person.score.max())),
        "tracking_available": bool(person.id),
        "tracking_state": 1 if person.id else 0,
        "skeleton_available": True,
        "body_format": ("zed18", "zed34", "zed38").index(layout),
        "skeleton_2d": joints,
    }
    return world.make("zed_msgs/Object", **{**values, **fields})


def openpose_msg(world: World, people: Sequence[Person], stamp_ns: int = STAMP_NS, layout: str = "body25") -> Any:
    """openpose_ros2_msgs/PoseKeyPointsList; missing joints are 0, 0, 0."""
    lists = []
    for person in people:
        values = np.zeros((len(get_skeleton(layout).joints), 3), dtype=np.float32)
        for name, at in person.joints(layout).items():
            values[NUMBERS[layout][name]] = at
        points = [
            world.make("openpose_ros2_msgs/PoseKeyPoint", x=x, y=y, score=score) for x, y, score in values.tolist()
        ]
        lists.append(world.make("openpose_ros2_msgs/PoseKeyPoints", pose_key_points=points))
    header = world.header(stamp_ns)
    return world.make("openpose_ros2_msgs/PoseKeyPointsList", header=header, pose_key_points_list=lists)


def hri_bodies(world: World, people: Sequence[Person]) -> Bodies:
    """The skeletons of one image, after their journey."""
    bodies = {
        person.id or f"nameless_{i}": world.sent("hri_msgs/Skeleton2D", hri_skeleton(world, person))
        for i, person in enumerate(people)
    }
    return Bodies(header=next((body.header for body in bodies.values()), world.header()), bodies=bodies)


# name -> (family, people as they come in)
WRITERS: dict[str, tuple[str, Callable[[World, Sequence[Person]], Any]]] = {
    "yolo": ("yolo", lambda w, people: w.sent("yolo_msgs/DetectionArray", yolo_msg(w, people))),
    "hri": ("hri", hri_bodies),
    **{
        layout: (
            "zed",
            lambda w, people, layout=layout: w.sent("zed_msgs/ObjectsStamped", zed_msg(w, people, layout=layout)),
        )
        for layout in ("zed18", "zed34", "zed38")
    },
    **{
        layout: (
            "openpose",
            lambda w, people, layout=layout: w.sent(
                "openpose_ros2_msgs/PoseKeyPointsList", openpose_msg(w, people, layout=layout)
            ),
        )
        for layout in ("body25", "openpose18")
    },
}


def standing(id: str = "7", x_m: float = 0.0, score: float = 0.9) -> Person:
    """A standing person, all of whose joints have one score."""
    xy_px, scores = keypoints(x_m)
    return Person(id, xy_px, np.where(scores > 0, np.float32(score), np.float32(0)))


def read(world: World, name: str, people: Sequence[Person], **options: Any) -> KeypointsArray:
    """What the family's adapter reads of people, in the camera's pixels."""
    family, write = WRITERS[name]
    return match_camera(INPUTS[family].read(write(world, people), ""), camera(), **options)


def expected(person: Person) -> tuple[np.ndarray, np.ndarray]:
    """(17, 2) pixels and (17,) scores of a person in h36m17."""
    return convert_keypoints(person.xy_px, person.score, COCO17, H36M17)
