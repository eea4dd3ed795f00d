"""The node's parameters: one dataclass from which they are declared, checked, explained and read.

ROS does not turn an integer into a double: write `person_height_m:=2.0`, never `2`; the refusal says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from occpose_core.errors import OccposeError
from occpose_core.pipeline_config import PipelineConfig
from occpose_core.runtime import BACKENDS, DEFAULT_MODEL
from occpose_core.skeleton import SKELETONS
from occpose_ros.adapters import INPUTS

_PIPELINE: dict[str, Any] = {item.name: item for item in fields(PipelineConfig)}
_SMALLEST_PERSON_M = _PIPELINE["target_height_m"].metadata["low"]
_ROS_NAMES = {bool: "a bool", int: "an integer", float: "a double", str: "a string"}


class ParameterError(OccposeError):
    """A parameter has a value that makes no sense, or cannot be changed now."""


def _parameter(
    default: Any,
    what: str,
    why: str,
    *,
    bounds: tuple[float, float] | None = None,
    choices: Sequence[str] = (),
    live: bool = False,
) -> Any:
    """A parameter. why: the reason for its default. live: may change while the node is configured."""
    metadata = {"what": what, "why": why, "bounds": bounds, "choices": tuple(choices), "live": live}
    return field(default=default, metadata=metadata)


def _setting(name: str, what: str) -> Any:
    """A parameter that is a setting of the pipeline, with its default, range and reason."""
    item = _PIPELINE[name]
    kind = type(item.default)
    bounds = (kind(item.metadata["low"]), kind(item.metadata["high"]))
    return _parameter(item.default, what, item.metadata["reason"], bounds=bounds, live=True)


@dataclass(frozen=True, kw_only=True)
class NodeParameters:
    """Values of all parameters, within their ranges; ParameterError otherwise."""

    input: str = _parameter(
        "occpose", "message family of the keypoints topic", "occpose's own messages lose nothing", choices=list(INPUTS)
    )
    layout: str = _parameter(
        "",
        "keypoint layout that replaces the one in the messages; empty: theirs",
        "messages name their layout",
        choices=["", *SKELETONS],
    )
    model: str = _parameter(
        DEFAULT_MODEL,
        "a shipped model (`occpose models` lists them) or the path of an .onnx file",
        "the best that is shipped",
    )
    backend: str = _parameter("auto", "inference engine", "the best that this machine has", choices=["auto", *BACKENDS])
    rectified: bool = _parameter(
        False,
        "the keypoints are of a rectified image: P of CameraInfo holds, not K and D",
        "detectors mostly see it raw",
    )
    min_score: float = _setting("min_score", "a joint with a lower score is missing")
    max_persons: int = _setting("max_persons", "so many people are followed at once")
    person_height_m: float = _parameter(
        0.0,
        "stature of the people in metres; 0.0: unknown, then scale is assumed and `metric` is false",
        "one camera cannot tell a tall person far away from a small one near",
        bounds=(0.0, _PIPELINE["target_height_m"].metadata["high"]),
        live=True,
    )
    hold_s: float = _setting("hold_s", "a person of whom nothing is seen is predicted for this long, then lost")
    min_cutoff_hz: float = _setting("min_cutoff_hz", "smoothing at rest: lower is calmer and later; 0.0: none")
    beta: float = _setting("beta", "how much less smoothing there is in motion")
    max_age_s: float = _parameter(
        0.0,
        "keypoints older than this are dropped; 0.0: none are",
        "recordings, and cameras with their own clock",
        bounds=(0.0, 3600.0),
        live=True,
    )
    publish_markers: bool = _parameter(True, "publish RViz markers while somebody listens", "free otherwise", live=True)
    publish_filled: bool = _parameter(
        True, "publish the completed 2D keypoints while somebody listens", "free otherwise", live=True
    )
    marker_lifetime_s: float = _parameter(
        0.5,
        "RViz removes a marker after so long without news",
        "a few frames of a slow detector",
        bounds=(0.05, 5.0),
        live=True,
    )
    diagnostics_period_s: float = _parameter(
        1.0, "time between two diagnostics messages", "the custom of ROS", bounds=(0.1, 60.0)
    )
    autostart: bool = _parameter(
        True, "configure and activate at start, without a lifecycle manager", "one command shall show skeletons"
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            _check(item, getattr(self, item.name))
        if 0 < self.person_height_m < _SMALLEST_PERSON_M:
            raise ParameterError(
                f"person_height_m must be 0.0 (unknown) or lie in {_SMALLEST_PERSON_M} to"
                f" {_PIPELINE['target_height_m'].metadata['high']}, got {self.person_height_m}"
            )

    def pipeline_config(self) -> PipelineConfig:
        """The settings of the pipeline."""
        return PipelineConfig(
            min_score=self.min_score,
            max_persons=self.max_persons,
            target_height_m=self.person_height_m or None,
            hold_s=self.hold_s,
            gap_s=max(_PIPELINE["gap_s"].default, self.hold_s),
            min_cutoff_hz=self.min_cutoff_hz,
            beta=self.beta,
        )


def _check(item: Field[Any], value: Any) -> None:
    bounds, choices = item.metadata["bounds"], item.metadata["choices"]
    kind: Any = type(item.default)
    if type(value) is not kind:
        remedy = f": write {float(value)}" if kind is float and type(value) is int else ""
        raise ParameterError(f"{item.name} must be {_ROS_NAMES[kind]}, got {value!r}{remedy}")
    if bounds and not (math.isfinite(value) and bounds[0] <= value <= bounds[1]):
        raise ParameterError(f"{item.name} must lie in {bounds[0]} to {bounds[1]}, got {value}")
    if choices and value not in choices:
        raise ParameterError(f"{item.name} must be {_one_of(choices)}, got {value!r}")


def _one_of(choices: Sequence[str]) -> str:
    named = [choice for choice in choices if choice]
    return f"one of {', '.join(named)}" + (" or empty" if len(named) < len(choices) else "")


def changed(parameters: NodeParameters, changes: Mapping[str, Any], *, configured: bool) -> NodeParameters:
    """The parameters with all changes made; or ParameterError, and none made.

    Names that are not ours are passed over. configured: the node holds an engine and subscriptions, so that only live
    parameters may change.
    """
    ours = {item.name: item for item in fields(parameters)}
    known = {name: value for name, value in changes.items() if name in ours}
    for name, value in known.items():
        if configured and not ours[name].metadata["live"] and value != getattr(parameters, name):
            raise ParameterError(
                f"{name} cannot change while the node is configured: use `ros2 lifecycle set` to deactivate and clean"
                f" up, set {name}, then configure and activate"
            )
    return replace(parameters, **known)


def explain() -> str:
    """All parameters as text for --help."""
    lines = []
    for item in fields(NodeParameters):
        bounds, choices = item.metadata["bounds"], item.metadata["choices"]
        limits = f"{bounds[0]} to {bounds[1]}, " if bounds else f"{_one_of(choices)}; " if choices else ""
        live = "; may change at any time" if item.metadata["live"] else ""
        lines.append(f"  {item.name} ({limits}default {item.default!r}{live})")
        lines.append(f"      {item.metadata['what']}. Default because: {item.metadata['why']}")
    return "\n".join(lines)


def declare(node: Any) -> NodeParameters:
    """Declare all parameters on a node and read their values from command line and files.

    Raises ParameterError if one of them makes no sense.
    """
    from rcl_interfaces.msg import ParameterDescriptor

    values = {}
    for item in fields(NodeParameters):
        # first anything goes, so that the sentence about a bad value is ours
        anything = ParameterDescriptor(dynamic_typing=True)
        values[item.name] = node.declare_parameter(item.name, item.default, anything).value
        _check(item, values[item.name])
        node.set_descriptor(item.name, _descriptor(item))
    return NodeParameters(**values)


def _descriptor(item: Field[Any]) -> Any:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
    from rclpy.parameter import Parameter

    what, choices, bounds = item.metadata["what"], item.metadata["choices"], item.metadata["bounds"]
    descriptor = ParameterDescriptor(
        type=Parameter.Type.from_parameter_value(item.default).value,
        description=f"{what} (default {item.default!r}: {item.metadata['why']})",
        additional_constraints=_one_of(choices) if choices else "",
    )
    if bounds and isinstance(item.default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=bounds[0], to_value=bounds[1], step=0.0)]
    elif bounds:
        descriptor.integer_range = [IntegerRange(from_value=bounds[0], to_value=bounds[1], step=1)]
    return descriptor
