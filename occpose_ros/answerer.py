"""What the node does with one keypoints message: read it, lift it, publish the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from occpose_core.pipeline import PipelineOutput, PosePipeline
from occpose_core.types import Camera, GroundPlane, Origin
from occpose_ros.adapters import KeypointsArray, RejectedMessageError, assumed_camera, finite_skeletons, match_camera
from occpose_ros.answer import Answer
from occpose_ros.diagnostics import Statistics
from occpose_ros.ground import Ground
from occpose_ros.outputs import Outputs
from occpose_ros.parameters import NodeParameters
from occpose_ros.timing import Received, other_clock, timed
from occpose_ros.transforms import TransformBuffer, TransformError

# Faults of a detector that repeat in every frame: said once.
_ADVICE = {
    "score_out_of_range": "scores outside 0 to 1 are clamped: scale the detector's scores",
    "invalid_joint": "joints whose coordinates or scores are NaN, infinite or absurd count as missing: give missing"
    " joints score 0",
    "wrong_joint_count": "people whose arrays do not have the length of their layout are left out: xy needs 2 J and"
    " score J values",
    "zero_based_ids": "people with a joint 0 are left out, for yolo_ros counts joints from 1: if your detector counts"
    " from 0, set first_joint_id to 0",
    "unknown_joint_id": "joint numbers that the layout does not have are left out: set layout to that of the detector",
    "no_keypoints": "persons come without keypoints: let the detector use a pose model",
    "no_skeleton": "objects come without skeletons: read the topic of the body tracking, not of the object detection",
    "unknown_body_format": "people in a body format other than BODY_18, BODY_34 and BODY_38 are left out: choose one of"
    " them in the camera's settings",
}


class Answerer:
    """Lifts and publishes; all methods are called by one thread at a time, and none is safe to call from two.

    ground: what people stand on, if there is a ground frame. read_keypoints: the adapter of the message family.
    read_image: reads an image message as the camera's, (H, W, 3) uint8 RGB; None if no images are used. now_ns: the
    node's clock. warn: logs a sentence, under a reason.
    """

    def __init__(
        self,
        *,
        pipeline: PosePipeline,
        outputs: Outputs,
        transforms: TransformBuffer,
        ground: Ground | None,
        statistics: Statistics,
        read_keypoints: Callable[..., KeypointsArray],
        read_image: Callable[[Any, Camera], np.ndarray] | None = None,
        now_ns: Callable[[], int],
        warn: Callable[[str, str], None],
    ) -> None:
        self._pipeline = pipeline
        self._outputs = outputs
        self._transforms = transforms
        self._ground = ground
        self._statistics = statistics
        self._read_keypoints = read_keypoints
        self._read_image = read_image
        self._now_ns = now_ns
        self._warn = warn
        self._advised: set[str] = set()
        self._resting = False
        self._told_clock = False

    def answer(
        self, received: Received, camera: Camera | None, parameters: NodeParameters, heights_m: Mapping[str, float]
    ) -> None:
        """Publish the skeletons of one message; RejectedMessageError if it cannot be answered.

        camera: as CameraInfo says, None if none has come. heights_m: known ones, by id.
        """
        if self._rests(parameters):
            self._statistics.rested()
            return
        keypoints = self._read(received, parameters)
        self._advise(keypoints.dropped)
        calibrated = camera is not None
        camera = camera or self._assumed(keypoints, parameters)
        keypoints = match_camera(keypoints, camera, image_width=parameters.image_width, mirror=parameters.mirror)
        ground = self._ground_at(keypoints.stamp_ns, camera) if calibrated else None
        self._pipeline.config = parameters.pipeline_config
        begun_s = time.monotonic()
        image = partial(self._image, received, camera) if self._read_image is not None else None
        output = self._pipeline.step(keypoints.people, keypoints.stamp_ns, camera, ground, heights_m, image)
        step_ms = (time.monotonic() - begun_s) * 1e3
        self._statistics.dropped(keypoints.dropped)
        self._statistics.dropped(output.dropped)
        if output.reset:
            self._statistics.reset()
            self._transforms.begin_again(keypoints.stamp_ns)
            self._warn("reset", "time went backwards or the camera's frame changed: forgot everybody")
        if output.answered and self._outputs.active:
            self._publish(output, received, camera, parameters, step_ms, calibrated=calibrated)

    def _publish(
        self,
        output: PipelineOutput,
        received: Received,
        camera: Camera,
        parameters: NodeParameters,
        step_ms: float,
        *,
        calibrated: bool,
    ) -> None:
        skeletons = finite_skeletons(output.skeletons, metric=calibrated)
        self._statistics.dropped({"non_finite": len(output.skeletons) - len(skeletons)})
        answer = Answer(
            skeletons=skeletons,
            lost_ids=output.lost_ids,
            stamp_ns=output.stamp_ns,
            camera=camera,
            received_s=received.received_s,
            reset=output.reset,
            parameters=parameters,
            meshes=output.meshes,
        )
        latency_ms = self._outputs.publish(answer)
        origins = b"".join(skeleton.origin.tobytes() for skeleton in skeletons)
        self._statistics.answered(
            people=len(skeletons),
            joints=len(origins),
            filled_joints=origins.count(Origin.FILLED),
            scales=[skeleton.scale_source for skeleton in skeletons],
            step_ms=step_ms,
            latency_ms=latency_ms,
        )

    def _read(self, received: Received, parameters: NodeParameters) -> KeypointsArray:
        keypoints, age = timed(
            self._read_keypoints(received.msg, parameters.layout),
            received,
            self._now_ns(),
            zero_stamps=parameters.zero_stamps,
            max_age_s=parameters.max_age_s,
        )
        if "no_stamp" in keypoints.dropped:
            self._warn("no_stamp", "keypoints have the stamp 0: their time of arrival is used, which is less exact")
        self._statistics.aged(age)
        self._told_clock = self._told_clock or self._tell(other_clock(age))
        return keypoints

    def _image(self, received: Received, camera: Camera) -> np.ndarray | None:
        """The image that the keypoints were seen in, if it came and can be read; without it they are lifted alone."""
        assert self._read_image is not None
        if received.image is None:
            self._statistics.dropped({"no_image": 1})
            return None
        try:
            return self._read_image(received.image, camera)
        except RejectedMessageError as error:
            self._statistics.dropped({error.reason: 1})
            self._warn(error.reason, str(error))
            return None

    def _ground_at(self, stamp_ns: int, camera: Camera) -> GroundPlane | None:
        """The ground, if it is wanted and TF knows it; the answer does not wait for it."""
        if self._ground is None:
            return None
        try:
            return self._ground.seen_from(camera.frame_id, stamp_ns)
        except TransformError as error:
            self._statistics.dropped({"no_ground": 1})
            self._warn("no_ground", f"no ground, so nothing is learned about people's scale: {error}")
            return None

    def _advise(self, dropped: Mapping[str, int]) -> None:
        """Say once which faults the detector repeats."""
        for reason in _ADVICE.keys() & dropped.keys() - self._advised:
            self._warn(reason, _ADVICE[reason])
            self._advised.add(reason)

    def _assumed(self, keypoints: KeypointsArray, parameters: NodeParameters) -> Camera:
        if not parameters.assumed_fov_deg:
            raise RejectedMessageError(
                "no_camera_info",
                "no CameraInfo has come yet: start the camera, remap camera_info to its topic, or set assumed_fov_deg",
            )
        self._warn("assumed_camera", f"no CameraInfo: a camera of {parameters.assumed_fov_deg:g} degrees is assumed")
        size = (parameters.image_width, parameters.image_height)
        return assumed_camera(keypoints, parameters.assumed_fov_deg, size)

    def _rests(self, parameters: NodeParameters) -> bool:
        """Whether nobody listens and that is a reason to do nothing; then the past is forgotten, for it gets stale."""
        rests = parameters.lazy and not self._outputs.wanted(parameters)
        if rests and not self._resting:
            self._pipeline.reset()
            self._outputs.clear(self._now_ns())
        self._resting = rests
        return rests

    def _tell(self, sentence: str) -> bool:
        """Warn if there is a sentence; whether there was."""
        if sentence:
            self._warn("other_clock", sentence)
        return bool(sentence)

    def forget(self) -> None:
        """Forget everybody and clear RViz."""
        self._pipeline.reset()
        self._outputs.clear(self._now_ns())
        self._statistics.reset()
