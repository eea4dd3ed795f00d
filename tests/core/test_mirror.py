"""Layers that a mirror commutes with, for any weights and any mirror."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor  # noqa: E402

from occpose_core.models.mirror import (  # noqa: E402
    Mirror,
    MirrorHead,
    MirrorLinear,
    halves,
    of_whole,
    per_joint,
    plain,
)
from occpose_core.models.pose_model import mirrored  # noqa: E402
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402

WIDTH = 8
KINDS = {"x": per_joint(-1.0), "scores": per_joint(), "whole": of_whole(), "hidden": halves(6)}
vectors = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4)
seeds = st.integers(0, 2**16)


def joined(kinds: list[str]) -> Mirror:
    first, *others = (KINDS[kind] for kind in kinds)
    return sum(others, first)


def image(x: Tensor, mirror: Mirror) -> Tensor:
    return x[..., list(mirror.order)] * torch.tensor(mirror.sign)


def with_bias(layer: MirrorLinear | MirrorHead) -> MirrorLinear | MirrorHead:
    torch.nn.init.normal_(layer.bias)
    return layer


@given(vectors)
def test_a_mirrored_mirror_image_is_the_vector(kinds: list[str]) -> None:
    mirror = joined(kinds)
    x = torch.randn(3, len(mirror))
    assert torch.equal(image(image(x, mirror), mirror), x)


def test_keypoints_are_mirrored_as_everywhere_else() -> None:
    kpts = torch.randn(3, len(H36M17.joints), 2)
    flat = torch.cat([kpts[..., 0], kpts[..., 1]], dim=-1)
    expected = mirrored(kpts)
    both = image(flat, per_joint(-1.0) + per_joint())
    assert torch.equal(both, torch.cat([expected[..., 0], expected[..., 1]], dim=-1))


def test_the_halves_of_a_hidden_vector_change_places() -> None:
    x = torch.arange(6.0)
    assert image(x, halves(6)).tolist() == [3, 4, 5, 0, 1, 2]


@given(vectors, seeds)
def test_a_hidden_layer_commutes_with_the_mirror(kinds: list[str], seed: int) -> None:
    torch.manual_seed(seed)
    inputs = joined(kinds)
    layer, x = with_bias(MirrorLinear(inputs, WIDTH)), torch.randn(5, len(inputs))
    with torch.inference_mode():
        expected, answer = image(layer(x), halves(WIDTH)), layer(image(x, inputs))
    torch.testing.assert_close(answer, expected, rtol=0, atol=FLOAT32)
    if set(kinds) != {"whole"}:
        assert not torch.allclose(layer(x), expected), "a layer that is blind to the mirror would pass too"


@given(vectors, seeds)
def test_a_head_commutes_with_the_mirror(kinds: list[str], seed: int) -> None:
    torch.manual_seed(seed)
    outputs = joined(kinds)
    layer, x = with_bias(MirrorHead(WIDTH, outputs)), torch.randn(5, WIDTH)
    with torch.inference_mode():
        expected, answer = image(layer(x), outputs), layer(image(x, halves(WIDTH)))
    torch.testing.assert_close(answer, expected, rtol=0, atol=FLOAT32)


def test_x_of_joints_in_the_middle_is_0_for_a_symmetric_person() -> None:
    head, x = with_bias(MirrorHead(WIDTH, per_joint(-1.0))), torch.randn(5, WIDTH // 2).repeat(1, 2)
    with torch.inference_mode():
        middle = head(x)[:, H36M17.mirror == range(len(H36M17.joints))]
    assert middle.shape[1] == 5
    torch.testing.assert_close(middle, torch.zeros_like(middle), rtol=0, atol=FLOAT32)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(MirrorLinear(joined(["x", "whole"]), WIDTH), id="hidden"),
        pytest.param(MirrorHead(WIDTH, joined(["x", "scores"])), id="head"),
    ],
)
def test_a_plain_layer_equals_it(layer: MirrorLinear | MirrorHead) -> None:
    equal = plain(with_bias(layer))
    x = torch.randn(2, 5, equal.in_features)
    assert type(equal) is torch.nn.Linear
    torch.testing.assert_close(equal(x), layer(x), rtol=0, atol=FLOAT32)


def test_half_as_many_free_weights_do() -> None:
    layer = MirrorLinear(halves(WIDTH), WIDTH)
    assert sum(each.numel() for each in layer.parameters()) * 2 == sum(
        each.numel() for each in plain(layer).parameters()
    )
    assert set(layer.state_dict()) == {"weight", "bias"}, "the mirror is code, not weights"
