"""Bags: what is written can be read again here and by other tools, and what cannot be read gets one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer

from occpose_core.errors import OccposeError
from occpose_ros.bag import (
    CAMERA_INFO_TYPE,
    KEYPOINTS_TYPE,
    SKELETONS_TYPE,
    BagError,
    BagReader,
    BagWriter,
    definition_files,
    typestore,
)
from occpose_ros.message_types import MessageTypes, header_to_msg

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"
TYPES = MessageTypes.from_rosbags(typestore())


def keypoints(stamp_ns: int, people: int = 1) -> Any:
    rng = np.random.default_rng(stamp_ns % 1000)
    return TYPES.Keypoints2DArray(
        header=header_to_msg(stamp_ns, "camera", TYPES),
        layout="coco17",
        width=640,
        height=480,
        people=[
            TYPES.Keypoints2D(
                id=str(n),
                xy=rng.uniform(0, 480, 34).astype(np.float32),
                score=rng.uniform(0, 1, 17).astype(np.float32),
            )
            for n in range(people)
        ],
    )


def write_bag(path: Path, stamps_ns: list[int], topics: tuple[str, ...] = ("/keypoints",)) -> Path:
    with BagWriter(path) as bag:
        for stamp_ns in stamps_ns:
            for topic in topics:
                bag.write(topic, keypoints(stamp_ns), stamp_ns)
    return path


def write_with_rosbags(folder: Path, storage: StoragePlugin) -> Path:
    """A rosbag2 folder as `ros2 bag record` makes it, written by the library alone."""
    with Writer(folder, version=8, storage_plugin=storage) as writer:
        connection = writer.add_connection("/keypoints", KEYPOINTS_TYPE, typestore=typestore())
        for stamp_ns in (1, 2, 3):
            message = keypoints(stamp_ns)
            writer.write(connection, stamp_ns, bytes(typestore().serialize_cdr(message, KEYPOINTS_TYPE)))
    return folder


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stamps=st.lists(st.integers(0, 2**31 * 10**9 - 1), min_size=1, max_size=20), people=st.integers(0, 3))
def test_messages_come_back_as_they_were_in_time_order(
    tmp_path_factory: pytest.TempPathFactory, stamps: list[int], people: int
) -> None:
    path = tmp_path_factory.mktemp("bag") / "x.mcap"
    with BagWriter(path) as bag:
        for stamp_ns in stamps:
            bag.write("/keypoints", keypoints(stamp_ns, people), stamp_ns)
    with BagReader(path) as bag:
        records = list(bag.messages())
    assert [record.stamp_ns for record in records] == sorted(stamps)
    for record in records:
        expected = keypoints(record.stamp_ns, people)
        assert record.message.header.stamp.sec == expected.header.stamp.sec
        assert [person.id for person in record.message.people] == [person.id for person in expected.people]
        for got, wanted in zip(record.message.people, expected.people, strict=True):
            np.testing.assert_array_equal(got.xy, wanted.xy)
            np.testing.assert_array_equal(got.score, wanted.score)


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
def test_folders_of_rosbag2_are_read(tmp_path: Path, storage: StoragePlugin) -> None:
    folder = write_with_rosbags(tmp_path / "bag", storage)
    with BagReader(folder) as bag:
        assert bag.topics == {"/keypoints": KEYPOINTS_TYPE}
        assert [record.stamp_ns for record in bag.messages()] == [1, 2, 3]
    (file,) = [path for path in folder.iterdir() if path.suffix in (".mcap", ".db3")]
    with BagReader(file) as bag:
        assert bag.count(["/keypoints"]) == 3


def test_the_mcap_package_reads_our_bags_with_their_own_definitions() -> None:
    reader = pytest.importorskip("mcap_ros2.reader", reason="pip install mcap-ros2-support")
    seen: Counter[str] = Counter()
    for message in reader.read_ros2_messages(str(SAMPLE)):
        seen[message.channel.topic] += 1
        if message.channel.topic == "/keypoints":
            assert message.ros_msg.layout == "coco17"
            assert all(len(person.xy) == 34 for person in message.ros_msg.people)
    with BagReader(SAMPLE) as bag:
        assert seen == {topic: bag.count([topic]) for topic in bag.topics}


def test_rosbags_reads_our_bags_without_our_definitions() -> None:
    with AnyReader([SAMPLE]) as reader:
        connections = [connection for connection in reader.connections if connection.msgtype == SKELETONS_TYPE]
        connection, _, raw = next(reader.messages(connections))
        assert reader.deserialize(raw, connection.msgtype).layout == "h36m17"


def test_copied_messages_keep_their_bytes_and_their_type(tmp_path: Path) -> None:
    with BagReader(SAMPLE) as source:
        records = list(source.messages(["/keypoints", "/camera_info"]))
        with BagWriter(tmp_path / "copy.mcap") as target:
            for record in records:
                target.copy(record, source)
    with BagReader(tmp_path / "copy.mcap") as copy:
        again = list(copy.messages())
    assert [(r.topic, r.msgtype, r.stamp_ns, r.raw) for r in again] == [
        (r.topic, r.msgtype, r.stamp_ns, r.raw) for r in records
    ]


def test_topics_are_found_by_type() -> None:
    with BagReader(SAMPLE) as bag:
        assert bag.topic_of(KEYPOINTS_TYPE) == "/keypoints"
        assert bag.topic_of(CAMERA_INFO_TYPE, "/camera_info") == "/camera_info"
        with pytest.raises(BagError, match=r"no topic '/other'; it has .*/keypoints"):
            bag.topic_of(KEYPOINTS_TYPE, "/other")
        with pytest.raises(
            BagError, match="is of type sensor_msgs/msg/CameraInfo, not occpose_ros/msg/Keypoints2DArray"
        ):
            bag.topic_of(KEYPOINTS_TYPE, "/camera_info")
        with pytest.raises(BagError, match="no topic of type sensor_msgs/msg/Image"):
            bag.topic_of("sensor_msgs/msg/Image")


def test_one_of_several_topics_must_be_named(tmp_path: Path) -> None:
    with BagReader(write_bag(tmp_path / "two.mcap", [1], ("/left", "/right"))) as bag:
        with pytest.raises(BagError, match="2 topics of type .*: /left, /right; name one"):
            bag.topic_of(KEYPOINTS_TYPE)
        assert bag.topic_of(KEYPOINTS_TYPE, "/right") == "/right"


def _missing(folder: Path) -> Path:
    return folder / "missing.mcap"


def _truncated(folder: Path) -> Path:
    path = folder / "cut.mcap"
    path.write_bytes(SAMPLE.read_bytes()[:100_000])
    return path


def _zero_bytes(folder: Path) -> Path:
    path = folder / "zero.mcap"
    path.touch()
    return path


def _foreign(folder: Path) -> Path:
    path = folder / "text.mcap"
    path.write_text("these are not the bytes of a bag\n" * 100)
    return path


def _foreign_database(folder: Path) -> Path:
    path = folder / "text.db3"
    path.write_text("these are not the bytes of a bag\n" * 100)
    return path


def _ros1(folder: Path) -> Path:
    path = folder / "old.bag"
    path.write_text("#ROSBAG V2.0\n")
    return path


def _empty_folder(folder: Path) -> Path:
    (folder / "nothing").mkdir()
    return folder / "nothing"


def _broken_metadata(folder: Path) -> Path:
    write_with_rosbags(folder / "bag", StoragePlugin.SQLITE3)
    (folder / "bag" / "metadata.yaml").write_text("rosbag2_bagfile_information: [1, 2\n")
    return folder / "bag"


def _no_messages(folder: Path) -> Path:
    with Writer(folder / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection("/keypoints", KEYPOINTS_TYPE, typestore=typestore())
    return folder / "bag"


BAD_BAGS = [
    pytest.param(_missing, "does not exist", id="missing"),
    pytest.param(_truncated, "not a readable ROS 2 bag", id="truncated"),
    pytest.param(_zero_bytes, "not a readable ROS 2 bag", id="zero bytes"),
    pytest.param(_foreign, "not a readable ROS 2 bag", id="foreign"),
    pytest.param(_foreign_database, "not a readable ROS 2 bag", id="foreign database"),
    pytest.param(_ros1, "neither in .mcap nor in .db3", id="ROS 1"),
    pytest.param(_empty_folder, "without metadata.yaml", id="folder that is no bag"),
    pytest.param(_broken_metadata, "not a readable ROS 2 bag", id="broken metadata"),
    pytest.param(_no_messages, "holds no messages", id="no messages"),
]


@pytest.mark.parametrize(("make", "sentence"), BAD_BAGS)
def test_bad_bags_get_one_sentence_with_their_name(tmp_path: Path, make: Callable[[Path], Path], sentence: str) -> None:
    path = make(tmp_path)
    with pytest.raises(BagError) as caught, BagReader(path) as bag:
        list(bag.messages())
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small bag as the bytes of each file format."""
    folder = tmp_path_factory.mktemp("whole")
    (database,) = write_with_rosbags(folder / "bag", StoragePlugin.SQLITE3).glob("*.db3")
    return {".mcap": write_bag(folder / "x.mcap", [1, 2, 3]).read_bytes(), ".db3": database.read_bytes()}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), suffix=st.sampled_from([".mcap", ".db3"]))
