"""One HTML file that needs nothing else: styles, scripts, plotly and data are inside, and no request leaves it.

Names of topics, people, bags and models are foreign text. Python escapes them, the data element cannot be left by what
is in it, and the page's policy lets no script run but the ones that are named there by their hash.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from occpose_core.report import without_nan


def document(title: str, body: str, data: Mapping[str, Any], scripts: Sequence[str]) -> str:
    """The page. body: HTML, escaped already. data: for the scripts, as JSON. scripts: names of .js files, in order."""
    script = "".join(_text(name) for name in scripts)
    plotly, plotly_hash = _plotly()
    return fill(
        "page.html",
        title=html.escape(title),
        style=_text("page.css"),
        hashes=f"{_hash(script)} {plotly_hash}",
        body=body,
        data=json_text(data),
        plotly=plotly,
        script=script,
    )


def fill(name: str, **parts: str) -> str:
    """An .html file of this package with its $names replaced by HTML that is escaped already."""
    return Template(_text(name)).substitute(parts)


def json_text(data: Any) -> str:
    """JSON that may stand inside a script element whatever its strings hold; no NaN in it."""
    text = json.dumps(without_nan(data), allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """As a Content-Security-Policy names a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def _plotly() -> tuple[str, str]:
    """plotly.js, compressed since it is by far the largest part of a page, in base64; and its hash."""
    from plotly.offline import get_plotlyjs  # only pages need it

    source = get_plotlyjs()
    return base64.b64encode(gzip.compress(source.encode(), 9, mtime=0)).decode(), _hash(source)
