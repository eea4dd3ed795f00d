"""List the models of occpose: first those whose weights come with it, then those that you can train.

The default model runs where no other is named. `published` counts the parameters of the networks as in their papers,
`shipped` those of these weights. A paper form is told nothing of missing joints, a masked one sees which they are; look
ahead is the future that an answer waits for, in seconds. A window of 0 is all frames so far. A model with a number
under image takes, beside the keypoints, an image of each person of so many pixels a side, and gives a body: vertices
and rotations; it sees in any form which joints are missing. `--json` prints every fact, also what the model files hold.

    occpose models
    occpose models --json
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from occpose_core.catalogue import CATALOGUE, Entry
from occpose_core.checkpoint import ModelInfo
from occpose_core.report import Cell, Table, text_table
from occpose_core.runtime import DEFAULT_MODEL, load, shipped_models

# Column of the table -> title.
_COLUMNS = {
    "name": "name",
    "form": "form",
    "parameters": "published",
    "shipped_parameters": "shipped",
    "image_size": "image",
    "window": "window",
    "look_ahead_s": "look ahead",
    "streaming": "streams",
    "default": "default",
    "gives": "gives",
}

_NOTE = (
    "look ahead in s, image in px. Models with nothing under shipped have no weights here: docs/systems.md says how to"
    " train them."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")


def _shipped(info: ModelInfo) -> dict[str, Any]:
    entry = CATALOGUE.get(info.name)
    return {
        "name": info.name,
        "family": info.family,
        "form": info.form,
        "parameters": entry.parameters if entry else info.parameters,
        "shipped_parameters": info.parameters,
        "image_size": info.image_size,
        "window": info.window,
        "look_ahead_s": info.look_ahead_s,
        "streaming": info.streaming,
        "default": info.name == DEFAULT_MODEL,
        "weights": True,
        "gives": list(info.outputs),
        "source": info.source,
        "config": info.config,
        "training": info.training,
    }


def _trainable(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "family": entry.family,
        "form": entry.form,
        "parameters": entry.parameters,
        "shipped_parameters": None,
        "image_size": entry.image_size,
        "window": entry.window,
        "look_ahead_s": entry.look_ahead_s,
        "streaming": entry.streams,
        "default": False,
        "weights": False,
        "gives": list(entry.outputs),
        "source": entry.source,
        "config": entry.config,
        "training": {"command": entry.command},
    }


def run(args: argparse.Namespace) -> int:
    """Print the table or the JSON list."""
    shipped = shipped_models()
    facts = [_shipped(load(name, "onnxruntime").info) for name in shipped]
    facts += [_trainable(entry) for name, entry in CATALOGUE.items() if name not in shipped]
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    rows = tuple(tuple(_cell(column, model[column]) for column in _COLUMNS) for model in facts)
    print(text_table(Table(title="", columns=tuple(_COLUMNS.values()), rows=rows, note=_NOTE)))
    return 0


def _cell(column: str, value: object) -> Cell:
    if isinstance(value, bool):
        return "yes" if value else ""
    if column == "image_size" and not value:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else value  # type: ignore[return-value]
