"""Linear recurrences over time: h[t] = kept[t] * h[t - 1] + added[t]."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def scan(kept: Tensor, added: Tensor, start: Tensor) -> Tensor:
    """All states of a linear recurrence: kept and added (T, B, C) or, for one step, (B, C); start (B, C)."""
    if added.ndim == start.ndim:
        return kept * start + added
    return _Scan.apply(kept, added, start)  # type: ignore[no-any-return, no-untyped-call]


class _Scan(torch.autograd.Function):
    """With its own backward pass: autograd would keep a graph of T steps, which takes longer than the arithmetic."""

    @staticmethod
    def forward(ctx: Any, kept: Tensor, added: Tensor, start: Tensor) -> Tensor:
        """See scan."""
        states = torch.empty_like(added)
        last = start
        for t in range(len(added)):
            last = torch.addcmul(added[t], kept[t], last, out=states[t])
        ctx.save_for_backward(kept, states, start)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients (T, B, C) of kept and added, and (B, C) of start, for grad (T, B, C) of the states."""
        kept, states, start = ctx.saved_tensors
        grad_added = torch.empty_like(states)
        grad_kept = torch.empty_like(kept)
        after = torch.zeros_like(start)
        for t in reversed(range(len(states))):
            torch.add(grad[t], after, out=grad_added[t])
            torch.mul(grad_added[t], states[t - 1] if t else start, out=grad_kept[t])
            after = kept[t] * grad_added[t]
        return grad_kept, grad_added, after
