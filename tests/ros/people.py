"""People for the ROS tests: a standing person seen by a camera, as occpose's types and as messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from occpose_core.camera import px_from_cam
from occpose_core.skeleton import H36M17, convert_keypoints, get_skeleton
from occpose_core.types import Camera, Origin, Skeleton3D, State
from occpose_ros.message_types import MessageTypes, header_to_msg

FRAME_ID = "camera_optical_frame"
WIDTH, HEIGHT, FOCAL_PX = 1280, 720, 1000.0
# x right, y up, z towards the camera, metres; half of the body is enough
_HALF = {"hip": (0.13, 0.93), "knee": (0.15, 0.5), "ankle": (0.16, 0.08),
         "shoulder": (0.17, 1.45), "elbow": (0.25, 1.17), "wrist": (0.28, 0.93)}  # fmt: skip
_MIDDLE = {"pelvis": 0.95, "spine": 1.2, "thorax": 1.46, "nose": 1.58, "head_top": 1.72}


def camera() -> Camera:
    """A calibrated camera without distortion."""
    K = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])
    return Camera(width=WIDTH, height=HEIGHT, K=K, frame_id=FRAME_ID)


def standing_cam_m(x_m: float = 0.0, distance_m: float = 4.0) -> np.ndarray:
    """(17, 3) h36m17 joints in the camera frame; the camera is 1 m above the floor."""
    joints = np.zeros((len(H36M17.joints), 3))
    for name, height_m in _MIDDLE.items():
        joints[H36M17.index(name)] = (0.0, height_m, 0.05 if name == "nose" else 0.0)
    for name, (side_m, height_m) in _HALF.items():
        joints[H36M17.index(f"left_{name}")] = (side_m, height_m, 0.0)  # the person faces the camera
        joints[H36M17.index(f"right_{name}")] = (-side_m, height_m, 0.0)
    return np.stack([x_m + joints[:, 0], 1.0 - joints[:, 1], distance_m - joints[:, 2]], axis=-1)


def skeleton(
    id: str = "1", x_m: float = 0.0, hidden: tuple[str, ...] = (), unknown: tuple[str, ...] = ()
) -> Skeleton3D:
    """A standing person with some joints filled in and some unknown."""
    joints_cam_m = standing_cam_m(x_m)
    origin = np.full(len(joints_cam_m), Origin.MEASURED, dtype=np.uint8)
    sigma_m = np.full(len(joints_cam_m), 0.03, dtype=np.float32)
    for value, sigma, names in ((Origin.FILLED, 0.15, hidden), (Origin.UNKNOWN, 0.5, unknown)):
        for name in names:
            origin[H36M17.index(name)], sigma_m[H36M17.index(name)] = value, sigma
    all_hidden = not (origin == Origin.MEASURED).any()
    return Skeleton3D(
        id=id,
        state=State.OCCLUDED if all_hidden else State.TRACKED,
        joints_cam_m=joints_cam_m.astype(np.float32),
        sigma_m=sigma_m,
        origin=origin,
        kpts_px=px_from_cam(joints_cam_m, camera()).astype(np.float32),
        height_m=1.75,
        metric=True,
    )


def keypoints(x_m: float = 0.0, layout: str = "coco17") -> tuple[np.ndarray, np.ndarray]:
    """(J, 2) pixels and (J,) scores of a standing person in some layout; joints that h36m17 lacks have score 0."""
    h36m17_px = px_from_cam(standing_cam_m(x_m), camera()).astype(np.float32)
    return convert_keypoints(h36m17_px, np.full(len(h36m17_px), 0.9, np.float32), H36M17, get_skeleton(layout))


def person_msg(types: MessageTypes, id: str, xy_px: np.ndarray, score: np.ndarray) -> Any:
    """Keypoints2D of arrays of any length."""
    xy, score = xy_px.astype(np.float32), score.astype(np.float32)
    return types.Keypoints2D(id=id, xy=types.sequence(xy), score=types.sequence(score))


def keypoints_msg(
    types: MessageTypes,
    people: list[Any],
    *,
    stamp_ns: int = 5_000_000_000,
    layout: str = "coco17",
    frame_id: str = FRAME_ID,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Any:
    """Keypoints2DArray."""
    header = header_to_msg(stamp_ns, frame_id, types)
    return types.Keypoints2DArray(header=header, layout=layout, width=size[0], height=size[1], people=people)


def camera_info_msg(
    types: MessageTypes,
    *,
    k: Sequence[float] | None = None,
    p: Sequence[float] | None = None,
    d: Sequence[float] = (),
    distortion_model: str = "",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    binning: tuple[int, int] = (0, 0),
    roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    frame_id: str = FRAME_ID,
    stamp_ns: int = 5_000_000_000,
) -> Any:
    """CameraInfo of `camera()`, or with other values. roi: x, y, width, height."""
    k = camera().K.ravel() if k is None else k
    return types.CameraInfo(
        header=header_to_msg(stamp_ns, frame_id, types),
        width=size[0],
        height=size[1],
        distortion_model=distortion_model,
        d=types.sequence(np.array(d, dtype=np.float64)),
        k=np.array(k, dtype=np.float64),
        r=np.eye(3).ravel(),
        p=np.zeros(12) if p is None else np.array(p, dtype=np.float64),
        binning_x=binning[0],
        binning_y=binning[1],
        roi=types.RegionOfInterest(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3], do_rectify=False),
    )
