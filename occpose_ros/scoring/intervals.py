"""How sure figures are: 95 % bootstrap intervals over pieces of a recording, or over recordings.

Neighbouring frames tell nearly the same, so whole pieces are drawn. The seed is fixed, and so is the interval of sums.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from occpose_ros.scoring.sums import Intervals, Sums, add_sums, means

PIECE_S = 10.0
COVERAGE = 0.95
# Of five independent numbers not even the whole range holds what lies in the middle 95 times in 100, of six it does.
FEWEST_PARTS = 6
_RESAMPLES = 1000
_SEED = 0


def intervals_over(parts: Sequence[Sums]) -> Intervals:
    """95 % interval (low, high) of each mean over the parts, which are drawn as wholes, in any order.

    A figure that fewer than FEWEST_PARTS say anything about has none: it would be too narrow.
    """
    keys = sorted({key for part in parts for key in means(part)})
    sums, counts = _table(parts, keys)
    order = np.lexsort(np.concatenate([sums, counts, np.zeros((len(parts), 1))], axis=1).T)
    return _intervals(keys, _resampled(sums[order], counts[order]), _told(counts))


def interval_over_bags(sums: Sequence[Sums]) -> Intervals:
    """Of figures pooled over bags: each bag is drawn as a whole; of a single bag take the intervals of its pieces."""
    return intervals_over(sums)


def difference(sums_a: Mapping[str, Sums], sums_b: Mapping[str, Sums]) -> dict[str, Any]:
    """How much larger each mean is in a than in b, paired: dotted key -> {"difference": ..., "interval": [low, high]}.

    sums_a, sums_b: by bag, or of one bag by piece (`Score.pieces`). The same bags or pieces are drawn for both, so that
    what is hard for both does not blur what differs. Where fewer than FEWEST_PARTS say anything, the interval is NaN.
    """
    names = sorted({*sums_a, *sums_b})
    parts_a, parts_b = ([sums.get(name, {}) for name in names] for sums in (sums_a, sums_b))
    of_a, of_b = means(add_sums(parts_a)), means(add_sums(parts_b))
    keys = sorted(of_a.keys() & of_b.keys())
    table_a, table_b = _table(parts_a, keys), _table(parts_b, keys)
    bounds = _intervals(keys, _resampled(*table_a) - _resampled(*table_b), _told(table_a[1], table_b[1]))
    unknown = (math.nan, math.nan)
    return {
        key: {"difference": of_a[key] - of_b[key], "interval": list(bounds.get(key, unknown))}
        for key in keys
        if math.isfinite(of_a[key] - of_b[key])
    }


def _table(parts: Sequence[Sums], keys: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(S, K) sums and (S, K) counts."""
    table = np.array([[part.get(key, (0.0, 0.0)) for key in keys] for part in parts], dtype=np.float64)
    table = table.reshape(len(parts), len(keys), 2)
    return table[..., 0], table[..., 1]


def _resampled(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(R, K) means of resamples of the S parts, NaN where nothing was drawn; none of too few parts."""
    parts = len(sums)
    if parts < FEWEST_PARTS:
        return np.zeros((0, sums.shape[1]))
    rng = np.random.Generator(np.random.Philox(key=_SEED))
    weights = rng.multinomial(parts, np.full(parts, 1.0 / parts), size=_RESAMPLES).astype(np.float64)
    # einsum adds in the same order whatever the threads are, as a product of matrices does not
    total, count = (np.einsum("rs,sk->rk", weights, table) for table in (sums, counts))
    return np.where(count > 0, total / np.where(count > 0, count, 1.0), np.nan)


def _told(*counts: np.ndarray) -> np.ndarray:
    """(K,) bool: enough of the parts say something of the figure, in each of the (S, K) counts."""
    return np.all([(of > 0).sum(axis=0) >= FEWEST_PARTS for of in counts], axis=0)


def _intervals(keys: Sequence[str], drawn: np.ndarray, told: np.ndarray) -> Intervals:
    """Of the figures that enough parts tell something of."""
    known = np.flatnonzero(told & np.isfinite(drawn).any(axis=0))
    if not len(known):
        return {}
    low, high = np.nanquantile(drawn[:, known], [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=0)
    return {keys[k]: (a, b) for k, a, b in zip(known.tolist(), low.tolist(), high.tolist(), strict=True)}
