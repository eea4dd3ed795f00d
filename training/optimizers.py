"""Optimisers of different parts of a network as one, for Lightning steps one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Muon, Optimizer


class Together(Optimizer):
    """Steps several optimisers of disjoint parameters; schedules see the groups of all."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each; closure computes the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Of all parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As state_dict gave it."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def muon_and_adam(matrices: list[Tensor], others: list[Tensor], learning_rate: float, matrix_rate: float) -> Together:
    """Muon for hidden layers' matrices, Adam for everything else.

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024: updates are made orthogonal, so that
    all directions of a layer learn equally fast.
    """
    muon = Muon(matrices, lr=matrix_rate, weight_decay=0.0, adjust_lr_fn="original")
    return Together(muon, Adam(others, lr=learning_rate))
