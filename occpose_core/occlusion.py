"""Seeded occlusion patterns: which joints a detector does not see. One table for training, tests and the benchmark.

A pattern is named as in OccKP-1, its argument in brackets: `natural`, `k-missing(3)`, `joint30(left_wrist)`,
`limb-run(elbow+wrist,0.5)`, `layout(coco17)`. A name without its argument stands for all of them (`expand`). A mask
depends on its generator alone, and `philox` makes that from what the window is, so that it is the same in any batch
order, on any platform.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np

from occpose_core.errors import OccposeError
from occpose_core.skeleton import H36M17, SKELETONS, available, get_skeleton

ARM, LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
# limb groups of `limb-run`, on the right side as published; hips stay visible for both legs
LIMB_GROUPS: dict[str, tuple[str, ...]] = {
    "wrist": ("right_wrist",),
    "elbow+wrist": ("right_elbow", "right_wrist"),
    "arm": ("right_shoulder", "right_elbow", "right_wrist"),
    "foot": ("right_ankle",),
    "knee+foot": ("right_knee", "right_ankle"),
    "leg": ("right_hip", "right_knee", "right_ankle"),
    "both-legs": ("right_knee", "right_ankle", "left_knee", "left_ankle"),
}
LIMB_RUN_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0)
MAX_MISSING = 6

# Hidden runs: log-normal, from per-frame visibility labels of filmed actors; see docs/evaluation.md.
RUN_MEDIAN_S, RUN_SIGMA, RUN_MAX_S = 0.53, 1.6, 10.0
COVERAGE = 0.25
_BURN_IN_S = 60.0


class PatternError(OccposeError):
    """An occlusion pattern has an unknown name or argument."""


Pattern = Callable[[int, float, np.random.Generator, str], np.ndarray]
_JOINTS = len(H36M17.joints)
_RIGHT_LEG = H36M17.indices(*(f"right_{joint}" for joint in LEG))
_LEFT_ARM = H36M17.indices(*(f"left_{joint}" for joint in ARM))


def philox(sequence: str, camera: str, pattern: str, window_start: int, seed: int = 0) -> np.random.Generator:
    """Generator for one window: numpy's Philox keyed by the 128-bit BLAKE2b of what the window is (OccKP-1)."""
    text = f"occkp1|{sequence}|{camera}|{pattern}|{window_start}" + (f"|{seed}" if seed else "")
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def _clean(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    return np.ones((frames, _JOINTS), dtype=bool)


def _iid(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    return rng.random((frames, _JOINTS)) >= 0.2


def _k_missing(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    visible = np.ones((frames, _JOINTS), dtype=bool)
    visible[:, rng.choice(_JOINTS, size=int(argument), replace=False)] = False
    return visible


def _joint30(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    visible = np.ones((frames, _JOINTS), dtype=bool)
    hidden = rng.choice(frames, size=round(30 / 81 * frames), replace=False)
    visible[hidden, H36M17.index(argument)] = False
    return visible


def _joint30_runs(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    visible = np.ones((frames, _JOINTS), dtype=bool)
    length = min(6, frames)
    runs = max(1, round(5 / 81 * frames))
    # Runs must not overlap: draw starts in the time that is left when all runs are taken out, then put them back.
    starts = np.sort(rng.choice(frames - runs * length + runs, size=runs, replace=False)) + np.arange(runs) * (
        length - 1
    )
    for start in starts:
        visible[start : start + length, H36M17.index(argument)] = False
    return visible


def _armleg40(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    visible = np.ones((frames, _JOINTS), dtype=bool)
    hidden = rng.choice(frames, size=math.floor(0.4 * frames), replace=False)
    visible[np.ix_(hidden, np.concatenate([_RIGHT_LEG, _LEFT_ARM]))] = False
    return visible


def _consecutive(frames: int, share: float, joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    visible = np.ones((frames, _JOINTS), dtype=bool)
    length = math.floor(share * frames)
    start = int(rng.integers(frames - length + 1))
    visible[start : start + length, joints] = False
    return visible


def _leg40c(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    return _consecutive(frames, 0.4, _RIGHT_LEG, rng)


def _frames20c(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    return _consecutive(frames, 0.2, np.arange(_JOINTS), rng)


def _limb_run(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    group, seconds = argument.split(",")
    visible = np.ones((frames, _JOINTS), dtype=bool)
    hidden = max(1, round(float(seconds) * rate_hz))
    visible[max(0, frames - hidden) :, H36M17.indices(*LIMB_GROUPS[group])] = False
    return visible


def _mean_run_s() -> float:
    """Mean of the log-normal hidden run clipped at RUN_MAX_S."""
    mu, clip = math.log(RUN_MEDIAN_S), math.log(RUN_MAX_S)
    below = 0.5 * (1 + math.erf((clip - mu - RUN_SIGMA**2) / (RUN_SIGMA * math.sqrt(2))))
    above = 0.5 * (1 - math.erf((clip - mu) / (RUN_SIGMA * math.sqrt(2))))
    return math.exp(mu + RUN_SIGMA**2 / 2) * below + RUN_MAX_S * above


def _hidden_runs(seconds: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """(begin, end) of a renewal process' hidden runs in [0, seconds], stationary from the start."""
    mean_gap_s = _mean_run_s() * (1 - COVERAGE) / COVERAGE
    time, runs = -_BURN_IN_S, []
    while time < seconds:
        begin = time + rng.exponential(mean_gap_s)
        end = begin + min(RUN_MEDIAN_S * math.exp(RUN_SIGMA * rng.standard_normal()), RUN_MAX_S)
        if end > 0 and begin < seconds:
            runs.append((begin, end))
        time = end
    return runs


def _natural(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    """Arms hide one at a time, legs singly or together, each run from the limb's end upward to a random joint.

    Pelvis and thorax are midpoints for most detectors, so they go with the hip or shoulder that hides.
    """
    visible = np.ones((frames, _JOINTS), dtype=bool)
    groups = ((("right",), ARM), (("left",), ARM), (None, LEG))
    for sides, limb in groups:
        for begin, end in _hidden_runs(frames / rate_hz, rng):
            rows = slice(max(0, math.ceil(begin * rate_hz)), max(0, math.ceil(end * rate_hz)))
            chain = limb[int(rng.integers(len(limb))) :]
            for side in sides or (("right",), ("left",), ("right", "left"), ("right", "left"))[int(rng.integers(4))]:
                visible[rows, H36M17.indices(*(f"{side}_{joint}" for joint in chain))] = False
    return hide_midpoints(visible)


def hide_midpoints(visible: np.ndarray) -> np.ndarray:
    """Hide the pelvis where a hip is hidden and the thorax where a shoulder is; (..., J) bool in place, returned."""
    for midpoint, ends in (("pelvis", "hip"), ("thorax", "shoulder")):
        both = visible[..., H36M17.indices(f"left_{ends}", f"right_{ends}")].all(axis=-1)
        visible[..., H36M17.index(midpoint)] &= both
    return visible


def _layout(frames: int, rate_hz: float, rng: np.random.Generator, argument: str) -> np.ndarray:
    return np.asarray(_natural(frames, rate_hz, rng, "") & available(get_skeleton(argument)))


PATTERNS: dict[str, Pattern] = {
    "clean": _clean,
    "iid20": _iid,
    "k-missing": _k_missing,
    "joint30": _joint30,
    "joint30c": _joint30_runs,
    "armleg40": _armleg40,
    "leg40c": _leg40c,
    "frames20c": _frames20c,
    "limb-run": _limb_run,
    "natural": _natural,
    "layout": _layout,
    "hallucinate": _natural,  # the joints are given, in a wrong place: the evaluation does that
}

_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "k-missing": tuple(str(k) for k in range(1, MAX_MISSING + 1)),
    "joint30": H36M17.joints,
    "joint30c": H36M17.joints,
    "limb-run": tuple(f"{group},{seconds:g}" for seconds in LIMB_RUN_SECONDS for group in LIMB_GROUPS),
    "layout": ("coco17", "openpose18", "hri18"),
}


def _split(pattern: str) -> tuple[str, str]:
    name, _, rest = pattern.partition("(")
    return name, rest.removesuffix(")")


def expand(pattern: str) -> list[str]:
    """The concrete patterns that a name stands for: `k-missing` -> `k-missing(1)` ... `k-missing(6)`.

    Raises PatternError if the name is unknown, or its argument is.
    """
    name, argument = _split(pattern)
    if name not in PATTERNS or pattern not in (name, f"{name}({argument})"):
        raise PatternError(f"unknown occlusion pattern {pattern!r}; known: {', '.join(PATTERNS)}")
    known = tuple(SKELETONS) if name == "layout" else _ARGUMENTS.get(name, ())
    if not argument:
        return [f"{name}({each})" for each in _ARGUMENTS[name]] if known else [name]
    if argument not in known:
        raise PatternError(f"unknown argument in pattern {pattern!r}; {name} takes {', '.join(known) or 'none'}")
    return [pattern]


def visible_mask(pattern: str, frames: int, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a pattern's mask: (frames, J) bool, False = hidden, for `h36m17` at rate_hz frames a second.

    Raises PatternError if the pattern is unknown or lacks its argument.
    """
    if expand(pattern) != [pattern]:
        raise PatternError(f"pattern {pattern!r} needs an argument, for example {expand(pattern)[0]!r}")
    name, argument = _split(pattern)
    return PATTERNS[name](frames, rate_hz, rng, argument)
