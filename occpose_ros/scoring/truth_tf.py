"""True poses from TF: motion capture that publishes a frame for each joint.

A joint's place is interpolated between its own samples, in the frame that they are given in; TF says where that is from
the camera at the stamp of the image.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_ros.bag import TF_TYPE, BagReader
from occpose_ros.message_types import NANOSECONDS, stamp_ns_from_msg
from occpose_ros.scoring.truth_rows import Truth, TruthError, interpolate, truth_of_people
from occpose_ros.transforms import Transform, TransformBuffer, TransformError
from occpose_ros.yaml_file import read_yaml

_LATE_NS = NANOSECONDS  # a transform comes at most so long after its stamp
_SHOWN = 8  # frames that are named in a sentence
_J = len(H36M17.joints)


def check_template(template: str) -> None:
    """Raise TruthError unless the names of frames say which joint they are."""
    if template.count("{joint}") != 1 or template.count("{id}") > 1:
        raise TruthError(
            f"--truth-tf {template!r} must hold {{joint}} once, and {{id}} at most once, as in 'mocap/{{id}}/{{joint}}'"
        )


def joint_names(path: Path | None) -> dict[str, str]:
    """What frames call the joints of h36m17: those that a YAML file names, or all. Raises TruthError."""
    if path is None:
        return {joint: joint for joint in H36M17.joints}
    said = read_yaml(path, "file of joint names", TruthError)
    if not isinstance(said, dict) or not said or not all(isinstance(name, str) for name in said.values()):
        raise TruthError(f"{path} must say what each joint is called, one `left_wrist: LWrist` a line")
    unknown = [joint for joint in said if joint not in H36M17.joints]
    if unknown:
        raise TruthError(f"{path} names {unknown[0]!r}, which h36m17 does not have; it has {', '.join(H36M17.joints)}")
    return dict(said)


def truth_from_tf(bag: BagReader, template: str, names: Mapping[str, str], images: Mapping[int, str]) -> Truth:
    """The poses that TF knows at the images of an open bag.

    template: of the names of frames. names: joint of h36m17 -> what it is called there. images: stamp -> frame of the
    camera, sorted. Raises TruthError.
    """
    joints, parents = _Joints(template, names), _Parents(images)
    for message, static in _messages(bag):
        if static:
            parents.buffer.add_msg(message, static=True)
            joints.others.update((each.child_frame_id.lstrip("/"), None) for each in message.transforms)
        else:
            # frames of joints are kept by themselves; TF needs only those in which others are given
            kept = [stamped for stamped in message.transforms if not joints.take(stamped)]
            kept += [stamped for stamped in message.transforms if stamped.child_frame_id.lstrip("/") in joints.parents]
            parents.hear(SimpleNamespace(transforms=kept), joints.parents)
    parents.finish(joints.parents)
    if not joints.tracks:
        raise TruthError(f"no frame of {bag.path} is called like {template!r}; there are {_some(joints.others)}")
    stamps_ns = np.array(list(images), dtype=np.int64)
    truth = truth_of_people(stamps_ns, joints.people_cam_m(stamps_ns, parents), named="{id}" in template)
    if len(stamps_ns) and not len(truth.ids):
        reason = parents.trouble or "they are of another time"
        raise TruthError(f"the frames {template!r} of {bag.path} are never known at the time of an image: {reason}")
    return truth


@dataclass(kw_only=True, eq=False)
class _Track:
    """Samples of one joint of one person in one parent frame."""

    stamps_ns: list[int] = field(default_factory=list)
    points_m: list[tuple[float, float, float]] = field(default_factory=list)

    def at(self, stamps_ns: np.ndarray) -> np.ndarray:
        """(T, 3) at the stamps."""
        own_ns, first = np.unique(np.array(self.stamps_ns, dtype=np.int64), return_index=True)
        points_m = np.array(self.points_m, dtype=np.float64)[first]
        return interpolate((own_ns - own_ns[0]) * 1e-9, points_m, (stamps_ns - own_ns[0]) * 1e-9)


class _Joints:
    """Where the joints of people were in the frames that they are given in, by (id, joint, parent).

    parents: those frames. others: frames that are no joints.
    """

    def __init__(self, template: str, names: Mapping[str, str]) -> None:
        self.tracks: dict[tuple[str, int, str], _Track] = {}
        self.parents: dict[str, None] = {}
        self.others: dict[str, None] = {}
        self._pattern = _pattern(template, names)
        self._joint_of = {name: H36M17.index(joint) for joint, name in names.items()}
        self._meaning: dict[str, tuple[str, int] | None] = {}

    def take(self, stamped: Any) -> bool:
        """Keep a TransformStamped if it is of a joint; whether it is."""
        frame, parent = stamped.child_frame_id.lstrip("/"), stamped.header.frame_id.lstrip("/")
        if frame not in self._meaning:
            said = self._pattern.fullmatch(frame)
            self._meaning[frame] = said and (said.groupdict().get("id", ""), self._joint_of[said["joint"]])
        meaning = self._meaning[frame]
        if meaning is None:
            self.others[frame] = None
            return False
        self.parents[parent] = None
        track, place = self.tracks.setdefault((*meaning, parent), _Track()), stamped.transform.translation
        track.stamps_ns.append(stamp_ns_from_msg(stamped.header.stamp))
        track.points_m.append((place.x, place.y, place.z))
        return True

    def people_cam_m(self, stamps_ns: np.ndarray, parents: _Parents) -> dict[str, np.ndarray]:
        """id -> (T, J, 3) at the stamps of the images, from the camera; NaN where nobody knows."""
        ids = dict.fromkeys(person for person, _, _ in self.tracks)
        people = {person: np.full((len(stamps_ns), _J, 3), np.nan) for person in ids}
        cam_from = {parent: parents.over(parent, stamps_ns) for parent in self.parents}
        for (person, joint, parent), track in self.tracks.items():
            rotation, translation_m = cam_from[parent]
            point_m = (rotation @ track.at(stamps_ns)[..., None])[..., 0] + translation_m
            people[person][:, joint] = np.where(np.isfinite(point_m), point_m, people[person][:, joint])
        return people


class _Parents:
    """Where the frames that joints are given in were, seen from the camera, at each of the images."""

    def __init__(self, images: Mapping[int, str]) -> None:
        self.buffer = TransformBuffer()
        self.trouble = ""
        self._found: dict[tuple[str, int], Transform] = {}
        self._waiting = deque(images.items())
        self._newest_ns = 0

    def hear(self, message: Any, names: Iterable[str]) -> None:
        """Take a TFMessage, and look up all of the names at the images that are complete by it."""
        self.buffer.add_msg(message, static=False)
        self._newest_ns = max([self._newest_ns, *(stamp_ns_from_msg(each.header.stamp) for each in message.transforms)])
        while self._waiting and self._waiting[0][0] + _LATE_NS <= self._newest_ns:
            self._look_up(*self._waiting.popleft(), names)

    def finish(self, names: Iterable[str]) -> None:
        """Look up the rest."""
        while self._waiting:
            self._look_up(*self._waiting.popleft(), names)

    def over(self, parent: str, stamps_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T, 3, 3) rotations and (T, 3) translations from the parent to the camera, NaN where nobody knows."""
        rotation, translation_m = np.full((len(stamps_ns), 3, 3), np.nan), np.full((len(stamps_ns), 3), np.nan)
        for row, stamp_ns in enumerate(stamps_ns.tolist()):
            found = self._found.get((parent, stamp_ns))
            if found is not None:
                rotation[row], translation_m[row] = found.rotation, found.translation_m
        return rotation, translation_m

    def _look_up(self, stamp_ns: int, camera_frame: str, names: Iterable[str]) -> None:
        for parent in names:
            try:
                self._found[parent, stamp_ns] = self.buffer.lookup(camera_frame, parent, stamp_ns)
            except TransformError as error:
                self.trouble = str(error)


def _messages(bag: BagReader) -> Iterable[tuple[Any, bool]]:
    """All TFMessages with whether they are static; those first, for they hold from the beginning."""
    topics = bag.topics_of(TF_TYPE)
    if not topics:
        raise TruthError(
            f"{bag.path} has no topic of type {TF_TYPE}, which --truth-tf needs: record /tf and /tf_static"
        )
    for static in (True, False):
        chosen = [topic for topic in topics if topic.endswith("tf_static") == static]
        for record in bag.messages(chosen) if chosen else ():
            yield record.message, static


def _pattern(template: str, names: Mapping[str, str]) -> re.Pattern[str]:
    joints = "|".join(re.escape(name) for name in sorted(names.values(), key=len, reverse=True))
    pattern = re.escape(template.lstrip("/")).replace(r"\{joint\}", f"(?P<joint>{joints})")
    return re.compile(pattern.replace(r"\{id\}", "(?P<id>.+?)"))


def _some(frames: Iterable[str]) -> str:
    names = list(frames)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "") or "none"
