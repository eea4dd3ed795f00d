"""The camera of a replay's keypoints: by the bag's CameraInfo as it comes, by a file, or assumed as the node does."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from occpose_core.types import Camera
from occpose_ros.adapters import KeypointsArray, RejectedMessageError, assumed_camera, camera_from_msg
from occpose_ros.bag import CAMERA_INFO_TYPE, BagError, BagReader, Channel, Record, channel_of, typestore
from occpose_ros.bag_damage import misfit
from occpose_ros.message_types import MessageTypes, cdr_behind_stamp, stamp_cdr
from occpose_ros.parameters import NodeParameters
from occpose_ros.replay.camera_file import camera_info_from_yaml
from occpose_ros.replay.detections import first_seen
from occpose_ros.replay.topics import SourceSettings, Topics

_TOPIC = "/camera_info"  # where the CameraInfo of a file goes


class Cameras(Protocol):
    """Tells the camera. first: before any message. calibrated: it is not just assumed."""

    first: Camera
    calibrated: bool

    def told_by(self, record: Record) -> Camera | None:
        """The camera, if a message says something new about it."""

    def camera_of(self, keypoints: KeypointsArray) -> Camera | None:
        """The camera that keypoints were seen by, if it is another than before. Raises RejectedMessageError."""

    def written(self, stamp_ns: int) -> tuple[Channel | Record, ...]:
        """What a bag needs that shall tell the camera, too; nothing if a topic of the input does."""


def open_cameras(bag: BagReader, topics: Topics, settings: SourceSettings) -> Cameras:
    """The cameras of an open bag. Raises BagError and CameraError."""
    parameters = settings.parameters
    if topics.camera_info is not None:
        return _CameraInfo(bag, topics.camera_info, parameters.rectified)
    seen = first_seen(bag, topics, parameters)
    if settings.camera_file is None:
        return _Assumed(seen, parameters)
    return _OfFile(settings, "" if seen is None else seen.frame_id.lstrip("/"))


class _CameraInfo:
    """As a topic of CameraInfo says."""

    calibrated = True

    def __init__(self, bag: BagReader, topic: str, rectified: bool) -> None:
        self._bag, self._topic, self._rectified = bag, topic, rectified
        record = next(bag.records([topic]), None)
        if record is None:
            raise BagError(f"{bag.path} has no message on {topic}; record it together with the keypoints")
        self.first = self._camera(record)

    def told_by(self, record: Record) -> Camera | None:
        """See Cameras. A driver says the same with every image: what is said again is not unpacked."""
        if record.topic != self._topic or cdr_behind_stamp(record.raw) == self._said:
            return None
        return self._camera(record)

    def _camera(self, record: Record) -> Camera:
        self._said = cdr_behind_stamp(record.raw)
        try:
            return camera_from_msg(self._bag.unpack(record), self._rectified)
        except AttributeError as error:
            raise misfit(self._bag.path, record.topic, error) from None

    def camera_of(self, keypoints: KeypointsArray) -> None:
        """See Cameras."""

    def written(self, stamp_ns: int) -> tuple[()]:
        """See Cameras."""
        return ()


class _OfFile:
    """One camera, in the frame of the keypoints."""

    calibrated = True

    def __init__(self, settings: SourceSettings, frame_id: str) -> None:
        assert settings.camera_file is not None
        self._message = camera_info_from_yaml(settings.camera_file, MessageTypes.from_rosbags(typestore()))
        header: Any = self._message.header
        header.frame_id = frame_id or header.frame_id or Camera.frame_id
        self.first = camera_from_msg(self._message, settings.parameters.rectified)

    def told_by(self, record: Record) -> None:
        """See Cameras."""

    def camera_of(self, keypoints: KeypointsArray) -> None:
        """See Cameras."""

    def written(self, stamp_ns: int) -> tuple[Channel | Record, ...]:
        """See Cameras."""
        raw = bytearray(typestore().serialize_cdr(self._message, CAMERA_INFO_TYPE))
        stamp_cdr(raw, stamp_ns)
        record = Record(topic=_TOPIC, msgtype=CAMERA_INFO_TYPE, stamp_ns=stamp_ns, raw=bytes(raw))
        return channel_of(_TOPIC, CAMERA_INFO_TYPE, typestore(), latched=True), record


class _Assumed:
    """A pinhole camera for each message's image, as the node assumes it until CameraInfo comes."""

    calibrated = False

    def __init__(self, seen: KeypointsArray | None, parameters: NodeParameters) -> None:
        self._fov_deg = parameters.assumed_fov_deg
        self._size = (parameters.image_width, parameters.image_height)
        try:
            self.first = _nothing() if seen is None else self._camera(seen)
        except RejectedMessageError as error:
            raise BagError(str(error)) from None
        self._last = self.first

    def _camera(self, keypoints: KeypointsArray) -> Camera:
        return assumed_camera(keypoints, self._fov_deg, self._size)

    def told_by(self, record: Record) -> None:
        """See Cameras."""

    def camera_of(self, keypoints: KeypointsArray) -> Camera | None:
        """See Cameras."""
        camera = self._camera(keypoints)
        if camera.same_as(self._last):
            return None
        self._last = camera
        return camera

    def written(self, stamp_ns: int) -> tuple[()]:
        """See Cameras. An assumption is not passed off as a calibration."""
        return ()


def _nothing() -> Camera:
    """The camera of keypoints that all were refused."""
    return Camera(width=1, height=1, K=np.eye(3))
