"""Settings of the pipeline: each with its unit, range, default and reason, for users and for ROS parameters alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from occpose_core.errors import OccposeError

ASSUMED_HEIGHT_M = 1.70


class ConfigError(OccposeError):
    """A setting is out of its range or contradicts another."""


def _setting(default: Any, low: float, high: float, unit: str, reason: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "unit": unit, "reason": reason})


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Settings of PosePipeline; each field's metadata holds low, high, unit and reason. Raises ConfigError."""

    min_score: float = _setting(
        0.3, 0.0, 1.0, "", "joints scored lower count as missing; detectors' false joints mostly score less"
    )
    min_visible_joints: int = _setting(
        4, 2, 17, "joints", "people with fewer are not lifted: less than a limb and its root says too little"
    )
    image_margin: float = _setting(
        0.1,
        0.0,
        10.0,
        "image sizes",
        "a joint outside the image counts the less the farther it is, and here not at all: detectors guess them",
    )
    max_persons: int = _setting(
        20, 1, 1000, "people", "the largest and surest are kept, so that a crowd does not break the rate"
    )
    hold_s: float = _setting(
        0.5, 0.0, 10.0, "s", "hidden people are predicted this long, the median of real occlusions; then they are lost"
    )
    gap_s: float = _setting(
        1.0, 0.0, 60.0, "s", "people unseen for longer start anew: old frames would mislead the network"
    )
    backward_reset_s: float = _setting(
        0.5, 0.0, 3600.0, "s", "time going back by more is a new recording; by less, a late message, which is dropped"
    )
    target_height_m: float | None = _setting(
        None, 0.3, 3.0, "m", f"stature that sets the metric scale; none assumes {ASSUMED_HEIGHT_M:.2f} m, metric: false"
    )
    stature_time_s: float = _setting(
        2.0, 0.01, 600.0, "s", "the network's idea of a person's size is averaged over this time: people do not grow"
    )
    min_cutoff_hz: float = _setting(
        1.0, 0.0, 1000.0, "Hz", "One-Euro cutoff at rest: lower is calmer; 0 turns smoothing off"
    )
    beta: float = _setting(
        10.0,
        0.0,
        1000.0,
        "Hz per m/s",
        "One-Euro cutoff gained with speed: higher lags less; 10 lags 0.3 frames on real motion at 30 Hz",
    )
    filled_trust: float = _setting(
        0.5, 0.01, 1.0, "", "cutoff factor of filled joints, which jump more than measured ones"
    )
    depth_trust: float = _setting(
        0.3, 0.01, 1.0, "", "cutoff factor of a person's distance, the noisiest number of all"
    )
    unknown_sigma_m: float = _setting(
        0.5, 0.0, 100.0, "m", "a joint less certain than this is marked UNKNOWN: it could be anywhere in reach"
    )
    hold_growth_mps: float = _setting(
        0.35, 0.0, 100.0, "m/s", "how fast the sigma of a predicted person grows: as the error does on real motion"
    )
    velocity_time_s: float = _setting(
        0.5, 0.001, 10.0, "s", "a hidden person's velocity fades with this time constant: people stop and turn"
    )
    jump_m: float = _setting(
        0.5,
        0.0,
        100.0,
        "m",
        "somebody seen farther than this from the bearer of their id is somebody else, whatever the id",
    )
    jump_mps: float = _setting(5.0, 0.0, 1000.0, "m/s", "added to jump_m for the time since the last frame")

    def __post_init__(self) -> None:
        for item in fields(self):
            value, low, high = getattr(self, item.name), item.metadata["low"], item.metadata["high"]
            if value is None and item.default is None:
                continue
            whole = isinstance(item.default, int)
            number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not low <= value <= high:
                kind = "a whole number " if whole else ""
                unit = f" {item.metadata['unit']}" if item.metadata["unit"] else ""
                raise ConfigError(f"{item.name} must be {kind}between {low:g} and {high:g}{unit}, got {value!r}")
        if self.gap_s < self.hold_s:
            raise ConfigError(f"gap_s ({self.gap_s:g} s) must not be less than hold_s ({self.hold_s:g} s): raise gap_s")
