"""The viewer in a real browser: two people of the sample bag, seen by the colours of pixels."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="a browser is driven by playwright: pip install playwright")
pytest.importorskip("viser", reason="the viewer needs viser: pip install 'occpose[view]'")

from playwright.sync_api import TimeoutError

from tests.ros.viewer_process import ViewerProcess

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"
BOTH_HALF_HIDDEN_S = 11.5  # of the sample: two people, apart, each partly behind furniture
# WebGL without a graphics card
SOFTWARE_WEBGL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
_PANEL_PX = 280
PATIENCE_S = 60.0  # a software renderer on a busy machine
Picture = Callable[[Any, str], None]


@pytest.fixture(scope="module")
def webgl(launch: Callable[..., Any]) -> Iterator[Any]:
    """A browser that can draw in three dimensions."""
    running = launch(*SOFTWARE_WEBGL)
    yield running
    running.close()


@pytest.fixture(scope="module")
def viewer() -> Iterator[ViewerProcess]:
    """The model's answers to the sample bag, on the ground that its TF knows."""
    with ViewerProcess(str(SAMPLE), "--ground-frame", "map") as viewer:
        yield viewer


@dataclass(kw_only=True)
class Looked:
    """A page, what it complained about, and where it went for what it needs."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def colours(self) -> tuple[int, int]:
        """How many pixels have the colour of measured joints and bones, and that of filled ones; not of the panel."""
        width = self.page.viewport_size["width"]
        picture = cv2.imdecode(np.frombuffer(self.page.screenshot(), np.uint8), cv2.IMREAD_COLOR).astype(int)
        blue, green, red = np.moveaxis(picture[:, : width - (_PANEL_PX if width > 600 else 0)], -1, 0)
        measured = (blue > 130) & (blue - red > 40) & (green > red)
        filled = (red > 130) & (red - blue > 80) & (green - blue > 60)
        return int(measured.sum()), int(filled.sum())

    def until(self, condition: Callable[[int, int], bool], what: str) -> None:
        """Look until the colours are so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition(*(seen := self.colours())):
            assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:.0f} s for {what}; measured, filled: {seen}"


@contextlib.contextmanager
def looked_at(webgl: Any, viewer: ViewerProcess, width: int, height: int) -> Iterator[Looked]:
    """The page, as far as it needs to be to look at people of that moment."""
    context = webgl.new_context(viewport={"width": width, "height": height})
    looked = Looked(page=context.new_page())
    page = looked.page
    page.set_default_timeout(PATIENCE_S * 1000)
    page.on("console", lambda message: looked.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: looked.complaints.append(str(error)))
    page.on("request", lambda request: looked.requests.append(request.url))
    page.on("websocket", lambda socket: looked.requests.append(socket.url))
    page.goto(f"http://127.0.0.1:{viewer.port}/")
    page.get_by_role("alert").get_by_role("button").click()  # it says that software draws
    yield looked
    context.close()


def switch(page: Any, label: str | re.Pattern[str]) -> Any:
    """A checkbox of the panel."""
    return page.get_by_role("checkbox", name=label, exact=isinstance(label, str) or None)


def go_to(page: Any, seconds: float) -> None:
    """Stop there."""
    if page.get_by_role("button", name="Pause").count():
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Play").wait_for()
    place = page.get_by_role("textbox").first
    for _ in range(10):  # a last word about the place where it was may come while this is typed
        place.fill(str(seconds))
        place.press("Enter")
        with contextlib.suppress(TimeoutError):
            there = [place.element_handle(), seconds]
            page.wait_for_function("([box, at]) => Number(box.value) === at", arg=there, timeout=3000)
            return
    pytest.fail(f"{seconds} s were never reached")


@pytest.fixture(scope="module")
def desktop(webgl: Any, viewer: ViewerProcess) -> Iterator[Looked]:
    with looked_at(webgl, viewer, 960, 640) as looked:
        go_to(looked.page, BOTH_HALF_HIDDEN_S)
        looked.until(lambda measured, filled: measured > 300 and filled > 300, "two people")
        yield looked


def test_people_are_there_with_measured_and_filled_joints(desktop: Looked, picture: Picture) -> None:
    for label in ("Measured (blue)", "Filled (orange)", "One sigma", "Names", "Camera", "Ground"):
        assert switch(desktop.page, label).is_checked()
    for person in ("1", "2"):
        assert switch(desktop.page, re.compile(rf"{person}: 1\.\d\d m")).is_checked()
    picture(desktop.page, "view_desktop")


@pytest.mark.parametrize(
    ("label", "less"),
    [
        pytest.param("Measured (blue)", lambda measured, filled: measured < 30 and filled > 300, id="measured"),
        pytest.param("Filled (orange)", lambda measured, filled: measured > 300 and filled < 30, id="filled"),
    ],
)
def test_a_switch_takes_its_colour_away_and_brings_it_back(
    desktop: Looked, label: str, less: Callable[[int, int], bool]
) -> None:
    switch(desktop.page, label).click()
    desktop.until(less, f"no {label}")
    switch(desktop.page, label).click()
    desktop.until(lambda measured, filled: measured > 300 and filled > 300, "all again")


def test_everybody_can_be_hidden_and_shown(desktop: Looked) -> None:
    desktop.page.get_by_role("button", name="hide").click()
    desktop.until(lambda measured, filled: measured + filled < 30, "nobody")
    desktop.page.get_by_role("button", name="show").click()
    desktop.until(lambda measured, filled: measured > 300 and filled > 300, "all again")


def test_it_plays(desktop: Looked) -> None:
    place = desktop.page.get_by_role("textbox").first
    desktop.page.get_by_role("button", name="Play").click()
    desktop.page.wait_for_function(
        "([box, at]) => Number(box.value) > at + 1", arg=[place.element_handle(), BOTH_HALF_HIDDEN_S]
    )
    go_to(desktop.page, BOTH_HALF_HIDDEN_S)


def test_nothing_went_wrong_and_nothing_left_the_machine(desktop: Looked, viewer: ViewerProcess) -> None:
    assert desktop.complaints == []
    here = tuple(f"{kind}://127.0.0.1:{viewer.port}/" for kind in ("http", "ws", "blob:http"))
    assert desktop.requests and all(url.startswith(here) for url in desktop.requests), desktop.requests


def test_a_phone(webgl: Any, viewer: ViewerProcess, picture: Picture) -> None:
    """At a phone's width nothing is cut off, and without the panel people are there."""
    with looked_at(webgl, viewer, 360, 740) as looked:
        go_to(looked.page, BOTH_HALF_HIDDEN_S)
        picture(looked.page, "view_phone_panel")
        assert looked.page.evaluate("document.scrollingElement.scrollWidth") <= 360
        looked.page.get_by_text("occpose: two_people.mcap").click()
        switch(looked.page, "Measured (blue)").wait_for(state="hidden")
        looked.until(lambda measured, filled: measured + filled > 60, "people")
        picture(looked.page, "view_phone")
        assert looked.complaints == []
