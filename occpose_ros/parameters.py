"""The parameters of pose_node, each with its range, its default and the reason for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import BACKENDS, DEFAULT_MODEL
from occpose_core.skeleton import SKELETONS
from occpose_ros.adapters import INPUTS
from occpose_ros.parameter_fields import ParameterError, check, parameter
from occpose_ros.timing import ZERO_STAMPS

_TF = "tf2_msgs/msg/TFMessage"
_TOPIC = re.compile(r"(/|~/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
_PIPELINE: dict[str, Any] = {item.name: item for item in fields(PipelineConfig)}
_SMALLEST_PERSON_M = _PIPELINE["target_height_m"].metadata["low"]
_NARROWEST_FOV_DEG, _WIDEST_FOV_DEG = 1.0, 170.0  # a pinhole camera sees no more


def _setting(name: str, what: str) -> Any:
    """A parameter that is a setting of the pipeline, with its default, range and reason."""
    item = _PIPELINE[name]
    kind = type(item.default)
    bounds = (kind(item.metadata["low"]), kind(item.metadata["high"]))
    return parameter(item.default, what, item.metadata["reason"], bounds=bounds, live=True)


@dataclass(frozen=True, kw_only=True)
class NodeParameters:
    """Values of all parameters, within their ranges; ParameterError otherwise."""

    input: str = parameter(
        "occpose", "message family of the keypoints topic", "occpose's own messages lose nothing", choices=list(INPUTS)
    )
    layout: str = parameter(
        "",
        "keypoint layout that replaces the one in the messages; empty: theirs",
        "messages name their layout",
        choices=["", *SKELETONS],
    )
    first_joint_id: int = parameter(
        1, "yolo: the number of the first joint, 0 or 1; it is never guessed", "yolo_ros counts from 1", bounds=(0, 1)
    )
    humans_namespace: str = parameter(
        "/humans", "hri: where the topics bodies/tracked and bodies/<id>/skeleton2d are", "REP-155 says so"
    )
    image_width: int = parameter(
        0,
        "width in pixels of the image that the detector sees, if CameraInfo describes it in another size and the"
        " messages do not tell; 0: the same",
        "drivers publish both together",
        bounds=(0, 65535),
    )
    image_height: int = parameter(
        0,
        "height in pixels of that image; only assumed_fov_deg needs it, and only if the messages do not tell",
        "CameraInfo tells",
        bounds=(0, 65535),
    )
    mirror: bool = parameter(
        False,
        "the detector sees the camera's image mirrored: x is turned back, and left and right joints are swapped",
        "cameras do not mirror, viewers do",
    )
    model: str = parameter(
        DEFAULT_MODEL,
        "a shipped model (`occpose models` lists them) or the path of an .onnx file",
        "the best that is shipped",
    )
    backend: str = parameter(
        "auto",
        "inference engine; `auto` begins with the one that is ready and goes over to TensorRT where it can be built",
        "the best that this machine has",
        choices=["auto", *BACKENDS],
    )
    image_model: str = parameter(
        "",
        "an image model, which takes the topic `image` beside the keypoints and gives bodies with their surface: path"
        " of an .onnx file; empty: none",
        "keypoints alone are fast and need no images",
    )
    image_transport: str = parameter(
        "raw",
        "image_model: sensor_msgs/Image on `image`, or `compressed`, sensor_msgs/CompressedImage on `image`/compressed",
        "every camera driver has it",
        choices=["raw", "compressed"],
    )
    image_wait_s: float = parameter(
        0.1,
        "image_model: keypoints wait so long for their image, then they are lifted alone",
        "the detector needs the image too, so it is mostly there before",
        bounds=(0.0, 2.0),
        live=True,
    )
    slop_s: float = parameter(
        0.01,
        "image_model: an image and keypoints belong together if their stamps differ by less",
        "a good detector copies the stamp of the image, but some round it",
        bounds=(1e-6, 1.0),
    )
    queue_size: int = parameter(
        20,
        "image_model: so many images wait for their keypoints, no more",
        "0.7 s at 30 Hz for the detector; 1080p raw needs 120 MB",
        bounds=(1, 200),
    )
    mesh_triangles: int = parameter(
        1000,
        "image_model: RViz is shown so many triangles of a person's surface; 0: none",
        "a figure that is easy to read, in 2 ms a person",
        bounds=(0, 20_000),
    )
    rectified: bool = parameter(
        False,
        "the keypoints are of a rectified image: P of CameraInfo holds, not K and D",
        "detectors mostly see it raw",
    )
    min_score: float = _setting("min_score", "a joint with a lower score is missing")
    max_persons: int = _setting("max_persons", "so many people are followed at once")
    person_height_m: float = parameter(
        0.0,
        "stature of the people in metres; 0.0: unknown, then scale is assumed and `metric` is false",
        "one camera cannot tell a tall person far away from a small one near",
        bounds=(0.0, _PIPELINE["target_height_m"].metadata["high"]),
        live=True,
    )
    ground_frame: str = parameter(
        "",
        "TF frame, z up, whose plane z = 0 is the ground: the scale of people who stand on it is learned; empty: none",
        "not every camera is in a TF tree",
        needs=_TF,
    )
    hold_s: float = _setting("hold_s", "a person of whom nothing is seen is predicted for this long, then lost")
    min_cutoff_hz: float = _setting("min_cutoff_hz", "smoothing at rest: lower is calmer and later; 0.0: none")
    beta: float = _setting("beta", "how much less smoothing there is in motion")
    assumed_fov_deg: float = parameter(
        0.0,
        "horizontal field of view in degrees of the camera that is assumed until CameraInfo comes; `metric` is false"
        " then; 0.0: the node waits for CameraInfo",
        "a wrong camera gives wrong skeletons",
        bounds=(0.0, _WIDEST_FOV_DEG),
        live=True,
    )
    zero_stamps: str = parameter(
        "arrival",
        "what becomes of keypoints whose stamp is 0: they get that of their `arrival`, or `drop`",
        "a detector that never sets its stamps has nothing else, and the log says so",
        choices=ZERO_STAMPS,
        live=True,
    )
    max_age_s: float = parameter(
        0.0,
        "keypoints older than this are dropped; 0.0: none are",
        "recordings, and cameras with their own clock",
        bounds=(0.0, 3600.0),
        live=True,
    )
    lazy: bool = parameter(
        False,
        "do nothing while nobody listens; who comes then finds people without a past",
        "people are known already when somebody comes",
        live=True,
    )
    publish_markers: bool = parameter(True, "publish RViz markers while somebody listens", "free otherwise", live=True)
    publish_filled: bool = parameter(
        True, "publish the completed 2D keypoints while somebody listens", "free otherwise", live=True
    )
    publish_tf: bool = parameter(
        False, "publish the frame body_<id> of each person", "/tf is everybody's", live=True, needs=_TF
    )
    publish_joint_tf: bool = parameter(
        False, "publish body_<id> and a frame for each of its joints", "/tf is everybody's", live=True, needs=_TF
    )
    publish_humans: bool = parameter(
        False,
        "publish the completed people by REP-155 as hri_msgs, with topics of their own for each person",
        "only for who uses ROS4HRI",
        live=True,
        needs="hri_msgs/msg/Skeleton2D",
    )
    humans_prefix: str = parameter(
        "occpose/humans",
        "where publish_humans puts its topics; `/humans` is where REP-155 wants them",
        "an hri detector that is read is there already",
    )
    target_frame: str = parameter(
        "",
        "TF frame in which skeletons_in_target_frame tells the skeletons too; empty: there is no such topic",
        "the camera's frame is always known",
        needs=_TF,
    )
    tf_wait_s: float = parameter(
        0.2,
        "skeletons_in_target_frame waits so long for a transform that comes later than the image",
        "the poses of a robot lag by some tens of ms",
        bounds=(0.0, 5.0),
        live=True,
    )
    marker_lifetime_s: float = parameter(
        0.5,
        "RViz removes a marker after so long without news",
        "a few frames of a slow detector",
        bounds=(0.05, 5.0),
        live=True,
    )
    diagnostics_period_s: float = parameter(
        1.0, "time between two diagnostics messages", "the custom of ROS", bounds=(0.1, 60.0), live=True
    )
    autostart: bool = parameter(
        True, "configure and activate at start, without a lifecycle manager", "one command shall show skeletons"
    )

    def __post_init__(self) -> None:
        check(self)
        if 0 < self.person_height_m < _SMALLEST_PERSON_M:
            raise ParameterError(
                f"person_height_m must be 0.0 (unknown) or lie in {_SMALLEST_PERSON_M} to"
                f" {_PIPELINE['target_height_m'].metadata['high']}, got {self.person_height_m}"
            )

        if 0 < self.assumed_fov_deg < _NARROWEST_FOV_DEG:
            raise ParameterError(
                f"assumed_fov_deg must be 0.0 (wait for CameraInfo) or lie in {_NARROWEST_FOV_DEG} to"
                f" {_WIDEST_FOV_DEG}, got {self.assumed_fov_deg}"
            )

        if not _TOPIC.fullmatch(self.humans_prefix):
            raise ParameterError(
                f"humans_prefix must be the name of a topic, such as occpose/humans, /humans or ~/humans, got"
                f" {self.humans_prefix!r}"
            )

    @property
    def hears_tf(self) -> bool:
        """Whether the node itself subscribes to TF."""
        return bool(self.target_frame or self.ground_frame)

    @cached_property
    def pipeline_config(self) -> PipelineConfig:
        """The settings of the pipeline; made once, for each image asks for them."""
        return PipelineConfig(
            min_score=self.min_score,
            max_persons=self.max_persons,
            target_height_m=self.person_height_m or None,
            hold_s=self.hold_s,
            gap_s=max(_PIPELINE["gap_s"].default, self.hold_s),
            min_cutoff_hz=self.min_cutoff_hz,
            beta=self.beta,
        )
