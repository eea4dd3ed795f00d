"""True poses of the sample from a topic, from TF and from a file: the same people, the same places."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occpose_core.skeleton import H36M17, get_skeleton
from occpose_core.types import Origin
from occpose_ros.adapters import KeypointsArray, keypoints_from_occpose_msg
from occpose_ros.bag import TF_TYPE, BagReader, BagWriter, typestore
from occpose_ros.message_types import MessageTypes, header_to_msg
from occpose_ros.scoring.truth import Truth, TruthError, TruthSettings, read_truth
from occpose_ros.scoring.truth_rows import MAX_GAP_S, interpolate
from occpose_ros.scoring.truth_settings import add_truth_arguments, truth_settings
from occpose_ros.transforms import TransformBuffer
from tests.tolerances import FLOAT32

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


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording()


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
                stamped = list(_frames(recording, frame, stamp_ns + shift_ns, edit, parent))
                copy.write("/tf", STORE["TFMessage"](transforms=stamped), stamp_ns + shift_ns)
    return path


def _frames(recording: Recording, frame: int, stamp_ns: int, edit: Any, parent: str) -> Any:
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


def read(path: Path, settings: TruthSettings, detected: list[KeypointsArray]) -> Truth | None:
    with BagReader(path) as bag:
        return read_truth(bag, settings, detected)


def test_tf_says_the_same_as_the_topic(recording: Recording, tmp_path: Path) -> None:
    bag = mocap_bag(tmp_path / "mocap.mcap", recording)
    found = read(bag, TruthSettings(tf="mocap/{id}/{joint}"), recording.detected)
    same_people(found, recording, FLOAT32)
    assert found is not None and found.named and found.seen.all()


def topic_bag(path: Path, recording: Recording, edit: Callable[[Any], None]) -> Path:
    """The sample's truth, edited message by message."""
    with BagReader(SAMPLE) as bag, BagWriter(path) as copy:
        for record in list(bag.messages(["/ground_truth/skeletons"]))[:FRAMES]:
            edit(record.message)
            copy.write("/ground_truth/skeletons", record.message, record.stamp_ns)
    return path


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


def test_a_topic_of_another_frame_or_time_gets_one_sentence(recording: Recording, tmp_path: Path) -> None:
    def into_map(message: Any) -> None:
        message.header.frame_id = "map"

    def later(message: Any) -> None:
        message.header.stamp.nanosec += 1

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


def test_a_gap_in_the_motion_capture_is_not_guessed_over(recording: Recording, tmp_path: Path) -> None:
    times_s = np.array([0.0, 0.1, 0.1 + 2 * MAX_GAP_S, 0.2 + 2 * MAX_GAP_S])
    found = interpolate(times_s, np.arange(4.0)[:, None], np.array([-0.1, 0.05, 0.2, times_s[2], times_s[3], 9.0]))
    np.testing.assert_allclose(found[:, 0], [np.nan, 0.5, np.nan, 2.0, 3.0, np.nan])


