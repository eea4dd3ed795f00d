"""Shards of motion: the same windows as from the file, bit for bit, without holding the set in memory."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from occpose_core.dataset import DatasetError
from occpose_core.files import OutputError
from occpose_core.skeleton import H36M17
from tests.training.h36m_files import walk
from training.__main__ import main
from training.data.mocap import read_clips
from training.data.shards import INDEX, read_shards, write_shards
from training.data.windows import MocapWindows, WindowConfig

LENGTHS = [30, 50, 20, 70, 40]
SPLITS = ["train", "val", "train", "train", "test"]


def write_motion(path: Path, seed: int = 0) -> Path:
    np.savez_compressed(
        path,
        positions=np.concatenate([walk(length, seed + i) for i, length in enumerate(LENGTHS)]),
        start=np.cumsum([0, *LENGTHS[:-1]]),
        length=LENGTHS,
        name=[f"walk_{i}" for i in range(len(LENGTHS))],
        subject=[f"{split} {seed}" for split in SPLITS],
        description=["walks"] * len(LENGTHS),
        split=SPLITS,
        fps=30.0,
        joints=H36M17.joints,
        license="public domain",
    )
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_motion(tmp_path / "motion.npz")


@pytest.fixture
def folder(file: Path, tmp_path: Path) -> Path:
    write_shards([file], tmp_path / "shards", frames_per_shard=60)
    return tmp_path / "shards"


def windows(source: Path, workers: int = 0) -> MocapWindows:
    config = WindowConfig(frames=9, patterns={"k-missing": 1.0})
    return MocapWindows([source], window=config, batch_size=16, validation_windows=32, workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_windows_are_the_same_bit_for_bit(file: Path, folder: Path, workers: int) -> None:
    of_file, of_shards = windows(file, workers), windows(folder, workers)
    for one, other in zip(
        itertools.chain(itertools.islice(of_file.train_dataloader(), 4), of_file.val_dataloader()),
        itertools.chain(itertools.islice(of_shards.train_dataloader(), 4), of_shards.val_dataloader()),
        strict=True,
    ):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_clips_are_mapped_not_read(folder: Path) -> None:
    for split in ("train", "val", "test"):
        for clip in read_clips([folder], split):
            joints = clip.joints_world_m
            assert isinstance(joints, np.memmap)
            assert not joints.flags.owndata
            assert not joints.flags.writeable
    batch = next(iter(windows(folder).train_dataloader()))
    assert batch["joints_root_m"].untyped_storage().nbytes() == batch["joints_root_m"].numel() * 4


def test_recordings_stay_whole_and_in_order(file: Path, folder: Path) -> None:
    index = json.loads((folder / INDEX).read_text())
    frames = [[clip["length"] for clip in shard["clips"]] for shard in index["shards"]]
    assert frames == [[30, 20], [70], [50], [40]]  # train in three: at most 60 frames, or one recording
    for split in ("train", "val", "test"):
        for one, other in zip(read_clips([file], split), read_clips([folder], split), strict=True):
            assert (one.name, one.subject, one.rate_hz) == (other.name, other.subject, other.rate_hz)
            np.testing.assert_array_equal(one.joints_world_m, other.joints_world_m)


def test_a_stopped_run_goes_on_where_it_was(file: Path, folder: Path) -> None:
    shards = sorted(folder.glob("*.npy"))
    content = {path.name: path.read_bytes() for path in shards}
    kept = {path: path.stat().st_mtime_ns for path in shards[1:]}
    shards[0].unlink()
    (folder / INDEX).unlink()
    report: list[str] = []
    write_shards([file], folder, 60, report.append)
    assert {path.name: path.read_bytes() for path in sorted(folder.glob("*.npy"))} == content
    assert {path: path.stat().st_mtime_ns for path in shards[1:]} == kept
    assert report == [f"written {shards[0]}"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*content, INDEX])


def test_several_files_go_into_one_folder(file: Path, tmp_path: Path) -> None:
    other = write_motion(tmp_path / "other.npz", seed=9)
    write_shards([file, other], tmp_path / "both")
    clips = read_shards(tmp_path / "both", "train")
    assert [clip.subject for clip in clips] == ["train 0"] * 3 + ["train 9"] * 3
    assert {clip.source for clip in clips} == {str(tmp_path / "both")}


def test_other_files_do_not_mix_into_a_folder(folder: Path, tmp_path: Path) -> None:
    other = write_motion(tmp_path / "other.npz", seed=9)
    with pytest.raises(OutputError, match="holds shards of other files"):
        write_shards([other], folder)


def damage_index(folder: Path) -> None:
    (folder / INDEX).write_text("[]")


def damage_shard(folder: Path) -> None:
    shard = next(folder.glob("train-00000*"))
    shard.write_bytes(shard.read_bytes()[:500])


def replace_shard(folder: Path) -> None:
    np.save(next(folder.glob("train-00000*")), np.zeros((3, 17, 3), dtype=np.float32))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda folder: (folder / INDEX).unlink(), "index.json", id="no index"),
        pytest.param(damage_index, "not an index of motion shards", id="another json"),
        pytest.param(damage_shard, "missing or damaged", id="cut off"),
        pytest.param(lambda folder: next(folder.glob("train-00000*")).unlink(), "missing or damaged", id="no shard"),
        pytest.param(replace_shard, "shorter than index.json says", id="another array"),
    ],
)
def test_damaged_folders_are_one_sentence(folder: Path, damage: object, message: str) -> None:
    damage(folder)  # type: ignore[operator]
    with pytest.raises(DatasetError, match=f"{message}.*python -m training shards"):
        read_shards(folder, "train")


def test_a_folder_without_the_split_says_so(tmp_path: Path, file: Path) -> None:
    write_shards([file], tmp_path / "shards")
    with pytest.raises(DatasetError, match="no sequence of split 'holdout'; its splits are test, train, val"):
        read_shards(tmp_path / "shards", "holdout")


def test_the_command_writes_a_folder(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "shards"
    assert main(["shards", str(file), "--out", str(out), "--frames", "60"]) == 0
    assert "is complete" in capsys.readouterr().out
    assert len(read_clips([out], "train")) == 3
    assert main(["shards", str(tmp_path / "none.npz"), "--out", str(out)]) == 2
    assert "none.npz" in capsys.readouterr().err
