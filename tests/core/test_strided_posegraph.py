"""StridedPoseGraphFormer: published sizes, its order of time, and frame by frame the same as window by window."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from occpose_core.errors import OccposeError  # noqa: E402
from occpose_core.export import TOLERANCES_M, export_onnx, probes  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.models.posegraphnet import GraphTrunk, PoseGraphNet  # noqa: E402
from occpose_core.models.strided_posegraph import (  # noqa: E402
    STRIDES,
    StridedPoseGraphConfig,
    StridedPoseGraphFormer,
)
from tests.tolerances import FLOAT32  # noqa: E402

WINDOW = 27
EMBEDDED = 17 * 16


def small(**config: object) -> StridedPoseGraphFormer:
    torch.manual_seed(0)
    values = {"window": WINDOW, "channels": 8, "blocks": 1, "hidden": 32, **config}
    model = StridedPoseGraphFormer(StridedPoseGraphConfig(**values)).train()
    with torch.no_grad():
        for seed in range(2):
            model.lift_both(model.tokens(*probes(model.window, batch=8, seed=seed)))
    return model.eval()


def parameters(module: torch.nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@pytest.mark.parametrize(
    ("window", "count"),
    [
        pytest.param(27, 4_754_969, id="27"),
        pytest.param(81, 4_843_097, id="81"),
        pytest.param(243, 5_107_481, id="243"),
        pytest.param(351, 5_283_737, id="351"),
    ],
)
def test_it_has_the_published_number_of_parameters(window: int, count: int) -> None:
    model = build("strided-posegraph", {"window": window})
    assert parameters(model) == count
    assert parameters(model.spatial) == 1_257_075


def test_what_the_published_network_never_uses_is_counted_but_neither_trained_nor_deployed() -> None:
    model = build("strided-posegraph", {})
    never = 2 * 81 * EMBEDDED + 2 * 2 * EMBEDDED  # two tables of positions, two norms with scale and shift
    assert parameters(model.unused) == never
    assert not any(each.requires_grad for each in model.unused.parameters())
    masked = build("strided-posegraph", {"masked": True})
    published = 4_843_097 - never
    more = EMBEDDED * 17 * 2 + 17 * 2  # both heads also give a sigma
    assert parameters(masked) == published + 3 * 256 + more  # and the first layer also sees which joints are missing
    model.fold()
    assert not any(name.startswith(("unused", "sequence")) for name, _ in model.named_parameters())


@pytest.mark.parametrize("window", STRIDES)
@pytest.mark.parametrize("causal", [False, True])
def test_strides_reduce_the_window_to_one_token(window: int, causal: bool) -> None:
    model = small(window=window, causal=causal)
    tokens = model.tokens(*probes(window, batch=2))
    assert tokens.shape == (2, window, EMBEDDED)
    lengths = [window]
    for layer in model.strided.layers:
        lengths.append(layer(torch.zeros(1, lengths[-1], EMBEDDED)).shape[1])
    assert [a // b for a, b in zip(lengths, lengths[1:], strict=False)] == list(STRIDES[window])
    assert lengths[-1] == 1
    answer, sequence = model.lift_both(tokens)
    assert answer["joints_root_m"].shape == (2, 17, 3)
    assert sequence["joints_root_m"].shape == (2, window, 17, 3)
    assert model.look_ahead == (0 if causal else (window - 1) // 2)


def test_other_windows_are_refused() -> None:
    with pytest.raises(OccposeError, match="no window of 28 frames; choose one of 27, 81, 243, 351"):
        build("strided-posegraph", {"window": 28})


def test_the_spatial_part_is_the_single_frame_networks() -> None:
    model = small()
    single = PoseGraphNet(model.config.spatial)
    assert type(single.trunk) is type(model.spatial) is GraphTrunk
    model.spatial.load_state_dict(single.trunk.state_dict())
    kpts, visible = probes(WINDOW, batch=2)
    single.eval()
    with torch.inference_mode():
        tokens = model.tokens(kpts, visible)
        alone = single.trunk(torch.where(visible[:, 5, :, None] > 0, kpts[:, 5], torch.zeros_like(kpts[:, 5])))
    torch.testing.assert_close(tokens[:, 5], alone.flatten(1), rtol=0, atol=FLOAT32)


@given(frame=st.integers(0, WINDOW - 1), seed=st.integers(0, 3))
def test_a_token_depends_on_its_frame_alone(frame: int, seed: int) -> None:
    model = small(masked=True)
    kpts, visible = probes(WINDOW, batch=4, seed=seed)
    changed = kpts.clone()
    changed[:, frame] += 1.0
    with torch.inference_mode():
        differs = (model.tokens(changed, visible) != model.tokens(kpts, visible)).any(dim=-1)
    assert set(torch.nonzero(differs)[:, 1].tolist()) <= {frame}


def answers(model: StridedPoseGraphFormer, kpts: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """(T, 17, 3) for each frame of one person's (T, 17, 2), first and last frame repeated where there are no others."""
    last = len(kpts) - 1
    windows = [torch.arange(at - WINDOW + 1, at + 1) + model.look_ahead for at in range(len(kpts))]
    rows = torch.stack(windows).clamp(0, last)
    with torch.inference_mode():
        return model(kpts[rows], visible[rows])["joints_root_m"]


