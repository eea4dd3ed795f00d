"""What a measurement leaves behind: a table on the terminal, a JSON file, one HTML page that needs no network.

A `Report` is data; `write_html` turns it into a page, `text_table` into aligned text. Pictures come from
`occpose_core.charts`. Pages that can be played are made elsewhere: occpose_ros.report.
"""

from __future__ import annotations

import html
import json
import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from occpose_core.files import utf8, write_atomically

_NOTE_COLUMNS = 120
Cell = str | float | int | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under column names. A None or NaN cell is shown as "-", a float with `digits` decimals."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    digits: int = 1


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawn figure. svg: the `<svg>` element as text, made by occpose_core.charts; caption says what it shows."""

    title: str
    svg: str
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A page: what was measured in one paragraph, tables first, then pictures."""

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


def format_cell(cell: Cell, digits: int = 1) -> str:
    """A cell as people read it: None and NaN are "-"."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    return f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell)


def text_table(table: Table) -> str:
    """The table as aligned plain text: words to the left, numbers to the right."""
    cells = [table.columns, *([format_cell(cell, table.digits) for cell in row] for row in table.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(table.columns))]
    numeric = [
        all(not isinstance(row[column], str) for row in table.rows) and bool(table.rows)
        for column in range(len(table.columns))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    note = (piece for line in table.note.splitlines() for piece in textwrap.wrap(line, _NOTE_COLUMNS))
    return "\n".join(filter(None, [table.title, *lines, *note]))


def write_json(path: str | Path, figures: Mapping[str, Any] | list[Any], force: bool = False) -> None:
    """Write figures as JSON, NaN as null, whole or not at all. Raises OutputError if the file exists and not force."""
    text = json.dumps(without_nan(figures), indent=2, allow_nan=False, ensure_ascii=False)
    write_atomically(Path(path), utf8(text + "\n"), force)


def without_nan(value: Any) -> Any:
    """The same figures with None in place of NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_html(path: str | Path, report: Report, force: bool = False) -> None:
    """Write the report as one self-contained HTML page. Raises OutputError if the file exists and not force."""
    write_atomically(Path(path), utf8(html_page(report)), force)


# Readable on a phone: one column, tables scroll inside their own box, pictures shrink to the screen.
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #57606a; --line: #d0d7de; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --faint: #9198a1; --line: #3d444d; }
}
body { margin: 0 auto; padding: 1rem; max-width: 60rem; font: 16px/1.5 system-ui, sans-serif;
       color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
.number { text-align: right; } .note, figcaption { color: var(--faint); font-size: .875rem; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; background: #fff; border-radius: .4rem; }
"""


def html_page(report: Report) -> str:
    """The whole page as text; every string of the report is escaped, the pictures' SVG is taken as it is."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(report.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(report.title)}</h1>",
        f"<p>{html.escape(report.text)}</p>" if report.text else "",
        *(table_html(table) for table in report.tables),
        *(_picture(picture) for picture in report.pictures),
        "</body></html>",
    ]
    return "\n".join(filter(None, parts)) + "\n"


def table_html(table: Table) -> str:
    """The table under a heading of its own; it scrolls inside its own box. Every string is escaped."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(_cell(cell, table.digits) for cell in row)}</tr>" for row in table.rows)
    note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ""
    body = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h2>{html.escape(table.title)}</h2>{body}{note}"


def _cell(cell: Cell, digits: int) -> str:
    kind = "" if isinstance(cell, str) else ' class="number"'
    return f"<td{kind}>{html.escape(format_cell(cell, digits))}</td>"


def _picture(picture: Picture) -> str:
    caption = f"<figcaption>{html.escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<h2>{html.escape(picture.title)}</h2><figure>{picture.svg}{caption}</figure>"
