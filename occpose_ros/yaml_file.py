"""YAML files as ROS reads them: version 1.1, where yes and on are true; only data, never objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from occpose_core.errors import OccposeError


def read_yaml(path: Path | str, what: str, error: type[OccposeError]) -> Any:
    """The first document of a file that is not empty, None if there is none. what: the file is, for the sentence of
    the error that is raised if it cannot be read."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    try:
        documents = yaml.load_all(Path(path).read_text(encoding="utf-8"))
        return next((document for document in documents if document is not None), None)
    except OSError as failure:
        raise error(f"the {what} {path} cannot be read: {failure.strerror}") from None
    except (YAMLError, ValueError, RecursionError) as failure:  # and text that is no UTF-8, or nested without end
        raise error(f"the {what} {path} is no YAML: {' '.join(str(failure).split())[:200]}") from None