@given(first_changed=st.integers(1, 30), causal=st.booleans())
def test_only_the_causal_form_ignores_the_future(first_changed: int, causal: bool) -> None:
    model = small(causal=causal, masked=True)
    kpts, visible = (each[0] for each in probes(31, batch=2))
    changed = kpts.clone()
    changed[first_changed:] += 1.0
    before, after = answers(model, kpts, visible)[:first_changed], answers(model, changed, visible)[:first_changed]
    assert torch.equal(before, after) == causal


def test_the_causal_form_answers_for_the_newest_frame_and_orders_tokens_by_age() -> None:
    model = small(causal=True)
    tokens = torch.randn(1, WINDOW, EMBEDDED)
    with torch.inference_mode():
        full = model.full(tokens.flip(1))
        expected = model.head(model.strided(full)[:, 0])
        answer, sequence = model.lift_both(tokens)
        newest = model.sequence_head(full)[:, 0]
    assert torch.equal(answer["joints_root_m"], expected)
    assert torch.equal(sequence["joints_root_m"][:, -1], newest)


def test_the_auxiliary_answers_are_in_the_order_of_the_frames() -> None:
    for causal in (False, True):
        model = small(causal=causal, blocks=1)
        model.full.layers[0].attention.out.weight.data.zero_()  # frames see their neighbours alone
        tokens = torch.randn(1, WINDOW, EMBEDDED)
        changed = tokens.clone()
        changed[:, 5] += 1.0
        with torch.inference_mode():
            sequences = [model.lift_both(each)[1]["joints_root_m"] for each in (tokens, changed)]
        differs = (sequences[0] != sequences[1]).any(dim=(0, 2, 3))
        assert torch.nonzero(differs).flatten().tolist() == [4, 5, 6]


@pytest.mark.parametrize("masked", [False, True])
def test_what_learns_is_all_but_what_the_published_network_never_uses(masked: bool) -> None:
    model = small(masked=masked).train()
    both = model.lift_both(model.tokens(*probes(WINDOW, batch=4)))
    sum(value.square().sum() for answer in both for value in answer.values()).backward()
    without = {name for name, each in model.named_parameters() if each.grad is None}
    assert without == ({"unused.position", "unused.norms"} if not masked else set())


def test_thirty_of_81_frames_of_a_joint_may_be_missing() -> None:
    model = small(window=81, masked=True)
    kpts, visible = probes(81, batch=17)
    visible[:] = 1.0
    for joint in range(17):
        visible[joint, torch.randperm(81)[:30], joint] = 0.0
    kpts[visible == 0] = 1e6
    with torch.inference_mode():
        answer = model(kpts, visible)
    assert all(torch.isfinite(value).all() for value in answer.values())
    assert answer["joints_root_m"].abs().max() < 1e3


@pytest.mark.parametrize("flip_average", [False, True], ids=["once", "flip-averaged"])
@pytest.mark.parametrize("masked", [False, True], ids=["paper", "masked"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "centred"])
def test_frame_by_frame_it_answers_as_for_the_window(causal: bool, masked: bool, flip_average: bool) -> None:
    model = small(causal=causal, masked=masked, flip_average=flip_average)
    folded = copy.deepcopy(model)
    folded.fold()
    step = folded.streaming()
    kpts, visible = probes(40, batch=3)
    begins = [0, 5, 33]  # the second and the third come later, in the places of others
    state = torch.zeros(3, step.state_size)
    for newest in range(40):
        state = torch.where(torch.tensor(begins)[:, None] == newest, 0.0, state)
        with torch.no_grad():
            answer = step(kpts[:, newest, None], visible[:, newest, None], state)
        state = answer.pop("new_state")
        if newest not in {0, 1, 5, 6, 26, 27, 33, 34, 39}:  # where somebody comes, a window is full, and the end
            continue
        first = torch.tensor([begin if newest >= begin else 0 for begin in begins])
        rows = torch.arange(newest - WINDOW + 1, newest + 1).clamp(min=0).maximum(first[:, None])
        people = torch.arange(3)[:, None]
        with torch.inference_mode():
            expected = model(kpts[people, rows], visible[people, rows])
        for name in model.outputs:
            torch.testing.assert_close(answer[name], expected[name], rtol=0, atol=FLOAT32)


def test_a_step_encodes_one_frame_and_its_state_is_a_window_of_tokens() -> None:
    model = small(causal=True)
    step = model.streaming()
    assert step.state_size == 1 + (WINDOW - 1) * EMBEDDED
    encoded = []
    model.spatial.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))
    step(*probes(1, batch=5), torch.zeros(5, step.state_size))
    assert encoded == [5]


@pytest.mark.parametrize(
    ("config", "streaming"),
    [
        pytest.param({}, False, id="paper"),
        pytest.param({"masked": True, "causal": True}, False, id="masked-causal"),
        pytest.param({"masked": True, "causal": True, "flip_average": True}, True, id="streaming"),
    ],
)
def test_onnx_gives_the_same(config: dict[str, object], streaming: bool, tmp_path: Path) -> None:
    model = small(**config)
    info = describe("mine", "strided-posegraph", model, {}, 30.0)
    info = export_onnx(model, info, tmp_path / "mine.onnx", streaming=streaming)
    assert info.streaming == streaming
    assert all(value <= TOLERANCES_M["fp32"] for value in info.training["export"]["max_difference"].values())
