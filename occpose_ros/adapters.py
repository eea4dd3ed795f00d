"""Foreign messages to occpose's own types and back: the only place that knows how a message spells a person.

Input is checked here, at the door. A fault of one joint or one person costs that joint or person and is counted in
`dropped` under a reason; a fault of the whole message raises RejectedMessageError, which carries its reason. Messages
may come from rclpy or from rosbags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17, LayoutError, Skeleton, convert_keypoints, get_skeleton
from occpose_core.types import Camera, CameraError, Keypoints2D, Origin, Skeleton3D
from occpose_ros.message_types import MessageTypes, header_to_msg, stamp_ns_from_msg

# More people than this in one message is a fault of the sender, not a crowd.
MAX_PEOPLE_IN_MESSAGE = 1000
# Coordinates beyond this are as wrong as NaN: no image is so large.
_MAX_PX = 1e7
# Image sizes whose aspect ratios differ by less than this are the same picture, resized.
_ASPECT_TOLERANCE = 0.01
# Standard deviation at which a joint's confidence is one half.
_HALF_CONFIDENCE_SIGMA_M = 0.1
_DISTORTION_MODELS = {
    "": "none",
    "none": "none",
    "plumb_bob": "plumb_bob",
    "rational_polynomial": "rational_polynomial",
    "equidistant": "equidistant",
    "fisheye": "equidistant",
}


class RejectedMessageError(OccposeError):
    """A whole message is unusable. reason: the short name under which it is counted."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, eq=False)
class KeypointsArray:
    """All people that a detector sees in one image, in `h36m17`.

    stamp_ns: exposure of the image. frame_id: the camera's optical frame. layout: of the message. width, height: of the
    image that the pixels refer to, 0 = that of the camera. dropped: reason -> count of joints or people left out.
    """

    stamp_ns: int
    frame_id: str
    layout: str
    width: int
    height: int
    people: tuple[Keypoints2D, ...]
    dropped: dict[str, int] = field(default_factory=dict)


def keypoints_from_occpose_msg(msg: Any, layout: str = "") -> KeypointsArray:
    """Read occpose_ros/Keypoints2DArray; `layout`, if given, replaces the message's. Raises RejectedMessageError."""
    skeleton = _skeleton(layout or msg.layout)
    _check_crowd(len(msg.people))
    joints = len(skeleton.joints)
    fitting = [person for person in msg.people if len(person.xy) == 2 * joints and len(person.score) == joints]
    dropped = Counter(wrong_joint_count=len(msg.people) - len(fitting))
    xy_px = np.array([person.xy for person in fitting], dtype=np.float32).reshape(-1, joints, 2)
    score = np.array([person.score for person in fitting], dtype=np.float32).reshape(-1, joints)
    people = people_from_arrays([person.id for person in fitting], xy_px, score, skeleton, dropped)
    return KeypointsArray(
        stamp_ns=stamp_ns_from_msg(msg.header.stamp),
        frame_id=msg.header.frame_id,
        layout=skeleton.name,
        width=int(msg.width),
        height=int(msg.height),
        people=people,
        dropped=_counts(dropped),
    )


# message family -> (package/Type, adapter)
INPUTS: dict[str, tuple[str, Callable[..., KeypointsArray]]] = {
    "occpose": ("occpose_ros/msg/Keypoints2DArray", keypoints_from_occpose_msg),
}


def _skeleton(layout: str) -> Skeleton:
    try:
        return get_skeleton(layout)
    except LayoutError as error:
        raise RejectedMessageError("unknown_layout", str(error)) from None


def _check_crowd(people: int) -> None:
    if people > MAX_PEOPLE_IN_MESSAGE:
        raise RejectedMessageError(
            "too_many_people",
            f"a message holds {people} people, more than {MAX_PEOPLE_IN_MESSAGE}: check what publishes the keypoints",
        )


