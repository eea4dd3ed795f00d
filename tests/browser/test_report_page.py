"""The pages of a replay in a real browser: they load, play, scrub, lead to moments, and ask nothing of the network."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from occpose_ros.bag import BagReader, BagWriter
from occpose_ros.cli import main
from occpose_ros.report.page import PLAYBACK_BYTES, bag_page
from tests.browser.conftest import Open, Watched, expect, opened
from tests.browser.runs import sample_run, with_more_people

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people.mcap"
WIDTHS = (360, 390, 1280)
# Until plotly has drawn all charts anew for the window.
FITTED = """() => new Promise((then) => {
  const fits = (plot) => Math.abs((plot.querySelector(".main-svg")?.clientWidth ?? 0) - plot.clientWidth) < 2;
  const look = () => {
    const plots = [...document.querySelectorAll(".plot")]; // none, or empty ones, while they are made anew
    return plots.length && plots.every(fits) ? then() : requestAnimationFrame(look);
  };
  look();
})"""
HOSTILE = '<img src=x onerror="alert(1)"></script><script>alert(2)</script>&amp;\u2028${alert(3)}'


def cut(target: Path, begin_s: float, end_s: float, *, truth: bool = True) -> None:
    """A part of the sample."""
    with BagReader(SAMPLE) as bag, BagWriter(target) as copy:
        for record in bag.messages():
            if begin_s <= (record.stamp_ns - bag.begin_ns) * 1e-9 < end_s and (truth or "truth" not in record.topic):
                copy.write(record.topic, record.message, record.stamp_ns)


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a bag with truth and two models, of one without truth, and of several bags, one of them broken."""
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "bags").mkdir()
    cut(folder / "true.mcap", 5.0, 11.0)
    cut(folder / "untrue.mcap", 5.0, 8.0, truth=False)
    cut(folder / "bags" / "a.mcap", 5.0, 7.0)
    cut(folder / "bags" / "b & <c>.mcap", 7.0, 9.0)
    (folder / "bags" / "broken.mcap").write_bytes(b"no bag")
    wanted = ["replay", "--no-markers", "--out"]
    models = ["--model", "stream-s", "--model", "lcn"]
    assert main([*wanted, str(folder / "with"), str(folder / "true.mcap"), *models]) == 0
    assert main([*wanted, str(folder / "without"), str(folder / "untrue.mcap"), "--occlude", "natural"]) == 0
    assert main([*wanted, str(folder / "several"), str(folder / "bags"), "--jobs", "1", "--occlude", "natural"]) == 1
    return {name: folder / name / "report.html" for name in ("with", "without", "several")}


@pytest.fixture(scope="module")
def shared(browser: Any, pages: dict[str, Path]) -> Iterator[Watched]:
    """The page of the bag with truth, opened once."""
    with opened(browser, pages["with"], at="#t=2") as watched:
        ready(watched)
        yield watched


@pytest.fixture
def bag(shared: Watched) -> Any:
    """The same page as if it had just been opened, two seconds in."""
    page = shared.page
    page.select_option("#run", "0")
    page.fill("#seek", "2")
    page.evaluate("() => document.querySelectorAll('[data-layer]:not(:checked)').forEach((box) => box.click())")
    page.click("[data-view=home]")
    page.evaluate("() => document.activeElement.blur()")
    shared.complaints.clear()
    return page


def ready(watched: Watched) -> Any:
    """The page, once its charts are drawn."""
    watched.page.wait_for_selector(".plot .main-svg")
    return watched.page


def shown_s(page: Any) -> float:
    """The moment that is shown."""
    return float(page.input_value("#seek"))


def colours(page: Any) -> dict[str, int]:
    """How many pixels of the scene have each of the page's colours."""
    return page.evaluate(
        """() => {
          const stage = document.getElementById("stage");
          const probe = new OffscreenCanvas(stage.width, stage.height).getContext("2d", { willReadFrequently: true });
          probe.drawImage(stage, 0, 0);
          const { data } = probe.getImageData(0, 0, stage.width, stage.height);
          const style = getComputedStyle(document.documentElement);
          const count = (name) => {
            probe.fillStyle = style.getPropertyValue(`--${name}`).trim();
            probe.fillRect(0, 0, 1, 1);
            const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
            let pixels = 0;
            for (let i = 0; i < data.length; i += 4) {
              pixels += data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255;
            }
            return pixels;
          };
          return Object.fromEntries(["measured", "filled", "truth"].map((name) => [name, count(name)]));
        }"""
    )


@pytest.mark.parametrize("name", ["with", "without", "several"])
def test_pages_load_without_a_complaint_and_ask_for_nothing(
    pages: dict[str, Path], open_page: Open, picture: Callable[[Any, str], None], name: str
) -> None:
    watched = open_page(pages[name], scheme="dark")
    page = ready(watched)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(FITTED)
            picture(page, f"report-{name}-{width}-{scheme}")
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert watched.complaints == []
    assert watched.requests == [pages[name].as_uri()]