def test_damaged_bytes_are_either_read_or_refused(
    whole: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    raw = bytearray(whole[suffix])
    for _ in range(data.draw(st.integers(0, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / f"bad{suffix}"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        with BagReader(path) as bag:
            list(bag.messages())
    except BagError as error:
        assert path.name in str(error) and "\n" not in str(error)


def test_output_is_not_overwritten_without_force(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "x.mcap", [1])
    before = path.read_bytes()
    with pytest.raises(OccposeError, match="exists already"), BagWriter(path):
        pass
    assert path.read_bytes() == before
    with BagWriter(path, force=True) as bag:
        bag.write("/keypoints", keypoints(2), 2)
    assert path.read_bytes() != before


def test_a_failed_run_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "x.mcap", [1])
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), BagWriter(path, force=True) as bag:
        bag.write("/keypoints", keypoints(2), 2)
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_output_needs_the_right_suffix(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="must end in .mcap"):
        BagWriter(tmp_path / "x.bag")


def test_definitions_that_moved_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {path.stem for path in definition_files()} >= {"Keypoints2DArray", "Skeleton3DArray", "SkeletonInfo"}
    module = "occpose_ros.message_definitions"
    monkeypatch.setattr(f"{module}.__file__", str(tmp_path / "occpose_ros" / "message_definitions.py"))
    with pytest.raises(BagError, match="message definitions are neither in"):
        definition_files()


def test_the_sample_bag_holds_what_its_readme_says() -> None:
    assert SAMPLE.stat().st_size <= 5_000_000
    with BagReader(SAMPLE) as bag:
        records = {topic: list(bag.messages([topic])) for topic in bag.topics}
    detections = [record.message for record in records["/keypoints"]]
    assert 600 <= len(detections) <= 900
    stamps = np.array([record.stamp_ns for record in records["/keypoints"]])
    np.testing.assert_allclose(np.diff(stamps), 1e9 / 30, atol=1)
    assert sum(len(message.people) == 2 for message in detections) > 450
    assert {message.layout for message in detections} == {"coco17"}
    truth = [person for record in records["/ground_truth/skeletons"] for person in record.message.people]
    hidden = np.array([person.origin for person in truth]) != 0
    assert 0.15 < hidden.mean() < 0.35
    positions = np.array([person.position for person in truth]).reshape(-1, 17, 3)
    assert positions[..., 2].min() > 1.0 and positions[..., 2].max() < 10.0
    assert all(1.5 < person.height < 2.0 for person in truth)


def test_truth_and_detections_of_the_sample_agree_where_the_detector_is_sure() -> None:
    """The true 3D joints, projected by the bag's CameraInfo, lie at the detections of the same id and time."""
    from occpose_core.camera import px_from_cam
    from occpose_core.skeleton import H36M17, SKELETONS
    from occpose_ros.adapters import camera_from_msg

    with BagReader(SAMPLE) as bag:
        camera = camera_from_msg(next(bag.messages(["/camera_info"])).message)
        truth = {
            (record.stamp_ns, person.id): px_from_cam(np.reshape(person.position, (17, 3)), camera)
            for record in bag.messages(["/ground_truth/skeletons"])
            for person in record.message.people
        }
        left_knee = SKELETONS["coco17"].index("left_knee")
        errors = [
            np.linalg.norm(
                person.xy[2 * left_knee :][:2] - truth[record.stamp_ns, person.id][H36M17.index("left_knee")]
            )
            for record in bag.messages(["/keypoints"])
            for person in record.message.people
            if person.score[left_knee] > 0.7
        ]
    assert len(errors) > 200
    assert np.median(errors) < 5.0