def people_from_arrays(
    ids: Sequence[str], xy_px: np.ndarray, score: np.ndarray, skeleton: Skeleton, dropped: Counter[str]
) -> tuple[Keypoints2D, ...]:
    """Clean and convert raw keypoints to `h36m17`.

    xy_px: (P, J, 2) float32 pixels and score: (P, J) float32, both of any value; J joints of `skeleton`. A joint with a
    coordinate or score that is not finite (or absurd) is missing, scores are clamped to [0, 1]; both are counted in
    `dropped`. Several people may have one id: the pipeline chooses.
    """
    wanted = ~(score <= 0)  # a joint that says itself that it is missing may hold anything
    invalid = ~np.isfinite(score) | (wanted & ~(np.abs(xy_px) < _MAX_PX).all(axis=-1))
    outside = ~invalid & ((score < 0) | (score > 1))
    dropped.update(invalid_joint=int(invalid.sum()), score_out_of_range=int(outside.sum()))
    clean = np.where(wanted & ~invalid, np.clip(score, 0.0, 1.0), 0.0).astype(np.float32)
    xy_px, clean = convert_keypoints(xy_px, clean, skeleton, H36M17)
    return tuple(Keypoints2D(id=ids[p], xy_px=xy_px[p], score=clean[p]) for p in range(len(ids)))


def _counts(dropped: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in dropped.items() if count}


def match_camera(keypoints: KeypointsArray, camera: Camera) -> KeypointsArray:
    """Bring keypoints to the camera's frame and image size: pixels of a resized image are scaled.

    Raises RejectedMessageError if frame or aspect ratio differ.
    """
    frame_id = keypoints.frame_id.lstrip("/") or camera.frame_id
    if not frame_id or frame_id != camera.frame_id:
        raise RejectedMessageError(
            "frame_id",
            f"keypoints are in frame {keypoints.frame_id!r} but CameraInfo in {camera.frame_id!r}: remap camera_info to"
            " the camera of the detector, and give both the frame_id of its optical frame",
        )
    scale = _scale(keypoints, camera)
    people = keypoints.people
    if scale is not None:  # pixel centres are at integer coordinates
        people = tuple(replace(person, xy_px=(person.xy_px + 0.5) * scale - 0.5) for person in people)
    return replace(keypoints, frame_id=frame_id, width=camera.width, height=camera.height, people=people)


def _scale(keypoints: KeypointsArray, camera: Camera) -> np.ndarray | None:
    """(2,) camera pixels per keypoint pixel, None if they are the same."""
    width, height = keypoints.width, keypoints.height
    if width == 0 or height == 0 or (width, height) == (camera.width, camera.height):
        return None
    scale = np.array([camera.width / width, camera.height / height], dtype=np.float64)
    if abs(scale[0] / scale[1] - 1.0) > _ASPECT_TOLERANCE:
        raise RejectedMessageError(
            "image_size",
            f"keypoints refer to an image of {width} x {height} but CameraInfo describes {camera.width} x"
            f" {camera.height}, another aspect ratio: publish the CameraInfo of the image that the detector sees",
        )
    return scale


