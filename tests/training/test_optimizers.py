"""Two optimisers as one: every parameter is stepped, and a restored one goes on as the first would have."""

from __future__ import annotations

import copy

import torch
from torch import nn

from training.optimizers import Together, muon_and_adam


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))


def optimizer_of(model: nn.Module) -> Together:
    matrices = [each for each in model.parameters() if each.ndim == 2]
    return muon_and_adam(matrices, [each for each in model.parameters() if each.ndim != 2], 1e-2, 0.05)


def steps(model: nn.Module, optimizer: Together, count: int) -> list[float]:
    x = torch.randn((32, 6), generator=torch.Generator().manual_seed(1))
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = (model(x) - x[:, :4]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_both_parts_step_and_the_loss_falls() -> None:
    model = network()
    before = [each.clone() for each in model.parameters()]
    losses = steps(model, optimizer_of(model), 40)
    assert losses[-1] < 0.3 * losses[0]
    assert not any(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_a_restored_optimiser_goes_on_as_the_first() -> None:
    model = network()
    first = optimizer_of(model)
    steps(model, first, 5)
    other = copy.deepcopy(model)
    second = optimizer_of(other)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert steps(other, second, 5) == steps(model, first, 5)


def test_a_rate_that_is_set_in_a_restored_optimiser_counts() -> None:
    model = network()
    optimizer = optimizer_of(model)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    losses = steps(model, optimizer, 3)
    assert losses[0] == losses[-1]
