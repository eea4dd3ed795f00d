"""The losses of bodies and of features: zero for the truth, blind to what is not labelled, and as their papers say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from occpose_core.body.joints import GRAPH15_IN_SMPL30, SMPL24, SMPL30
from occpose_core.models.heatmaps import DEPTH_M
from training.body_losses import UNCERTAIN, WEIGHTS, body_losses
from training.distillation import DISTILLATION, FEWEST_STAGES

PEOPLE = 3
_GRAPH = list(GRAPH15_IN_SMPL30)
_FITTED = ["pose", "shape", "fit_joints", "fit_kpts"]


def _rotations(count: int, generator: torch.Generator) -> Tensor:
    skew = torch.randn((count, 24, 3, 3), generator=generator)
    return torch.matrix_exp(0.3 * (skew - skew.mT))


def truth() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """An answer and the batch of labels that it fits exactly."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return 0.5 * torch.rand((PEOPLE, *shape), generator=generator)

    joints, kpts, rotations, shape = drawn(30, 3), drawn(30, 2), _rotations(PEOPLE, generator), drawn(10)
    depth = joints[:, _GRAPH, 2:] / DEPTH_M
    answer = {
        "heat_joints": torch.cat([kpts[:, _GRAPH], depth], dim=-1),
        "rotations": rotations,
        "shape": shape,
        "projected": kpts,
        "joints30_m": joints,
    }
    batch = {
        "true_kpts": kpts,
        "fit_kpts": kpts,
        "joints": joints,
        "fit_joints": joints,
        "pose": rotations,
        "shape": shape,
        "labelled": torch.ones(PEOPLE, 30),
        "located": torch.ones(PEOPLE, 30),
        "has_3d": torch.ones(PEOPLE, 1),
        "has_fit": torch.ones(PEOPLE, 1),
    }
    return {name: value.clone() for name, value in answer.items()}, batch


@pytest.mark.parametrize("form", ["axis_angle", "matrix"])
def test_the_truth_costs_nothing(form: str) -> None:
    answer, batch = truth()
    losses = body_losses(answer, batch, form)
    assert set(losses) == set(WEIGHTS)
    assert all(loss.item() < 1e-6 for loss in losses.values())


@pytest.mark.parametrize(
    ("part", "loss", "expected"),
    [
        pytest.param("heat_joints", "heat", 0.1, id="volume against labels"),
        pytest.param("heat_joints", "heat_fit", 0.1, id="volume against the fit"),
        pytest.param("projected", "projected", 0.1, id="projection"),
        pytest.param("joints30_m", "joints", 0.1, id="joints against labels"),
        pytest.param("joints30_m", "joints_fit", 0.1, id="joints against the fit"),
        pytest.param("shape", "shape", 0.1, id="shape"),
    ],
)
def test_a_loss_is_the_mean_distance(part: str, loss: str, expected: float) -> None:
    answer, batch = truth()
    answer[part] = answer[part] + 0.1
    assert body_losses(answer, batch)[loss].item() == pytest.approx(expected, rel=1e-4)


def test_depth_of_the_volume_is_in_its_unit() -> None:
    answer, batch = truth()
    batch["joints"] = batch["joints"] + torch.tensor([0.0, 0.0, 0.3])
    expected = 0.3 / DEPTH_M / 3  # one of three coordinates
    assert body_losses(answer, batch)["heat"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("mask", "targets", "silent"),
    [
        pytest.param("labelled", ["true_kpts"], ["heat", "projected"], id="2D"),
        pytest.param("located", ["joints"], ["joints"], id="3D"),
        pytest.param("has_fit", _FITTED, ["pose", "shape", "joints_fit", "heat_fit"], id="fit"),
    ],
)
def test_what_is_not_labelled_has_no_influence(mask: str, targets: list[str], silent: list[str]) -> None:
    answer, batch = truth()
    batch[mask] = torch.zeros_like(batch[mask])
    for name in targets:
        batch[name] = torch.randn(batch[name].shape, generator=torch.Generator().manual_seed(1))
    losses = body_losses(answer, batch, "matrix")
    assert all(losses[name].item() == 0 for name in silent)
    for name, value in answer.items():
        value.requires_grad_(name != "rotations")
    torch.stack([body_losses(answer, batch, "matrix")[name] for name in silent]).sum().backward()
    assert all(value.grad is None or not value.grad.any() for value in answer.values())


def test_people_of_2d_sets_have_no_depth() -> None:
    answer, batch = truth()
    batch["located"], batch["has_3d"] = torch.zeros(PEOPLE, 30), torch.zeros(PEOPLE, 1)
    answer["heat_joints"][..., 2] += 0.2
    losses = body_losses(answer, batch)
    assert losses["heat"].item() < 1e-6 and losses["heat_fit"].item() < 1e-6


def test_joints_outside_the_crop_do_not_count_for_the_volume() -> None:
    """The volume ends at the crop's border; the projection goes on."""
    answer, batch = truth()
    batch["true_kpts"] = batch["true_kpts"].clone()
    batch["true_kpts"][:, SMPL30.index("left_ankle")] = 1.4
    losses = body_losses(answer, batch)
    assert losses["heat"].item() < 1e-6 < losses["projected"].item()


