"""Occlusion of windows: the published sampler's figures, and other masks in every worker and epoch."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from occpose_core.camera import px_from_cam
from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17
from occpose_core.types import Camera
from training.data.captured import CapturedDataset
from training.data.mocap import read_clips
from training.data.occlusion_windows import OcclusionWindows
from training.data.recording import Recording
from training.data.windows import MocapWindows, WindowConfig, Windows

WINDOWS = 10_000


def hidden(config: OcclusionWindows, frames: int = 81, count: int = WINDOWS, seed: int = 0) -> np.ndarray:
    return ~config.sample(count, frames, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("config", "touched", "share"),
    [
        pytest.param(OcclusionWindows(), 18.1, 0.0132, id="one joint"),
        pytest.param(OcclusionWindows(joints=3), 18.1, 0.0375, id="three joints"),
        pytest.param(OcclusionWindows(consecutive=False), 19.5, 0.0142, id="single frames"),
        pytest.param(OcclusionWindows(overlap=False), 6 * 114 / 34, 6 * 114 / 34 / 81 / 17, id="no overlap"),
    ],
)
def test_it_hides_as_much_as_the_published_sampler(config: OcclusionWindows, touched: float, share: float) -> None:
    masks = hidden(config)
    assert masks.any(axis=-1).sum(axis=-1).mean() == pytest.approx(touched, rel=0.015)
    assert masks.mean() == pytest.approx(share, rel=0.02)
    np.testing.assert_allclose(masks.mean(axis=(0, 1)), share, rtol=0.1)  # all joints alike


def test_between_one_and_six_runs_hide_one_joint_each() -> None:
    masks = hidden(OcclusionWindows())
    touched = masks.any(axis=-1).sum(axis=-1)
    assert (touched.min(), np.median(touched), touched.max()) == (6, 18, 36)
    np.testing.assert_allclose(np.quantile(touched, [0.05, 0.95]), [6, 32], atol=1)
    assert masks.sum(axis=-1).max() == 1  # where runs overlap, the later one counts


@pytest.mark.parametrize("frames", [27, 81, 243, 351])
def test_every_run_has_its_length_unless_it_overlaps_another(frames: int) -> None:
    masks = hidden(OcclusionWindows(overlap=False), frames, count=1000)
    touched = masks.any(axis=-1).sum(axis=-1)
    assert (touched % 6 == 0).all()
    assert touched.min() == 6
    assert touched.max() == (frames // 2 - 1) // 6 * 6
    changes = np.diff(np.pad(masks.any(axis=-1), ((0, 0), (1, 1))).astype(int), axis=1)
    for row in changes:  # runs may touch, but do not overlap
        lengths = np.flatnonzero(row == -1) - np.flatnonzero(row == 1)
        assert (lengths % 6 == 0).all()


@pytest.mark.parametrize("overlap", [True, False])
def test_runs_are_anywhere_in_the_window(overlap: bool) -> None:
    share = hidden(OcclusionWindows(overlap=overlap)).any(axis=-1).mean(axis=0)
    middle = share[20:60].mean()
    np.testing.assert_allclose(share[10:70], middle, rtol=0.15)
    assert 0 < share[0] < middle
    assert 0 < share[-1] < middle


def test_joints_are_drawn_with_replacement_for_each_run() -> None:
    counts = hidden(OcclusionWindows(joints=3)).sum(axis=-1)
    counts = counts[counts > 0]
    assert set(counts) == {1, 2, 3}
    assert (counts == 3).mean() == pytest.approx(16 / 17 * 15 / 17, rel=0.02)


def test_single_frames_hide_joints_of_their_own() -> None:
    masks = hidden(OcclusionWindows(consecutive=False))
    touched = masks.any(axis=-1).sum(axis=-1)
    assert (touched.min(), touched.max()) == (0, 39)
    person = masks[touched > 10][0]
    assert len(set(np.argwhere(person)[:, 1])) > 3


def test_joints_may_hide_as_often_as_they_do_in_pictures() -> None:
    share = hidden(OcclusionWindows(by_joint=True)).mean(axis=(0, 1))
    pelvis, wrist, ankle = share[H36M17.indices("pelvis", "left_wrist", "left_ankle")]
    assert pelvis / ankle == pytest.approx(11.9, rel=0.15)
    assert wrist / ankle == pytest.approx(4.0, rel=0.15)
    np.testing.assert_allclose(share, share[H36M17.mirror], rtol=0.15)


@pytest.mark.parametrize(
    ("config", "frames", "says"),
    [
        pytest.param({}, 13, "runs of 6 hidden frames need a window of 14, got 13", id="short window"),
        pytest.param({"joints": -1}, 81, "0 or more .* got -1 and 6", id="negative"),
        pytest.param({"length": 0}, 81, "1 or more, got 1 and 0", id="no frames"),
    ],
)
def test_what_does_not_fit_is_refused(config: dict[str, int], frames: int, says: str) -> None:
    with pytest.raises(OccposeError, match=says):
        OcclusionWindows(**config).sample(1, frames, np.random.default_rng(0))


def test_the_shortest_window_holds_one_run() -> None:
    assert (hidden(OcclusionWindows(), 14, count=100).any(axis=-1).sum(axis=-1) == 6).all()


@pytest.mark.parametrize("frames", [1, 81])
def test_no_joints_hides_nothing(frames: int) -> None:
    assert not hidden(OcclusionWindows(joints=0), frames, count=3).any()


def config_of(occlusion: OcclusionWindows) -> WindowConfig:
    return WindowConfig(frames=27, detectors={"gt": 1.0}, patterns={"clean": 1.0}, occlusion=occlusion)


def test_training_windows_have_it_on_top_of_their_pattern(data_file: Path) -> None:
    clips = read_clips([data_file], "train")
    share = {}
    for name, occlusion in (("without", OcclusionWindows(joints=0)), ("with", OcclusionWindows(joints=3))):
        batch = next(iter(Windows(clips, {}, config_of(occlusion), batch=64, seed=0)))
        share[name] = (batch["visible"] == 0).float().mean().item()
    assert 0.01 < share["with"] - share["without"] < 0.08


def recording() -> Recording:
    """A person who stands still."""
    camera = Camera(width=640, height=480, K=np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]))
    rng = np.random.default_rng(0)
    joints_cam_m = np.broadcast_to(rng.normal(scale=0.3, size=(17, 3)) + [0.0, 0.0, 4.0], (120, 17, 3))
    return Recording(
        name="standing",
        subject="one",
        action="stand",
        camera_name="front",
        rate_hz=30.0,
        kpts_px=px_from_cam(joints_cam_m, camera).astype(np.float32),
        score=None,
        joints_cam_m=joints_cam_m.astype(np.float32),
        camera=camera,
        split="train",
    )


@pytest.mark.parametrize("normalisation", ["person-view", "screen"])
def test_windows_of_recordings_have_it_too(normalisation: str) -> None:
    share = {}
    for name, occlusion in (("without", OcclusionWindows(joints=0)), ("with", OcclusionWindows())):
        batches = CapturedDataset([recording()], config_of(occlusion), 60, seed=0, normalisation=normalisation)
        share[name] = np.concatenate([batch["visible"] == 0 for batch in batches]).mean()
    assert share["without"] == 0
    assert 0.005 < share["with"] < 0.04


def masks_of(loader: DataLoader, batches: int) -> list[bytes]:
    """The masks of single windows of some batches of a pass."""
    passes = itertools.islice(iter(loader), batches)
    return [window.numpy().tobytes() for batch in passes for window in batch["visible"] > 0]


def test_workers_and_epochs_hide_differently(data_file: Path) -> None:
    """As published, every worker of every epoch replays the same masks."""
    data = MocapWindows([data_file], window=config_of(OcclusionWindows(joints=3)), batch_size=8, workers=2, seed=1)
    loader = data.train_dataloader()
    masks = masks_of(loader, 4) + masks_of(loader, 4)
    assert len(masks) > 50
    assert len(set(masks)) > 0.98 * len(masks)


def test_the_same_seed_hides_the_same(data_file: Path) -> None:
    window = config_of(OcclusionWindows())
    one, again, other = (
        masks_of(MocapWindows([data_file], window=window, batch_size=8, workers=0, seed=seed).train_dataloader(), 2)
        for seed in (1, 1, 2)
    )
    assert one == again != other
