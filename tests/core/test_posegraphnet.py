"""PoseGraphNet: its published size, and edges that can all be learned. test_models.py has what all models share."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from occpose_core.export import TOLERANCES_M, export_onnx, probes  # noqa: E402
from occpose_core.models import build, describe  # noqa: E402
from occpose_core.models.posegraphnet import (  # noqa: E402
    GraphConv,
    PoseGraphNet,
    PoseGraphNetConfig,
    SkeletonEdges,
    edge_groups,
)
from occpose_core.skeleton import H36M17  # noqa: E402
from tests.tolerances import FLOAT32  # noqa: E402

SELF, FROM_PARENT, FROM_CHILD = range(3)
PARENTS, CHILDREN = zip(*H36M17.bones, strict=True)
LEAVES = sorted(set(range(17)) - set(PARENTS))


def small(**config: object) -> PoseGraphNet:
    torch.manual_seed(0)
    model = PoseGraphNet(PoseGraphNetConfig(**{"channels": 16, **config})).train()
    with torch.no_grad():
        for seed in range(3):
            model(*probes(1, seed=seed))
    return model.eval()


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(each.numel() for each in build("posegraphnet", {}).parameters()) == 1_247_078


def test_groups_are_the_edges_to_oneself_from_the_parent_and_from_the_children() -> None:
    groups = edge_groups()
    np.testing.assert_array_equal(groups[SELF], np.eye(17))
    np.testing.assert_array_equal(np.argwhere(groups[FROM_PARENT].T), sorted(zip(PARENTS, CHILDREN, strict=True)))
    np.testing.assert_array_equal(groups[FROM_CHILD], groups[FROM_PARENT].T)


def test_edges_for_use_over_time_start_divided_by_their_columns() -> None:
    np.testing.assert_allclose(edge_groups(column_start=True).sum(axis=(0, 1)), 1.0, atol=FLOAT32)
    assert ((edge_groups(column_start=True) > 0) == (edge_groups() > 0)).all()


@pytest.mark.parametrize("column_start", [False, True])
def test_every_edge_of_every_group_can_be_learned(column_start: bool) -> None:
    """As published, the rows of leaves and the column of the pelvis have a gradient of exactly 0, for ever."""
    edges = SkeletonEdges(column_start)
    torch.manual_seed(0)
    (edges.normalised() * torch.randn(3, 17, 17)).sum().backward()
    assert (edges.edges.grad != 0).all()


@pytest.mark.parametrize("column_start", [False, True])
def test_no_joint_is_cut_off_from_its_neighbours(column_start: bool) -> None:
    live = SkeletonEdges(column_start).normalised() > 0.05
    assert live.flatten(1).sum(dim=1).tolist() == [17, 16, 16]
    assert live[FROM_PARENT, LEAVES].any(dim=1).all()
    assert live[FROM_CHILD, H36M17.index("pelvis")].sum() == 3


def test_leaves_hear_their_parents_in_one_layer() -> None:
    model = small()
    mixing = model.trunk.edges().detach()
    for leaf in LEAVES:
        x = torch.zeros(1, 17, 2, requires_grad=True)
        model.trunk.head.conv(x, mixing)[0, leaf].sum().backward()
        reached = set(np.flatnonzero(x.grad[0].abs().sum(dim=-1)))
        assert reached == {leaf, H36M17.parents[leaf]}


def test_edges_that_turn_negative_switch_nothing_off() -> None:
    edges = SkeletonEdges(column_start=False)
    knee = H36M17.index("left_knee")
    with torch.no_grad():
        edges.edges[:, knee] -= 0.5  # every row and column of the knee sums to less than 0
        edges.edges[:, :, knee] -= 0.5
    normalised = edges.normalised()
    assert torch.isfinite(normalised).all()
    assert (normalised[:, knee] < 0).any(dim=-1).all()
    normalised.square().sum().backward()
    assert (edges.edges.grad[:, knee] != 0).any(dim=-1).all()


def test_graph_convolution_sums_the_groups_over_the_edges() -> None:
    torch.manual_seed(0)
    layer, edges = GraphConv(5, 3).double(), SkeletonEdges(column_start=False).double()
    with torch.no_grad():
        edges.edges.normal_()
    x, groups = torch.randn(2, 17, 5, dtype=torch.float64), edges.normalised()
    expected = torch.zeros(2, 17, 3, dtype=torch.float64) + layer.bias
    for group, weight in enumerate(layer.weight.weight.chunk(3)):
        for receiver in range(17):
            for sender in range(17):
                expected[:, receiver] += groups[group, receiver, sender] * (x[:, sender] @ weight.T)
    torch.testing.assert_close(layer(x, edges()), expected)


def test_statistics_are_each_joints_own() -> None:
    wrist, (kpts, visible) = H36M17.index("left_wrist"), probes(1)
    elsewhere = kpts.clone()
    elsewhere[:, :, wrist] += 10.0
    means = []
    for given in (kpts, elsewhere):
        model = small().train()
        model(given, torch.ones_like(visible))
        means.append(model.trunk.head.norm.running_mean.view(17, 16))
    differs = (means[0] != means[1]).any(dim=-1)
    assert set(np.flatnonzero(differs)) == {wrist, H36M17.parents[wrist]}


def test_folded_form_has_the_edges_normalised_once() -> None:
    folded = copy.deepcopy(small())
    folded.fold()
    assert "trunk.edges.edges" not in dict(folded.named_parameters())
    assert folded.trunk.edges() is folded.trunk.edges()
    assert not [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm1d)]


@pytest.mark.parametrize("masked", [False, True])
def test_lifting_a_guess_is_lifting_what_is_seen_where_all_is_seen(masked: bool) -> None:
    model, (kpts, _) = small(masked=masked), probes(1)
    seen = torch.ones(len(kpts), 17, 1)
    with torch.inference_mode():
        expected, lifted = model.answer(kpts, seen.view(-1, 1, 17)), model.lift(kpts[:, 0], seen)
    assert all(torch.equal(lifted[name], expected[name]) for name in model.outputs)


def test_mixed_precision_gives_nearly_the_same_in_single_precision() -> None:
    model, inputs = small(masked=True), probes(1)
    with torch.inference_mode():
        expected = model(*inputs)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model(*inputs)
    for name in model.outputs:
        assert mixed[name].dtype == torch.float32
        torch.testing.assert_close(mixed[name], expected[name], rtol=0.1, atol=0.1)


@pytest.mark.parametrize("config", [{}, {"masked": True}, {"embedding": 4, "column_start": True}])
def test_onnx_gives_the_same(config: dict[str, object], tmp_path: Path) -> None:
    model = small(**config)
    info = export_onnx(model, describe("mine", "posegraphnet", model, {}), tmp_path / "mine.onnx")
    assert all(value <= TOLERANCES_M["fp32"] for value in info.training["export"]["max_difference"].values())
