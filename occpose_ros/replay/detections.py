"""What a bag's detector saw, image by image, as the node takes it from the same messages."""

from __future__ import annotations

import re
from typing import Any

from occpose_ros.adapters import Bodies, KeypointsArray, RejectedMessageError, reader_of
from occpose_ros.bag import BagReader, Record
from occpose_ros.bag_damage import misfit
from occpose_ros.bodies import TrackedBodies
from occpose_ros.message_types import NANOSECONDS
from occpose_ros.parameters import NodeParameters
from occpose_ros.replay.topics import Topics
from occpose_ros.timing import Received, timed

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)  # that a topic may have: the node listens to no other body

Detected = KeypointsArray | RejectedMessageError


class Detections:
    """Reads the messages of a detector; those of one replay, in the order in which they were received."""

    def __init__(self, bag: BagReader, topics: Topics, parameters: NodeParameters) -> None:
        self._bag = bag
        self._parameters = parameters
        self._read = reader_of(topics.family, parameters.first_joint_id)
        self._list = topics.keypoints if topics.family == "hri" else None
        self._id_of = dict(topics.bodies)
        self._heard: set[str] = set()
        self._images: list[Any] = []  # that are complete
        self._tracked = TrackedBodies(self._join, self._heard.discard, self._images.append)

    def take(self, record: Record) -> list[Detected]:
        """What was seen in the images that a message completes, in their own pixels, or why it cannot be used."""
        message = self._bag.unpack(record)
        try:
            if self._list is None:
                return [self._detected(message, record)]
            refused = self._gather(message, record)
            images, self._images[:] = list(self._images), []
            return [*(self._detected(image, record) for image in images), *refused]
        except AttributeError as error:
            raise misfit(self._bag.path, record.topic, error) from None

    def _join(self, id: str) -> bool:
        if _NAME.fullmatch(id):
            self._heard.add(id)
        return id in self._heard

    def _gather(self, message: Any, record: Record) -> list[Detected]:
        """Take the list of bodies or one of them; what had to be refused."""
        id = self._id_of.get(record.topic)
        try:
            if id is None:
                self._tracked.on_list(message, record.stamp_ns / NANOSECONDS)
            elif id in self._heard:
                self._tracked.on_body(id, message)
        except RejectedMessageError as error:
            return [error]
        return []

    def _detected(self, message: Any | Bodies, record: Record) -> Detected:
        now_ns, parameters = record.stamp_ns, self._parameters
        received = Received(msg=message, received_s=now_ns / NANOSECONDS, received_ns=now_ns)
        times: dict[str, Any] = {"zero_stamps": parameters.zero_stamps, "max_age_s": parameters.max_age_s}
        try:
            keypoints, _ = timed(self._read(message, parameters.layout), received, now_ns, **times)
        except RejectedMessageError as error:
            return error
        return keypoints


def first_seen(bag: BagReader, topics: Topics, parameters: NodeParameters) -> KeypointsArray | None:
    """What the first message says that can be used; None if there is none."""
    detections = Detections(bag, topics, parameters)
    for record in bag.records(topics.detections):
        for detected in detections.take(record):
            if isinstance(detected, KeypointsArray):
                return detected
    return None
