"""docs/ros.md and docs/diagnostics.md name what the nodes have: every parameter, every reason of a drop."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from occpose_ros.parameters import NodeParameters

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "occpose_ros").rglob("*.py"), *(ROOT / "occpose_core").glob("*.py")])


def section(page: str, title: str) -> str:
    """The text below a heading of the second level."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_table_of_parameters_names_all_and_marks_those_that_are_live() -> None:
    cells = [line.split("|")[2] for line in section("ros.md", "Parameters").splitlines() if line.startswith("| ")]
    named = re.findall(r"`(\w+)`(\\\*)?", " ".join(cells))
    assert sorted((name, bool(star)) for name, star in named) == sorted(
        (item.name, item.metadata["live"]) for item in dataclasses.fields(NodeParameters)
    )


def reasons(tree: ast.AST) -> Iterator[str]:
    """Names under which a module counts what it drops."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).split(".")[-1] == "dropped":
            yield from _texts(node.slice)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.endswith("RejectedMessageError"):
            yield from _texts(node.args[0])
        elif called == "count" and len(node.args) == 3:  # of occpose_core.admission: count(dropped, reason, people)
            yield from _texts(node.args[1])
        elif called.endswith((".dropped", "dropped.update")) and node.args and isinstance(node.args[0], ast.Dict):
            yield from (text for key in node.args[0].keys if key for text in _texts(key))
        if called in ("Counter", "dropped.update"):
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)


def _texts(node: ast.AST) -> Iterator[str]:
    """Constant texts: of a text, or of either branch of `a if b else c`."""
    yield from (part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str))


def test_every_reason_of_a_drop_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", section("diagnostics.md", "What is dropped, and why")))
    used = {reason for path in SOURCES for reason in reasons(ast.parse(path.read_text(encoding="utf-8")))}
    assert len(used) > 20
    assert used <= explained
