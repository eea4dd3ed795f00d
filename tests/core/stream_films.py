"""A small streaming network, and people for it to watch."""

from __future__ import annotations

import functools

import torch

from occpose_core.models import build
from occpose_core.models.stream import Stream
from occpose_core.skeleton import H36M17
from tests.tolerances import FLOAT32

JOINTS = len(H36M17.joints)
LEGS = H36M17.indices(*(f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle")))
FRAMES = 24

Film = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # kpts (B, T, J, 2), visible (B, T, J), dt_s (B, T)
Answer = dict[str, torch.Tensor]


@functools.cache
def small() -> Stream:
    """Fresh weights, but with biases and sigmas that make a difference; tests that change it copy it first."""
    torch.manual_seed(0)
    model = build("stream", {"width": 16, "memory": 8, "blocks": 2})
    assert isinstance(model, Stream)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.3)
        model.sigma_scale.copy_(torch.tensor([1.5, 0.7]))
    return model.eval()


def a_film(seed: int, people: int = 3, frames: int = FRAMES) -> Film:
    """People who move, anywhere in the picture, at any rate; joints hide at random and some for long."""
    generator = torch.Generator().manual_seed(seed)
    shape = (people, frames, JOINTS)
    pose = 0.1 * torch.randn((people, 1, JOINTS, 2), generator=generator)
    path = torch.cumsum(0.005 * torch.randn((*shape, 2), generator=generator), dim=1)
    place = 2 * torch.rand((people, 1, 1, 2), generator=generator) - 1
    seen = torch.rand(shape, generator=generator) > 0.3
    seen[:, frames // 3 : 2 * frames // 3, torch.randperm(JOINTS, generator=generator)[:8]] = False
    seen[0, frames // 2 : frames // 2 + 4] = False
    score = 0.05 + 0.95 * torch.rand(shape, generator=generator)
    dt_s = 1 / 120 * 60 ** torch.rand((people, frames), generator=generator)
    return pose + path + place, seen * score, dt_s


def answer(film: Film, model: Stream | None = None) -> Answer:
    with torch.inference_mode():
        return (model or small()).answer(*film)


def assert_equal(given: Answer, expected: Answer, tolerance: float = FLOAT32) -> None:
    for name in small().outputs:
        torch.testing.assert_close(
            given[name], expected[name], rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n} {m}"
        )
