"""What a node's parameter file says, so that a replay answers as that node does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from occpose_ros.parameter_fields import ParameterError
from occpose_ros.parameters import NodeParameters
from occpose_ros.yaml_file import read_yaml

_NODE = "pose_node"
_EVERY_NODE = ("/**", "/*", "**", "*")
_KEY = "ros__parameters"
_DEEPEST = 20  # namespaces within each other; a file may even contain itself


def read_parameters(path: Path | str) -> dict[str, Any]:
    """The parameters of pose_node that a ROS parameter file sets: name -> value, not checked.

    They may stand under `pose_node`, in whatever namespace, under `/**`, or under the one name of a node that the file
    has; what comes later holds. Others than pose_node's are passed over. So does the node. Raises ParameterError.
    """
    sections = _sections(Path(path))
    others = [name for name in sections if name not in _EVERY_NODE]
    own = [name for name in others if name.rsplit("/", 1)[-1] == _NODE] or others
    if len(own) > 1:
        raise ParameterError(
            f"{path} has parameters of several nodes, {', '.join(own)}: leave those of one in it, under {_NODE}"
        )
    known = {item.name for item in fields(NodeParameters)}
    merged = {
        name: value for node, said in sections.items() if node in (*_EVERY_NODE, *own) for name, value in said.items()
    }
    return {name: value for name, value in merged.items() if name in known}


def _sections(path: Path) -> dict[str, Mapping[str, Any]]:
    """Name of a node -> its parameters."""
    content = read_yaml(path, "parameter file", ParameterError)
    sections: dict[str, Mapping[str, Any]] = {}
    _collect(content, "", sections)
    if not sections:
        raise ParameterError(f"{path} has no {_KEY}, so it is no parameter file; see config/pose.yaml for one")
    return sections


def _collect(content: Any, name: str, sections: dict[str, Mapping[str, Any]]) -> None:
    """Names may be written in one word or as namespaces within each other."""
    if not isinstance(content, Mapping) or name.count("/") > _DEEPEST:
        return
    for key, value in content.items():
        if key == _KEY and isinstance(value, Mapping):
            sections[name] = {**sections.get(name, {}), **value}
        elif key != _KEY:
            _collect(value, f"{name}/{key}" if name else str(key), sections)
