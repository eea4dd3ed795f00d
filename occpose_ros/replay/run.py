"""Run the pipeline over a bag, without ROS and as fast as it goes: the same bag and model give the same bytes.

The output bag stands alone: it holds the answers, and of the input the keypoints, CameraInfo, TF, the truth and
foreign markers. Time is the bag's; the wall clock is used for the latency figures only, which are not in the bag.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from occpose_core.bodies import StepImage
from occpose_core.errors import OccposeError
from occpose_core.pipeline import PipelineOutput, PosePipeline
from occpose_core.types import Camera, GroundPlane
from occpose_ros.adapters import KeypointsArray, finite_skeletons
from occpose_ros.bag import TF_TYPE, BagError, BagReader, Channel
from occpose_ros.ground import Ground
from occpose_ros.message_types import NANOSECONDS
from occpose_ros.replay.answer_writer import Answers
from occpose_ros.replay.images import Pictures
from occpose_ros.replay.items import Image, Item
from occpose_ros.replay.source import read
from occpose_ros.replay.topics import SourceSettings, Topics
from occpose_ros.transforms import TransformBuffer, TransformError


class ReplayError(OccposeError):
    """Nothing in the bag could be used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """What the pipeline was asked: the keypoints of an image, in the camera's pixels, and the ground if it is known.

    calibrated: False if the camera is assumed, so that the scale of the answer is, too.
    """

    keypoints: KeypointsArray
    camera: Camera
    ground: GroundPlane | None
    calibrated: bool = True


@dataclass(kw_only=True, eq=False)
class Replay:
    """What a replay has seen, in order, seconds that each step took, what was dropped and why, and why the last message
    that was refused was, and the ground last was not known.

    messages: of keypoints; moments: those that were not refused. times_ns: of each its stamp,
    running on where those begin anew. answers: without surfaces, at these times. bag_s: of recorded time.
    wall_s: from the first message that is read until all are in the file.
    """

    messages: int = 0
    moments: list[Moment] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    answers: list[PipelineOutput] = field(default_factory=list)
    step_s: list[float] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    refusal: str = ""
    no_ground: str = ""
    resets: int = 0
    bag_s: float = 0.0
    wall_s: float = 0.0
    _ahead_ns: int = 0  # of times before stamps
    _latest_ns: int = 0  # time

    @property
    def detected(self) -> list[KeypointsArray]:
        """What the pipeline was asked about, at times that no two laps of a recording in a loop share."""
        return [_at(moment.keypoints, time_ns) for moment, time_ns in zip(self.moments, self.times_ns, strict=True)]

    def time_ns(self, stamp_ns: int, *, anew: bool) -> int:
        """The stamp of the next moment, running on if time begins anew with it."""
        if anew and stamp_ns + self._ahead_ns <= self._latest_ns:
            self._ahead_ns = self._latest_ns + NANOSECONDS - stamp_ns
        time_ns = stamp_ns + self._ahead_ns
        self._latest_ns = max(self._latest_ns, time_ns)
        return time_ns


_Stamped = TypeVar("_Stamped", KeypointsArray, PipelineOutput)


def _at(said: _Stamped, time_ns: int) -> _Stamped:
    return said if said.stamp_ns == time_ns else replace(said, stamp_ns=time_ns)


Progress = Callable[[int, int], None]  # called with (done, total) messages of keypoints


def _nobody(done: int, total: int) -> None:
    """Nobody wants to know."""


class _Tf:
    """The ground of a frame by the TF topics of a bag; without a frame there is none."""

    def __init__(self, bag: BagReader, ground_frame: str) -> None:
        """Static transforms hold from the beginning on, wherever they stand. Raises BagError if there is no TF."""
        self._buffer = TransformBuffer()
        self._ground = Ground(ground_frame, self._buffer) if ground_frame else None
        topics = bag.topics_of(TF_TYPE)
        if self._ground is not None and not topics:
            raise BagError(
                f"{bag.path} has no topic of type {TF_TYPE}, and the ground of frame {ground_frame!r} needs one: record"
                " /tf and /tf_static too"
            )
        for record in bag.messages([topic for topic in topics if _static(topic)]):
            self._buffer.add_msg(record.message, static=True)

    def hear(self, message: Any, seen: Replay) -> None:
        """Take a TFMessage, not of a static topic."""
        if self._buffer.add_msg(message, static=False):
            seen.dropped["bad_transform"] += 1

    def ground(self, camera_frame: str, stamp_ns: int, seen: Replay) -> GroundPlane | None:
        if self._ground is None:
            return None
        try:
            return self._ground.seen_from(camera_frame, stamp_ns)
        except TransformError as error:
            seen.dropped["no_ground"] += 1
            seen.no_ground = str(error)
            return None

    def begin_again(self, stamp_ns: int) -> None:
        self._buffer.begin_again(stamp_ns)


def _static(topic: str) -> bool:
    return topic.endswith("tf_static")