def test_it_plays_and_pauses(bag: Any, shared: Watched) -> None:
    page, before = bag, colours(bag)
    page.click("#play")
    expect(page.locator("#clock")).to_have_text(re.compile(r"^0:0[3-5]"))
    page.click("#play")
    stopped = page.inner_text("#clock")
    page.evaluate("() => new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")
    assert page.inner_text("#clock") == stopped
    assert colours(page) != before
    assert shared.complaints == []


def test_it_stops_at_the_end_and_begins_anew(bag: Any) -> None:
    page = bag
    page.fill("#seek", "5.6")
    page.click("#play")
    page.wait_for_selector("#play[aria-label=Play]")
    assert shown_s(page) == pytest.approx(float(page.get_attribute("#seek", "max")), abs=0.06)
    page.click("#play")
    expect(page.locator("#clock")).to_have_text(re.compile(r"^0:0[0-3]"))


def test_the_slider_scrubs(bag: Any) -> None:
    before = colours(bag)
    bag.fill("#seek", "3.5")
    assert bag.inner_text("#clock").startswith("0:03.5")
    assert colours(bag) != before
    bag.fill("#seek", "0")
    assert bag.inner_text("#clock").startswith("0:00.0")


def test_the_strip_of_people_scrubs(bag: Any) -> None:
    strip = bag.locator("#timeline").bounding_box()
    bag.locator("#timeline").click(position={"x": strip["width"] - 3, "y": 15})
    assert shown_s(bag) == pytest.approx(float(bag.get_attribute("#seek", "max")), abs=0.05)


def test_people_are_there_measured_and_filled_and_the_layers_go_away(bag: Any) -> None:
    page = bag
    page.click("[data-layer=sigma]")
    before = colours(page)
    assert min(before.values()) > 20
    for layer in ("measured", "filled", "truth"):
        page.click(f"[data-layer={layer}]")
        assert colours(page)[layer] == 0
    assert set(colours(page).values()) == {0}


@pytest.mark.parametrize("name", ["with", "without"])
def test_the_list_of_moments_leads_into_the_playback(pages: dict[str, Path], open_page: Open, name: str) -> None:
    """Also on a phone, where the list is below the scene: that comes into sight."""
    page = ready(open_page(pages[name], width=390, height=844))
    links = page.locator("aside [data-run='0'] a")
    assert links.count() >= 2
    for number in range(2):
        links.nth(number).click()
        moment_s = float(re.search(r"t=([\d.]+)", links.nth(number).get_attribute("href")).group(1))
        assert shown_s(page) == pytest.approx(moment_s, abs=0.06)
    page.fill("#seek", "0")
    links.nth(1).click()  # the same again
    assert shown_s(page) == pytest.approx(moment_s, abs=0.06)
    links.last.scroll_into_view_if_needed()
    links.last.click()
    box = page.locator("#stage").bounding_box()
    assert 0 <= box["y"] < box["y"] + box["height"] <= 844


def test_an_address_opens_a_moment_of_a_run(pages: dict[str, Path], open_page: Open) -> None:
    page = ready(open_page(pages["with"], at="#t=3.2&run=1"))
    assert shown_s(page) == pytest.approx(3.2, abs=0.06)
    assert page.input_value("#run") == "1"
    assert page.locator("main > [data-run='1']").first.is_visible()
    assert not page.locator("main > [data-run='0']").first.is_visible()


def test_the_chart_over_time_follows_and_leads(bag: Any) -> None:
    page = bag
    cursor = page.locator(".cursor")
    before = cursor.bounding_box()["x"]
    page.fill("#seek", "4")
    after = cursor.bounding_box()["x"]
    plot = page.locator(".plot:has(.cursor)").bounding_box()
    page.locator(".plot:has(.cursor)").click(position={"x": before + 1 - plot["x"], "y": 100})
    assert after > before
    assert shown_s(page) == pytest.approx(2.0, abs=0.1)


def test_keys_play_step_and_turn(bag: Any) -> None:
    page = bag
    page.keyboard.press(".")
    assert shown_s(page) > 2.0
    page.keyboard.press("l")
    page.keyboard.press("j")
    page.keyboard.press(",")
    assert shown_s(page) == pytest.approx(2.0, abs=0.06)
    page.focus("#stage")
    before = colours(page)
    page.keyboard.press("ArrowLeft")
    assert colours(page) != before
    page.keyboard.press("0")
    assert colours(page) == before
    page.keyboard.press("Space")
    page.wait_for_selector("#play[aria-label=Pause]")
    page.keyboard.press("Space")
    page.wait_for_selector("#play[aria-label=Play]")


