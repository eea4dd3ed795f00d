"""A SEFD network small enough for tests, whose norms have seen data and whose heads are not at their start."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from occpose_core.models import build
from occpose_core.models.sefd import Sefd

SIZE = 64
SMALL = {"backbone": "resnet10", "widths": (8, 8, 8, 16), "image_size": SIZE, "last_stride": 1, "graph": 8, "latent": 8}


def people(number: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 3, S, S), kpts (B, 30, 2) of the crop and visible (B, 30), from all to nothing."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand((number, 3, SIZE, SIZE), generator=generator)
    kpts = torch.rand((number, 30, 2), generator=generator) * 1.8 - 0.9
    hidden = torch.linspace(0, 1, number)[:, None]
    return image, kpts, (torch.rand((number, 30), generator=generator) >= hidden).float()


@functools.cache
def small(edge: str = "zero", **config: object) -> Sefd:
    """In evaluation mode; tests that change it copy it first."""
    torch.manual_seed(0)
    model: Sefd = build("sefd", {**SMALL, "edge": edge, **config}).train()
    with torch.no_grad():
        for head in (model.root, model.latent, model.shape, model.camera):
            head.weight.normal_(std=0.1)
        for seed in range(3):
            model(*people(seed=seed))
    return model.eval()
