"""Who is who in two lists of people at the same moments: by where they are in the image.

Coordinates may be pixels or rays, so long as both lists have the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from occpose_core.tracking import assign

# People whose joints are further apart, on average, than this share of the larger one's diagonal are not the same.
_REACH = 0.3
# A pair that was one the frame before stays one while it overlaps, and while neither of the two fits somebody else.
_STILL, _STILL_APART = 1.0, 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Sightings:
    """N people at moments. stamp_ns: (N,) int64. ids: N, "" = none. xy: (N, J, 2). known: (N, J) bool."""

    stamp_ns: np.ndarray
    ids: Sequence[str]
    xy: np.ndarray
    known: np.ndarray


def candidates(first: Sightings, second: Sightings) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of one moment: (K,) rows of the first list and (K,) of the second, sorted by time."""
    order = np.argsort(second.stamp_ns, kind="stable")
    sorted_ns = second.stamp_ns[order]
    rows = np.argsort(first.stamp_ns, kind="stable")
    begin = np.searchsorted(sorted_ns, first.stamp_ns[rows], side="left")
    count = np.searchsorted(sorted_ns, first.stamp_ns[rows], side="right") - begin
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(rows, count), order[np.repeat(begin, count) + within]


def overlaps(first: Sightings, second: Sightings, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(K,) how well rows `one` of the first and `other` of the second cover each other: 1 = exactly, at most 0 = not.

    Joints that both know count: their mean distance, against the diagonal of the larger of the two.
    """
    both = first.known[one] & second.known[other]
    away = np.linalg.norm(np.where(both[..., None], first.xy[one] - second.xy[other], 0.0), axis=-1)
    mean = away.sum(axis=-1) / np.maximum(both.sum(axis=-1), 1)
    size = np.maximum(_diagonal(first)[one], _diagonal(second)[other])
    fit = 1.0 - mean / np.maximum(_REACH * size, 1e-9)
    return np.where(both.any(axis=-1), fit, 0.0)


def _diagonal(people: Sightings) -> np.ndarray:
    """(N,) of the box around the known joints, 0 of nobody."""
    if not len(people.xy):
        return np.zeros(0)
    known = people.known[..., None]
    high = np.where(known, people.xy, -np.inf).max(axis=1)
    low = np.where(known, people.xy, np.inf).min(axis=1)
    return np.where(people.known.any(axis=1), np.linalg.norm(np.where(high >= low, high - low, 0.0), axis=-1), 0.0)


def match(first: Sightings, second: Sightings, same_id: float = 0.5) -> np.ndarray:
    """(N,) row of the second list for each of the first, -1 = nobody: in each moment those who overlap best.

    same_id: what an equal id is worth; it also pairs people who do not overlap at all.
    """
    one, other = candidates(first, second)
    gain = np.maximum(overlaps(first, second, one, other), 0.0)
    equal = [first.ids[a] == second.ids[b] != "" for a, b in zip(one.tolist(), other.tolist(), strict=True)]
    gain += same_id * np.array(equal, dtype=np.float64)
    found = np.full(len(first.stamp_ns), -1)
    for frame in _frames(first.stamp_ns[one]):
        rows, row = _assigned(one[frame], other[frame], gain[frame])
        found[rows] = row
    return found


def nearest(first: Sightings, second: Sightings) -> np.ndarray:
    """(N,) row of the second list for each of the first, -1 = nobody: who overlaps best, also several with one."""
    one, other = candidates(first, second)
    gain = overlaps(first, second, one, other)
    order = np.argsort(gain, kind="stable")
    order = order[gain[order] > 0]
    found = np.full(len(first.stamp_ns), -1)
    found[one[order]] = other[order]  # of several the last, the best, stays
    return found


def follow(first: Sightings, second: Sightings) -> np.ndarray:
    """(N,) row of the second list for each of the first, -1 = nobody: those who overlap, whatever their ids.

    Ids of each list say who is the same over time. A pair stays a pair until one of the two fits somebody else better
    than they fit each other at all (CLEAR MOT: Bernardin and Stiefelhagen, 2008); also where they drift apart.
    """
    one, other = candidates(first, second)
    gain = np.maximum(overlaps(first, second, one, other), 0.0)
    partner: dict[str, str] = {}
    found = np.full(len(first.stamp_ns), -1)
    for frame in _frames(first.stamp_ns[one]):
        a, b, fit = one[frame], other[frame], gain[frame]
        still = np.array([partner.get(first.ids[i]) == second.ids[k] for i, k in zip(a, b, strict=True)])
        rows, row = _assigned(a, b, np.where(still, np.where(fit > 0, fit + _STILL, _STILL_APART), fit))
        found[rows] = row
        partner.update((first.ids[i], second.ids[k]) for i, k in zip(rows, row, strict=True))
    return found


def switches(people: Sightings, names: Sequence[str]) -> np.ndarray:
    """(N,) bool: the person, followed by their id, has another name than last time. names: N, "" = not answered."""
    last: dict[str, str] = {}
    switched = np.zeros(len(names), dtype=bool)
    for row in np.argsort(people.stamp_ns, kind="stable").tolist():
        person, name = people.ids[row], names[row]
        if name:
            switched[row] = last.get(person, name) != name
            last[person] = name
    return switched


def _frames(stamps_ns: np.ndarray) -> Iterator[slice]:
    """Stretches of one stamp, of stamps that are sorted."""
    edges = np.flatnonzero(np.diff(stamps_ns)) + 1
    for begin, end in zip([0, *edges.tolist()], [*edges.tolist(), len(stamps_ns)], strict=True):
        if end > begin:
            yield slice(begin, end)


def _assigned(one: np.ndarray, other: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of the assignment with the largest gain above 0."""
    if len(gain) == 1:
        return one[gain > 0], other[gain > 0]
    rows, row = np.unique(one, return_inverse=True)
    columns, column = np.unique(other, return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    table[row, column] = gain
    seen, known = assign(table)
    return rows[seen], columns[known]
