"""List the models that come with occpose.

The default model runs where no other is named. `published` counts the parameters of the networks as in their papers,
`shipped` those of these weights. `--json` prints every fact that the model files hold.

    occpose models
    occpose models --json
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from occpose_core.checkpoint import ModelInfo
from occpose_core.report import Cell, Table, text_table
from occpose_core.runtime import DEFAULT_MODEL, load, shipped_models

# Family -> parameters of the published networks, with their own inputs and outputs; a test builds and counts them.
PUBLISHED_PARAMETERS = {"filling": 191_330, "lcn": 7_203_507, "filling-lcn": 191_330 + 7_203_507}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")


def _facts(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "family": info.family,
        "form": info.form,
        "parameters": PUBLISHED_PARAMETERS.get(info.family, info.parameters),
        "shipped_parameters": info.parameters,
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


def run(args: argparse.Namespace) -> int:
    """Print the table or the JSON list."""
    facts = [_facts(load(name).info) for name in shipped_models()]
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    columns = ("name", "form", "parameters", "shipped_parameters", "window", "look_ahead_s", "default", "gives")
    rows = tuple(tuple(_cell(model[column]) for column in columns) for model in facts)
    titles = {"parameters": "published", "shipped_parameters": "shipped"}
    print(text_table(Table(title="", columns=tuple(titles.get(name, name) for name in columns), rows=rows)))
    return 0


def _cell(value: object) -> Cell:
    if isinstance(value, bool):
        return "yes" if value else ""
    return ", ".join(map(str, value)) if isinstance(value, list) else value  # type: ignore[return-value]
