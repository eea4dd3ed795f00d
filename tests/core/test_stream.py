"""The streaming network: steps equal sequences, nothing hidden or future counts, rates do not matter."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from occpose_core.catalogue import CATALOGUE  # noqa: E402
from occpose_core.checkpoint import RAYS, load_checkpoint, save_checkpoint  # noqa: E402
from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.models.scan import scan  # noqa: E402
from occpose_core.models.stream import Stream, hold  # noqa: E402
from tests.core.stream_films import FRAMES, JOINTS, LEGS, Answer, Film, a_film, answer, assert_equal, small  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402

seeds = st.integers(0, 2**16)
few = settings(max_examples=15)


def step(film: Film, frame: int, state: torch.Tensor) -> tuple[Answer, torch.Tensor]:
    kpts, visible, dt_s = (each[:, frame : frame + 1] for each in film)
    with torch.inference_mode():
        out = small().streaming()(kpts, visible, dt_s[:, 0], state)
    return {name: out[name] for name in small().outputs}, out["new_state"]


def no_past(people: int) -> torch.Tensor:
    return torch.zeros(people, small().state_size)


def frames_of(film: Film, frames: slice) -> Film:
    kpts, visible, dt_s = film
    return kpts[:, frames], visible[:, frames], dt_s[:, frames]


# --- what a sequence is ----------------------------------------------------------------------------------------------


@given(seeds)
@few
def test_frame_by_frame_equals_the_whole_sequence(seed: int) -> None:
    film = a_film(seed)
    whole, state = answer(film), no_past(3)
    for frame in range(FRAMES):
        stepped, state = step(film, frame, state)
        assert_equal(stepped, {name: each[:, frame] for name, each in whole.items()})


@given(seeds, st.integers(1, FRAMES - 1))
@few
def test_the_future_has_no_influence(seed: int, now: int) -> None:
    film, other = a_film(seed), a_film(seed + 1)
    changed = tuple(torch.cat([a[:, :now], b[:, now:]], dim=1) for a, b in zip(film, other, strict=True))
    past = {name: each[:, :now] for name, each in answer(film).items()}
    assert_equal({name: each[:, :now] for name, each in answer(changed).items()}, past, 0)
    with torch.inference_mode():
        newest = small()(*frames_of(film, slice(now)))
    assert_equal(newest, {name: each[:, -1] for name, each in past.items()})


@given(seeds, st.integers(1, FRAMES - 1))
@few
def test_a_state_that_is_written_down_and_read_gives_the_same_future(seed: int, now: int) -> None:
    film, state = a_film(seed), no_past(3)
    for frame in range(now):
        state = step(film, frame, state)[1]
    kept = torch.from_numpy(np.frombuffer(state.numpy().tobytes(), np.float32).reshape(3, -1).copy())
    for frame in range(now, FRAMES):
        (expected, state), (again, kept) = step(film, frame, state), step(film, frame, kept)
        assert_equal(again, expected, 0)


@given(seeds)
@few
def test_people_of_a_batch_do_not_influence_each_other(seed: int) -> None:
    film = a_film(seed)
    together = answer(film)
    for person in range(3):
        alone = answer(tuple(each[person : person + 1] for each in film))
        assert_equal(alone, {name: each[person : person + 1] for name, each in together.items()})


# --- what is hidden --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("garbage", [0.0, -3.0, 1e6, -3e38, float("inf"), float("nan")])
def test_coordinates_of_hidden_joints_have_no_influence(garbage: float) -> None:
    kpts, visible, dt_s = a_film(0)
    changed = torch.where(visible[..., None] > 0, kpts, torch.full_like(kpts, garbage))
    assert_equal(answer((changed, visible, dt_s)), answer((kpts, visible, dt_s)), 0)


@given(seeds)
@few
def test_visible_keypoints_stay_bit_for_bit_and_hidden_ones_are_filled(seed: int) -> None:
    kpts, visible, dt_s = a_film(seed)
    filled, seen = answer((kpts, visible, dt_s))["filled"], visible > 0
    assert torch.equal(filled[seen], kpts[seen])
    assert torch.isfinite(filled).all()
    assert not (filled[~seen] == kpts[~seen]).all(dim=-1).any()


def test_a_sigma_is_positive_and_scaled_by_whether_its_joint_is_seen() -> None:
    film = a_film(0)
    plain = copy.deepcopy(small())
    plain.sigma_scale.fill_(1.0)
    ratio = answer(film)["sigma_m"] / answer(film, plain)["sigma_m"]
    torch.testing.assert_close(ratio, torch.where(film[1] > 0, 0.7, 1.5))
    assert (answer(film)["sigma_m"] > 0).all()


def test_who_was_never_seen_gets_finite_answers() -> None:
    film = (torch.full((2, 40, JOINTS, 2), 1e6), torch.zeros(2, 40, JOINTS), torch.full((2, 40), 0.1))
    assert all(torch.isfinite(each).all() for each in answer(film).values())


def test_keypoints_far_outside_the_picture_give_finite_answers() -> None:
    kpts, visible, dt_s = a_film(0)
    assert all(torch.isfinite(each).all() for each in answer((1e30 * kpts, visible, dt_s)).values())


def test_ten_seconds_of_hiding_change_little_and_end_in_rest() -> None:
    film, frames = a_film(0), 300
    hidden = (torch.zeros(3, frames, JOINTS, 2), torch.zeros(3, frames, JOINTS), torch.full((3, frames), 1 / 30))
    all_frames = tuple(torch.cat(parts, dim=1) for parts in zip(film, hidden, strict=True))
    out = answer(all_frames)
    assert all(torch.isfinite(each).all() for each in out.values())
    seen, gone = (out["joints_root_m"][:, part].norm(dim=-1).max() for part in (slice(FRAMES), slice(FRAMES, None)))
    assert gone < 2 * seen
    moved_m = out["joints_root_m"][:, FRAMES:].diff(dim=1).norm(dim=-1).amax(dim=(0, 2))
    assert moved_m[-30:].max() < 1e-3 and moved_m[-30:].max() < moved_m[:30].max()


@pytest.mark.parametrize(
    "never", [pytest.param(LEGS, id="legs"), pytest.param(np.delete(np.arange(JOINTS), LEGS), id="upper body")]
)
def test_half_a_person_who_stands_still_is_answered_without_a_jump(never: np.ndarray) -> None:
    kpts, visible, _ = a_film(0, frames=1)
    visible = torch.ones_like(visible)
    visible[..., never.tolist()] = 0.0
    film = (kpts.expand(-1, 90, -1, -1), visible.expand(-1, 90, -1), torch.full((3, 90), 1 / 30))
    out = answer(film)
    assert all(torch.isfinite(each).all() for each in out.values())
    for name in small().outputs:  # from the second frame on, for the first one is weighed less
        assert out[name][:, 1:].diff(dim=1).abs().max() < 1e-4, name


# --- time ------------------------------------------------------------------------------------------------------------


def test_a_person_without_a_past_does_not_depend_on_the_time_step() -> None:
    """Up to the small weight that lets averages of nothing fade: no millimetre."""
    film = frames_of(a_film(0), slice(1))
    usual = step(film, 0, no_past(3))[0]
    for dt_s in (1 / 120, 0.5, 10.0):
        assert_equal(step((*film[:2], torch.full((3, 1), dt_s)), 0, no_past(3))[0], usual, 1e-3)


def still(rate_hz: float, seconds: float = 4.0) -> Film:
    """People who do not move, of whom half hides after the first second."""
    kpts, visible, _ = a_film(0, frames=1)
    frames = round(seconds * rate_hz) + 1
    visible = torch.ones_like(visible).repeat(1, frames, 1)
    visible[:, round(rate_hz) + 1 :, LEGS.tolist()] = 0.0
    return kpts.expand(-1, frames, -1, -1), visible, torch.full((3, frames), 1 / rate_hz)


def test_a_person_at_rest_is_answered_alike_at_any_rate() -> None:
    ends = [{name: each[:, -1] for name, each in answer(still(rate)).items()} for rate in (120.0, 60.0, 30.0, 10.0)]
    for end in ends[1:]:
        assert_equal(end, ends[0], 1e-3)


def swaying(rate_hz: float, seconds: int = 2) -> Film:
    """People who sway smoothly, some hidden but for the hips after the first second."""
    kpts, visible, _ = a_film(0, frames=1)
    time_s = torch.arange(int(seconds * rate_hz) + 1) / rate_hz
    phase = torch.linspace(0, 6, JOINTS)[:, None]
    sway = 0.05 * torch.sin(3 * time_s[:, None, None] + phase)
    visible = torch.ones_like(visible).repeat(1, len(time_s), 1)
    visible[1:, time_s > 1.001, 4:] = 0.0
    return kpts + sway, visible, torch.full((3, len(time_s)), 1 / rate_hz)


def test_higher_rates_give_the_same_motion_ever_more_closely() -> None:
    rates = (15, 30, 60, 120)
    joints = [answer(swaying(rate))["joints_root_m"][:, :: rate // 5] for rate in rates]  # at the same times
    apart_m = [(joints[i] - joints[i + 1])[:, 1:].norm(dim=-1).mean().item() for i in range(len(rates) - 1)]
    assert apart_m[1] < 0.7 * apart_m[0] and apart_m[2] < 0.7 * apart_m[1]
    moved_m = joints[-1].diff(dim=1).norm(dim=-1).mean().item()
    assert apart_m[2] < 0.1 * moved_m


@given(seeds, st.integers(2, 12))
@few
def test_a_long_time_step_ages_a_joint_as_many_short_ones_do(seed: int, parts: int) -> None:
    kpts, visible, dt_s = (each[:, 0] for each in a_film(seed))
    held, fresh = hold(kpts, (visible > 0).float(), dt_s, torch.zeros_like(kpts), torch.zeros_like(visible))
    nothing = torch.zeros_like(visible)
    once, many = hold(kpts, nothing, dt_s, held, fresh), (held, fresh)
    for _ in range(parts):
        many = hold(kpts, nothing, dt_s / parts, *many)
    for given_, expected in zip(many, once, strict=True):
        torch.testing.assert_close(given_, expected, rtol=FLOAT32, atol=FLOAT32)


@given(seeds, st.integers(2, 12))
@few
def test_a_memory_weighs_time_and_not_frames(seed: int, parts: int) -> None:
    """A frame that stands for some time leaves what many short ones leave that are like it, in the first block."""
    kpts, _, dt_s = frames_of(a_film(seed), slice(1))
    visible = torch.ones(3, 1, JOINTS)
    past = step(a_film(seed + 1), 0, no_past(3))[1]
    _, once = step((kpts, visible, dt_s), 0, past)
    many = past
    for _ in range(parts):
        _, many = step((kpts, visible, dt_s / parts), 0, many)
    first_block = slice(3 * JOINTS, 3 * JOINTS + 2 * small().config.memory)
    assert not torch.allclose(once[:, first_block], past[:, first_block])
    torch.testing.assert_close(many[:, first_block], once[:, first_block], rtol=FLOAT32, atol=FLOAT32)


# --- the parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_scan_is_the_recurrence_and_has_its_gradient(frames: int) -> None:
    generator = torch.Generator().manual_seed(0)
    kept, added = (torch.rand((frames, 2, 3), generator=generator, dtype=torch.float64) for _ in range(2))
    start = torch.rand((2, 3), generator=generator, dtype=torch.float64)
    last = start
    for each, states in zip(zip(kept, added, strict=True), scan(kept, added, start), strict=True):
        last = each[0] * last + each[1]
        torch.testing.assert_close(states, last)
    inputs = tuple(each.requires_grad_() for each in (kept, added, start))
    assert torch.autograd.gradcheck(scan, inputs)


def test_folded_it_answers_the_same_with_plain_layers() -> None:
    folded = copy.deepcopy(small())
    folded.fold()
    assert not any("Mirror" in type(module).__name__ for module in folded.modules())
    assert_equal(answer(a_film(0), folded), answer(a_film(0)))


def test_every_parameter_learns_and_its_gradient_is_finite_whatever_is_hidden() -> None:
    model = copy.deepcopy(small()).train()
    kpts, visible, dt_s = a_film(0)
    kpts = torch.where(visible[..., None] > 0, kpts, torch.full_like(kpts, float("nan")))
    visible[2] = 0.0
    sum(each.square().sum() for each in model.answer(kpts, visible, dt_s).values()).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert not [name for name, grad in gradients.items() if grad is None or not torch.isfinite(grad).all()]
    assert not [name for name, grad in gradients.items() if grad is not None and not grad.any()]


def test_mixed_precision_leaves_geometry_and_memory_exact() -> None:
    film, model = a_film(0), small()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        out = model.answer(*film)
    expected = answer(film)
    assert all(each.dtype == torch.float32 for each in out.values())
    seen = film[1] > 0
    assert torch.equal(out["filled"][seen], film[0][seen])
    assert (out["joints_root_m"] - expected["joints_root_m"]).norm(dim=-1).mean() < 0.05


def test_its_file_says_how_it_is_used(tmp_path: Path) -> None:
    model = small()
    info = describe("mine", "stream", model, {"steps": 3}, rate_hz=30.0)
    assert (info.normalisation, info.streaming, info.timed, info.form) == (RAYS, True, True, "own")
    assert (info.window, info.rate_hz, info.look_ahead_s) == (0, 0.0, 0.0)
    assert info.state_size == model.streaming().state_size == 3 * JOINTS + 2 * 2 * 8
    save_checkpoint(tmp_path / "mine.safetensors", model, info)
    loaded, read = load_checkpoint(tmp_path / "mine.safetensors")
    assert read == info
    assert isinstance(loaded, Stream)
    assert_equal(answer(a_film(0), loaded), answer(a_film(0)), 0)


@pytest.mark.parametrize(("name", "limit_mb"), [("stream-s", 10), ("stream-b", 30)])
def test_shipped_sizes_fit_their_limits(name: str, limit_mb: float) -> None:
    assert 4 * CATALOGUE[name].parameters < 1e6 * limit_mb
    folded = build("stream", CATALOGUE[name].config)
    folded.fold()
    assert 2 * sum(each.numel() for each in folded.parameters()) < 1e6 * limit_mb, "in half precision"


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"width": 15}, id="odd width"),
        pytest.param({"memory": 7}, id="odd memory"),
        pytest.param({"width": 0}, id="no width"),
        pytest.param({"memory": -2}, id="negative memory"),
        pytest.param({"blocks": 0}, id="no blocks"),
    ],
)
def test_sizes_that_cannot_be_are_refused(config: dict[str, int]) -> None:
    with pytest.raises(OccposeError, match=f"an even width and memory .* got .*{next(iter(config.values()))}"):
        build("stream", config)


@pytest.mark.parametrize("config", [{"masked": False}, {"flip_average": True}])
def test_it_has_one_form_only(config: dict[str, bool]) -> None:
    with pytest.raises(OccposeError, match="leave masked and flip_average"):
        build("stream", config)
