"""Published data sets as files of motion: z up, the floor at 0, subjects split, ready for benchmark and training."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from occpose_core.dataset import DatasetError, Motion, read_sequences
from occpose_core.skeleton import H36M17
from tests.training.h36m_files import walk, write_h36m
from tests.training.mpi_inf_3dhp_files import write_training
from tests.training.pw3d_files import write_3dpw
from training.__main__ import main
from training.convert import convert
from training.data.upright import stand_upright
from training.data.windows import MocapWindows, WindowConfig

SUBJECTS = ["S1", "S5", "S8", "S9", "S11"]


@pytest.fixture
def h36m_file(tmp_path: Path) -> Path:
    return write_h36m(tmp_path, SUBJECTS, ["Walking 1", "Eating"], frames=50)[0]


def test_human36m_becomes_a_file_of_motion(h36m_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "h36m.npz"
    assert main(["convert", "h36m", str(h36m_file), "--out", str(out), "--allow-pickle", "--rate", "50"]) == 0
    assert "500 frames" in capsys.readouterr().out
    motions = read_sequences(out)
    splits = dict(zip(motions.subject.tolist(), motions.split.tolist(), strict=True))
    assert splits == {"S1": "train", "S5": "train", "S8": "val", "S9": "test", "S11": "test"}
    assert motions.rate_hz == 50
    first = motions.motion(0)
    assert (first.name, first.description) == ("S1/Walking 1", "Walking")
    np.testing.assert_allclose(first.joints_world_m, walk(50), atol=1e-6)
    assert "academic" in motions.license


def test_the_rate_can_be_changed(h36m_file: Path, tmp_path: Path) -> None:
    convert("h36m", h36m_file, tmp_path / "h36m.npz", allow_pickle=True)
    motions = read_sequences(tmp_path / "h36m.npz")
    assert motions.rate_hz == 30
    assert set(motions.length.tolist()) == {30}
    np.testing.assert_allclose(motions.motion(0).joints_world_m[::3], walk(50)[::5], atol=1e-6)


def test_the_file_trains_and_validates(h36m_file: Path, tmp_path: Path) -> None:
    convert("h36m", h36m_file, tmp_path / "h36m.npz", allow_pickle=True)
    data = MocapWindows(
        [tmp_path / "h36m.npz"], window=WindowConfig(frames=3, patterns={"clean": 1.0}), batch_size=8, workers=0
    )
    batches = [*itertools.islice(data.train_dataloader(), 2), next(iter(data.val_dataloader()))]
    assert all(len(batch["kpts"]) for batch in batches)


def upright(joints_m: np.ndarray) -> None:
    """Check that people stand on a floor near z = 0 and lean nowhere."""
    body = joints_m[:, H36M17.index("thorax")] - joints_m[:, H36M17.indices("left_ankle", "right_ankle")].mean(axis=1)
    assert (body[:, 2] > 0.9 * np.linalg.norm(body, axis=-1)).all()
    assert -0.1 < joints_m[..., 2].min() < 0.15
    left, right = joints_m[:, H36M17.index("left_hip")], joints_m[:, H36M17.index("right_hip")]
    assert np.linalg.norm(left - right, axis=-1).min() > 0.05


def test_mpi_inf_3dhp_is_turned_upright_and_has_one_rate(tmp_path: Path) -> None:
    for subject, sequence in (("S1", "Seq1"), ("S1", "Seq2"), ("S7", "Seq1"), ("S8", "Seq1")):
        write_training(tmp_path, subject, sequence)
    convert("mpi-inf-3dhp", tmp_path, tmp_path / "3dhp.npz", allow_pickle=False, rate_hz=25.0)
    motions = read_sequences(tmp_path / "3dhp.npz")
    splits = dict(zip(motions.subject.tolist(), motions.split.tolist(), strict=True))
    assert splits == {"S1": "train", "S7": "val", "S8": "test"}
    assert dict(zip(motions.name.tolist(), motions.length.tolist(), strict=True))["S1/Seq2"] == 15  # 50 Hz
    for index in range(len(motions)):
        upright(motions.motion(index).joints_world_m)
    # a rotation, not a mirror: the left hip stays on the same side of the way
    joints = motions.motion(0).joints_world_m
    forward = joints[-1, 0] - joints[0, 0]
    across = joints[0, H36M17.index("left_hip")] - joints[0, H36M17.index("right_hip")]
    original = walk(30)
    handed = np.cross(original[-1, 0] - original[0, 0], original[0, 4] - original[0, 1])[2]
    assert np.sign(np.cross(forward, across)[2]) == np.sign(handed)


def test_3dpw_is_turned_upright(tmp_path: Path) -> None:
    convert("3dpw", write_3dpw(tmp_path), tmp_path / "3dpw.npz", allow_pickle=True)
    motions = read_sequences(tmp_path / "3dpw.npz")
    assert motions.split.tolist() == ["train", "train", "val", "val", "test", "test"]
    assert motions.rate_hz == 30
    for index in range(len(motions)):
        upright(motions.motion(index).joints_world_m)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_any_axis_may_be_up(axis: int, sign: int) -> None:
    order = [(axis + 1) % 3, (axis + 2) % 3, axis]  # where x, y and z of the walk go
    data = np.empty_like(walk(20))
    data[..., order] = walk(20) * [sign, 1, sign]
    motion = Motion(name="a", subject="a", description="", rate_hz=30.0, joints_world_m=data)
    joints = stand_upright([motion])[0].joints_world_m
    upright(joints)
    size = [np.linalg.norm(each[:, 1:] - each[:, :1], axis=-1) for each in (joints, walk(20))]
    np.testing.assert_allclose(*size, atol=1e-5)


def test_people_who_lie_everywhere_are_refused() -> None:
    turned = np.concatenate([walk(20), walk(20)[..., [2, 0, 1]]])
    motion = Motion(name="a", subject="a", description="", rate_hz=30.0, joints_world_m=turned)
    with pytest.raises(DatasetError, match="stand along no axis"):
        stand_upright([motion, motion])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "--allow-pickle", id="gate"),
        pytest.param(["--allow-pickle", "--out", "{tmp}"], "is a directory", id="folder"),
        pytest.param(["--allow-pickle", "--out", "{file}"], "--force", id="exists"),
    ],
)
def test_bad_calls_are_one_sentence(
    h36m_file: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [each.format(tmp=tmp_path, file=h36m_file) for each in arguments]
    call = ["convert", "h36m", str(h36m_file), "--out", str(tmp_path / "new.npz"), *options]
    assert main(call) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new.npz").exists()


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"S1/Seq1/annot.mat"):
        convert("mpi-inf-3dhp", tmp_path, tmp_path / "out.npz", allow_pickle=False)
