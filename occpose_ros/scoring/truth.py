"""Where the true poses of a recording come from: a topic, TF, or a file.

The topic and its people are matched by stamp and id, the other two are looked up at the stamp of each image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from occpose_core.skeleton import LayoutError
from occpose_ros.adapters import KeypointsArray
from occpose_ros.bag import SKELETONS_TYPE, BagError, BagReader
from occpose_ros.message_types import TRUTH_PREFIX, stamp_ns_from_msg
from occpose_ros.scoring.truth_npz import truth_from_npz
from occpose_ros.scoring.truth_rows import Truth, TruthError, truth_from_msgs
from occpose_ros.scoring.truth_settings import TruthSettings
from occpose_ros.scoring.truth_tf import joint_names, truth_from_tf

__all__ = [
    "Truth",
    "TruthError",
    "TruthSettings",
    "read_truth",
    "truth_described",
    "truth_from_msgs",
    "truth_topic",
]


def truth_topic(bag: BagReader, settings: TruthSettings) -> str | None:
    """The topic of true skeletons: the one that is named, or the only one under /ground_truth. Raises BagError."""
    if settings.topic:
        return bag.topic_of(SKELETONS_TYPE, settings.topic, "--truth")
    if settings.tf or settings.npz is not None:
        return None
    found = [topic for topic in bag.topics_of(SKELETONS_TYPE) if topic.startswith(TRUTH_PREFIX)]
    if len(found) > 1:
        raise BagError(
            f"{bag.path} has {len(found)} topics of true skeletons: {', '.join(found)}; name one of them with --truth"
        )
    return found[0] if found else None


def truth_described(settings: TruthSettings, topic: str | None) -> str:
    """Where true skeletons come from, for a report. topic: of `truth_topic`."""
    frames = f"TF frames {settings.tf}" if settings.tf else ""
    return frames or (settings.npz.name if settings.npz else "") or topic or "nobody"


def read_truth(bag: BagReader, settings: TruthSettings, detected: Sequence[KeypointsArray]) -> Truth | None:
    """The true poses of an open bag, None if there are none and none were asked for.

    detected: the keypoints of the bag, in the camera's frame, at whose stamps TF and files are looked up. Raises
    BagError, and TruthError if what was asked for says nothing about them.
    """
    images = dict(sorted((keypoints.stamp_ns, keypoints.frame_id) for keypoints in detected))
    if settings.npz is not None:
        return truth_from_npz(settings.npz, settings.offset_s, list(images))
    if settings.tf:
        return truth_from_tf(bag, settings.tf, joint_names(settings.joints_file), images)
    topic = truth_topic(bag, settings)
    return None if topic is None else _of_topic(bag, topic, images, asked=bool(settings.topic))


def _of_topic(bag: BagReader, topic: str, images: Mapping[int, str], *, asked: bool) -> Truth:
    messages = [record.message for record in bag.messages([topic])]
    frames = {stamp_ns_from_msg(message.header.stamp): message.header.frame_id.lstrip("/") for message in messages}
    shared = [stamp_ns for stamp_ns in images if stamp_ns in frames]
    if asked and not shared:
        raise TruthError(
            f"no message on {topic} has the stamp of keypoints: true skeletons need the stamps of the images that they"
            " are compared in"
        )
    for stamp_ns in shared:
        if frames[stamp_ns] not in ("", images[stamp_ns]):
            raise TruthError(
                f"the true skeletons on {topic} are in frame {frames[stamp_ns]!r}, not in the camera's"
                f" {images[stamp_ns]!r}: publish them there, or give them as TF frames (--truth-tf) or a file"
            )
    try:
        return truth_from_msgs(messages)
    except LayoutError as error:
        raise TruthError(f"the true skeletons on {topic} cannot be compared: {error}") from None
