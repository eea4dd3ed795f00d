"""What a 2D detector says of people whose joints are known: COCO joints with errors and scores, and some guesses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from occpose_core.simulation import box_size, detect
from occpose_core.skeleton import H36M17, SKELETONS, convert_keypoints

COCO17 = SKELETONS["coco17"]
DETECTION_THRESHOLD = 0.3  # detectors drop joints below it
HALLUCINATED, HALLUCINATED_RUN_S = 0.06, 1 / 3  # share of hidden joint-frames that are given all the same; how long
HALLUCINATION_SD = 0.05  # of the person's box


def _in_runs(probability: float, shape: tuple[int, ...], run: int, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.random((-(-shape[0] // run), *shape[1:])) < probability
    return np.repeat(drawn, run, axis=0)[: shape[0]]


def detected(
    true_px: np.ndarray, sight: np.ndarray, rate_hz: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the detector says of h36m17 joints (T, 17, 2) px, of which `sight` (T, 17) can be seen: xy_px (T, 17, 2),
    score (T, 17), and its error (T, 17, 2) px."""
    xy, score, given = (found[0] for found in detect("detector", true_px[None], rate_hz, rng))
    guessed = ~sight & _in_runs(HALLUCINATED, sight.shape, round(HALLUCINATED_RUN_S * rate_hz), rng)
    score = np.where(guessed, rng.uniform(DETECTION_THRESHOLD, 0.5, score.shape), score * (sight & given))
    xy = xy + guessed[..., None] * HALLUCINATION_SD * box_size(true_px) * rng.standard_normal(xy.shape)
    return xy, np.where(score < DETECTION_THRESHOLD, 0.0, score), xy - true_px


def coco_keypoints(
    true_px: np.ndarray,
    sight: np.ndarray,
    head_px: Mapping[str, np.ndarray],
    head_sight: Mapping[str, np.ndarray],
    rate_hz: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """As `detected`, in coco17: xy_px (T, 17, 2) and score (T, 17).

    head_px: (T, 2) px of points of the head by COCO's names, which err as the nose does; head_sight: (T,) bool of each.
    """
    xy, score, error = detected(true_px, sight, rate_hz, rng)
    xy_px, coco_score = convert_keypoints(xy, score, H36M17, COCO17)
    nose = H36M17.index("nose")
    for name, point_px in head_px.items():
        xy_px[:, COCO17.index(name)] = point_px + error[:, nose]
        coco_score[:, COCO17.index(name)] = np.where(head_sight[name], score[:, nose], 0.0)
    xy_px[coco_score == 0] = 0.0
    return xy_px, coco_score
