"""Which topics of a bag a replay reads, and how: what users set, and what is found by type."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from occpose_core.skeleton import SKELETONS
from occpose_ros.adapters import INPUTS
from occpose_ros.bag import CAMERA_INFO_TYPE, BagError, BagReader
from occpose_ros.parameter_fields import ParameterError
from occpose_ros.parameters import NodeParameters
from occpose_ros.replay.answer_writer import FILLED
from occpose_ros.replay.images import image_topic
from occpose_ros.replay.node_settings import read_parameters
from occpose_ros.scoring.truth import TruthSettings, truth_topic

_LIST_TYPE = "hri_msgs/msg/IdsList"
_LIST, _BODY = "/bodies/tracked", "/skeleton2d"  # how the topics of REP-155 end


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """What is read of a bag, and how; it can be pickled.

    family: of the keypoints, a key of INPUTS; "": the one that is there. keypoints, camera_info, image: topics; None:
    the only one of its type. camera_file: YAML that replaces the bag's CameraInfo. message_files: .msg files and
    packages, for definitions that the bag lacks. parameters: of a node that would answer alike.
    """

    family: str = ""
    keypoints: str | None = None
    camera_info: str | None = None
    image: str | None = None
    camera_file: Path | None = None
    message_files: tuple[Path, ...] = ()
    parameters: NodeParameters = field(default_factory=NodeParameters)


@dataclass(frozen=True, kw_only=True)
class Topics:
    """The topics of a bag that a replay reads.

    keypoints: of all people, or for `hri` of the list of bodies. family: of INPUTS. bodies: for `hri`, topic and id of
    each body. camera_info: None if the camera is that of a file, or assumed. truth: None if there is none, or it does
    not come from a topic. image: None if there is no image model.
    """

    keypoints: str
    family: str = "occpose"
    bodies: tuple[tuple[str, str], ...] = ()
    camera_info: str | None
    truth: str | None
    image: str | None = None

    @property
    def detections(self) -> tuple[str, ...]:
        """All topics that tell what the detector saw."""
        return (self.keypoints, *(topic for topic, _ in self.bodies))

    def described(self, settings: SourceSettings) -> str:
        """What is read of the detector and the camera, for a report."""
        assumed = f"an assumed field of view of {settings.parameters.assumed_fov_deg:g} degrees"
        camera = self.camera_info or (settings.camera_file.name if settings.camera_file else assumed)
        return f"keypoints of {self.keypoints}, camera of {camera}"


def find_topics(
    bag: BagReader,
    settings: SourceSettings | None = None,
    truth: TruthSettings | None = None,
    *,
    with_images: bool = False,
) -> Topics:
    """The topics to read, by name where given, else by type; completed keypoints and answers of a run before are not
    input. truth: where true skeletons are to be found. Raises BagError."""
    settings = settings or SourceSettings()
    family, keypoints = _keypoints_topic(bag, settings)
    return Topics(
        keypoints=keypoints,
        family=family,
        bodies=tuple(_bodies_beside(bag, keypoints)) if family == "hri" else (),
        camera_info=_camera_topic(bag, settings),
        truth=truth_topic(bag, truth or TruthSettings()),
        image=image_topic(bag, settings.image) if with_images else None,
    )


def _keypoints_topic(bag: BagReader, settings: SourceSettings) -> tuple[str, str]:
    """Family and topic."""
    wanted = settings.keypoints
    if wanted is not None:
        there = [found for found in _candidates(bag) if found[1] == wanted]
    else:
        there = [found for found in _candidates(bag) if settings.family in ("", found[0])]
        there = [found for found in there if not _is_own(found[1], settings.parameters)]
    if len(there) == 1:
        return there[0]
    if there:
        named = ", ".join(f"{topic} ({bag.topics[topic]})" for _, topic in there)
        raise BagError(f"{bag.path} has keypoints on {len(there)} topics: {named}; name one of them with --topic")
    raise BagError(_no_keypoints(bag, settings))


def _candidates(bag: BagReader) -> Iterator[tuple[str, str]]:
    for family, (msgtype, _) in INPUTS.items():
        if family == "hri":
            lists = [topic for topic in bag.topics_of(_LIST_TYPE) if topic.endswith(_LIST)]
            yield from ((family, topic) for topic in lists if any(_bodies_beside(bag, topic)))
        else:
            yield from ((family, topic) for topic in bag.topics_of(msgtype))


def _bodies_beside(bag: BagReader, tracked: str) -> Iterator[tuple[str, str]]:
    """Topic and id of the bodies that a list is about."""
    prefix = f"{tracked.removesuffix('/tracked')}/"
    for topic in bag.topics_of(INPUTS["hri"].msgtype):
        id = topic.removeprefix(prefix).removesuffix(_BODY)
        if topic == f"{prefix}{id}{_BODY}" and "/" not in id:
            yield topic, id


def _is_own(topic: str, parameters: NodeParameters) -> bool:
    """Whether it is what a pose_node says, in whatever namespace."""
    prefix = parameters.humans_prefix.replace("~", "pose_node")
    humans, is_of_bodies, _ = topic.rpartition("/bodies/")
    of_node = humans == prefix if prefix.startswith("/") else humans.endswith(f"/{prefix}")
    return topic.endswith(FILLED) or (bool(is_of_bodies) and of_node)


def _no_keypoints(bag: BagReader, settings: SourceSettings) -> str:
    wanted, msgtypes = settings.keypoints, [family.msgtype for family in INPUTS.values()]
    kinds = [INPUTS[settings.family].msgtype] if settings.family and wanted is None else msgtypes
    body = INPUTS["hri"].msgtype
    if wanted is not None and wanted not in bag.topics:
        return f"{bag.path} has no topic {wanted!r}; it has {bag.contents()}"
    bodies = [topic for topic in bag.topics_of(body) if wanted in (None, topic)]
    if body in kinds and not all(_is_own(topic, settings.parameters) for topic in bodies):
        lists = bag.topics_of(_LIST_TYPE)
        return f"{bag.path} has bodies ({body}), but not the list of them that they are gathered by: " + (
            f"name it with --topic: {', '.join(lists)}" if lists else f"record .../bodies/tracked ({_LIST_TYPE}) too"
        )
    if wanted is not None:
        return (
            f"topic {wanted} of {bag.path} is of type {bag.topics[wanted]}, not {' or '.join(kinds)}; choose another of"
            f" {bag.contents()}"
        )
    return f"{bag.path} has no keypoints: no topic of type {' or '.join(kinds)}; it has {bag.contents()}"


def _camera_topic(bag: BagReader, settings: SourceSettings) -> str | None:
    if settings.camera_file is not None:
        return None
    if settings.camera_info is None and not bag.topics_of(CAMERA_INFO_TYPE):
        if settings.parameters.assumed_fov_deg:
            return None
        raise BagError(
            f"{bag.path} has no topic of type {CAMERA_INFO_TYPE}, and 3D needs the camera: record camera_info too, give"
            " it with --camera FILE.yaml, or make the bag with `occpose import-keypoints`"
        )
    return bag.topic_of(CAMERA_INFO_TYPE, settings.camera_info, "--camera-info")


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `source_settings` reads."""
    add = parser.add_argument_group("what is read").add_argument
    flag: dict[str, Any] = {"action": argparse.BooleanOptionalAction, "default": None}
    add("--topic", metavar="TOPIC", help="topic of the keypoints, if the bag has several (hri: .../bodies/tracked)")
    add("--camera-info", metavar="TOPIC", help="topic of CameraInfo, if the bag has several")
    add("--camera", metavar="FILE", help="YAML file with the CameraInfo, as camera_calibration writes it")
    add("--image", metavar="TOPIC", help="topic of the images for an image model, if the bag has several")
    messages = "a package of messages, or a .msg file, that the bag does not carry; several may be given"
    add("--messages", action="append", default=[], metavar="PATH", help=messages)
    add("--params", metavar="FILE", help="parameter file of a pose_node: answer as it does; options given here win")
    layouts = f"joint layout of the keypoints, if their messages name a wrong one: {', '.join(SKELETONS)}"
    add("--layout", metavar="LAYOUT", help=layouts)
    add("--rectified", **flag, help="the detector saw rectified images")
    add("--mirror", **flag, help="the detector saw mirrored images")
    width = "width of the images that the detector saw, if CameraInfo has another and its messages do not tell"
    add("--image-width", type=int, metavar="PX", help=width)
    add("--first-joint-id", type=int, metavar="N", help="number of the first joint in yolo's messages, 0 or 1")


def source_settings(args: argparse.Namespace) -> SourceSettings:
    """What the arguments say. Raises ParameterError if a parameter makes no sense."""
    said = read_parameters(args.params) if args.params else {}
    own = ("layout", "rectified", "mirror", "image_width", "first_joint_id")
    said |= {name: getattr(args, name) for name in own if getattr(args, name) is not None}
    parameters = replace(NodeParameters(), **said)
    if args.camera and args.camera_info:
        raise ParameterError("the camera is that of --camera or that of --camera-info: leave one out")
    tracked = f"{said['humans_namespace'].rstrip('/')}{_LIST}" if "humans_namespace" in said else None
    return SourceSettings(
        family=said.get("input", ""),
        keypoints=args.topic or (tracked if parameters.input == "hri" else None),
        camera_info=args.camera_info,
        image=args.image,
        camera_file=Path(args.camera).absolute() if args.camera else None,
        message_files=tuple(Path(path).absolute() for path in args.messages),
        parameters=parameters,
    )
