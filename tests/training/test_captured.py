"""Windows of real recordings: every frame once, 2D and 3D that fit, the papers' normalisation and ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from occpose_core.camera import px_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.skeleton import H36M17
from tests.training.h36m_files import filmed, walk, write_h36m
from training.data.batch import Batch
from training.data.captured import CapturedDataset, CapturedWindows, screen
from training.data.h36m_cameras import h36m_cameras
from training.data.occlusion_windows import OcclusionWindows
from training.data.recording import Recording
from training.data.windows import WindowConfig

CAMERA = "54138969"


def recording(frames: int, seed: int = 0, camera: str = CAMERA, **more: Any) -> Recording:
    joints_cam_m, px = filmed("S1", camera, walk(frames, seed))
    fields: dict[str, Any] = {
        "name": f"S1/walk {seed}/{camera}",
        "subject": "S1",
        "action": "walk",
        "camera_name": camera,
        "rate_hz": 50.0,
        "kpts_px": px,
        "score": None,
        "joints_cam_m": joints_cam_m,
        "camera": h36m_cameras()[camera],
        "split": "train",
    }
    return Recording(**{**fields, **more})


def dataset(*recordings: Recording, batch: int = 8, seed: int = 0, **more: Any) -> CapturedDataset:
    options = {name: more.pop(name) for name in ("shuffle", "process", "every", "normalisation") if name in more}
    config = WindowConfig(**{"rate_hz": 50.0, "patterns": {"clean": 1.0}, **more})
    return CapturedDataset(recordings, config, batch, seed, **options)


def joined(batches: list[Batch]) -> Batch:
    return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}


def one_pass(data: CapturedDataset) -> Batch:
    return joined(list(data))


def answered(batch: Batch, frames: int, look_ahead: int, stride: int = 1) -> list[tuple[int, int]]:
    frame = batch["start"] + (frames - 1 - look_ahead) * stride
    return list(zip(batch["clip"].tolist(), frame.tolist(), strict=True))


@pytest.mark.parametrize("normalisation", ["person-view", "screen"])
@pytest.mark.parametrize(("frames", "look_ahead"), [(1, 0), (9, 0), (9, 4)])
def test_every_frame_is_answered_once_in_order(normalisation: str, frames: int, look_ahead: int) -> None:
    people = recording(13), recording(2, 1)
    data = dataset(*people, shuffle=False, frames=frames, look_ahead=look_ahead, normalisation=normalisation)
    batch = one_pass(data)
    assert answered(batch, frames, look_ahead) == [(0, t) for t in range(13)] + [(1, t) for t in range(2)]
    assert len(data) == 2
    assert batch["kpts"].shape == batch["true_kpts"].shape == (15, frames, 17, 2)
    assert batch["joints_root_m"].shape == (15, frames, 17, 3)
    assert all(each.dtype == torch.float32 for name, each in batch.items() if name not in ("clip", "start"))
    torch.testing.assert_close(batch["kpts"], batch["true_kpts"], atol=1e-4, rtol=0)


def test_windows_repeat_the_first_and_last_frame_of_their_recording() -> None:
    data = dataset(recording(5), recording(5, 1), shuffle=False, frames=7, look_ahead=3, normalisation="screen")
    batch = one_pass(data)
    single = one_pass(dataset(recording(5), recording(5, 1), shuffle=False, normalisation="screen"))
    for row, (clip, frame) in enumerate(answered(batch, 7, 3)):
        frames = np.clip(np.arange(frame - 3, frame + 4), 0, 4) + 5 * clip
        assert torch.equal(batch["kpts"][row], single["kpts"][frames, 0])
        assert torch.equal(batch["joints_root_m"][row], single["joints_root_m"][frames, 0])


def test_the_papers_normalisation_is_theirs() -> None:
    person = recording(4)
    batch = one_pass(dataset(person, shuffle=False, normalisation="screen"))
    width, height = 1000, 1002
    u, v = person.kpts_px[..., 0], person.kpts_px[..., 1]
    expected = np.stack([2 * u / width - 1, 2 * v / width - height / width], axis=-1)
    np.testing.assert_allclose(batch["kpts"][:, 0], expected, atol=1e-6)
    root_relative = person.joints_cam_m - person.joints_cam_m[:, :1]
    np.testing.assert_allclose(batch["joints_root_m"][:, 0], root_relative, atol=1e-6)
    np.testing.assert_allclose(screen(np.array([500.0, 501.0]), person.camera), [0.0, 0.0], atol=1e-12)


def test_the_person_view_is_that_of_the_node() -> None:
    batch = one_pass(dataset(recording(20), shuffle=False))
    kpts, joints = batch["kpts"][:, 0], batch["joints_root_m"][:, 0]
    torch.testing.assert_close((kpts**2).sum(-1).mean(-1).sqrt(), torch.ones(20), atol=1e-4, rtol=0)
    for person in range(20):  # it looks at the person: lateral 3D and 2D are nearly proportional
        lateral = (kpts[person] - kpts[person, :1]).flatten()
        assert np.corrcoef(lateral, joints[person, :, :2].flatten())[0, 1] > 0.95
    assert torch.equal(joints[:, 0], torch.zeros(20, 3))


def test_lengths_do_not_depend_on_the_normalisation() -> None:
    def arm(normalisation: str) -> torch.Tensor:
        joints = one_pass(dataset(recording(6), shuffle=False, normalisation=normalisation))["joints_root_m"]
        shoulder, elbow = H36M17.index("left_shoulder"), H36M17.index("left_elbow")
        return (joints[:, :, shoulder] - joints[:, :, elbow]).norm(dim=-1)

    torch.testing.assert_close(arm("screen"), arm("person-view"), atol=1e-5, rtol=0)


def test_a_pass_shuffles_all_frames_and_the_next_one_anew() -> None:
    data = dataset(recording(16), recording(16, 1), mirrored=0.0)
    passes = [one_pass(data) for _ in range(2)]
    for batch in passes:
        assert sorted(answered(batch, 1, 0)) == [(clip, t) for clip in range(2) for t in range(16)]
    orders = [answered(batch, 1, 0) for batch in passes]
    assert orders[0] != orders[1] != sorted(orders[1])
    again = one_pass(dataset(recording(16), recording(16, 1), mirrored=0.0))
    assert all(torch.equal(again[name], passes[0][name]) for name in again)
    other = one_pass(dataset(recording(16), recording(16, 1), seed=1, mirrored=0.0))
    assert answered(other, 1, 0) != orders[0]


@pytest.mark.parametrize("normalisation", ["person-view", "screen"])
def test_a_mirrored_person_is_mirrored_in_2d_and_3d(normalisation: str) -> None:
    straight = one_pass(dataset(recording(8), mirrored=0.0, normalisation=normalisation))
    flipped = one_pass(dataset(recording(8), mirrored=1.0, normalisation=normalisation))
    order = [answered(each, 1, 0) for each in (straight, flipped)]
    assert order[0] == order[1]
    for name in ("kpts", "true_kpts", "joints_root_m"):
        sign = torch.tensor([-1.0, 1.0, 1.0])[: straight[name].shape[-1]]
        torch.testing.assert_close(flipped[name], straight[name][:, :, H36M17.mirror] * sign, atol=2e-5, rtol=0)


def test_every_frame_comes_straight_and_mirrored() -> None:
    data = dataset(recording(200), batch=50, normalisation="screen")
    batch = one_pass(data)
    assert len(data) == 8
    plain = one_pass(dataset(recording(200), batch=200, shuffle=False, normalisation="screen"))
    frames = torch.tensor([frame for _, frame in answered(batch, 1, 0)])
    straight = (batch["joints_root_m"] == plain["joints_root_m"][frames]).flatten(1).all(dim=1)
    for chosen in (straight, ~straight):
        assert sorted(frames[chosen].tolist()) == list(range(200))


def test_joints_are_hidden_by_patterns_and_where_the_detector_missed_them() -> None:
    score = np.full((40, 17), 0.5, dtype=np.float32)
    wrist = H36M17.index("left_wrist")
    score[:, wrist] = 0.0
    px = recording(40).kpts_px.copy()
    px[:, wrist] = np.nan
    seen = recording(40, kpts_px=px, score=score)
    batch = one_pass(dataset(seen, patterns={"k-missing(3)": 1.0}, frames=3, mirrored=0.0))
    assert set(batch["visible"].unique().tolist()) == {0.0, 0.5}
    assert (batch["visible"][:, :, wrist] == 0).all()
    hidden = (batch["visible"] == 0).sum(dim=-1)
    assert set(hidden.unique().tolist()) == {3, 4}
    assert all(torch.isfinite(batch[name]).all() for name in batch)
    again = [one_pass(dataset(seen, patterns={"k-missing(3)": 1.0}, shuffle=False))["visible"] for _ in range(2)]
    assert torch.equal(*again)


def test_runs_of_frames_are_hidden_as_in_windows_of_motion() -> None:
    batch = one_pass(dataset(recording(64), occlusion=OcclusionWindows(length=2), frames=20, batch=64))
    hidden = batch["visible"] == 0
    assert hidden.any(dim=2).any(dim=1).all()
    assert (hidden.sum(dim=2) <= 1).all()  # one joint in each run


def test_frames_without_enough_joints_are_no_training_but_are_answered() -> None:
    score = np.ones((10, 17), dtype=np.float32)
    score[4] = 0.0
    batch = one_pass(dataset(recording(10, score=score), batch=10, mirrored=0.0))
    assert 4 not in batch["start"].tolist()
    assert len(batch["kpts"]) == 9
    answered_all = one_pass(dataset(recording(10, score=score), batch=10, shuffle=False))
    assert len(answered_all["kpts"]) == 10
    assert torch.isfinite(answered_all["kpts"]).all()


def test_processes_share_the_windows() -> None:
    ranks = [dataset(recording(32), process=(rank, 2), batch=4, mirrored=0.0) for rank in range(2)]
    frames = [one_pass(rank)["start"].tolist() for rank in ranks]
    assert [len(each) for each in ranks] == [4, 4]
    assert sorted(frames[0] + frames[1]) == list(range(32))
    whole = [dataset(recording(10), process=(rank, 2), batch=4, shuffle=False) for rank in range(2)]
    assert sorted(frame for rank in whole for frame in one_pass(rank)["start"].tolist()) == list(range(10))


def test_a_slower_window_takes_every_other_frame() -> None:
    data = dataset(recording(9), shuffle=False, frames=3, rate_hz=25.0, normalisation="screen")
    single = one_pass(dataset(recording(9), shuffle=False, normalisation="screen"))
    batch = one_pass(data)
    assert torch.equal(batch["kpts"][8], single["kpts"][[4, 6, 8], 0])
    assert data.origin(0, int(batch["start"][8])) == f"recording 'S1/walk 0/{CAMERA}', frames 4 to 8"
    for rate_hz in (30.0, 100.0):
        with pytest.raises(DatasetError, match=f"50 frames a second, .* {rate_hz:g}; set window.rate_hz"):
            dataset(recording(9), rate_hz=rate_hz, frames=2)
        assert len(one_pass(dataset(recording(9), rate_hz=rate_hz, shuffle=False))["kpts"]) == 9


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("h36m")
    return list(write_h36m(folder, ["S1", "S8", "S9"], ["Walking 1", "Eating"], noise_px=3.0))


def test_the_data_module_trains_on_training_subjects_and_validates_on_another(files: list[Path]) -> None:
    data = CapturedWindows("h36m", files, allow_pickle=True, batch_size=16, workers=0)
    data.setup("fit")
    assert data.origin("train", 0, 3).startswith("recording 'S1/Walking 1/")
    assert data.origin("val", 0, 3).startswith("recording 'S8/Walking 1/")
    train, val = (joined(list(loader)) for loader in (data.train_dataloader(), data.val_dataloader()))
    assert len(train["kpts"]) == 2 * len(val["kpts"]) == 2 * 2 * 4 * 20
    thinned = CapturedWindows("h36m", files, allow_pickle=True, validation_every=5)
    thinned.setup("fit")
    assert len(joined(list(thinned.val_dataloader()))["kpts"]) == 2 * 4 * 20 / 5


def test_workers_change_nothing(files: list[Path]) -> None:
    def batches(workers: int) -> Batch:
        data = CapturedWindows("h36m", files, allow_pickle=True, batch_size=16, workers=workers)
        data.setup("fit")
        found = joined(list(data.train_dataloader()))
        order = np.lexsort((found["start"], found["clip"]))
        return {name: each[order] for name, each in found.items()}

    one, two = batches(0), batches(2)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"format": "h37m"}, "unknown data format 'h37m'; known: h36m,", id="format"),
        pytest.param({"allow_pickle": False}, "--allow-pickle", id="gate"),
        pytest.param({"validation_subjects": []}, "no recording of split 'val'", id="no validation subject"),
        pytest.param({"files": []}, "expected data_3d_h36m.npz", id="no files"),
    ],
)
def test_wrong_data_is_one_sentence(files: list[Path], options: dict[str, Any], message: str) -> None:
    data = CapturedWindows(**{"format": "h36m", "files": files, "allow_pickle": True, **options})
    with pytest.raises(DatasetError, match=message):
        data.setup("fit")


def test_recordings_whose_arrays_do_not_fit_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"'S1/walk 0/.*expected 2D \(T, 17, 2\)"):
        recording(5, kpts_px=np.zeros((4, 17, 2), dtype=np.float32))
    with pytest.raises(DatasetError, match="not finite"):
        recording(5, joints_cam_m=np.full((5, 17, 3), np.nan, dtype=np.float32))


def test_true_keypoints_are_the_projection_whatever_the_detector_said(files: list[Path]) -> None:
    data = CapturedWindows("h36m", files, True, normalisation="screen", batch_size=8, workers=0)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    source = data._datasets["val"].recordings[0]
    true = screen(px_from_cam(source.joints_cam_m[:8], source.camera), source.camera)
    np.testing.assert_allclose(batch["true_kpts"][:, 0], true, atol=1e-5)
    assert 1e-3 < (batch["kpts"] - batch["true_kpts"]).abs().mean() < 2e-2
