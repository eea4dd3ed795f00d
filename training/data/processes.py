"""What each of several processes that train together takes of a batch."""

from __future__ import annotations

import lightning

from occpose_core.errors import OccposeError


def share_of_process(trainer: lightning.Trainer | None, batch_size: int) -> tuple[int, int]:
    """Rank of this process, and its windows of a batch. Raises OccposeError if the batch cannot be shared equally.

    A run on several processes so takes the same steps as on one, and either can go on from the other's checkpoint.
    """
    rank, count = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
    if batch_size % count:
        raise OccposeError(
            f"a batch of {batch_size} cannot be shared by {count} processes; set data.batch_size to a multiple"
        )
    return rank, batch_size // count
