"""Training sequences of streaming models: real motion at any rate, with gaps, and people half or wrongly seen."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from occpose_core.camera import rays_from_cam
from occpose_core.dataset import DatasetError
from occpose_core.geometry import bone_lengths_m
from occpose_core.skeleton import H36M17
from training.data.batch import Batch
from training.data.clip import Clip
from training.data.mocap import read_clips
from training.data.streams import MocapSequences, SequenceConfig, Sequences
from training.data.windows import MocapWindows

SIZE, FRAMES = 16, 24
LEGS = H36M17.indices(*(f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle")))
HIPS = H36M17.indices("pelvis", "left_hip", "right_hip")

# Nothing drawn but the recording, the first frame and the camera.
PLAIN = SequenceConfig(
    frames=FRAMES,
    rates_hz={30.0: 1.0},
    gaps=0.0,
    speed=(1.0, 1.0),
    detectors={"gt": 1.0},
    patterns={"clean": 1.0},
    wrong=0.0,
    halves=0.0,
    mirrored=0.0,
    tilted=0.0,
    leaning_deg=0.0,
    size_sd=0.0,
    bone_sd=0.0,
)


def plain(**changes: object) -> SequenceConfig:
    return dataclasses.replace(PLAIN, **changes)


@pytest.fixture(scope="session")
def clips(data_file: Path) -> list[Clip]:
    return read_clips([data_file], "train")


def sequences(clips: list[Clip], config: SequenceConfig, seed: int = 0, **more: int) -> Sequences:
    return Sequences(clips, {}, config, SIZE, seed, **more)


def draw(clips: list[Clip], config: SequenceConfig, seed: int = 0) -> Batch:
    return next(iter(sequences(clips, config, seed)))


# --- what a batch is -------------------------------------------------------------------------------------------------


def test_batches_have_the_shapes_and_ranges_of_the_streaming_interface(clips: list[Clip]) -> None:
    batch = draw(clips, SequenceConfig(frames=FRAMES))
    shape = (SIZE, FRAMES, 17)
    assert {name: tuple(each.shape) for name, each in batch.items()} == {
        "kpts": (*shape, 2),
        "visible": shape,
        "dt_s": shape[:2],
        "true_kpts": (*shape, 2),
        "joints_root_m": (*shape, 3),
        "hidden": shape,
        "clip": (SIZE,),
        "start": (SIZE,),
    }
    arrays = [batch[name] for name in ("kpts", "visible", "dt_s", "true_kpts", "joints_root_m", "hidden")]
    assert all(torch.isfinite(each).all() and each.dtype == torch.float32 for each in arrays)
    scores = batch["visible"][batch["visible"] > 0]
    assert (batch["visible"] == 0).any() and 0.05 <= scores.min() < scores.max() <= 1
    assert set(batch["hidden"].unique().tolist()) == {0.0, 1.0}
    assert (batch["hidden"][batch["visible"] == 0] == 1).all()
    assert torch.equal(batch["joints_root_m"][:, :, 0], torch.zeros(SIZE, FRAMES, 3))


def test_the_same_seed_draws_the_same_sequences(clips: list[Clip]) -> None:
    config = SequenceConfig(frames=8, patterns={"iid20": 1.0})
    first, again, other = (draw(clips, config, seed) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["true_kpts"], other["true_kpts"])


def test_workers_epochs_processes_and_resumed_runs_draw_other_sequences(clips: list[Clip]) -> None:
    def key(batch: Batch) -> tuple[float, ...]:
        return tuple(batch["joints_root_m"][0, 0, 1:4].flatten().tolist())

    config = plain(frames=4)
    dataset = sequences(clips, config)
    loader = DataLoader(dataset, batch_size=None, num_workers=2)
    of_workers = [key(batch) for batch in itertools.islice(loader, 4)]
    of_epochs = [key(next(iter(dataset))) for _ in range(3)]
    others = [key(next(iter(sequences(clips, config, **more)))) for more in ({"first_step": 5}, {"rank": 1})]
    drawn = of_workers + of_epochs[1:] + others  # the first epoch is that of the first worker
    assert len(set(drawn)) == len(drawn)


def test_2d_and_3d_fit_together(clips: list[Clip]) -> None:
    batch = draw(clips, PLAIN)
    true, joints = batch["true_kpts"].numpy(), batch["joints_root_m"].numpy()
    seen = batch["visible"].numpy() > 0
    assert np.array_equal(batch["kpts"].numpy()[seen], true[seen])
    # the pelvis's depth is the one unknown: with it, each joint lies on its ray
    ray, pelvis = true[:, :, 1:].astype(np.float64), true[:, :, :1].astype(np.float64)
    sideways = joints[:, :, 1:, :2] - ray * joints[:, :, 1:, 2:]
    depth = (sideways * (ray - pelvis)).sum(axis=(2, 3)) / np.square(ray - pelvis).sum(axis=(2, 3))
    root = depth[..., None] * np.concatenate([pelvis[:, :, 0], np.ones_like(pelvis[:, :, 0, :1])], axis=-1)
    assert depth.min() > 0.9
    np.testing.assert_allclose(rays_from_cam(joints + root[:, :, None]), true, atol=1e-3)


# --- motion and time -------------------------------------------------------------------------------------------------


def path(recorded: np.ndarray, start: int, frames: np.ndarray) -> np.ndarray:
    """Frames of a recording that is played forward, backward, forward ..."""
    last = len(recorded) - 1
    there_and_back = np.concatenate([np.arange(last), np.arange(last, 0, -1)])
    return recorded[there_and_back[(start + frames) % (2 * last)]]


def same_up_to_a_turn(joints_m: np.ndarray, recorded_m: np.ndarray) -> float:
    """Largest distance of (T, J, 3) root-relative joints to the recorded ones, by one best rotation for all frames."""
    relative = recorded_m - recorded_m[:, :1]
    u, _, vt = np.linalg.svd(np.einsum("tja,tjb->ab", joints_m, relative))
    turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return float(np.linalg.norm(joints_m - relative @ turn.T, axis=-1).max())


@pytest.fixture
def own_bones(monkeypatch: pytest.MonkeyPatch) -> None:
    """People keep the bones that were recorded; no setting does that."""
    monkeypatch.setattr("training.data.streams.vary_bones", lambda joints_m, *_: joints_m)


@pytest.mark.usefixtures("own_bones")
@pytest.mark.parametrize("slower", [1, 2])
def test_joints_are_the_recorded_ones_turned_into_the_camera(clips: list[Clip], slower: int) -> None:
    dataset = sequences(clips, plain(rates_hz={30.0 / slower: 1.0}))
    batch = next(iter(dataset))
    assert batch["dt_s"].numpy() == pytest.approx(slower / 30)
    for person, (clip, start) in enumerate(zip(batch["clip"].tolist(), batch["start"].tolist(), strict=True)):
        recorded = path(dataset.clips[clip].joints_world_m, start, slower * np.arange(FRAMES))
        assert same_up_to_a_turn(batch["joints_root_m"][person].numpy(), recorded) < 1e-4


def test_bones_change_with_the_person_but_both_sides_alike(clips: list[Clip]) -> None:
    rigid = dataclasses.replace(clips[0], joints_world_m=np.repeat(clips[0].joints_world_m[:1], 60, axis=0))
    own = bone_lengths_m(rigid.joints_world_m[0])
    batch = draw([rigid], plain(size_sd=0.1, bone_sd=0.1))
    ratio = bone_lengths_m(batch["joints_root_m"].numpy().astype(np.float64)) / own
    assert np.ptp(ratio, axis=1).max() < 1e-4, "the same person in all frames"
    assert ratio[:, 0].std() > 0.02


@pytest.mark.usefixtures("own_bones")
def test_a_recording_that_ends_goes_on_backward(clips: list[Clip]) -> None:
    short = dataclasses.replace(clips[0], joints_world_m=clips[0].joints_world_m[:5])
    dataset = sequences([short], PLAIN)
    batch = next(iter(dataset))
    for person, start in enumerate(batch["start"].tolist()):
        recorded = path(short.joints_world_m, start, np.arange(FRAMES))
        assert same_up_to_a_turn(batch["joints_root_m"][person].numpy(), recorded) < 1e-4
    assert len(set(batch["start"].tolist())) > 1


@pytest.mark.parametrize("frames", [2, 3])
def test_the_shortest_recordings_do(clips: list[Clip], frames: int) -> None:
    short = dataclasses.replace(clips[0], joints_world_m=clips[0].joints_world_m[:frames])
    assert torch.isfinite(draw([short], SequenceConfig(frames=8))["joints_root_m"]).all()


def test_frames_between_recorded_ones_lie_on_a_smooth_curve() -> None:
    """A recording of parabolas, whose splines are exact inside, at other rates than its own."""
    time_s = np.arange(40)[:, None, None] / 10.0
    rng = np.random.default_rng(0)
    a, b, c = (0.05 * rng.standard_normal((1, 17, 3)) for _ in range(3))
    joints_m = (a * time_s**2 + b * time_s + c + [0, 0, 1]).astype(np.float32)
    clip = Clip(name="parabola", subject="s", source="f", rate_hz=10.0, joints_world_m=joints_m)
    dataset = sequences([clip], PLAIN)
    frame = np.linspace(1.0, 37.0, 50)[None]
    between = dataset._between(frame, np.zeros((1, 1), int), np.full((1, 1), 39))[0]
    at_s = frame[0, :, None, None] / 10.0
    np.testing.assert_allclose(between, a * at_s**2 + b * at_s + c + [0, 0, 1], atol=1e-5)


@pytest.mark.usefixtures("own_bones")
def test_speed_stretches_the_motion_and_not_the_time(clips: list[Clip]) -> None:
    twice = draw(clips, plain(speed=(2.0, 2.0)))
    assert twice["dt_s"].numpy() == pytest.approx(1 / 30)
    for person, (clip, start) in enumerate(zip(twice["clip"].tolist(), twice["start"].tolist(), strict=True)):
        recorded = path(clips[clip].joints_world_m, start, 2 * np.arange(FRAMES))
        assert same_up_to_a_turn(twice["joints_root_m"][person].numpy(), recorded) < 1e-4


def test_a_batch_has_one_of_the_rates_in_their_shares(clips: list[Clip]) -> None:
    dataset = Sequences(clips, {}, plain(frames=2, rates_hz={10.0: 0.5, 60.0: 0.25, 120.0: 0.25}), 2, seed=0)
    rates = [(1 / batch["dt_s"]).round().unique().tolist() for batch in itertools.islice(dataset, 200)]
    assert all(len(each) == 1 for each in rates)
    found = [rate for each in rates for rate in each]
    assert set(found) == {10.0, 60.0, 120.0}
    assert found.count(10.0) / 200 == pytest.approx(0.5, abs=0.1)


@pytest.mark.usefixtures("own_bones")
def test_gaps_are_whole_frames_and_the_person_moves_on_meanwhile(clips: list[Clip]) -> None:
    batch = draw(clips, plain(gaps=1.0, dropped=0.3))
    missing = batch["dt_s"].numpy() * 30 - 1
    assert np.abs(missing - missing.round()).max() < 1e-4
    assert missing.min() >= -1e-4 and missing.max() <= 60 and (missing > 0.5).mean() == pytest.approx(0.35, abs=0.1)
    since = np.cumsum(missing.round().astype(int) + 1, axis=1)
    for person, (clip, start) in enumerate(zip(batch["clip"].tolist(), batch["start"].tolist(), strict=True)):
        recorded = path(clips[clip].joints_world_m, start, since[person] - since[person, 0])
        assert same_up_to_a_turn(batch["joints_root_m"][person].numpy(), recorded) < 1e-4


# --- what is seen ----------------------------------------------------------------------------------------------------


def test_joints_in_a_wrong_place_are_given_with_low_scores_and_count_as_hidden(clips: list[Clip]) -> None:
    config = plain(patterns={"iid20": 1.0}, detectors={"gt": 1.0}, rig="train")
    right, wrong = draw(clips, config), draw(clips, dataclasses.replace(config, wrong=1.0))
    assert (right["visible"] == 0).float().mean() > 0.1
    false = (wrong["hidden"] > 0) & (wrong["visible"] > 0)
    assert 0.1 < false.float().mean() < 0.3
    assert wrong["visible"][false].min() >= 0.3 and wrong["visible"][false].max() <= 0.7
    assert (wrong["visible"][wrong["hidden"] == 0] == 1).all()
    away = (wrong["kpts"] - wrong["true_kpts"]).norm(dim=-1)
    assert (away[wrong["hidden"] == 0] == 0).all() and away[false].min() > 0
    box = (wrong["true_kpts"].amax(dim=2) - wrong["true_kpts"].amin(dim=2)).amax(dim=-1)[..., None].expand_as(away)
    assert (away[false] / box[false]).square().mean().sqrt() == pytest.approx(0.05 * 2**0.5, rel=0.1)


def test_halves_show_no_leg_or_nothing_but_legs_all_the_time(clips: list[Clip]) -> None:
    unseen = [set(), set(LEGS.tolist()), {*LEGS.tolist(), *HIPS.tolist()}]
    unseen.append(set(range(17)) - unseen[2])
    dataset = Sequences(clips, {}, plain(frames=2, halves=0.75), 400, seed=0)
    seen = ~dataset._half(np.random.default_rng(0))[:, 0]
    kinds = [unseen.index(set(np.flatnonzero(each).tolist())) for each in seen]
    assert [kinds.count(kind) / 400 for kind in range(4)] == pytest.approx([0.25] * 4, abs=0.07)
    visible = draw(clips, plain(halves=1.0))["visible"]
    assert ((visible > 0).any(dim=1).sum(dim=-1) <= 17 - len(LEGS)).all()


def test_joints_outside_the_picture_are_hidden(clips: list[Clip]) -> None:
    batch = draw(clips, PLAIN)
    widest = torch.tensor([1.0, 720 / 1280]) / (2 * 0.8)
    outside = (batch["true_kpts"].abs() > widest).any(dim=-1)
    assert outside.any() and (batch["visible"][outside] == 0).all() and (batch["hidden"][outside] == 1).all()
    assert 0 < (batch["hidden"] == 1).float().mean() < 0.5


# --- where they come from --------------------------------------------------------------------------------------------


def test_each_file_has_its_share(clips: list[Clip]) -> None:
    other = dataclasses.replace(clips[0], source="other", joints_world_m=np.tile(clips[0].joints_world_m, (9, 1, 1)))
    by_frames = Sequences([clips[0], other], {}, PLAIN, SIZE, seed=0)
    assert by_frames.probability == pytest.approx([0.1, 0.9])
    shares = {clips[0].source: 0.75, "other": 0.25}
    chosen = Sequences([clips[0], other, other], shares, plain(frames=2), 400, seed=0)
    assert chosen.probability == pytest.approx([0.75, 0.125, 0.125])
    assert (next(iter(chosen))["clip"] == 0).float().mean() == pytest.approx(0.75, abs=0.07)


def test_it_says_where_a_sequence_came_from(data_file: Path, clips: list[Clip]) -> None:
    assert sequences(clips, PLAIN).origin(0, 7) == f"clip 'walk_train' of {data_file}, from frame 7"


def test_recordings_without_motion_are_refused_or_left_out(clips: list[Clip]) -> None:
    still = dataclasses.replace(clips[0], joints_world_m=clips[0].joints_world_m[:1])
    with pytest.raises(DatasetError, match="no recording has two frames; give a file with motion"):
        sequences([still], PLAIN)
    with pytest.raises(DatasetError, match="no recording has two frames"):
        sequences([], PLAIN)
    assert len(sequences([still, clips[0]], PLAIN).clips) == 1


def test_validation_is_a_fixed_set_at_30_hz(data_file: Path) -> None:
    data = MocapSequences([data_file], sequence=SequenceConfig(frames=8), batch_size=4, validation_windows=8)
    first, again = list(data.val_dataloader()), list(data.val_dataloader())
    assert len(first) == 2 and first[0]["kpts"].shape == (4, 8, 17, 2)
    for batch, same in zip(first, again, strict=True):
        assert torch.equal(batch["kpts"], same["kpts"]) and torch.equal(batch["visible"], same["visible"])
        assert batch["dt_s"].numpy() == pytest.approx(1 / 30)
        assert torch.equal(batch["hidden"] > 0, batch["visible"] == 0)
    assert data.origin("val", 0, 3) == f"clip 'walk_val' of {data_file}, from frame 3"


@pytest.mark.parametrize("module", [MocapSequences, MocapWindows])
def test_there_is_a_share_for_each_file(module: type, data_file: Path) -> None:
    assert module([data_file, Path("b.npz")], shares=[0.25, 0.75]).shares == {str(data_file): 0.25, "b.npz": 0.75}
    with pytest.raises(DatasetError, match="2 shares are given for 1 files; give one for each file, or none"):
        module([data_file], shares=[0.5, 0.5])


def test_rates_may_come_as_text() -> None:
    assert plain(rates_hz={"30": 1}).rates_hz == {30.0: 1.0}


@pytest.mark.parametrize("rates_hz", [{}, {"fast": 1}, {0: 1}, {30: -1}, {30: 0}, {30: None}])
def test_rates_that_are_none_are_refused(rates_hz: dict[object, object]) -> None:
    with pytest.raises(DatasetError, match="rates_hz must give frame rates above 0 Hz"):
        plain(rates_hz=rates_hz)
