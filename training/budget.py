"""The length of a run from a budget of poses, so that systems can be compared that have seen the same amount."""

from __future__ import annotations

from dataclasses import dataclass

EPOCHS = 20  # at most: each ends with a validation and a checkpoint
_MIN_BATCHES = 2  # an epoch: Lightning may take a limit of 1 for all
_VALIDATION_SHARE = 0.1  # of an epoch's windows, lest short epochs are spent on validation


@dataclass(frozen=True, kw_only=True)
class Length:
    """Of a run. schedule_epochs: epochs of the recipe's learning rate schedule that one epoch counts for."""

    epochs: int
    batches: int  # each epoch
    validation_windows: int
    schedule_epochs: float


def length(poses: float, batch: int, frames: int, published_epochs: int, validation_windows: int) -> Length:
    """The length at which a model sees `poses` poses, in windows of `frames`, `batch` windows at a time.

    The learning rate falls over all of it as it does in the published number of epochs.
    """
    steps = max(_MIN_BATCHES, round(poses / (batch * frames)))
    epochs = min(EPOCHS, published_epochs, steps // _MIN_BATCHES)
    batches = round(steps / epochs)
    return Length(
        epochs=epochs,
        batches=batches,
        validation_windows=min(validation_windows, max(batch, int(_VALIDATION_SHARE * batches * batch))),
        schedule_epochs=published_epochs / epochs,
    )
