"""One overlay: the people of a Skeleton3DArray drawn on the image that they were seen in; no rclpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from occpose_core.types import Origin
from occpose_ros.adapters import RejectedMessageError
from occpose_ros.adapters.keypoints import MAX_PX, check_crowd, skeleton_of
from occpose_ros.drawing import PersonOnImage, draw_people
from occpose_ros.images import image_scale


def people_from_msg(msg: Any, scale: np.ndarray) -> list[PersonOnImage]:
    """People of an occpose_ros/Skeleton3DArray, ready to draw on an image with so many pixels per camera pixel (2,).

    Raises RejectedMessageError if the layout is unknown or a person does not have its joints.
    """
    joints = len(skeleton_of(msg.layout).joints)
    check_crowd(len(msg.people))
    return [_person(person, joints, scale) for person in msg.people]


def _person(person: Any, joints: int, scale: np.ndarray) -> PersonOnImage:
    xy, sigma_m = (np.asarray(values, dtype=np.float64) for values in (person.xy, person.std_dev))
    origin = np.asarray(person.origin, dtype=np.uint8)
    if (len(xy), len(sigma_m), len(origin)) != (2 * joints, joints, joints):
        raise RejectedMessageError(
            "wrong_joint_count",
            f"person {person.id!r} has {len(xy)} coordinates, {len(sigma_m)} deviations and {len(origin)} origins for"
            f" {joints} joints: look at what publishes the skeletons",
        )
    xy_px = (xy.reshape(joints, 2) + 0.5) * scale - 0.5  # pixel centres are at integer coordinates
    wild = ~(np.abs(xy_px) < MAX_PX).all(axis=-1)
    return PersonOnImage(
        id=person.id,
        state=int(person.state),
        xy_px=np.where(wild[:, None], 0.0, xy_px),
        origin=np.where(wild, Origin.UNKNOWN, origin),
        sigma_m=np.where(np.isfinite(sigma_m), sigma_m, np.inf),
    )


def draw_overlay(image_bgr: np.ndarray, skeletons: Any, camera_size: tuple[int, int] | None) -> int:
    """Draw the people of a Skeleton3DArray on an image (H, W, 3) uint8, in place; returns how many there are.

    camera_size: width, height that the skeletons' pixels refer to; None: those of the image. RejectedMessageError.
    """
    height, width = image_bgr.shape[:2]
    people = people_from_msg(skeletons, image_scale((width, height), camera_size))
    draw_people(image_bgr, people, skeleton_of(skeletons.layout))
    return len(people)
