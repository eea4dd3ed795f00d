"""The beginning of the sample with its true poses, as a topic, as TF and as a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from occpose_core.skeleton import H36M17
from occpose_ros.adapters import KeypointsArray, keypoints_from_occpose_msg
from occpose_ros.bag import TF_TYPE, BagReader, BagWriter, typestore
from occpose_ros.message_types import MessageTypes, header_to_msg
from occpose_ros.scoring.truth import Truth, TruthSettings, read_truth
from occpose_ros.scoring.truth_rows import interpolate
from occpose_ros.scoring.truth_settings import add_truth_arguments, truth_settings
from occpose_ros.transforms import TransformBuffer

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"
J = len(H36M17.joints)
FRAMES = 60
OFFSET_NS = 8_000_000  # samples of the motion capture come between images
WRIST = H36M17.index("left_wrist")
BETWEEN_M = 5e-3  # straight lines in place of a swing; a frame too early or late is 20 times as much
TYPES = MessageTypes.from_rosbags(typestore())
STORE = {name.rpartition("/")[2]: kind for name, kind in typestore().types.items()}


class Recording:
    """The beginning of the sample: keypoints, truth by the topic, and where the camera is in `map`."""

    def __init__(self) -> None:
        with BagReader(SAMPLE) as bag:
            self.detected = [keypoints_from_occpose_msg(r.message) for r in bag.messages(["/keypoints"])][:FRAMES]
            truth = read_truth(bag, TruthSettings(), self.detected)
            buffer = TransformBuffer()
            for record in bag.messages(bag.topics_of(TF_TYPE)):
                buffer.add_msg(record.message, static=True)
        assert truth is not None
        self.truth = truth
        self.stamps_ns = [keypoints.stamp_ns for keypoints in self.detected]
        self.camera_frame = self.detected[0].frame_id
        self.map_from_camera = buffer.lookup("map", self.camera_frame, 0)

    def poses_cam_m(self) -> dict[str, np.ndarray]:
        """id -> (T, J, 3), NaN where nobody is."""
        poses = {name: np.full((len(self.stamps_ns), J, 3), np.nan) for name in dict.fromkeys(self.truth.ids)}
        row_of = {stamp_ns: row for row, stamp_ns in enumerate(self.stamps_ns)}
        for stamp_ns, name, pose in zip(
            self.truth.stamp_ns.tolist(), self.truth.ids, self.truth.joints_cam_m, strict=True
        ):
            if stamp_ns in row_of:
                poses[name][row_of[stamp_ns]] = pose
        return {name: pose for name, pose in poses.items() if np.isfinite(pose).any()}


def same_people(
    found: Truth | None, recording: Recording, tolerance_m: float, names: dict[str, str] | None = None
) -> None:
    """Everybody in the first frames is where the topic has them."""
    assert found is not None
    poses = recording.poses_cam_m()
    known = {name: np.isfinite(pose).all(axis=(1, 2)) for name, pose in poses.items()}
    # of the first and last moments of somebody, what comes between images knows only one side
    inside = {
        (name, recording.stamps_ns[row])
        for name, there in known.items()
        for row in np.flatnonzero(there[:-2] & there[1:-1] & there[2:]) + 1
    }
    called = names or {name: name for name in poses}
    rows = {
        (name, stamp): row for row, (name, stamp) in enumerate(zip(found.ids, found.stamp_ns.tolist(), strict=True))
    }
    assert {(called[name], stamp) for name, stamp in inside} <= rows.keys()
    for name, stamp in inside:
        pose = poses[name][recording.stamps_ns.index(stamp)]
        np.testing.assert_allclose(found.joints_cam_m[rows[called[name], stamp]], pose, atol=tolerance_m)


def read(path: Path, settings: TruthSettings, detected: list[KeypointsArray]) -> Truth | None:
    with BagReader(path) as bag:
        return read_truth(bag, settings, detected)


def topic_bag(path: Path, recording: Recording, edit: Callable[[Any], None]) -> Path:
    """The sample's truth, edited message by message."""
    with BagReader(SAMPLE) as bag, BagWriter(path) as copy:
        for record in list(bag.messages(["/ground_truth/skeletons"]))[:FRAMES]:
            edit(record.message)
            copy.write("/ground_truth/skeletons", record.message, record.stamp_ns)
    return path


def mocap_bag(
    path: Path,
    recording: Recording,
    edit: Callable[[str, int], str | None] = lambda name, joint: name,
    parent: str = "map",
) -> Path:
    """The sample's TF, and the true joints as frames of `map`, OFFSET_NS before and after each image.

    edit: (frame, joint) -> its name, None = leave it out.
    """
    with BagReader(SAMPLE) as bag, BagWriter(path) as copy:
        for record in bag.messages(bag.topics_of(TF_TYPE)):
            copy.write("/tf_static", record.message, record.stamp_ns, latched=True)
        for frame, stamp_ns in enumerate(recording.stamps_ns):
            for shift_ns in (-OFFSET_NS, OFFSET_NS):
                stamped = list(joint_frames(recording, frame, stamp_ns + shift_ns, edit, parent))
                copy.write("/tf", STORE["TFMessage"](transforms=stamped), stamp_ns + shift_ns)
    return path


def joint_frames(recording: Recording, frame: int, stamp_ns: int, edit: Any, parent: str) -> Any:
    for name, poses in recording.poses_cam_m().items():
        point = recording.map_from_camera.apply(poses[frame])
        for joint, joint_name in enumerate(H36M17.joints):
            called = edit(f"mocap/{name}/{joint_name}", joint)
            if called is not None and np.isfinite(point[joint]).all():
                yield transform_msg(stamp_ns, parent, called, point[joint])


def transform_msg(stamp_ns: int, parent: str, child: str, place_m: np.ndarray) -> Any:
    """TransformStamped of a frame that is not turned."""
    return STORE["TransformStamped"](
        header=header_to_msg(stamp_ns, parent, TYPES),
        child_frame_id=child,
        transform=STORE["Transform"](
            translation=STORE["Vector3"](**dict(zip("xyz", place_m.tolist(), strict=True))),
            rotation=STORE["Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
        ),
    )


def npz(path: Path, recording: Recording, offset_s: float = 2.5, **arrays: Any) -> Path:
    """The true poses in `map`, at 100 Hz from 2.5 s before the first image on; arrays: instead, None = leave it out."""
    times_s = np.arange(0.0, offset_s + FRAMES / 30 + 1.0, 0.01)
    stamps_s = (np.array(recording.stamps_ns) - recording.stamps_ns[0]) * 1e-9
    poses = [recording.map_from_camera.apply(pose) for pose in recording.poses_cam_m().values()]
    joints_m = np.stack([interpolate(stamps_s, pose, times_s - offset_s) for pose in poses], axis=1)
    camera_from_map = recording.map_from_camera.inverse()
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = camera_from_map.rotation, camera_from_map.translation_m
    said = {"joints_m": joints_m, "layout": "h36m17", "fps": 100.0, "camera_from_world": matrix,
            "ids": np.array(list(recording.poses_cam_m()))} | arrays  # fmt: skip
    np.savez(path, **{name: value for name, value in said.items() if value is not None})
    return path


def parsed(*words: str) -> TruthSettings:
    parser = argparse.ArgumentParser()
    add_truth_arguments(parser)
    return truth_settings(parser.parse_args(words))