def camera_from_msg(msg: Any, rectified: bool = False) -> Camera:
    """Read sensor_msgs/CameraInfo, binning and region of interest included.

    rectified: the keypoints come from a rectified image, so `p` holds and there is no distortion; else `k` and `d`.
    Raises CameraError with the remedy if the camera is not calibrated or its distortion model unknown.
    """
    frame_id = msg.header.frame_id.lstrip("/")
    K = np.array(msg.p if rectified else msg.k, dtype=np.float64).reshape(3, -1)[:, :3].copy()
    if K[0, 0] == 0:
        field_name = "p" if rectified else "k"
        raise CameraError(
            f"CameraInfo of frame {frame_id!r} has {field_name}[0] = 0, so the camera is not calibrated: calibrate it"
            " (camera_calibration) or let its driver load a calibration file"
        )
    distortion_model = "none" if rectified else _DISTORTION_MODELS.get(msg.distortion_model, msg.distortion_model)
    D = np.zeros(0) if distortion_model == "none" else np.array(msg.d, dtype=np.float64)
    full = np.array([msg.width, msg.height], dtype=np.float64)
    if not full.all():
        raise CameraError(
            f"CameraInfo of frame {frame_id!r} has image size {msg.width} x {msg.height}: set width and height"
        )
    roi = msg.roi
    size = np.array([roi.width or msg.width, roi.height or msg.height], dtype=np.float64)
    binning = np.array([max(msg.binning_x, 1), max(msg.binning_y, 1)], dtype=np.float64)
    # as image_geometry does: crop first, then shrink
    K[:2, 2] -= (roi.x_offset, roi.y_offset)
    K[:2] /= binning[:, None]
    width, height = (int(pixels) for pixels in size // binning)
    return Camera(width=width, height=height, K=K, D=D, distortion_model=distortion_model, frame_id=frame_id)


def confidence_of_sigma(sigma_m: np.ndarray) -> np.ndarray:
    """Confidence in (0, 1] that falls as the standard deviation grows: 1 at 0, one half at 0.1 m."""
    return np.asarray(1.0 / (1.0 + np.square(sigma_m / _HALF_CONFIDENCE_SIGMA_M)), dtype=np.float32)


def _is_finite(skeleton: Skeleton3D) -> bool:
    values = (skeleton.joints_cam_m, skeleton.sigma_m, skeleton.kpts_px, np.float32(skeleton.height_m))
    return all(np.isfinite(value).all() for value in values)


def finite_skeletons(skeletons: Sequence[Skeleton3D]) -> tuple[Skeleton3D, ...]:
    """The skeletons all of whose numbers are finite: nothing else is ever published."""
    return tuple(skeleton for skeleton in skeletons if _is_finite(skeleton))


def _skeleton_to_msg(skeleton: Skeleton3D, types: MessageTypes) -> Any:
    return types.Skeleton3D(
        id=skeleton.id,
        state=int(skeleton.state),
        position=types.sequence(skeleton.joints_cam_m.astype(np.float32)),
        std_dev=types.sequence(skeleton.sigma_m.astype(np.float32)),
        origin=types.sequence(skeleton.origin.astype(np.uint8)),
        xy=types.sequence(skeleton.kpts_px.astype(np.float32)),
        height=float(np.float32(skeleton.height_m)),
        metric=bool(skeleton.metric),
    )


def skeletons_to_msg(
    skeletons: Sequence[Skeleton3D],
    lost_ids: Sequence[str],
    *,
    stamp_ns: int,
    frame_id: str,
    types: MessageTypes,
    latency_ms: float = 0.0,
) -> Any:
    """Make occpose_ros/Skeleton3DArray. latency_ms: from receipt of the keypoints to publication."""
    return types.Skeleton3DArray(
        header=header_to_msg(stamp_ns, frame_id, types),
        layout=H36M17.name,
        people=[_skeleton_to_msg(skeleton, types) for skeleton in skeletons],
        lost_ids=list(lost_ids),
        latency_ms=float(np.float32(latency_ms)),
    )


def filled_keypoints_to_msg(
    skeletons: Sequence[Skeleton3D], camera: Camera, *, stamp_ns: int, types: MessageTypes
) -> Any:
    """Make occpose_ros/Keypoints2DArray of the completed 2D poses.

    A joint's score is its confidence by standard deviation, so a filled joint scores less than a measured one; an
    unknown joint scores 0.
    """
    people = []
    for skeleton in skeletons:
        score = np.where(skeleton.origin == Origin.UNKNOWN, 0.0, confidence_of_sigma(skeleton.sigma_m))
        people.append(
            types.Keypoints2D(
                id=skeleton.id,
                xy=types.sequence(skeleton.kpts_px.astype(np.float32)),
                score=types.sequence(score.astype(np.float32)),
            )
        )
    return types.Keypoints2DArray(
        header=header_to_msg(stamp_ns, camera.frame_id, types),
        layout=H36M17.name,
        width=camera.width,
        height=camera.height,
        people=people,
    )


def skeleton_info_to_msg(skeleton: Skeleton, types: MessageTypes) -> Any:
    """Make occpose_ros/SkeletonInfo: what the numbers of a layout mean."""
    return types.SkeletonInfo(
        layout=skeleton.name,
        names=list(skeleton.joints),
        parents=types.sequence(np.array(skeleton.parents, dtype=np.int32)),
        side=types.sequence(skeleton.sides),
    )