@given(st.integers(2, 30), st.integers(0, 2**31))
def test_interpolation_is_exact_at_samples_and_never_beyond_its_neighbours(samples: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times_s = np.cumsum(rng.uniform(0.01, 0.3, samples))
    values = rng.normal(size=(samples, 2))
    values[rng.random(samples) < 0.2] = np.nan
    np.testing.assert_array_equal(interpolate(times_s, values, times_s), values)
    found = interpolate(times_s, values, (times_s[:-1] + times_s[1:]) / 2)
    lower, upper = np.minimum(values[:-1], values[1:]), np.maximum(values[:-1], values[1:])
    known = np.isfinite(found)
    assert (found[known] >= lower[known]).all() and (found[known] <= upper[known]).all()
    near = (np.diff(times_s) <= MAX_GAP_S)[:, None] & np.isfinite(lower + upper)
    np.testing.assert_array_equal(known, near)


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


def test_a_file_says_the_same_as_the_topic(recording: Recording, tmp_path: Path) -> None:
    file = npz(tmp_path / "truth.npz", recording)
    found = read(SAMPLE, TruthSettings(npz=file, offset_s=-2.5), recording.detected)
    same_people(found, recording, BETWEEN_M)
    unnamed = read(
        SAMPLE, TruthSettings(npz=npz(tmp_path / "b.npz", recording, ids=None), offset_s=-2.5), recording.detected
    )
    assert unnamed is not None and not unnamed.named
    same_people(unnamed, recording, BETWEEN_M, dict(zip(recording.poses_cam_m(), ("0", "1"), strict=False)))


def test_a_file_may_have_one_person_its_own_times_and_another_layout(recording: Recording, tmp_path: Path) -> None:
    name, pose = next((name, pose) for name, pose in recording.poses_cam_m().items() if np.isfinite(pose).all())
    coco = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    coco += [
        f"{side}_{joint}"
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ]
    joints_m = np.stack([pose[:, H36M17.joints.index(j)] if j in H36M17.joints else pose[:, 9] for j in coco], axis=1)
    stamps_s = (np.array(recording.stamps_ns) - recording.stamps_ns[0]) * 1e-9
    file = tmp_path / "one.npz"
    np.savez(file, joints_m=joints_m.astype(np.float32), layout="coco17", stamps_s=stamps_s)
    found = read(SAMPLE, TruthSettings(npz=file), recording.detected)
    assert found is not None and not found.named and set(found.ids) == {"0"}
    assert not found.known[:, H36M17.indices("spine", "head_top")].any()
    np.testing.assert_allclose(found.joints_cam_m[:, WRIST], pose[:, WRIST], atol=FLOAT32)
    hips = pose[:, H36M17.indices("left_hip", "right_hip")].mean(axis=1)
    np.testing.assert_allclose(found.joints_cam_m[:, 0], hips, atol=FLOAT32)


@pytest.mark.parametrize(
    ("arrays", "offset_s", "words"),
    [
        pytest.param({"joints_m": None}, -2.5, "has no array 'joints_m'", id="no poses"),
        pytest.param({"fps": None}, -2.5, "add fps, or stamps_s", id="no times"),
        pytest.param({"fps": 0.0}, -2.5, "must be one number above 0, not 0.0", id="no rate"),
        pytest.param({"stamps_s": np.zeros(3)}, -2.5, "growing numbers", id="too few times"),
        pytest.param({"layout": "h36m"}, -2.5, "did you mean 'h36m17'", id="unknown layout"),
        pytest.param({"layout": "coco17", "joints_m": np.zeros((4, 12, 3))}, 0, "(T, 17, 3)", id="joint count"),
        pytest.param({"joints_m": -1.0, "camera_from_world": None}, -2.5, "add camera_from_world", id="behind us"),
        pytest.param({"camera_from_world": 2 * np.eye(4)}, -2.5, "with a rotation", id="no rotation"),
        pytest.param({"ids": np.array(["a"] * 7)}, -2.5, "7 ids", id="ids"),
        pytest.param({}, 500.0, "give the right --truth-offset", id="another time"),
        pytest.param({"joints_m": 1000.0}, -2.5, "cannot be metres", id="millimetres"),
        pytest.param({"layout": np.array([object()])}, -2.5, "cannot be read", id="pickled"),
    ],
)
def test_files_that_make_no_sense_get_one_sentence(
    recording: Recording, tmp_path: Path, arrays: dict[str, Any], offset_s: float, words: str
) -> None:
    if isinstance(arrays.get("joints_m"), float):
        with np.load(npz(tmp_path / "right.npz", recording)) as right:
            arrays = {**arrays, "joints_m": arrays["joints_m"] * right["joints_m"]}
    file = npz(tmp_path / "truth.npz", recording, **arrays)
    with pytest.raises(ValueError, match=".") as caught:
        read(SAMPLE, TruthSettings(npz=file, offset_s=offset_s), recording.detected)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_no_npz_gets_one_sentence(recording: Recording, tmp_path: Path) -> None:
    for name, content in (("text.npz", b"joints"), ("empty.npz", b""), ("cut.npz", None)):
        file = tmp_path / name
        whole = npz(tmp_path / "whole.npz", recording).read_bytes()
        file.write_bytes(whole[: len(whole) // 2] if content is None else content)
        with pytest.raises(TruthError, match="cannot be read"):
            read(SAMPLE, TruthSettings(npz=file), recording.detected)


def test_frames_that_are_not_there_get_one_sentence(recording: Recording, tmp_path: Path) -> None:
    bag = mocap_bag(tmp_path / "mocap.mcap", recording)
    with pytest.raises(TruthError, match=r"no frame of .* is called like 'vicon/\{joint\}'; there are .*mocap/"):
        read(bag, TruthSettings(tf="vicon/{joint}"), recording.detected)
    lost = mocap_bag(tmp_path / "lost.mcap", recording, parent="lab")
    with pytest.raises(TruthError, match="never known at the time of an image: .*'lab'"):
        read(lost, TruthSettings(tf="mocap/{id}/{joint}"), recording.detected)


def parsed(*words: str) -> TruthSettings:
    parser = argparse.ArgumentParser()
    add_truth_arguments(parser)
    return truth_settings(parser.parse_args(words))


def test_the_command_line_says_where_the_truth_is(tmp_path: Path) -> None:
    (tmp_path / "t.npz").touch()
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
