"""Training windows: real geometry, other ones in every worker and epoch, the same again from the same seed."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from occpose_core.dataset import DatasetError
from occpose_core.skeleton import H36M17
from training.data.augment import mirror, tilt, vary_bones
from training.data.mocap import read_clips
from training.data.occlusion_windows import OcclusionWindows
from training.data.windows import MocapWindows, WindowConfig, Windows

SIZE = 64


def windows(data_file: Path, config: WindowConfig | None = None, seed: int = 0, first_step: int = 0) -> Windows:
    return Windows(read_clips([data_file], "train"), {}, config or WindowConfig(), SIZE, seed, first_step)


def first(dataset: Windows) -> dict[str, torch.Tensor]:
    return next(iter(dataset))


@pytest.mark.parametrize("frames", [1, 9])
def test_batches_have_the_shapes_of_the_lifter_interface(data_file: Path, frames: int) -> None:
    batch = first(windows(data_file, WindowConfig(frames=frames)))
    people = len(batch["kpts"])
    assert SIZE // 2 < people <= SIZE
    assert batch["kpts"].shape == batch["true_kpts"].shape == (people, frames, 17, 2)
    assert batch["visible"].shape == (people, frames, 17)
    assert batch["joints_root_m"].shape == (people, frames, 17, 3)
    scores = batch["visible"][batch["visible"] > 0]
    assert (batch["visible"] == 0).any() and 0.05 <= scores.min() < scores.max() <= 1
    arrays = [batch[name] for name in ("kpts", "visible", "true_kpts", "joints_root_m")]
    assert all(torch.isfinite(each).all() and each.dtype == torch.float32 for each in arrays)
    assert torch.equal(batch["joints_root_m"][:, :, 0], torch.zeros(people, frames, 3))


def test_windows_have_the_rate_that_they_say(data_file: Path) -> None:
    clip = read_clips([data_file], "train")[0]
    half = Windows([clip], {}, WindowConfig(frames=3, rate_hz=clip.rate_hz / 2), SIZE, seed=0)
    assert half.clips[0].rate_hz == clip.rate_hz / 2
    assert np.array_equal(half.clips[0].joints_world_m, clip.joints_world_m[::2])


@pytest.mark.parametrize(
    ("config", "says"),
    [
        pytest.param(WindowConfig(frames=3, rate_hz=50.0), "30 frames a second, of which window.rate_hz 50", id="rate"),
        pytest.param(WindowConfig(frames=100_000), "window of 100000 frames, the longest has", id="length"),
    ],
)
def test_recordings_that_do_not_fit_the_window_are_one_sentence(
    config: WindowConfig, says: str, data_file: Path
) -> None:
    with pytest.raises(DatasetError, match=says):
        windows(data_file, config)


def knee_angles(joints_m: np.ndarray) -> np.ndarray:
    """(..., 17, 3) -> (..., 2) cosines, ascending: the same for mirrored people and for any bone lengths."""
    cosines = []
    for side in ("left", "right"):
        hip, knee, ankle = (joints_m[..., H36M17.index(f"{side}_{joint}"), :] for joint in ("hip", "knee", "ankle"))
        thigh, shank = knee - hip, ankle - knee
        lengths = np.linalg.norm(thigh, axis=-1) * np.linalg.norm(shank, axis=-1)
        cosines.append((thigh * shank).sum(axis=-1) / lengths)
    return np.sort(np.stack(cosines, axis=-1), axis=-1)


def test_a_window_says_where_it_came_from(data_file: Path) -> None:
    dataset = windows(data_file, WindowConfig(frames=5))
    batch = first(dataset)
    for person, (clip, start) in enumerate(zip(batch["clip"].tolist(), batch["start"].tolist(), strict=True)):
        recorded = dataset.clips[clip].joints_world_m[start : start + 5]
        assert knee_angles(batch["joints_root_m"][person].numpy()) == pytest.approx(knee_angles(recorded), abs=1e-4)


def test_2d_and_3d_of_a_window_fit_together(data_file: Path) -> None:
    config = WindowConfig(detectors={"gt": 1.0}, patterns={"clean": 1.0}, tilted=0.0)
    batch = first(windows(data_file, config))
    seen = batch["visible"] > 0
    torch.testing.assert_close(batch["kpts"][seen], batch["true_kpts"][seen])
    # the person view looks at the person: lateral 3D and 2D are nearly proportional, whatever the camera
    for person in range(8):
        lateral = batch["joints_root_m"][person, 0, :, :2].flatten()
        kpts = (batch["true_kpts"][person, 0] - batch["true_kpts"][person, 0, :1]).flatten()
        assert np.corrcoef(lateral, kpts)[0, 1] > 0.9


def test_the_same_seed_gives_the_same_windows_and_another_epoch_others(data_file: Path) -> None:
    one, again = first(windows(data_file)), first(windows(data_file))
    assert torch.equal(one["kpts"], again["kpts"])
    dataset = windows(data_file)
    epochs = [next(iter(dataset))["kpts"][0, 0] for _ in range(2)]
    assert not torch.equal(*epochs)
    later = first(windows(data_file, first_step=1))["kpts"]
    assert not torch.equal(one["kpts"][0], later[0])


def test_workers_draw_different_windows_and_masks(data_file: Path) -> None:
    data = MocapWindows([data_file], batch_size=16, workers=2, seed=3)
    batches = list(itertools.islice(iter(data.train_dataloader()), 6))
    firsts = {tuple(batch["kpts"][0, 0, 0].tolist()) for batch in batches}
    assert len(firsts) == 6


def test_validation_is_fixed(data_file: Path) -> None:
    data = MocapWindows([data_file], batch_size=16, validation_windows=32, workers=0)
    one, again = (next(iter(data.val_dataloader())) for _ in range(2))
    assert torch.equal(one["kpts"], again["kpts"])


def test_occlusion_windows_hide_on_top_of_the_patterns(data_file: Path) -> None:
    clean = {"detectors": {"gt": 1.0}, "patterns": {"clean": 1.0}}
    config = WindowConfig(frames=27, occlusion=OcclusionWindows(joints=3), **clean)
    hidden = [
        (first(windows(data_file, each))["visible"] == 0).float().mean() for each in (config, WindowConfig(**clean))
    ]
    assert hidden[0] > hidden[1] + 0.02


def bone_lengths(joints_m: np.ndarray) -> np.ndarray:
    parents, children = zip(*H36M17.bones, strict=True)
    return np.linalg.norm(joints_m[:, :, list(children)] - joints_m[:, :, list(parents)], axis=-1)


@pytest.fixture
def people(data_file: Path) -> np.ndarray:
    return np.stack([clip.joints_world_m[:5] for clip in read_clips([data_file], "train")] * 4).astype(np.float64)


def test_mirroring_twice_changes_nothing(people: np.ndarray) -> None:
    chosen = np.array([True, False, True, False])
    once = mirror(people, chosen)
    np.testing.assert_array_equal(mirror(once, chosen), people)
    np.testing.assert_array_equal(once[1], people[1])
    left, right = H36M17.index("left_wrist"), H36M17.index("right_wrist")
    np.testing.assert_array_equal(once[0, :, left], people[0, :, right] * [-1, 1, 1])


def test_varied_bones_keep_their_directions_and_sides_alike(people: np.ndarray) -> None:
    varied = vary_bones(people, np.random.default_rng(0), size_sd=0.1, bone_sd=0.1)
    factor = bone_lengths(varied) / bone_lengths(people)
    assert factor.std() > 0.02
    for parent, child in H36M17.bones:
        before, after = (each[:, :, child] - each[:, :, parent] for each in (people, varied))
        cosine = (before * after).sum(-1) / np.linalg.norm(before, axis=-1) / np.linalg.norm(after, axis=-1)
        np.testing.assert_allclose(cosine, 1.0, atol=1e-9)


def test_tilting_keeps_bones_and_the_others(people: np.ndarray) -> None:
    chosen = np.array([True, True, False, False])
    tilted = tilt(people, chosen, np.random.default_rng(0))
    np.testing.assert_allclose(bone_lengths(tilted), bone_lengths(people), atol=1e-9)
    np.testing.assert_array_equal(tilted[2:], people[2:])
    np.testing.assert_allclose(tilted[:, :, 0], people[:, :, 0])
    assert np.abs(tilted[:2] - people[:2]).max() > 0.1
