"""What every message family is turned into, and the checks at the door.

A fault of one joint or one person costs that joint or person and is counted in `dropped` under a reason; a fault of
the whole message raises RejectedMessageError, which carries its reason. Messages may come from rclpy or from rosbags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17, LayoutError, Skeleton, convert_keypoints, get_skeleton
from occpose_core.types import Camera, People2D

# More people than this in one message is a fault of the sender, not a crowd.
MAX_PEOPLE_IN_MESSAGE = 1000
# Coordinates beyond this are as wrong as NaN: no image is so large.
MAX_PX = 1e7
# Characters of a sentence that somebody shall read.
_LONGEST = 500
# builtin_interfaces/Time counts seconds in 32 bits.
_END_OF_TIME_NS = 2**31 * 10**9
# Image sizes whose aspect ratios differ by less than this are the same picture, resized.
_ASPECT_TOLERANCE = 0.01


class RejectedMessageError(OccposeError):
    """A whole message is unusable. reason: the short name under which it is counted.

    The sentence is cut, for what it quotes may be of any length.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}...")
        self.reason = reason


@dataclass(frozen=True, kw_only=True, eq=False)
class KeypointsArray:
    """All people that a detector sees in one image, in `h36m17`.

    stamp_ns: exposure of the image. frame_id: the camera's optical frame, empty = whatever it is. layout: of the
    message. width, height: of the image that the pixels refer to, 0 = that of the camera. normalised: the coordinates
    are no pixels yet but shares of the image's width and height, from its upper left corner. dropped: reason -> count
    of joints or people left out. Raises RejectedMessageError if the stamp is one that no clock says.
    """

    stamp_ns: int
    frame_id: str
    layout: str
    width: int
    height: int
    people: People2D
    normalised: bool = False
    dropped: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.stamp_ns < _END_OF_TIME_NS:
            raise RejectedMessageError(
                "bad_stamp", f"keypoints have a stamp of {self.stamp_ns * 1e-9:.0f} s: use the time of their image"
            )


def skeleton_of(layout: str) -> Skeleton:
    """The skeleton of a layout; raises RejectedMessageError."""
    try:
        return get_skeleton(layout)
    except LayoutError as error:
        raise RejectedMessageError("unknown_layout", str(error)) from None


def check_crowd(people: int) -> None:
    """Raise RejectedMessageError if a message holds absurdly many people."""
    if people > MAX_PEOPLE_IN_MESSAGE:
        raise RejectedMessageError(
            "too_many_people",
            f"a message holds {people} people, more than {MAX_PEOPLE_IN_MESSAGE}: check what publishes the keypoints",
        )


def people_from_arrays(
    ids: Sequence[str], xy_px: np.ndarray, score: np.ndarray, skeleton: Skeleton, dropped: Counter[str]
) -> People2D:
    """Clean and convert raw keypoints to `h36m17`.

    xy_px: (P, J, 2) float32 pixels and score: (P, J) float32, both of any value; J joints of `skeleton`. A joint with a
    coordinate or score that is not finite (or absurd) is missing, scores are clamped to [0, 1]; both are counted in
    `dropped`. Several people may have one id: the pipeline chooses.
    """
    clean = score if _sound(xy_px, score) else _cleaned(xy_px, score, dropped)
    xy_px, clean = convert_keypoints(xy_px, clean, skeleton, H36M17)
    return People2D(ids=ids, xy_px=xy_px, score=clean)


def _sound(xy_px: np.ndarray, score: np.ndarray) -> bool:
    """Whether there is nothing to clean, which is the rule and quickly seen. NaN fails every comparison."""
    return bool(score.size == 0 or (score.min() >= 0.0 and score.max() <= 1.0 and np.abs(xy_px).max() < MAX_PX))


