"""Make a streaming model's sigma and depth keep their promises: fitted on the validation subjects, after training.

    python -m training calibrate runs/stream-s/stream-s.safetensors --files motion.npz

Scales the sigmas of hidden and of visible joints, and finds the radii of the balls that hold 50 % and 90 % of the
errors, in sigmas: errors have heavier tails than a Gaussian's, for depth is far less sure than the other two axes.
Errors are those of OccKP-1 (docs/evaluation.md) on its held-out cameras: users' cameras are not the training's either,
and a sigma that is too small does more harm than one that is too large.

Bones that point at the camera come out too short, so that people who are scaled to their true stature would be placed
too far away: the stature gain in the file makes up for the median of that. Writes the file anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from occpose_core.checkpoint import load_checkpoint, save_checkpoint
from occpose_core.clips import film
from occpose_core.dataset import read_sequences
from occpose_core.errors import OccposeError
from occpose_core.evaluation import score
from occpose_core.models.stream import Stream
from occpose_core.placing import SCALES
from occpose_core.runtime.torch_engine import TorchEngine
from occpose_core.skeleton import H36M17

PATTERNS = ("natural", "layout(coco17)")
_RIG = "held-out"
_RATE_HZ = 30.0
_QUANTILES = (0.5, 0.9)
_PELVIS = H36M17.index("pelvis")


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Errors and sigmas (N,) m of a model's joints, without the pelvis, and which were hidden, (N,) bool; depth (M,),
    the placed one of people of known stature over the true one."""

    error_m: np.ndarray
    sigma_m: np.ndarray
    hidden: np.ndarray
    depth: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """scale: what the sigmas of hidden and of visible joints are multiplied by. interval_radii: as in ModelInfo."""

    scale: tuple[float, float]
    interval_radii: tuple[float, float]


def fit(error_m: np.ndarray, sigma_m: np.ndarray, hidden: np.ndarray) -> Calibration:
    """The calibration for errors and sigmas (N,) of joints of which some are hidden (N,) bool.

    Both kinds get the same radii, by the mean of their laws' logarithmic quantiles. Sigma then is a standard deviation
    along each axis: over all joints, error squared is three times sigma squared on average. Raises OccposeError.
    """
    if min(hidden.sum(), (~hidden).sum()) < 100:
        raise OccposeError("too few hidden or visible joints to calibrate with; give files with more validation motion")
    ratio = error_m / sigma_m
    quantiles = np.log([np.quantile(ratio[kind], _QUANTILES) for kind in (hidden, ~hidden)])  # (kind, quantile)
    log_scale = quantiles.mean(axis=1)
    log_radii = (quantiles - log_scale[:, None]).mean(axis=0)
    scaled = sigma_m * np.exp(np.where(hidden, *log_scale))
    unit = np.log(np.mean(error_m**2) / np.mean(3 * scaled**2)) / 2
    scale, radii = np.exp(log_scale + unit), np.exp(log_radii - unit)
    return Calibration(scale=(scale[0], scale[1]), interval_radii=(radii[0], radii[1]))


def measure(model: Path, files: list[Path], max_frames: int | None) -> Measured:
    """How far off the model is on validation recordings."""
    engine = TorchEngine(model)
    motions = [each.resampled(_RATE_HZ) for file in files for each in read_sequences(file).of_split("val")]
    shots = [film(motion, _RIG, "noisy") for motion in motions]
    parts = []
    for pattern in PATTERNS:
        scores = score(engine, shots, [pattern], max_frames=max_frames)
        known = scores.answered[:, None] & (np.arange(len(H36M17.joints)) != _PELVIS)
        error_m = np.linalg.norm(scores.predicted_m - scores.target_m, axis=-1)
        depth = scores.depth[:, SCALES.index("known")]
        parts.append([*(each[known] for each in (error_m, scores.sigma_m, scores.hidden)), depth[np.isfinite(depth)]])
    error_m, sigma_m, hidden, depth = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Measured(error_m=error_m, sigma_m=sigma_m, hidden=hidden, depth=depth)


def main(argv: list[str] | None = None) -> int:
    """Run the command; 2 with one sentence on bad input."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m training calibrate", description=__doc__, formatter_class=formatter)
    parser.add_argument("model", type=Path, metavar="MODEL.safetensors")
    parser.add_argument("--files", nargs="+", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("--max-frames", type=int, metavar="N", help="frames a pattern, spread over all recordings")
    args = parser.parse_args(argv)
    if args.max_frames is not None and args.max_frames < 1:
        parser.error(f"--max-frames must be at least 1, got {args.max_frames}")
    try:
        calibrated, gain = _calibrate(args.model, args.files, args.max_frames)
    except OccposeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    hidden, visible = calibrated.scale
    half, most = calibrated.interval_radii
    print(f"sigma: x {hidden:.3f} where hidden, x {visible:.3f} where visible")
    print(f"intervals: 50 % in {half:.3f} sigma, 90 % in {most:.3f}")
    print(f"depth: {100 * (gain - 1):+.2f} % too far until now")
    return 0


def _calibrate(path: Path, files: list[Path], max_frames: int | None) -> tuple[Calibration, float]:
    """The calibration, and by what share people were too far away."""
    model, info = load_checkpoint(path)
    if not isinstance(model, Stream):
        raise OccposeError(f"{path} holds a {info.family}; only streaming networks are calibrated")
    measured = measure(path, files, max_frames)
    found = fit(measured.error_m, measured.sigma_m, measured.hidden)
    gain = float(np.median(measured.depth)) if len(measured.depth) else 1.0
    model.sigma_scale *= torch.tensor(found.scale)
    training = {**info.training, "calibrated_on": [file.name for file in files]}
    info = dataclasses.replace(
        info, interval_radii=found.interval_radii, stature_gain=gain * info.stature_gain, training=training
    )
    save_checkpoint(path, model, info)
    return found, gain
