"""Batches of a few fixed sizes: what is recorded for one size cannot be played for another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np


class Bucket(Protocol):
    """A model for just so many people."""

    @property
    def inputs(self) -> Mapping[str, np.ndarray]:
        """Arrays to fill, by name, people first; they stay where they are, as the outputs do."""
        ...

    @property
    def outputs(self) -> Mapping[str, np.ndarray]:
        """Arrays to read, by name, people first."""
        ...

    def execute(self) -> None:
        """Answer the inputs; returns when the outputs are there."""
        ...


def chunks(people: int, sizes: Sequence[int]) -> Iterator[tuple[slice, int]]:
    """Rows to answer together, and the size that holds them: as many as fit, the rest in the smallest that will do."""
    largest = max(sizes)
    for first in range(0, people, largest):
        rows = slice(first, min(first + largest, people))
        yield rows, min(size for size in sizes if size >= rows.stop - rows.start)


def answer_in_buckets(
    buckets: Mapping[int, Bucket], given: Mapping[str, np.ndarray], wanted: Sequence[str]
) -> dict[str, np.ndarray]:
    """The wanted outputs, by name, for any number of people. given: the inputs, by name, people first."""
    people = len(next(iter(given.values())))
    shapes = {name: values.shape[1:] for name, values in next(iter(buckets.values())).outputs.items()}
    answer = {name: np.empty((people, *shapes[name]), dtype=np.float32) for name in wanted}
    for rows, size in chunks(people, tuple(buckets)):
        bucket, count = buckets[size], rows.stop - rows.start
        for name, values in given.items():
            bucket.inputs[name][:count] = values[rows]
            bucket.inputs[name][count:] = values[rows.stop - 1]  # somebody real, so that no row has strange values
        bucket.execute()
        for name in wanted:
            answer[name][rows] = bucket.outputs[name][:count]
    return answer
