"""A small streaming network that takes everybody for the cardboard figure, roughly: fresh, but for its last bias."""

import dataclasses

import torch

from occpose_core.checkpoint import ModelInfo
from occpose_core.models import build, describe
from occpose_core.models.stream import Stream
from tests.core.cardboard import FIGURE

RADII = (1.1, 3.3)


def standing_stream(seed: int = 0) -> Stream:
    """In evaluation mode; its answers depend on all that a streaming network's may."""
    torch.manual_seed(seed)
    model = build("stream", {"width": 16, "memory": 8, "blocks": 2})
    assert isinstance(model, Stream)
    with torch.no_grad():
        model.tail.bias[: FIGURE.size] += torch.tensor(FIGURE.T.ravel())
        model.tail.bias[FIGURE.size : FIGURE.size + len(FIGURE)] -= 3.0  # log sigma
    return model.eval()


def info_of(model: Stream) -> ModelInfo:
    """What its file says, with intervals of its own."""
    return dataclasses.replace(describe("standing", "stream", model, {}), interval_radii=RADII)
