"""Where a viewer has its people from: what a running node and a recording have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from occpose_core.errors import OccposeError
from occpose_core.types import Camera, CameraError
from occpose_ros.adapters import camera_from_msg
from occpose_ros.message_types import NANOSECONDS, TRUTH_PREFIX, cdr_behind_stamp, stamp_ns_from_msg
from occpose_ros.transforms import Transform, TransformBuffer
from occpose_ros.view.playback import Playback
from occpose_ros.view.scene import LEVEL_FROM_OPTICAL, People, people_from_msg

# So long an answer is shown; then nobody knows where people are.
STALE_S = 1.0
# TF often comes later than the skeletons: so long the newest transform stands for those on their way.
_HOLD_NS = NANOSECONDS // 2


class ViewError(OccposeError):
    """The viewer cannot be opened, or has nothing to show."""


def only_topic(topics: Iterable[str], where: str = "") -> str | None:
    """The topic of pose_node's answers among some of skeletons; None if there is none.

    where: begins the sentence of ViewError, which is raised if there are several.
    """
    answers = [topic for topic in topics if not topic.startswith(TRUTH_PREFIX)]
    plain = [topic for topic in answers if topic.endswith("/skeletons")] or answers
    if len(plain) > 1:
        raise ViewError(f"{where}skeletons are on {', '.join(sorted(plain))}; name one of them with --skeletons")
    return plain[0] if plain else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """People at a time. frame_id, stamp_ns: of their message's header. camera: that saw them, None if not known."""

    people: People
    frame_id: str
    stamp_ns: int
    camera: Camera | None


class Cameras:
    """What CameraInfo says, by frame. One that is not calibrated is nobody's: a viewer can do without."""

    def __init__(self) -> None:
        self._said: dict[str, bytes] = {}
        self._cameras: dict[str, tuple[str, Camera]] = {}

    def hear(self, topic: str, raw: bytes, unpack: Callable[[], Any]) -> None:
        """Take a serialised CameraInfo. unpack: makes the message of it, called only if it says something new."""
        said = cdr_behind_stamp(raw)
        if self._said.get(topic) != said:  # a driver says the same with every image
            self._said[topic] = said
            with contextlib.suppress(CameraError):
                camera = camera_from_msg(unpack())
                self._cameras[camera.frame_id] = topic, camera

    def of(self, frame_id: str) -> Camera | None:
        """The camera of a frame, None if none is known."""
        return self._cameras[frame_id][1] if frame_id in self._cameras else None

    def topic_of(self, frame_id: str) -> str | None:
        """The topic that it is known from."""
        return self._cameras[frame_id][0] if frame_id in self._cameras else None


def moment_of(msg: Any, cameras: Cameras) -> Moment:
    """Read a Skeleton3DArray. Raises SceneError and LayoutError."""
    frame_id, stamp_ns = msg.header.frame_id.lstrip("/"), stamp_ns_from_msg(msg.header.stamp)
    return Moment(people=people_from_msg(msg), frame_id=frame_id, stamp_ns=stamp_ns, camera=cameras.of(frame_id))


class Source(Protocol):
    """What a viewer shows. All methods are called by one thread."""

    title: str
    transforms: TransformBuffer
    playback: Playback | None  # None: what is shown happens now

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises OccposeError if there will be nothing any more."""

    def moment(self) -> Moment | None:
        """The newest, the same object as long as there is no newer one; None if nobody knows where people are.

        Raises OccposeError if the newest message makes no sense.
        """

    def status(self) -> str:
        """A sentence about what comes, or why nothing does."""


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Which frame is shown, and where the ground is. fixed_frame, ground_frame: of TF, z up, "" if not given.

    Without them the camera is level and its own place is the origin: then nobody knows where the ground is.
    """

    fixed_frame: str = ""
    ground_frame: str = ""

    @property
    def shown_frame(self) -> str:
        """The frame that is shown, "" if TF does not matter."""
        return self.fixed_frame or self.ground_frame

    def shown_from(self, frame_id: str, stamp_ns: int, transforms: TransformBuffer) -> Transform:
        """From a message's frame to the one that is shown. Raises TransformError."""
        if not self.shown_frame:
            return LEVEL_FROM_OPTICAL
        return transforms.lookup(self.shown_frame, frame_id, stamp_ns, _HOLD_NS)

    def shown_from_ground(self, stamp_ns: int, transforms: TransformBuffer) -> Transform | None:
        """From the ground's frame, whose z = 0 is the ground; None if it is not known. Raises TransformError."""
        if not self.shown_frame:
            return None
        return transforms.lookup(self.shown_frame, self.ground_frame or self.shown_frame, stamp_ns, _HOLD_NS)
