"""Headless Chromium, driven by playwright; without one the tests of this folder are skipped, and say so."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="looking at pages needs playwright: pip install playwright"
)

expect = playwright.expect
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """The browser of the environment variable CHROMIUM, else the first that is found; "" if there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), "")


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """Starts browsers, with more arguments if wanted.

    Only one playwright can be at work in a process, and meanwhile no other event loop: it ends with the module.
    """
    if not chromium():
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is installed, and CHROMIUM is not set")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        yield lambda *args: driver.chromium.launch(executable_path=chromium(), args=[*sandbox, *args])


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any]) -> Iterator[Any]:
    """One browser for all pages of a module that are files."""
    running = launch()
    yield running
    running.close()


@dataclass(kw_only=True)
class Watched:
    """A page, and what it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def opened(
    browser: Any, path: Path, at: str = "", *, width: int = 1280, height: int = 900, scheme: str = "light"
) -> Iterator[Watched]:
    """A file, at a place of it if wanted, in a window of some width and colour scheme."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    watched = Watched(page=context.new_page())
    watched.page.on("console", lambda message: watched.complaints.append(message.text))
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    watched.page.on("request", lambda request: watched.requests.append(request.url))
    watched.page.on("dialog", lambda dialog: (watched.complaints.append(dialog.message), dialog.dismiss()))
    watched.page.goto(path.as_uri() + at)
    yield watched
    context.close()


Open = Callable[..., Watched]


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens files as `opened` does, until the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *what, **how: stack.enter_context(opened(browser, *what, **how))


@pytest.fixture(scope="session")
def picture() -> Callable[[Any, str], None]:
    """Takes a picture of a page into the folder OCCPOSE_SCREENSHOTS, for people to look at; without it takes none."""
    folder = os.environ.get("OCCPOSE_SCREENSHOTS")

    def take(page: Any, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    return take