@pytest.mark.parametrize("joint", ["left_wrist", "right_foot", "left_hand", "right_ankle", "head", "left_knee"])
def test_uncertain_rotations_are_left_out(joint: str) -> None:
    answer, batch = truth()
    answer["rotations"][:, SMPL24.index(joint)] = torch.eye(3)
    kept = body_losses(answer, batch, left_out=[])["pose"].item()
    assert kept > 0
    assert body_losses(answer, batch)["pose"].item() == (0 if joint in UNCERTAIN else pytest.approx(kept))


@pytest.mark.parametrize("degrees", [0.0, 1e-4, 1.0, 90.0, 179.9])
def test_axis_angles_have_gradients_at_all_angles(degrees: float) -> None:
    """At no turn at all and at half a turn formulas divide by 0."""
    answer, batch = truth()
    angle = torch.tensor(degrees).deg2rad()
    turn = torch.matrix_exp(angle * torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 0]]))
    answer["rotations"] = turn.expand(PEOPLE, 24, 3, 3).clone().requires_grad_()
    body_losses(answer, batch)["pose"].backward()
    assert answer["rotations"].grad is not None and torch.isfinite(answer["rotations"].grad).all()


# --- features ---------------------------------------------------------------------------------------------------------

SIZES = [(6, 8), (8, 8), (10, 4), (12, 4)]
WEIGHT = [1.0, 0.5, 1.0, 2.0]


def stages(seed: int, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand((batch, channels, side, side), generator=generator) for channels, side in SIZES]


@pytest.mark.parametrize("name", DISTILLATION)
def test_equal_features_cost_nothing_and_others_something(name: str) -> None:
    student, teacher = stages(0), stages(1)
    assert DISTILLATION[name](teacher, teacher, WEIGHT).item() == pytest.approx(0, abs=1e-6)
    for each in student:
        each.requires_grad_()
    loss = DISTILLATION[name](student, teacher, WEIGHT)
    loss.backward()
    assert loss.item() > 0
    assert all(each.grad is not None and each.grad.any() for each in student)


@pytest.mark.parametrize("name", DISTILLATION)
def test_only_chosen_stages_count_by_their_weights(name: str) -> None:
    student, teacher = stages(0), stages(1)
    fewest = FEWEST_STAGES.get(name, 1)
    chosen = slice(4 - fewest, 4)
    once = DISTILLATION[name](student[chosen], teacher[chosen], [1.0] * fewest)
    twice = DISTILLATION[name](student[chosen], teacher[chosen], [2.0] * fewest)
    assert twice.item() == pytest.approx(2 * once.item(), rel=1e-5)


def _by_hand(name: str, student: Tensor, teacher: Tensor) -> Tensor:
    """One stage, one place or person at a time."""
    batch, channels, height, width = student.shape
    if name == "at":
        errors = []
        for s, t in zip(student, teacher, strict=True):
            maps = [(each**2).mean(dim=0).flatten() for each in (s, t)]
            first, second = (each / each.norm() for each in maps)
            errors.append(((first - second) ** 2).mean())
        return 100 * torch.stack(errors).mean()
    errors = []
    for row in range(batch):
        for y in range(height):
            for x in range(width):
                s, t = student[row, :, y, x], teacher[row, :, y, x]
                log_s, log_t = s - s.logsumexp(0), t - t.logsumexp(0)
                errors.append(
                    {
                        "log_softmax_l1": lambda a=log_s, b=log_t: (a - b).abs().mean(),
                        "l1": lambda a=s, b=t: (a - b).abs().mean(),
                        "kl": lambda a=log_s, b=log_t: (b.exp() * (b - a)).sum(),
                    }[name]()
                )
    return torch.stack(errors).mean()


@pytest.mark.parametrize("name", ["log_softmax_l1", "l1", "at", "kl"])
def test_distances_are_those_of_their_papers(name: str) -> None:
    student, teacher = stages(0)[-1:], stages(1)[-1:]
    expected = _by_hand(name, student[0], teacher[0])
    torch.testing.assert_close(DISTILLATION[name](student, teacher, [1.0]), expected)


def test_flow_is_compared_column_by_column() -> None:
    student, teacher = stages(0)[1:3], stages(1)[1:3]

    def flow(features: list[Tensor], row: int) -> Tensor:
        shallow, deep = F.max_pool2d(features[0], 2)[row], features[1][row]
        return torch.einsum("cyx,dyx->cd", shallow, deep) / 16

    by_hand = [(flow(student, row) - flow(teacher, row)).norm(dim=0).sum() for row in range(2)]
    torch.testing.assert_close(DISTILLATION["fsp"](student, teacher, [1.0, 1.0]), torch.stack(by_hand).mean())


def test_divergence_does_not_grow_with_the_map() -> None:
    student, teacher = stages(0)[-1:], stages(1)[-1:]
    larger = [[each.repeat(1, 1, 2, 2) for each in features] for features in (student, teacher)]
    small = DISTILLATION["kl"](student, teacher, [1.0])
    torch.testing.assert_close(DISTILLATION["kl"](larger[0], larger[1], [1.0]), small)
