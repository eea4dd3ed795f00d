"""Bags are found wherever they lie, each once and under a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from occpose_ros.bag import BagError, BagReader
from occpose_ros.replay.bags import find_bags
from tests.ros.bag_files import join, write_folder
from tests.ros.test_bag_kinds import sent

SAMPLES = Path(__file__).parents[2] / "samples"


def touch(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(*paths: Path) -> dict[str, Path]:
    return {bag.name: bag.path for bag in find_bags(paths)}


def test_a_file_is_itself(tmp_path: Path) -> None:
    assert found(SAMPLES / "two_people.mcap") == {"two_people": SAMPLES / "two_people.mcap"}
    assert found(tmp_path / "missing.mcap") == {"missing": tmp_path / "missing.mcap"}  # its reader says that it is


def test_a_folder_has_all_bags_below_it(tmp_path: Path) -> None:
    day1 = write_folder(tmp_path / "day1" / "walk", sent(range(1, 3)), StoragePlugin.SQLITE3)
    parts = [write_folder(tmp_path / f"part{i}", sent(range(3 * i, 3 * i + 3))) for i in (0, 1)]
    split = join(tmp_path / "day2" / "run", parts)
    packed = write_folder(tmp_path / "day2" / "zip", sent(range(3)), StoragePlugin.MCAP, CompressionMode.FILE)
    lone = touch(tmp_path / "day3" / "cut.mcap")
    crashed = touch(tmp_path / "day3" / "crashed" / "crashed_0.db3")
    for other in ("notes.txt", ".hidden/x.mcap", "day3/.x.mcap", "day3/metadata.yaml"):
        touch(tmp_path / other, "model: 3")
    for part in parts:
        (part / "metadata.yaml").unlink()
    expected = {"walk": day1, "run": split, "zip": packed, "cut": lone, "crashed_0": crashed}
    assert found(tmp_path) == expected
    assert list(found(tmp_path)) == ["walk", "run", "zip", "crashed_0", "cut"]
    assert found(tmp_path / "day2", tmp_path / "day2" / "run", lone) == {"run": split, "zip": packed, "cut": lone}


def test_names_that_are_shared_tell_where_the_bags_lie(tmp_path: Path) -> None:
    paths = [touch(tmp_path / name) for name in ("a/x.mcap", "b/x.mcap", "b/x.db3", "b/y.mcap", "c/d/x.mcap")]
    assert found(*paths) == {
        "a/x": paths[0],
        "b/x.mcap": paths[1],
        "b/x.db3": paths[2],
        "y": paths[3],
        "c/d/x": paths[4],
    }


def test_links_to_one_bag_are_several(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.mcap").symlink_to(SAMPLES / "two_people.mcap")
    assert list(found(tmp_path)) == ["0", "1", "2"]
    assert len(found(tmp_path, tmp_path / "0.mcap", tmp_path / "1.mcap")) == 3
    with BagReader(found(tmp_path)["2"]) as bag:
        assert "/keypoints" in bag.topics


def test_what_an_earlier_replay_left_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [touch(tmp_path / "x_replay" / name) for name in ("output.mcap", "output_ring-l.mcap")]
    touch(tmp_path / "x_replay" / "report.json", "{}")
    theirs = touch(tmp_path / "theirs" / "output.mcap")
    assert found(tmp_path) == {"output": theirs}
    assert found(ours[0]) == {"output": ours[0]}
    monkeypatch.chdir(tmp_path / "theirs")
    assert found(Path()) == {"output": theirs}


def test_the_current_folder_may_be_a_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "walk", sent(range(1, 3)))
    monkeypatch.chdir(folder)
    assert found(Path()) == {"walk": folder}


@pytest.mark.parametrize("name", ["empty", "empty/deeper"])
def test_a_path_without_bags_is_one_sentence(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "empty" / "deeper" / "readme.md")
    with pytest.raises(BagError, match=f"there is no bag in the folder {tmp_path / name}: no .mcap"):
        find_bags([SAMPLES / "two_people.mcap", tmp_path / name])