def _cleaned(xy_px: np.ndarray, score: np.ndarray, dropped: Counter[str]) -> np.ndarray:
    """(P, J) float32 scores in [0, 1], 0 where a joint is missing or invalid."""
    wanted = ~(score <= 0)  # a joint that says itself that it is missing may hold anything
    invalid = ~np.isfinite(score) | (wanted & ~(np.abs(xy_px) < MAX_PX).all(axis=-1))
    outside = ~invalid & ((score < 0) | (score > 1))
    dropped.update(invalid_joint=int(invalid.sum()), score_out_of_range=int(outside.sum()))
    return np.where(wanted & ~invalid, np.clip(score, 0.0, 1.0), 0.0).astype(np.float32)


def joined(groups: Sequence[People2D]) -> People2D:
    """All people of several groups, one group after the other."""
    nobody = np.zeros((0, len(H36M17.joints), 2), dtype=np.float32)
    return People2D(
        ids=tuple(chain.from_iterable(group.ids for group in groups)),
        xy_px=np.concatenate([nobody, *(group.xy_px for group in groups)]),
        score=np.concatenate([nobody[..., 0], *(group.score for group in groups)]),
    )


def counts(dropped: Counter[str]) -> dict[str, int]:
    """The counts that are not zero."""
    return {reason: count for reason, count in dropped.items() if count}


def match_camera(
    keypoints: KeypointsArray, camera: Camera, *, image_width: int = 0, mirror: bool = False
) -> KeypointsArray:
    """Bring keypoints to the camera's frame and pixels: those of a resized image are scaled.

    image_width: of the image that the pixels refer to, if the keypoints do not tell; 0 = that of the camera.
    mirror: the detector saw the camera's image mirrored, so x is turned back, and what it called left is right.
    Raises RejectedMessageError if frame or aspect ratio differ.
    """
    frame_id = keypoints.frame_id.lstrip("/") or camera.frame_id
    if not frame_id or frame_id != camera.frame_id:
        raise RejectedMessageError(
            "frame_id",
            f"keypoints are in frame {keypoints.frame_id!r} but CameraInfo in {camera.frame_id!r}: remap camera_info to"
            " the camera of the detector, and give both the frame_id of its optical frame",
        )
    width, height = camera.width, camera.height
    scale = np.array([width, height]) if keypoints.normalised else _scale(keypoints, camera, image_width)
    people = keypoints.people
    if scale is not None or mirror:
        xy_px, score = people.xy_px, people.score
        if scale is not None:  # pixel centres are at integer coordinates, and shares begin at the border
            xy_px = (xy_px + (0.0 if keypoints.normalised else 0.5)) * scale - 0.5
        if mirror:
            xy_px, score = xy_px[:, H36M17.mirror], score[:, H36M17.mirror]
            xy_px[..., 0] = (width - 1) - xy_px[..., 0]
        people = People2D(ids=people.ids, xy_px=xy_px.astype(np.float32), score=score)
    return replace(keypoints, frame_id=frame_id, width=width, height=height, people=people, normalised=False)


def _scale(keypoints: KeypointsArray, camera: Camera, image_width: int) -> np.ndarray | None:
    """(2,) camera pixels per keypoint pixel, None if they are the same."""
    width, height = keypoints.width, keypoints.height
    if width == 0 or height == 0:
        return np.full(2, camera.width / image_width) if image_width else None
    if (width, height) == (camera.width, camera.height):
        return None
    scale = resizing((width, height), (camera.width, camera.height))
    if scale is None:
        raise RejectedMessageError(
            "image_size",
            f"keypoints refer to an image of {width} x {height} but CameraInfo describes {camera.width} x"
            f" {camera.height}, another aspect ratio: publish the CameraInfo of the image that the detector sees",
        )
    return scale


def resizing(size: tuple[int, int], to_size: tuple[int, int]) -> np.ndarray | None:
    """(2,) pixels of an image of `to_size` per pixel of one of `size`, each width and height; None if they are not the
    same picture, because their aspect ratios differ."""
    scale = np.array(to_size, dtype=np.float64) / size
    return scale if abs(scale[0] / scale[1] - 1.0) <= _ASPECT_TOLERANCE else None
