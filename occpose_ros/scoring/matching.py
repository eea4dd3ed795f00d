"""Who is who in two lists of people at the same moments: by where they are in the image.

Coordinates may be pixels or rays, so long as both lists have the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from occpose_core.tracking import assign

# People whose joints are further apart, on average, than this share of the larger one's diagonal are not the same.
_REACH = 0.3
# A pair that was one the frame before stays one while it overlaps, and while neither of the two fits somebody else.
_STILL, _STILL_APART = 1.0, 1e-3

_PAIRS_AT_ONCE = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Sightings:
    """N people at moments. stamp_ns: (N,) int64. ids: N, "" = none. xy: (N, J, 2). known: (N, J) bool."""

    stamp_ns: np.ndarray
    ids: Sequence[str]
    xy: np.ndarray
    known: np.ndarray

    @cached_property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) lowest and (N, 2) highest coordinates of the known joints, 0 of people without any."""
        known = self.known[..., None]
        low = np.where(known, self.xy, np.inf).min(axis=1, initial=np.inf)
        high = np.where(known, self.xy, -np.inf).max(axis=1, initial=-np.inf)
        some = self.known.any(axis=1, keepdims=True)
        return np.where(some, low, 0.0), np.where(some, high, 0.0)


def overlaps(first: Sightings, second: Sightings, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(K,) how well rows `one` of the first and `other` of the second cover each other: 1 = exactly, 0 = not.

    Joints that both know count: their mean distance, against the diagonal of the larger of the two.
    """
    (low, high), (other_low, other_high) = first.box, second.box
    size = np.maximum(np.linalg.norm(high - low, axis=-1)[one], np.linalg.norm(other_high - other_low, axis=-1)[other])
    reach = np.maximum(_REACH * size, 1e-9)
    apart = np.maximum(np.maximum(low[one] - other_high[other], other_low[other] - high[one]), 0.0)
    near = np.flatnonzero(np.linalg.norm(apart, axis=-1) < reach)  # no two joints of the others are as near as that
    one, other = one[near], other[near]
    both = first.known[one] & second.known[other]
    away = np.linalg.norm(np.where(both[..., None], first.xy[one] - second.xy[other], 0.0), axis=-1)
    joints = both.sum(axis=-1)
    fit = np.zeros(len(size))
    fit[near] = np.where(
        joints > 0, np.maximum(1.0 - away.sum(axis=-1) / np.maximum(joints, 1) / reach[near], 0.0), 0.0
    )
    return fit


def match(first: Sightings, second: Sightings, same_id: float = 0.5) -> np.ndarray:
    """(N,) row of the second list for each of the first, -1 = nobody: in each moment those who overlap best.

    same_id: what an equal id is worth; it also pairs people who do not overlap at all.
    """
    names = _numbers(first, second)
    found = np.full(len(first.stamp_ns), -1)
    for one, other, fit in _moments(first, second):
        equal = (names[0][one] == names[1][other]) & (names[0][one] > 0)
        rows, row = _assigned(one, other, fit + same_id * equal)
        found[rows] = row
    return found


def nearest(first: Sightings, second: Sightings) -> np.ndarray:
    """(N,) row of the second list for each of the first, -1 = nobody: who overlaps best, also several with one."""
    found = np.full(len(first.stamp_ns), -1)
    for one, other, fit in _moments(first, second):
        order = np.argsort(fit, kind="stable")
        order = order[fit[order] > 0]
        found[one[order]] = other[order]  # of several the last, the best, stays
    return found


def follow(first: Sightings, second: Sightings) -> np.ndarray:
    """(N,) row of the second list for each of the first, -1 = nobody: those who overlap, whatever their ids.

    Ids of each list say who is the same over time. A pair stays a pair until one of the two fits somebody else better
    than they fit each other at all (CLEAR MOT: Bernardin and Stiefelhagen, 2008); also where they drift apart.
    """
    names = _numbers(first, second)
    partner = np.full(names[0].max(initial=0) + 1, -1)
    found = np.full(len(first.stamp_ns), -1)
    for one, other, fit in _moments(first, second):
        still = partner[names[0][one]] == names[1][other]
        rows, row = _assigned(one, other, np.where(still, np.where(fit > 0, fit + _STILL, _STILL_APART), fit))
        found[rows] = row
        partner[names[0][rows]] = names[1][row]
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


def _numbers(first: Sightings, second: Sightings) -> tuple[np.ndarray, np.ndarray]:
    """The ids of both lists as numbers that are equal where they are; 0 = none."""
    number = {name: k for k, name in enumerate(dict.fromkeys(["", *first.ids, *second.ids]))}
    one, other = (np.array([number[name] for name in people.ids], dtype=np.int64) for people in (first, second))
    return one, other


def _moments(first: Sightings, second: Sightings) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each moment, in order, all pairs: rows of the first list, rows of the second, how well they overlap (>= 0)."""
    rows, order = (np.argsort(people.stamp_ns, kind="stable") for people in (first, second))
    stamps_ns, sorted_ns = first.stamp_ns[rows], second.stamp_ns[order]
    begin = np.searchsorted(sorted_ns, stamps_ns, side="left")
    count = np.searchsorted(sorted_ns, stamps_ns, side="right") - begin
    before = np.cumsum(count) - count
    moments = np.flatnonzero(np.diff(stamps_ns, prepend=stamps_ns[:1] - 1))
    # many moments at once, for a call costs more than a pair, and not all, for a crowd has very many
    starts = moments[np.flatnonzero(np.diff(before[moments] // _PAIRS_AT_ONCE, prepend=-1))].tolist()
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=False):
        chosen = np.arange(start, stop)
        one = np.repeat(rows[chosen], count[chosen])
        within = np.arange(len(one)) - np.repeat(before[chosen] - before[start], count[chosen])
        other = order[np.repeat(begin[chosen], count[chosen]) + within]
        fit = overlaps(first, second, one, other)
        cuts = np.flatnonzero(np.diff(first.stamp_ns[one])) + 1
        parts = zip(*(np.split(values, cuts) for values in (one, other, fit)), strict=True)
        yield from (part for part in parts if len(part[0]))


def _assigned(one: np.ndarray, other: np.ndarray, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of the assignment with the largest gain above 0, of all pairs of a moment."""
    if len(gain) == 1:
        return one[gain > 0], other[gain > 0]
    columns = np.count_nonzero(one == one[0])
    seen, known = assign(gain.reshape(-1, columns))
    return one[::columns][seen], other[:columns][known]
