"""The data file reader: what it reads, and one clear sentence for what it cannot."""

from pathlib import Path

import numpy as np
import pytest

from occpose_core.dataset import DatasetError, Motion, read_sequences
from occpose_core.skeleton import H36M17

LENGTHS = (5, 1, 7)


def members() -> dict[str, np.ndarray]:
    """A small data file in the published schema."""
    frames = sum(LENGTHS)
    rng = np.random.default_rng(0)
    return {
        "positions": rng.normal(size=(frames, 17, 3)).astype(np.float32),
        "start": np.cumsum(LENGTHS) - LENGTHS,
        "length": np.array(LENGTHS, dtype=np.int32),
        "name": np.array(["a_01", "b_01", "c_01"]),
        "subject": np.array(["a", "b", "c"]),
        "split": np.array(["train", "val", "test"]),
        "description": np.array(["walk", "stand", "run"]),
        "fps": np.array(30),
        "joints": np.array(H36M17.joints),
        "license": np.array("public domain"),
    }


def write(folder: Path, **changes: np.ndarray | None) -> Path:
    """The small file with some keys changed, or left out where None."""
    content = {key: value for key, value in {**members(), **changes}.items() if value is not None}
    path = folder / "motion.npz"
    np.savez_compressed(path, **content)
    return path


def test_reads_sequences_by_split(tmp_path: Path) -> None:
    sequences = read_sequences(write(tmp_path))
    assert len(sequences) == 3
    (motion,) = sequences.of_split("test")
    assert (motion.name, motion.subject, motion.description, motion.rate_hz) == ("c_01", "c", "run", 30.0)
    np.testing.assert_array_equal(motion.joints_world_m, members()["positions"][6:].astype(np.float64))
    assert len(sequences.sha256) == 64


def test_the_hash_is_of_the_file(tmp_path: Path) -> None:
    first = read_sequences(write(tmp_path)).sha256
    assert read_sequences(write(tmp_path)).sha256 == first
    assert read_sequences(write(tmp_path, license=np.array("other"))).sha256 != first


def test_joints_are_sorted_by_name(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(17)
    short = {"left": "L", "right": "R"}
    names = [H36M17.joints[i] for i in order]
    names = [short[n.split("_")[0]] + n.split("_", 1)[1] if n.split("_")[0] in short else n for n in names]
    names = ["neck_nose" if name == "nose" else name for name in names]
    shuffled = read_sequences(write(tmp_path, joints=np.array(names), positions=members()["positions"][:, order]))
    np.testing.assert_array_equal(shuffled.positions_world_m, members()["positions"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(pytest.param({key: None}, f"lacks the key '{key}'", id=f"no {key}") for key in members()),
        pytest.param({"positions": np.zeros((13, 16, 3))}, r"\(13, 16, 3\)", id="16 joints"),
        pytest.param({"positions": np.full((13, 17, 3), np.nan)}, "finite", id="NaN positions"),
        pytest.param({"positions": np.zeros((13, 17, 3), dtype=np.int64)}, "int64", id="integer positions"),
        pytest.param({"positions": np.zeros((12, 17, 3))}, "'c_01' spans frames 6 to 13", id="sequence past the end"),
        pytest.param({"length": np.array([5, 0, 7])}, "'b_01' spans", id="empty sequence"),
        pytest.param({"length": np.array([5, 1])}, "one entry a sequence", id="lengths of two sequences"),
        pytest.param({"length": np.array([5.0, 1.0, 7.0])}, "whole numbers", id="fractional lengths"),
        pytest.param({"split": np.array(["train", "dev", "test"])}, "'dev'", id="unknown split"),
        pytest.param(
            {"subject": np.array(["a", "c", "c"])}, "'c' is in split 'val' and in 'test'", id="shared subject"
        ),
        pytest.param({"fps": np.array(0)}, "'fps'", id="zero rate"),
        pytest.param({"fps": np.array("30 Hz")}, "'fps'", id="rate in words"),
        pytest.param({"joints": np.array(["tail", *H36M17.joints[1:]])}, "'tail' does not fit", id="unknown joint"),
        pytest.param({"joints": np.array([*H36M17.joints[1:], "nose"])}, "'nose' does not fit", id="joint twice"),
        pytest.param({"name": np.array([{}, {}, {}], dtype=object)}, "not a whole .npz", id="pickled member"),
    ],
)
def test_wrong_files_get_one_sentence(tmp_path: Path, changes: dict, message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DatasetError, match=message) as caught:
        read_sequences(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"", "not a whole .npz", id="empty"),
        pytest.param(b"not an archive", "not a whole .npz", id="foreign"),
        pytest.param("truncated", "not a whole .npz", id="truncated"),
        pytest.param("damaged", "not a whole .npz", id="damaged inside"),
        pytest.param("npy", "single array", id="npy"),
    ],
)
def test_files_that_are_no_archives(tmp_path: Path, content: bytes | str | None, message: str) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    elif content == "npy":
        with path.open("wb") as stream:
            np.save(stream, np.zeros(3))
    elif content == "damaged":
        path.write_bytes(whole[:500] + bytes(200) + whole[700:])
    else:
        path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(DatasetError, match=message):
        read_sequences(path)


def test_a_split_without_sequences_is_named(tmp_path: Path) -> None:
    sequences = read_sequences(write(tmp_path, split=np.array(["train", "train", "test"])))
    with pytest.raises(DatasetError, match="no sequence of split 'val'; its splits are test, train"):
        sequences.of_split("val")


@pytest.mark.parametrize(("rate_hz", "frames"), [(30.0, 61), (15.0, 31), (60.0, 121), (25.0, 51), (7.0, 15)])
def test_resampling_follows_straight_motion(rate_hz: float, frames: int) -> None:
    time = np.arange(61) / 30.0
    joints = np.broadcast_to(time[:, None, None] * [1.0, 2.0, 3.0], (61, 17, 3))
    motion = Motion(name="line", subject="a", description="", rate_hz=30.0, joints_world_m=joints)
    resampled = motion.resampled(rate_hz).joints_world_m
    expected = np.arange(frames)[:, None, None] / rate_hz * [1.0, 2.0, 3.0]
    np.testing.assert_allclose(resampled, np.broadcast_to(expected, (frames, 17, 3)), atol=1e-9)


def test_resampling_one_frame() -> None:
    motion = Motion(name="still", subject="a", description="", rate_hz=30.0, joints_world_m=np.ones((1, 17, 3)))
    np.testing.assert_array_equal(motion.resampled(60.0).joints_world_m, np.ones((1, 17, 3)))
