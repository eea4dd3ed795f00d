"""The index of what can go wrong: each row of failure_rows.py has tests that exist, or a reason why it has none.

Tests whose name begins with test_row_NN belong to row NN; others are named there. docs/failures.md shows the table; to
rewrite the page after a change:

    python -m tests.ros.test_failures
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.ros.failure_rows import ROWS

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "failures.md"
_BEGIN, _END = "<!-- rows -->\n", "<!-- end of rows -->\n"


@cache
def functions(file: Path) -> tuple[str, ...]:
    """Names of the tests in a file, read without importing it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return tuple(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def numbered() -> dict[int, list[str]]:
    """Row -> the tests that have its number in their name."""
    found: dict[int, list[str]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        for name in functions(file):
            if match := re.match(r"test_row_(\d\d)_", name):
                found.setdefault(int(match[1]), []).append(f"{file.relative_to(TESTS).as_posix()}::{name}")
    return found


def all_tests(number: int) -> list[str]:
    """All tests of a row."""
    return [*numbered().get(number, []), *ROWS[number].tests]


def table() -> str:
    """The rows as they stand in the page."""
    lines = ["| | what goes wrong | what occpose does | tested in | not tested here |", "|---|---|---|---|---|"]
    for number, row in ROWS.items():
        files = dict.fromkeys(test.split("::")[0] for test in all_tests(number))
        where = ", ".join(f"`{file}`" for file in files)
        lines.append(f"| {number} | {row.case} | {row.answer} | {where} | {row.not_here} |")
    return "\n".join(lines) + "\n"


def test_every_row_is_there():
    assert list(ROWS) == list(range(1, 51))


@pytest.mark.parametrize("number", list(ROWS))
def test_a_row_has_tests_that_exist_or_a_reason(number):
    tests = all_tests(number)
    assert tests or ROWS[number].not_here
    for test in tests:
        file, name = test.split("::")
        assert (TESTS / file).is_file(), test
        assert name == "*" or name in functions(TESTS / file), test


def test_numbers_in_names_are_rows():
    assert set(numbered()) <= set(ROWS)


def test_the_page_shows_the_table():
    shown = PAGE.read_text(encoding="utf-8").partition(_BEGIN)[2].partition(_END)[0]
    assert shown == table(), "run python -m tests.ros.test_failures"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    PAGE.write_text(before + _BEGIN + table() + _END + rest.partition(_END)[2], encoding="utf-8")
