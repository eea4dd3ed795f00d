"""True poses from a topic and from TF: the same people, the same places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from occpose_core.skeleton import H36M17, get_skeleton
from occpose_core.types import Origin
from occpose_ros.bag import BagWriter
from occpose_ros.scoring.truth import TruthError, TruthSettings
from tests.ros.true_sample import (
    FRAMES,
    STORE,
    WRIST,
    J,
    Recording,
    mocap_bag,
    parsed,
    read,
    same_people,
    topic_bag,
    transform_msg,
)
from tests.tolerances import FLOAT32


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording()


def test_tf_says_the_same_as_the_topic(recording: Recording, tmp_path: Path) -> None:
    bag = mocap_bag(tmp_path / "mocap.mcap", recording)
    found = read(bag, TruthSettings(tf="mocap/{id}/{joint}"), recording.detected)
    same_people(found, recording, FLOAT32)
    assert found is not None and found.named and found.seen.all()


def test_a_topic_may_have_another_layout(recording: Recording, tmp_path: Path) -> None:
    """OpenPose's 18 joints: no pelvis but hips, no spine, and a left wrist that nobody can see."""
    layout = get_skeleton("openpose18")
    own = np.array([H36M17.joints.index(joint) if joint in H36M17.joints else 0 for joint in layout.joints])

    def edit(message: Any) -> None:
        message.layout = layout.name
        for person in message.people:
            person.position = np.asarray(person.position).reshape(J, 3)[own].ravel()
            person.origin = np.zeros(len(own), np.uint8)
            person.origin[layout.index("left_wrist")] = Origin.FILLED

    found = read(topic_bag(tmp_path / "bag.mcap", recording, edit), TruthSettings(), recording.detected)
    assert found is not None
    assert {H36M17.joints[j] for j in np.flatnonzero(~found.known.any(axis=0))} == {"spine", "head_top"}
    assert not found.seen[:, WRIST].any() and found.seen[:, H36M17.index("pelvis")].all()
    rows = recording.truth.joints_cam_m[: len(found.ids)]
    np.testing.assert_array_equal(found.joints_cam_m[:, WRIST], rows[:, WRIST])
    hips = rows[:, H36M17.indices("left_hip", "right_hip")].mean(axis=1)
    np.testing.assert_allclose(found.joints_cam_m[:, 0], hips, atol=FLOAT32)


def test_a_topic_of_another_frame_time_or_layout_gets_one_sentence(recording: Recording, tmp_path: Path) -> None:
    def into_map(message: Any) -> None:
        message.header.frame_id = "map"

    def later(message: Any) -> None:
        message.header.stamp.nanosec += 1

    def of_nobody(message: Any) -> None:
        message.layout = "nosuch"

    unknown = topic_bag(tmp_path / "layout.mcap", recording, of_nobody)
    with pytest.raises(TruthError, match="on /ground_truth/skeletons cannot be compared: unknown .* 'nosuch'"):
        read(unknown, TruthSettings(), recording.detected)
    elsewhere = topic_bag(tmp_path / "map.mcap", recording, into_map)
    with pytest.raises(TruthError, match="in frame 'map', not in the camera's 'camera"):
        read(elsewhere, TruthSettings(), recording.detected)
    apart = topic_bag(tmp_path / "later.mcap", recording, later)
    with pytest.raises(TruthError, match="has the stamp of keypoints"):
        read(apart, TruthSettings(topic="/ground_truth/skeletons"), recording.detected)


def test_names_of_joints_come_from_a_file_and_what_nobody_names_is_not_known(
    recording: Recording, tmp_path: Path
) -> None:
    """Mocap without pelvis and thorax, which are midpoints, and without a spine."""
    given = [joint for joint in H36M17.joints if joint not in ("pelvis", "thorax", "spine")]
    names = {joint: "".join(part.capitalize() for part in joint.split("_")) for joint in given}
    file = tmp_path / "joints.yaml"
    file.write_text("".join(f"{joint}: {name}\n" for joint, name in names.items()))
    only = next(iter(recording.poses_cam_m()))

    def edit(frame: str, joint: int) -> str | None:
        _, person, name = frame.split("/")
        return f"{names[name]}_marker" if person == only and name in names else None

    bag = mocap_bag(tmp_path / "mocap.mcap", recording, edit)
    found = read(bag, TruthSettings(tf="{joint}_marker", joints_file=file), recording.detected)
    assert found is not None and set(found.ids) == {""} and not found.named
    known = {joint for j, joint in enumerate(H36M17.joints) if found.known[:, j].any()}
    assert known == {*given, "pelvis", "thorax"}
    hips = found.joints_cam_m[:, H36M17.indices("left_hip", "right_hip")].mean(axis=1)
    np.testing.assert_allclose(found.joints_cam_m[:, 0], hips, atol=1e-9)


