"""Parameters of a node as fields of a dataclass, from which they are declared, checked, explained and changed.

ROS does not turn an integer into a double: write `person_height_m:=2.0`, never `2`; the refusal says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import Field, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from occpose_core.errors import OccposeError
from occpose_ros.message_types import MissingMessagesError, message_class

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Parameters = TypeVar("Parameters", bound="DataclassInstance")
_ROS_NAMES = {bool: "a bool", int: "an integer", float: "a double", str: "a string"}


class ParameterError(OccposeError):
    """A parameter has a value that makes no sense, or cannot be changed now."""


def parameter(
    default: Any,
    what: str,
    why: str,
    *,
    bounds: tuple[float, float] | None = None,
    choices: Sequence[str] = (),
    live: bool = False,
    needs: str = "",
) -> Any:
    """A parameter.

    why: the reason for its default. live: may change while the node is configured. needs: a message type, without which
    a node's parameter must keep its default.
    """
    metadata = {"what": what, "why": why, "bounds": bounds, "choices": tuple(choices), "live": live, "needs": needs}
    return field(default=default, metadata=metadata)


def check(parameters: Any) -> None:
    """ParameterError if a parameter has the wrong type, or a value out of its range or choices."""
    for item in fields(parameters):
        _check(item, getattr(parameters, item.name))


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


def _check_installed(item: Field[Any], value: Any) -> None:
    """ParameterError if the parameter has a value for which this installation lacks messages."""
    if item.metadata["needs"] and value != item.default:
        try:
            message_class(item.metadata["needs"])
        except MissingMessagesError as error:
            raise ParameterError(f"{item.name} cannot be {value!r}: {error}") from None


def _one_of(choices: Sequence[str]) -> str:
    named = [choice for choice in choices if choice]
    return f"one of {', '.join(named)}" + (" or empty" if len(named) < len(choices) else "")


def changed(parameters: Parameters, changes: Mapping[str, Any], *, configured: bool) -> Parameters:
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
    after = replace(parameters, **known)
    for name, value in known.items():
        _check_installed(ours[name], value)
    return after


def explain(kind: type[Any]) -> str:
    """All parameters as text for --help."""
    lines = []
    for item in fields(kind):
        bounds, choices = item.metadata["bounds"], item.metadata["choices"]
        limits = f"{bounds[0]} to {bounds[1]}, " if bounds else f"{_one_of(choices)}; " if choices else ""
        live = "; may change at any time" if item.metadata["live"] else ""
        lines.append(f"  {item.name} ({limits}default {item.default!r}{live})")
        lines.append(f"      {item.metadata['what']}. Default because: {item.metadata['why']}")
    return "\n".join(lines)


def declare(node: Any, kind: type[Parameters]) -> Parameters:
    """Declare all parameters on a node and read their values from command line and files.

    Raises ParameterError if one of them makes no sense.
    """
    from rcl_interfaces.msg import ParameterDescriptor

    values = {}
    for item in fields(kind):
        # first anything goes, so that the sentence about a bad value is ours
        anything = ParameterDescriptor(dynamic_typing=True)
        values[item.name] = node.declare_parameter(item.name, item.default, anything).value
        _check(item, values[item.name])
        _check_installed(item, values[item.name])
        node.set_descriptor(item.name, _descriptor(item))
    return kind(**values)


def _descriptor(item: Field[Any]) -> Any:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
    from rclpy.parameter import Parameter

    default: Any = item.default
    what, choices, bounds = item.metadata["what"], item.metadata["choices"], item.metadata["bounds"]
    descriptor = ParameterDescriptor(
        type=Parameter.Type.from_parameter_value(default).value,
        description=f"{what} (default {item.default!r}: {item.metadata['why']})",
        additional_constraints=_one_of(choices) if choices else "",
    )
    if bounds and isinstance(item.default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=bounds[0], to_value=bounds[1], step=0.0)]
    elif bounds:
        descriptor.integer_range = [IntegerRange(from_value=bounds[0], to_value=bounds[1], step=1)]
    return descriptor
