"""Write the simulated people, what the detector says of them, the camera and the furniture into a bag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scene
from scipy.spatial.transform import Rotation

from occpose_core.camera import px_from_cam
from occpose_core.geometry import stature_m
from occpose_core.types import Camera, Origin, State
from occpose_ros.bag import BagWriter, typestore
from occpose_ros.keypoints_file import camera_info_to_msg
from occpose_ros.message_types import MessageTypes, header_to_msg

START_NS = 1_700_000_000_000_000_000
RATE_HZ = 30
GROUND_FRAME = "map"
NEW_ID_AFTER = 30  # frames without a detection after which the detector's tracker gives a new id
MIN_JOINTS = 4  # with fewer the detector sees no person


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """One person over all T frames of a bag: the truth, and what the detector says (coco17).

    joints_world_m: (T, 17, 3), h36m17. in_image: (T,) any part of the person is. in_sight: (T, 17), per h36m17 joint.
    xy_px: (T, 17, 2) and score: (T, 17), coco17.
    """

    joints_world_m: np.ndarray
    in_image: np.ndarray
    in_sight: np.ndarray
    xy_px: np.ndarray
    score: np.ndarray


def track_ids(found: np.ndarray, first: int, step: int) -> list[str]:
    """The detector's track id at each frame: (T,) bool -> a new one when the person comes back after a while."""
    ids, current, unseen = [], first, 0
    for there in found:
        if there and unseen >= NEW_ID_AFTER:
            current += step
        unseen = 0 if there else unseen + 1
        ids.append(str(current))
    return ids


def _quaternion(rotation: np.ndarray) -> dict[str, float]:
    """Of a rotation about x."""
    half = np.arctan2(rotation[2, 1], rotation[1, 1]) / 2
    return {"x": float(np.sin(half)), "y": 0.0, "z": 0.0, "w": float(np.cos(half))}


def furniture(boxes: Sequence[scene.Box], types: MessageTypes, header: Any) -> Any:
    """visualization_msgs/MarkerArray with one translucent cube a piece, in the camera's frame; it never expires."""
    markers = []
    for number, box in enumerate(boxes):
        low, high = np.array(box.low), np.array(box.high)
        x, y, z = scene.cam_from_world((low + high) / 2).tolist()
        length, depth, height = (high - low).tolist()
        zero = types.Time(sec=0, nanosec=0)
        markers.append(
            types.Marker(
                header=header,
                ns="furniture",
                id=number,
                type=1,  # CUBE
                action=0,  # ADD
                pose=types.Pose(
                    position=types.Point(x=x, y=y, z=z),
                    orientation=types.Quaternion(**_quaternion(scene.CAM_FROM_WORLD)),
                ),
                scale=types.Vector3(x=length, y=depth, z=height),
                color=types.ColorRGBA(r=0.55, g=0.45, b=0.35, a=0.35),
                lifetime=types.Duration(sec=0, nanosec=0),
                frame_locked=False,
                points=[],
                colors=[],
                texture_resource="",
                texture=types.CompressedImage(
                    header=types.Header(stamp=zero, frame_id=""), format="", data=np.zeros(0, np.uint8)
                ),
                uv_coordinates=[],
                text="",
                mesh_resource="",
                mesh_file=types.MeshFile(filename="", data=np.zeros(0, np.uint8)),
                mesh_use_embedded_materials=False,
            )
        )
    return types.MarkerArray(markers=markers)


def camera_mount() -> Any:
    """tf2_msgs/TFMessage: where the camera stands in `map`, whose plane z = 0 is the floor."""
    types = typestore().types
    rotation = Rotation.from_matrix(scene.CAM_FROM_WORLD.T).as_quat()
    return types["tf2_msgs/msg/TFMessage"](
        transforms=[
            types["geometry_msgs/msg/TransformStamped"](
                header=header_to_msg(START_NS, GROUND_FRAME, MessageTypes.from_rosbags(typestore())),
                child_frame_id=scene.CAMERA.frame_id,
                transform=types["geometry_msgs/msg/Transform"](
                    translation=types["geometry_msgs/msg/Vector3"](*scene.EYE_WORLD_M.tolist()),
                    rotation=types["geometry_msgs/msg/Quaternion"](*rotation.tolist()),
                ),
            )
        ]
    )


def _true_skeleton(
    types: MessageTypes, camera: Camera, track: str, joints_world_m: np.ndarray, in_sight: np.ndarray, given: bool
) -> Any:
    joints_cam_m = scene.cam_from_world(joints_world_m)
    return types.Skeleton3D(
        id=track,
        state=int(State.TRACKED if given else State.OCCLUDED),
        position=joints_cam_m.astype(np.float32).ravel(),
        std_dev=np.zeros(len(joints_cam_m), np.float32),
        origin=np.where(in_sight, Origin.MEASURED, Origin.FILLED).astype(np.uint8),
        xy=px_from_cam(joints_cam_m, camera).astype(np.float32).ravel(),
        height=float(stature_m(joints_world_m)),
        metric=True,
    )


def write(
    bag: BagWriter,
    people: Sequence[Person],
    camera: Camera = scene.CAMERA,
    boxes: Sequence[scene.Box] = scene.FURNITURE,
    rate_hz: float = RATE_HZ,
    jpegs: Iterator[np.ndarray] | None = None,
) -> None:
    """Write all topics, frame by frame. jpegs: the camera's image of each frame, (N,) uint8, if the bag has images."""
    types = MessageTypes.from_rosbags(typestore())
    found = [(person.score > 0).sum(axis=1) >= MIN_JOINTS for person in people]
    tracks = [track_ids(found_, first + 1, len(people)) for first, found_ in enumerate(found)]
    bag.write("/tf_static", camera_mount(), START_NS, latched=True)
    header = header_to_msg(START_NS, camera.frame_id, types)
    bag.write("/furniture", furniture(boxes, types, header), START_NS, latched=True)
    for frame in range(len(found[0])):
        stamp_ns = START_NS + round(frame * 1_000_000_000 / rate_hz)
        header = header_to_msg(stamp_ns, camera.frame_id, types)
        detected = [
            types.Keypoints2D(
                id=tracks[n][frame], xy=person.xy_px[frame].ravel(), score=person.score[frame].astype(np.float32)
            )
            for n, person in enumerate(people)
            if found[n][frame]
        ]
        truth = [
            _true_skeleton(
                types,
                camera,
                tracks[n][frame],
                person.joints_world_m[frame],
                person.in_sight[frame],
                bool(found[n][frame]),
            )
            for n, person in enumerate(people)
            if person.in_image[frame]
        ]
        bag.write("/camera_info", camera_info_to_msg(camera, header), stamp_ns)
        if jpegs is not None:
            image = types.CompressedImage(header=header, format="jpeg", data=next(jpegs))
            bag.write("/image_raw/compressed", image, stamp_ns)
        bag.write(
            "/keypoints",
            types.Keypoints2DArray(
                header=header, layout="coco17", width=camera.width, height=camera.height, people=detected
            ),
            stamp_ns,
        )
        bag.write(
            "/ground_truth/skeletons",
            types.Skeleton3DArray(header=header, layout="h36m17", people=truth, lost_ids=[], latency_ms=0.0),
            stamp_ns,
        )