@pytest.mark.parametrize("clicked", ["[data-view=home]", "[data-layer=sigma]", "#play"])
def test_keys_step_wherever_the_last_click_was(bag: Any, clicked: str) -> None:
    bag.click(clicked)
    bag.keyboard.press(".")  # stops it if it plays
    before = shown_s(bag)
    bag.keyboard.press(",")
    bag.keyboard.press("l")
    assert shown_s(bag) == pytest.approx(before + 1.0, abs=0.06)


@pytest.mark.parametrize("view", ["camera", "side", "top"])
def test_people_are_in_the_picture_from_all_sides(bag: Any, view: str) -> None:
    bag.click(f"[data-view={view}]")
    assert colours(bag)["measured"] > 100


def test_colours_follow_the_scheme(bag: Any) -> None:
    page = bag
    tick = page.locator(".plot .xtick text").first
    light = tick.evaluate("(text) => getComputedStyle(text).fill")
    page.emulate_media(color_scheme="dark")
    expect(tick).not_to_have_css("fill", light)
    assert colours(page)["measured"] > 100
    page.emulate_media(color_scheme="light")


def test_on_paper_all_is_dark_on_white_and_nothing_to_click_on(bag: Any) -> None:
    page = bag
    tick = page.locator(".plot .xtick text").first
    light = tick.evaluate("(text) => getComputedStyle(text).fill")
    page.emulate_media(color_scheme="dark")
    expect(tick).not_to_have_css("fill", light)
    page.emulate_media(color_scheme="dark", media="print")
    expect(tick).to_have_css("fill", light)
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    assert not page.locator("#play").is_visible()
    page.emulate_media(color_scheme="light", media="screen")


def test_foreign_text_stays_text(open_page: Open, tmp_path: Path) -> None:
    run = sample_run(seconds=1.0)
    pairs = dataclasses.replace(run.score.pairs, ids=tuple(f"{HOSTILE}{n}" for n in range(len(run.score.pairs.ids))))
    run = dataclasses.replace(run, model=HOSTILE, pattern=HOSTILE, score=dataclasses.replace(run.score, pairs=pairs))
    path = tmp_path / "report.html"
    path.write_text(bag_page(HOSTILE, HOSTILE, [run, dataclasses.replace(run, model=f"{HOSTILE}2")]), encoding="utf-8")
    watched = open_page(path, at="#t=0.5")
    page = ready(watched)
    assert page.inner_text("h1") == HOSTILE.replace("\u2028", "\u2028")
    assert page.locator("img").count() == 0
    assert page.locator(".legend").nth(1).inner_text().count("<img src=x") >= 1
    page.hover(".plot >> nth=1")
    assert watched.complaints == []


def test_a_script_that_got_in_does_not_run(bag: Any) -> None:
    page = bag
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.head.append(script);
          document.body.insertAdjacentHTML("beforeend", '<a onclick="window.ran = true">x</a>');
          document.body.lastChild.click();
        }"""
    )
    assert page.evaluate("() => window.ran === undefined")


def test_the_page_over_bags_leads_to_each_and_sorts(pages: dict[str, Path], open_page: Open) -> None:
    watched = open_page(pages["several"])
    page = ready(watched)
    assert "broken" in page.inner_text("main ul >> nth=0") and "1 bag failed" in page.inner_text("header")
    rows = page.locator("table.sortable:visible tbody tr")
    assert rows.count() == 2
    page.click("table.sortable:visible th button >> text=bag")
    assert rows.first.inner_text().startswith("a")
    page.click("table.sortable:visible th button >> text=bag")
    assert rows.first.inner_text().startswith("b & <c>")
    page.select_option("#run", "1")
    assert rows.count() == 2
    page.click("table.sortable:visible a >> text=b & <c>")
    page.wait_for_selector("#player")
    assert page.inner_text("h1") == "b & <c>"
    assert watched.complaints == []


def test_a_long_recording_is_thinned_and_says_so(open_page: Open, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("occpose_ros.report.page.PLAYBACK_BYTES", 60_000)
    path = tmp_path / "report.html"
    path.write_text(bag_page("long", "", [sample_run(seconds=6.0)]), encoding="utf-8")
    page = ready(open_page(path))
    every = int(re.search(r"one frame in (\d+)", page.inner_text("#said")).group(1))
    assert every > 2
    page.click("#play")  # people move between the frames that are there
    expect(page.locator("#clock")).to_have_text(re.compile(r"^0:0(0\.[4-9]|[1-9])"))
    assert colours(page)["measured"] > 100


def test_ten_people_are_shown_at_once(open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(bag_page("ten", "", [with_more_people(sample_run(seconds=2.0), 10)]), encoding="utf-8")
    assert math.ceil(path.stat().st_size / 1e6) <= math.ceil(PLAYBACK_BYTES / 1e6) + 3
    watched = open_page(path, at="#t=1")
    assert colours(ready(watched))["measured"] > 1000
    assert watched.complaints == []
