"""How far a student's features are from a teacher's: the published losses between stages of two encoders of one form.

Features are (B, C, H, W), in rising order of stages; the teacher's get no gradient. Scales are those of the papers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_ATTENTION = 100.0  # weight that SEFD gives to attention transfer

Features = Sequence[Tensor]
FeatureLoss = Callable[[Features, Features, Sequence[float]], Tensor]


def log_softmax_l1(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean distance of the channels' log-probabilities (Yang et al., "SEFD", ICCV 2023)."""
    return (F.log_softmax(student, dim=1) - F.log_softmax(teacher, dim=1)).abs().mean()


def l1(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean distance of the features themselves."""
    return (student - teacher).abs().mean()


def attention(student: Tensor, teacher: Tensor) -> Tensor:
    """Of the maps of activation, each of length 1 (Zagoruyko and Komodakis, "Paying more attention", ICLR 2017)."""
    maps = [F.normalize(each.square().mean(dim=1).flatten(1), dim=1) for each in (student, teacher)]
    return _ATTENTION * (maps[0] - maps[1]).square().mean()


def kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of the channels' probabilities, the mean over all places: it does not grow with the map."""
    divergence = F.kl_div(
        F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1), reduction="none", log_target=True
    )
    return divergence.sum(dim=1).mean()


def _each_stage(distance: Callable[[Tensor, Tensor], Tensor]) -> FeatureLoss:
    def loss(student: Features, teacher: Features, weights: Sequence[float]) -> Tensor:
        pairs = zip(student, teacher, weights, strict=True)
        return torch.stack([weight * distance(s, t) for s, t, weight in pairs]).sum()

    return loss


def _flow(shallow: Tensor, deep: Tensor) -> Tensor:
    """(B, C, D) inner products of two stages' channels, over the smaller map."""
    size = deep.shape[-2:]
    shallow = F.adaptive_max_pool2d(shallow, size) if shallow.shape[-2:] != size else shallow
    return shallow.flatten(2) @ deep.flatten(2).mT / deep[0, 0].numel()


def fsp(student: Features, teacher: Features, weights: Sequence[float]) -> Tensor:
    """Of the flow from each stage to the next, with the next one's weight: the lengths of its columns, summed.

    Yim et al., "A gift from knowledge distillation", CVPR 2017.
    """
    losses = []
    for index in range(1, len(weights)):
        flows = [_flow(features[index - 1], features[index]) for features in (student, teacher)]
        losses.append(weights[index] * (flows[0] - flows[1]).norm(dim=1).sum(dim=1).mean())
    return torch.stack(losses).sum()


DISTILLATION: dict[str, FeatureLoss] = {
    "log_softmax_l1": _each_stage(log_softmax_l1),
    "l1": _each_stage(l1),
    "at": _each_stage(attention),
    "fsp": fsp,
    "kl": _each_stage(kl),
}
FEWEST_STAGES = {"fsp": 2}  # the others take one
