"""Recordings as the viewer plays them, and which bag it plays."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17
from occpose_ros.bag import BagError, BagReader, BagWriter
from occpose_ros.transforms import TransformError
from occpose_ros.view.answers import answered_bag
from occpose_ros.view.bag_source import BagSource
from occpose_ros.view.playback import Playback
from occpose_ros.view.source import Frames, Moment, ViewError
from tests.ros.people import FRAME_ID
from tests.ros.view_bags import BEGIN_NS, skeletons_msg, steadily, write_bag

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"
PELVIS = H36M17.index("pelvis")


@contextlib.contextmanager
def opened(path: Path, *, with_tf: bool = False) -> Iterator[tuple[BagSource, Playback]]:
    """A source that stands still."""
    with BagSource(path, "/skeletons", title="a bag", with_tf=with_tf) as source:
        assert source.playback is not None
        source.playback.pause()
        yield source, source.playback


def walker_x_m(moment: Moment | None) -> float:
    assert moment is not None
    return float(moment.people.joints_m[0, PELVIS, 0])


def test_it_shows_the_newest_answer_of_its_place_wherever_it_jumps(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.mcap", steadily(8.0))
    with opened(path) as (source, playback):
        assert playback.duration_s == pytest.approx(8.0)
        for place_s in (0.0, 0.5, 0.51, 7.99, 8.0, 3.0, 2.98, 6.5, 0.0):
            playback.seek(place_s)
            assert 0.0 <= place_s - walker_x_m(source.moment()) < 1 / 30 + 1e-6


def test_what_is_shown_is_read_once(tmp_path: Path) -> None:
    with opened(write_bag(tmp_path / "bag.mcap", steadily(1.0))) as (source, playback):
        playback.seek(0.4)
        moment = source.moment()
        assert source.moment() is moment
        playback.seek(0.9)
        assert source.moment() is not moment


def test_the_camera_is_known_wherever_it_begins(tmp_path: Path) -> None:
    """CameraInfo came once, as a latched one does."""
    with opened(write_bag(tmp_path / "bag.mcap", steadily(8.0))) as (source, playback):
        source.moment()
        for place_s in (7.0, 1.0):
            playback.seek(place_s)
            moment = source.moment()
            assert moment is not None and moment.camera is not None and moment.camera.frame_id == FRAME_ID


def test_in_a_gap_nobody_is_shown(tmp_path: Path) -> None:
    with opened(write_bag(tmp_path / "bag.mcap", [0.0, 0.1, 5.0, 5.1])) as (source, playback):
        for place_s, there in ((0.5, True), (3.0, False), (5.05, True), (2.0, False), (1.0, True)):
            playback.seek(place_s)
            assert (source.moment() is not None) == there, place_s


def test_the_camera_moves_in_the_map(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.mcap", steadily(4.0), moving_camera=True)
    frames = Frames(fixed_frame="map")
    with opened(path, with_tf=True) as (source, playback):
        for place_s in (0.5, 3.5, 1.0):
            playback.seek(place_s)
            moment = source.moment()
            assert moment is not None
            map_from_camera = frames.shown_from(moment.frame_id, moment.stamp_ns, source.transforms)
            np.testing.assert_allclose(map_from_camera.translation_m, (place_s, 0.0, 2.0), atol=1 / 30)
            pelvis_m = map_from_camera.apply(moment.people.joints_m[0, PELVIS])
            np.testing.assert_allclose(pelvis_m, (place_s + 4.0, -place_s, 1.95), atol=2 / 30)
            ground = frames.shown_from_ground(moment.stamp_ns, source.transforms)
            assert ground is not None and not ground.translation_m.any()


def test_a_frame_that_nobody_knows_is_named(tmp_path: Path) -> None:
    with opened(write_bag(tmp_path / "bag.mcap", steadily(1.0)), with_tf=True) as (source, _):
        moment = source.moment()
        assert moment is not None
        with pytest.raises(TransformError, match="'odom'"):
            Frames(fixed_frame="odom").shown_from(moment.frame_id, moment.stamp_ns, source.transforms)


def test_it_ends_when_the_bag_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    monkeypatch.setattr("occpose_ros.view.bag_source._LOOK_FOR_BAG_S", 0.0)
    with opened(write_bag(folder / "bag.mcap", steadily(1.0))) as (source, _):
        source.wait(0.0)
        shutil.rmtree(folder)
        with pytest.raises(OccposeError, match="is gone"):
            source.wait(0.0)


def test_damage_in_the_middle_stops_there_and_the_rest_can_be_seen(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.mcap", steadily(8.0), people=60)
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + 2000)
    content[middle] = bytes(2000)
    path.write_bytes(content)
    with opened(path) as (source, playback):
        assert source.moment() is not None
        playback.play()
        reached_s = next(s for s in np.arange(0.0, 8.0, 0.25) if _damaged_at(source, playback, float(s)))
        assert 1.0 < reached_s < 7.0 and not playback.playing
        assert "not a readable ROS 2 bag" in source.status()
        for place_s in (0.5, 7.9):
            playback.seek(place_s)
            assert walker_x_m(source.moment()) == pytest.approx(place_s, abs=0.04)
            assert "a bag" in source.status()


def _damaged_at(source: BagSource, playback: Playback, place_s: float) -> bool:
    playback.seek(place_s)
    source.moment()
    return "not a readable" in source.status()


@pytest.mark.parametrize(
    ("plugin", "compression"),
    [
        pytest.param(StoragePlugin.SQLITE3, None, id="sqlite3"),
        pytest.param(StoragePlugin.SQLITE3, CompressionMode.MESSAGE, id="sqlite3-messages-compressed"),
        pytest.param(StoragePlugin.SQLITE3, CompressionMode.FILE, id="sqlite3-file-compressed"),
        pytest.param(StoragePlugin.MCAP, CompressionMode.STORAGE, id="mcap-folder"),
    ],
)
def test_every_kind_of_bag_can_be_jumped_in(
    tmp_path: Path, plugin: StoragePlugin, compression: CompressionMode | None
) -> None:
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with BagReader(write_bag(tmp_path / "plain.mcap", steadily(8.0))) as bag, writer:
        opened_topics = {}
        for record in bag.records():
            if record.topic not in opened_topics:
                channel = bag.channel(record.topic)
                definition = {"msgdef": channel.definition, "rihs01": channel.digest}
                opened_topics[record.topic] = writer.add_connection(record.topic, record.msgtype, **definition)
            writer.write(opened_topics[record.topic], record.stamp_ns, record.raw)
    with answered_bag(tmp_path / "bag") as (path, topic):
        assert (path, topic) == (tmp_path / "bag", "/skeletons")
        with opened(path) as (source, playback):
            for place_s in (0.0, 7.5, 2.0):
                playback.seek(place_s)
                assert 0.0 <= place_s - walker_x_m(source.moment()) < 1 / 30 + 1e-6


def _two_topics(path: Path) -> Path:
    with BagWriter(path) as bag:
        for topic in ("/front/skeletons", "/back/skeletons", "/ground_truth/skeletons"):
            bag.write(topic, skeletons_msg(0.0), BEGIN_NS)
    return path


def test_the_answers_are_told_from_the_truth(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag.mcap") as bag:
        for topic in ("/ground_truth/skeletons", "/robot/skeletons"):
            bag.write(topic, skeletons_msg(0.0), BEGIN_NS)
    with answered_bag(tmp_path / "bag.mcap") as found:
        assert found == (tmp_path / "bag.mcap", "/robot/skeletons")


def test_one_of_several_topics_can_be_named(tmp_path: Path) -> None:
    with answered_bag(_two_topics(tmp_path / "bag.mcap"), "/back/skeletons") as (_, topic):
        assert topic == "/back/skeletons"


def test_what_a_replay_left_is_found_in_its_folder(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "output.mcap", [0.0])
    (tmp_path / "report.json").write_text("{}")
    with answered_bag(tmp_path) as (path, _):
        assert path == bag


def test_of_a_replay_of_several_models_or_bags_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "morning").mkdir()
    for name in ("output_lcn.mcap", "output_stream-s.mcap"):
        write_bag(tmp_path / "morning" / name, [0.0])
    for folder in (tmp_path, tmp_path / "morning"):
        (folder / "report.json").write_text("{}")
    with pytest.raises(ViewError, match=r"2 bags: output_lcn\.mcap, output_stream-s\.mcap; name one"):
        answered_bag(tmp_path / "morning").__enter__()
    with pytest.raises(ViewError, match=r"2 bags: morning/output_lcn\.mcap, morning/output_stream-s\.mcap; name one"):
        answered_bag(tmp_path).__enter__()


def test_a_bag_without_answers_gets_those_of_a_model(tmp_path: Path) -> None:
    """A second of the sample; the file with the answers is gone afterwards."""
    with BagReader(SAMPLE) as bag, BagWriter(tmp_path / "short.mcap") as short:
        for record in bag.records(begin_ns=bag.begin_ns + 10_000_000_000):
            if record.stamp_ns < bag.begin_ns + 11_000_000_000:
                short.copy(record, bag)
        for record in bag.records(["/tf_static"]):
            short.copy(record, bag)
    with answered_bag(tmp_path / "short.mcap", ground_frame="map") as (path, topic):
        assert path != tmp_path / "short.mcap"
        with opened(path, with_tf=True) as (source, playback):
            playback.seek(playback.duration_s)
            moment = source.moment()
            assert moment is not None and set(moment.people.ids) == {"1", "2"} and topic == "/skeletons"
            assert moment.camera is not None and moment.camera.distorted
            map_from_camera = Frames(ground_frame="map").shown_from(moment.frame_id, moment.stamp_ns, source.transforms)
            assert map_from_camera.translation_m[2] == pytest.approx(1.9, abs=0.05)
    assert not path.exists()


def _truncated(path: Path) -> Path:
    path.write_bytes(write_bag(path.with_name("whole.mcap"), steadily(1.0)).read_bytes()[:5000])
    return path


def _several(path: Path) -> Path:
    path.mkdir()
    for name in "ab":
        write_bag(path / f"{name}.mcap", [0.0])
    return path


def _without_keypoints(path: Path) -> Path:
    with BagReader(SAMPLE) as bag, BagWriter(path) as cut:
        for record in bag.records(["/camera_info"]):
            cut.copy(record, bag)
    return path


def _text(path: Path) -> Path:
    path.write_text("people walk by")
    return path


def _empty_file(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        pytest.param("bag.mcap", lambda path: path, "does not exist", id="nothing"),
        pytest.param("bag.mcap", _empty_file, "not a readable ROS 2 bag", id="zero-bytes"),
        pytest.param("bag.mcap", _truncated, "not a readable ROS 2 bag", id="truncated"),
        pytest.param("bag.txt", _text, "ends neither in .mcap nor in .db3", id="text"),
        pytest.param("bags", _several, "has 2 bags: a.mcap, b.mcap; name one of them", id="several-bags"),
        pytest.param("bag.mcap", _two_topics, "name one of them with --skeletons", id="several-topics"),
        pytest.param("bag.mcap", _without_keypoints, "has no keypoints.*occpose replay", id="no-people"),
    ],
)
def test_bags_that_cannot_be_shown(tmp_path: Path, name: str, make: Callable[[Path], Path], sentence: str) -> None:
    with pytest.raises(OccposeError, match=sentence) as raised, answered_bag(make(tmp_path / name)):
        pytest.fail("it was opened")
    assert "\n" not in str(raised.value)


def test_a_topic_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no topic '/nobody'"), answered_bag(_two_topics(tmp_path / "b.mcap"), "/nobody"):
        pytest.fail("it was opened")
