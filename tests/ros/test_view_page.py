"""What reaches a browser, and what its controls do: a real server, and a client without eyes (page_client.py)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("viser", reason="the viewer needs viser: pip install 'occpose[view]'")

from occpose_core.skeleton import H36M17
from occpose_ros.transforms import TransformBuffer
from occpose_ros.view.bag_source import BagSource
from occpose_ros.view.page import Page
from occpose_ros.view.playback import Playback
from occpose_ros.view.server import open_server
from occpose_ros.view.source import Cameras, Frames, Moment, moment_of
from tests.ros.page_client import PATIENCE_S, PageClient
from tests.ros.test_view_playback import Clock
from tests.ros.view_bags import skeletons_msg, steadily, write_bag

JOINTS, BONES = len(H36M17.joints), len(H36M17.bones)


class Shown:
    """A page over a source, and a client that looks at it."""

    def __init__(self, page: Page, client: PageClient, source: Any) -> None:
        self.page, self.client, self.source = page, client, source

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Let the page work until something is so at the client."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < deadline_s, f"waited {PATIENCE_S:.0f} s for {what}; {self.client.labels()}"
            self.page.update()
            self.client.listen(0.02)
        return found

    def set(self, label: str, value: Any) -> None:
        """Use a control, as soon as it is there."""
        self.until(lambda: self.client.control(label), f"a control {label!r}")
        self.client.set(label, value)

    def joints(self) -> tuple[int, int]:
        """How many measured and filled ones are to be seen."""
        measured, filled = (
            self.client.shown(f"/joints/{kind}", "batched_positions") for kind in ("MEASURED", "FILLED")
        )
        return measured, filled


class Still:
    """A source that shows one message after another, as a test says."""

    title = "somebody"
    playback: Playback | None = None

    def __init__(self, people: int) -> None:
        self.transforms = TransformBuffer()
        self._people = people
        self.show(0.0)

    def show(self, seconds: float) -> None:
        self._moment: Moment | None = moment_of(skeletons_msg(seconds, self._people), Cameras())

    def leave(self) -> None:
        self._moment = None

    def wait(self, seconds: float) -> None:
        """Nothing happens by itself."""

    def moment(self) -> Moment | None:
        return self._moment

    def status(self) -> str:
        return "a _test_ <b>shows</b> somebody"


@contextlib.contextmanager
def shown(source: Any, frames: Frames | None = None) -> Iterator[Shown]:
    with open_server() as server:
        page = Page(server, source, frames or Frames())
        with PageClient(server.get_port()) as client:
            yield Shown(page, client, source)


@pytest.fixture
def bag(tmp_path: Path) -> Iterator[Shown]:
    """Two people for 8 s, at a standstill."""
    path = write_bag(tmp_path / "bag.mcap", steadily(8.0))
    with BagSource(path, "/skeletons", title="a bag") as source:
        assert source.playback is not None
        source.playback.pause()
        with shown(source) as page:
            page.until(lambda: page.joints() != (0, 0), "people")
            yield page


def test_people_and_their_camera_are_there(bag: Shown) -> None:
    bag.until(lambda: bag.joints() == (2 * JOINTS - 1, 1), "joints")
    nodes = bag.client.nodes
    assert nodes["/bones/FILLED"]["points"].size == 1 * 2 * 3
    assert nodes["/bones/MEASURED"]["points"].size == (2 * BONES - 1) * 2 * 3
    np.testing.assert_allclose(np.unique(nodes["/sigma/FILLED"]["batched_scales"]), [0.15])
    assert nodes["/camera"]["points"].size == 8 * 2 * 3
    assert {node["text"] for name, node in nodes.items() if name.startswith("/names/")} == {"walker", "1"}
    assert {"walker: 1.75 m", "1: 1.75 m", "Grid 1 m below camera"} <= set(bag.client.labels())


@pytest.mark.parametrize(
    ("switch", "joints", "gone"),
    [
        pytest.param(
            "Measured (blue)", (0, 1), ["/joints/MEASURED", "/bones/MEASURED", "/sigma/MEASURED"], id="measured"
        ),
        pytest.param(
            "Filled (orange)", (2 * JOINTS - 1, 0), ["/joints/FILLED", "/bones/FILLED", "/sigma/FILLED"], id="filled"
        ),
        pytest.param("One sigma", (2 * JOINTS - 1, 1), ["/sigma/MEASURED", "/sigma/FILLED"], id="sigma"),
        pytest.param("Camera", (2 * JOINTS - 1, 1), ["/camera"], id="camera"),
        pytest.param("Grid 1 m below camera", (2 * JOINTS - 1, 1), ["/ground"], id="ground"),
        pytest.param(
            "walker: 1.75 m", (JOINTS, 0), ["/joints/FILLED", "/bones/FILLED", "/sigma/FILLED"], id="somebody"
        ),
    ],
)
def test_every_switch_hides_its_own_and_shows_it_again(
    bag: Shown, switch: str, joints: tuple[int, int], gone: list[str]
) -> None:
    def visible() -> set[str]:
        return {name for name, node in bag.client.nodes.items() if node["visible"]}

    before, without = visible(), {*gone, *_names_of(bag, switch)}
    bag.set(switch, False)
    bag.until(lambda: visible() == before - without and bag.joints() == joints, "less")
    bag.set(switch, True)
    bag.until(lambda: len(visible()) == len(before) and bag.joints() == (2 * JOINTS - 1, 1), "all again")


def _names_of(page: Shown, switch: str) -> set[str]:
    """The name of the person whom a switch hides."""
    id = switch.partition(":")[0]
    return {name for name, node in page.client.nodes.items() if node.get("text") == id}


def test_names_can_be_hidden(bag: Shown) -> None:
    def names() -> int:
        return sum(node["visible"] for name, node in bag.client.nodes.items() if name.startswith("/names/"))

    bag.set("Names", False)
    bag.until(lambda: names() == 0, "no names")
    bag.set("Names", True)
    bag.until(lambda: names() == 2, "names")


def test_nobody_and_all(bag: Shown) -> None:
    bag.until(lambda: bag.client.control("walker: 1.75 m"), "the list")
    bag.set("Everybody", "hide")
    bag.until(lambda: bag.joints() == (0, 0), "nobody")
    bag.until(lambda: bag.client.value("walker: 1.75 m") is False, "the switch")
    bag.set("Everybody", "show")
    bag.until(lambda: bag.joints() == (2 * JOINTS - 1, 1), "all")


def test_the_slider_moves_through_the_recording(bag: Shown) -> None:
    for place_s in (7.0, 0.5):
        bag.set("Time (s)", place_s)
        bag.until(lambda place_s=place_s: _walker_left_m(bag) == pytest.approx(-place_s, abs=0.04), "the place")


def _walker_left_m(page: Shown) -> float:
    return float(page.client.nodes["/joints/MEASURED"]["batched_positions"].reshape(-1, 3)[0, 1])


def test_play_pause_and_speed(bag: Shown) -> None:
    playback = bag.source.playback
    bag.set("Speed", "8 x")
    bag.set("Play", True)
    bag.until(lambda: playback.playing and playback.speed == 8.0, "playing")
    bag.until(lambda: bag.client.control("Pause"), "a button to pause with")
    bag.until(lambda: (bag.client.value("Time (s)") or 0.0) > 1.0, "a slider that moves")
    bag.set("Pause", True)
    bag.until(lambda: not playback.playing, "a pause")


def test_a_recording_waits_as_long_as_nobody_looks() -> None:
    clock, source = Clock(), Still(people=2)
    source.playback = playback = Playback(80.0, clock)
    with open_server() as server:
        page = Page(server, source, Frames())
        for _ in range(10):
            clock.now_s += 3.0
            page.update()
        assert playback.tick() == 0.0 and playback.playing
        with PageClient(server.get_port()) as client:
            looking = Shown(page, client, source)
            looking.until(lambda: looking.joints() != (0, 0), "people")
            clock.now_s += 3.0
            page.update()
            assert playback.tick() == pytest.approx(3.0)


def test_only_what_changed_is_sent(bag: Shown) -> None:
    """People who do not move cost nothing; those who do, their own places."""
    bag.until(lambda: bag.client.control("walker: 1.75 m"), "the list")
    bag.client.listen(0.3)
    before = dict(bag.client.received)
    for _ in range(30):
        bag.page.update()
    bag.client.listen(0.3)
    assert bag.client.received == before
    for place_s in np.arange(1.0, 2.0, 0.1):
        bag.source.playback.seek(float(place_s))
        bag.page.update()
        bag.client.listen(0.03)
    sent = {what: bag.client.received[what] - before[what] for what in before}
    assert 0 < sent["bytes"] / 10 < 8000 and sent["messages"] / 10 < 20, sent


def test_a_hundred_people_are_still_a_handful_of_nodes() -> None:
    source = Still(people=100)
    with shown(source) as page:
        page.until(lambda: page.joints() == (100 * JOINTS - 1, 1), "everybody")
        page.client.listen(0.3)
        assert len(page.client.nodes) < 130  # a name each, and a few
        before = dict(page.client.received)
        for place in range(10):
            source.show(1.0 + place)
            page.page.update()
            page.client.listen(0.05)
        sent = {what: page.client.received[what] - before[what] for what in before}
        assert sent["messages"] / 10 < 60 and sent["bytes"] / 10 < 200_000, sent


def test_whoever_is_hidden_stays_hidden_when_coming_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("occpose_ros.view.panel._GONE_S", 0.0)
    monkeypatch.setattr("occpose_ros.view.page._SLOW_S", 0.0)
    source = Still(people=2)
    with shown(source) as page:
        page.set("walker: 1.75 m", False)
        page.until(lambda: page.joints() == (JOINTS, 0), "one")
        source.leave()
        page.until(lambda: page.client.control("walker: 1.75 m") is None, "an empty list")
        assert page.joints() == (0, 0)
        source.show(1.0)
        page.until(lambda: page.client.value("walker: 1.75 m") is False, "the list")
        page.until(lambda: page.joints() == (JOINTS, 0), "one")


def test_the_status_is_text_and_nothing_else() -> None:
    with shown(Still(people=1)) as page:
        status = page.until(
            lambda: next(
                (c["_markdown"] for c in page.client.controls.values() if "test" in c.get("_markdown", "")), ""
            ),
            "the status",
        )
        assert status == r"a \_test\_ \<b\>shows\</b\> somebody"


def test_without_the_transform_nobody_is_shown_and_it_is_said_why() -> None:
    with shown(Still(people=1), Frames(fixed_frame="odom")) as page:
        page.until(lambda: any("odom" in c.get("_markdown", "") for c in page.client.controls.values()), "the reason")
        assert page.joints() == (0, 0)