def _step(moment: Moment, pipeline: PosePipeline, seen: Replay, image_rgb: StepImage = None) -> PipelineOutput | None:
    """The answer, whose numbers are finite; None if there is none."""
    keypoints = moment.keypoints
    begin = time.perf_counter()
    output = pipeline.step(keypoints.people, keypoints.stamp_ns, moment.camera, moment.ground, image_rgb=image_rgb)
    seen.step_s.append(time.perf_counter() - begin)
    seen.moments.append(moment)
    time_ns = seen.time_ns(keypoints.stamp_ns, anew=output.reset)
    seen.times_ns.append(time_ns)
    seen.dropped.update(keypoints.dropped)
    seen.dropped.update(output.dropped)
    seen.resets += output.reset
    skeletons = finite_skeletons(output.skeletons, metric=moment.calibrated)
    seen.dropped["non_finite"] += len(output.skeletons) - len(skeletons)
    if not output.answered:
        return None
    output = replace(output, skeletons=skeletons)
    seen.answers.append(_at(replace(output, meshes={}) if output.meshes else output, time_ns))
    return output


def _answer(
    image: Image, pipeline: PosePipeline, camera: Camera, tf: _Tf, pictures: Pictures | None, seen: Replay
) -> PipelineOutput | None:
    """The answer to a message of keypoints; None if there is none. pictures: None if no images are wanted."""
    keypoints = image.keypoints
    if keypoints is None:
        seen.dropped[image.reason] += 1
        seen.refusal = image.refusal
        return None
    ground = tf.ground(camera.frame_id, keypoints.stamp_ns, seen) if image.calibrated else None
    image_rgb = None if pictures is None else partial(pictures.read, image.picture, camera, seen.dropped)
    moment = Moment(keypoints=keypoints, camera=camera, ground=ground, calibrated=image.calibrated)
    output = _step(moment, pipeline, seen, image_rgb)
    if output is not None and output.reset:
        tf.begin_again(keypoints.stamp_ns)
    return output


def replay_again(moments: Sequence[Moment], pipeline: PosePipeline, progress: Progress = _nobody) -> Replay:
    """Run a pipeline over what another was asked before, or a change of it; nothing is written, and how long it took
    to record is not known."""
    seen, begin = Replay(messages=len(moments)), time.perf_counter()
    for done, moment in enumerate(moments, 1):
        _step(moment, pipeline, seen)
        progress(done, len(moments))
    seen.wall_s = time.perf_counter() - begin
    return seen


def replay(
    bag: BagReader,
    topics: Topics,
    pipeline: PosePipeline,
    target: Answers,
    source: Iterable[Item] | None = None,
    *,
    settings: SourceSettings | None = None,
    ground_frame: str = "",
    progress: Progress = _nobody,
) -> Replay:
    """Run a pipeline over an open bag and put the input and its answers into the target.

    source: what to read, if not all that `read` finds in the bag with these settings. ground_frame: of the bag's TF,
    whose plane z = 0 people stand on. Raises BagError, CameraError, and ReplayError if no message could be used, or the
    ground was never known.
    """
    seen, tf = Replay(), _Tf(bag, ground_frame)
    pictures = None if topics.image is None else Pictures(bag)
    items = iter(read(bag, topics, settings) if source is None else source)
    begin_ns = end_ns = 0
    camera, total = next(items), bag.count([topics.keypoints])
    assert isinstance(camera, Camera)  # the first item always is
    target.wait_until_ready()
    begin = time.perf_counter()
    for item in items:
        if isinstance(item, Camera):
            camera = item
            continue
        if isinstance(item, Channel):
            target.open(item)
            continue
        if isinstance(item, Image):
            end_ns = item.record.stamp_ns
            begin_ns = begin_ns if seen.messages else end_ns
            seen.messages += 1
            output = _answer(item, pipeline, camera, tf, pictures, seen)
            if output is not None:
                target.answer(output, camera, end_ns)
            progress(seen.messages, total)
            continue
        target.copy(item.topic, item.stamp_ns, item.raw)
        if item.msgtype == TF_TYPE and not _static(item.topic):
            tf.hear(bag.unpack(item), seen)
    target.finish()
    seen.wall_s = time.perf_counter() - begin
    seen.bag_s = (end_ns - begin_ns) * 1e-9
    _check_used(bag, topics, seen)
    return seen


def _check_used(bag: BagReader, topics: Topics, seen: Replay) -> None:
    """Raise ReplayError that says why if no message, or nobody in any message, could be used."""
    if not seen.messages:
        raise ReplayError(f"{bag.path} has no message on {topics.keypoints}; record it while the detector runs")
    if not seen.answers:
        raise ReplayError(f"none of the {seen.messages} messages on {topics.keypoints} could be used: {seen.refusal}")
    if seen.dropped["no_ground"] == len(seen.answers):
        raise ReplayError(
            f"the ground was never known: {seen.no_ground}; name a frame of {bag.path} with --ground-frame"
        )
    misfits = seen.dropped["wrong_joint_count"]
    people = sum(len(keypoints.people) for keypoints in seen.detected) + misfits
    if not people:
        raise ReplayError(f"nobody is in the {seen.messages} messages on {topics.keypoints}; check the detector")
    if misfits == people:
        layout = seen.moments[0].keypoints.layout
        raise ReplayError(
            f"all {people} people on {topics.keypoints} have another joint count than the layout"
            f" {f'{layout!r} has' if layout else 'of any that the detector knows'}; name its layout with --layout"
        )
    if not any(output.skeletons for output in seen.answers):
        reasons = ", ".join(f"{count} x {reason.replace('_', ' ')}" for reason, count in seen.dropped.items() if count)
        raise ReplayError(
            f"none of the {people} people on {topics.keypoints} could be lifted ({reasons}); check the detector's"
            " scores (0..1, joints below 0.3 count as missing) and coordinates (pixels)"
        )
