"""Where the numbers of a batch came from, for the message that stops a run whose loss is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_NAMED = 3  # at most


def origin(batch: Mapping[str, Tensor] | None, data: Any, step: str) -> str:
    """Half a sentence: which windows of the batch are to blame, from which clip and frames, and what to do.

    batch: with `clip` and `start` (B,). data: has origin(step, clip, start) -> str. To blame are windows with numbers
    that are not finite; if there are none, that with the largest.
    """
    if batch is None or "clip" not in batch or not hasattr(data, "origin"):
        return "lower model.learning_rate or look at the data"
    size = _largest(batch)
    wrong = torch.nonzero(~torch.isfinite(size)).flatten().tolist()
    if wrong:
        named = "; ".join(_place(batch, data, step, index) for index in wrong[:_NAMED])
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        return f"numbers that are not finite are in {named}{more}: mend or leave out these recordings"
    place = _place(batch, data, step, int(size.argmax()))
    return (
        f"all numbers of the batch are finite, the largest is {float(size.max()):.3g} in {place}:"
        " lower model.learning_rate, or look at that recording if it is large"
    )


def _largest(batch: Mapping[str, Tensor]) -> Tensor:
    """(B,) largest magnitude in each window; NaN where there is one."""
    values = [each.flatten(1).abs().amax(dim=1) for each in batch.values() if each.is_floating_point()]
    return torch.stack(values).amax(dim=0)


def _place(batch: Mapping[str, Tensor], data: Any, step: str, index: int) -> str:
    return str(data.origin(step, int(batch["clip"][index]), int(batch["start"][index])))