def test_frames_that_are_not_there_get_one_sentence(recording: Recording, tmp_path: Path) -> None:
    bag = mocap_bag(tmp_path / "mocap.mcap", recording)
    with pytest.raises(TruthError, match=r"no frame of .* is called like 'vicon/\{joint\}'; there are .*mocap/"):
        read(bag, TruthSettings(tf="vicon/{joint}"), recording.detected)
    lost = mocap_bag(tmp_path / "lost.mcap", recording, parent="lab")
    with pytest.raises(TruthError, match="never known at the time of an image: .*'lab'"):
        read(lost, TruthSettings(tf="mocap/{id}/{joint}"), recording.detected)


def test_the_command_line_says_where_the_truth_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", joints_m=np.ones((2, J, 3)) * np.arange(J)[:, None] / J + 1, layout="h36m17", fps=30)
    assert parsed() == TruthSettings()
    assert parsed("--truth", "/mocap/people") == TruthSettings(topic="/mocap/people")
    assert parsed("--truth", str(tmp_path / "t.npz"), "--truth-offset", "-1.5") == TruthSettings(
        npz=tmp_path / "t.npz", offset_s=-1.5
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--truth", "/a", "--truth-tf", "{joint}"], "not both"),
        (["--truth-tf", "mocap/{id}"], r"must hold \{joint\} once"),
        (["--truth-joints", "x.yaml"], "give that too"),
        (["--truth-offset", "3"], "give --truth FILE.npz too"),
        (["--truth-offset", "nan"], "must be a number of seconds, got nan"),
        (["--truth", "nowhere.npz"], "there is no file nowhere.npz"),
        (["--truth-tf", "{joint}", "--truth-joints", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_bad_arguments_get_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(TruthError, match=sentence):
        parsed(*words)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("left_hand: LHand\n", "'left_hand', which h36m17 does not have"),
        ("- left_wrist\n", "must say what each joint is called"),
        ("left_wrist: [1\n", "is no YAML"),
        ("left_wrist: 3\n", "must say what each joint is called"),
        ("", "must say what each joint is called"),
    ],
)
def test_bad_files_of_joint_names_get_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "joints.yaml"
    file.write_text(text)
    with pytest.raises(TruthError, match=sentence):
        parsed("--truth-tf", "{joint}", "--truth-joints", str(file))


def test_a_moving_camera_sees_the_same_place_move(recording: Recording, tmp_path: Path) -> None:
    """The camera's own frame drives along `map`; a joint that stands still in `map` moves in its image."""
    path, stamps = tmp_path / "moving.mcap", recording.stamps_ns
    with BagWriter(path) as bag:
        for k, stamp_ns in enumerate([stamps[0] - 10**8, *stamps, stamps[-1] + 10**8]):
            places = {recording.camera_frame: np.array([0.1 * k, 0.0, 0.0])}
            places |= {f"m/{joint}": np.array([0.0, 0.0, 3.0]) for joint in H36M17.joints}
            stamped = [transform_msg(stamp_ns, "map", name, place_m) for name, place_m in places.items()]
            bag.write("/tf", STORE["TFMessage"](transforms=stamped), stamp_ns)
    found = read(path, TruthSettings(tf="m/{joint}"), recording.detected)
    assert found is not None
    expected = np.stack([-0.1 * np.arange(1, FRAMES + 1), np.zeros(FRAMES), np.full(FRAMES, 3.0)], axis=-1)
    np.testing.assert_allclose(found.joints_cam_m[:, WRIST], expected, atol=1e-9)


def test_joints_may_be_given_in_frames_of_other_joints(recording: Recording, tmp_path: Path) -> None:
    """A tree, as skeletons from suits have: the wrist in the elbow's frame, which is turned."""
    path, stamps = tmp_path / "tree.mcap", recording.stamps_ns
    turned = STORE["Quaternion"](x=0.0, y=0.0, z=1.0, w=0.0)  # by half a turn
    with BagWriter(path) as bag:
        for stamp_ns in [stamps[0] - 10**8, *stamps, stamps[-1] + 10**8]:
            elbow = transform_msg(stamp_ns, recording.camera_frame, "left_elbow", np.array([1.0, 2.0, 3.0]))
            elbow.transform.rotation = turned
            wrist = transform_msg(stamp_ns, "left_elbow", "left_wrist", np.array([0.25, 0.0, 0.0]))
            bag.write("/tf", STORE["TFMessage"](transforms=[elbow, wrist]), stamp_ns)
    found = read(path, TruthSettings(tf="{joint}"), recording.detected)
    assert found is not None and len(found.ids) == FRAMES
    np.testing.assert_allclose(found.joints_cam_m[:, WRIST], np.tile([0.75, 2.0, 3.0], (FRAMES, 1)), atol=1e-9)
