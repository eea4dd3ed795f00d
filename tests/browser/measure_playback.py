"""How many frames a second the playback of a page shows, and how many plotly's 3D scatter would show in its place.

python -m tests.browser.measure_playback
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from plotly.offline import get_plotlyjs

from occpose_core.report import Table, text_table
from occpose_core.skeleton import H36M17
from occpose_ros.report.page import bag_page
from tests.browser.conftest import chromium
from tests.browser.runs import sample_run, with_more_people

FRAMES = 180
WINDOW = {"width": 1280, "height": 900}
# Waits for so many frames and gives the seconds that each took, sorted.
FRAME_S = """async (advance) => {
  const taken = [];
  let before = performance.now();
  for (let frame = 0; frame < FRAMES; frame++) {
    await (advance ?? (() => {}))(frame);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    taken.push((now - before) / 1000);
    before = now;
  }
  return taken.sort((a, b) => a - b);
}""".replace("FRAMES", str(FRAMES))
# As many bones and joints as the people have, all moving, in as few traces as can show two kinds of bones.
SCATTER = """const bones = BONES, people = PEOPLE, layout = {
  margin: { l: 0, r: 0, t: 0, b: 0 },
  scene: { xaxis: { range: [-1, people] }, yaxis: { range: [2, 6] }, zaxis: { range: [0, 2] } } };
function traces(frame) {
  const [measured, filled, joints] = [0, 1, 2].map(() => ({ x: [], y: [], z: [] }));
  for (let person = 0; person < people; person++) {
    const around = (angle) => 0.3 * Math.sin(angle);
    const at = (joint) => [person + around(frame / 30 + joint), 4 + around(frame / 40 - joint), joint / 9];
    const put = (trace, [x, y, z]) => { trace.x.push(x); trace.y.push(y); trace.z.push(z); };
    bones.forEach(([a, b], n) => [at(a), at(b), [null, null, null]].forEach((p) => put(n % 3 ? measured : filled, p)));
    for (let joint = 0; joint < 17; joint++) put(joints, at(joint));
  }
  const lines = (trace) => ({ type: "scatter3d", mode: "lines", line: { width: 6 }, ...trace });
  return [lines(measured), lines(filled), { type: "scatter3d", mode: "markers", marker: { size: 4 }, ...joints }];
}
const show = (frame) => Plotly.react("plot", traces(frame), layout);"""


def of_page(browser: Any, people: int, folder: Path) -> list[float]:
    """Seconds a frame of our own page while it plays."""
    path = folder / f"{people}.html"
    path.write_text(bag_page("measured", "", [with_more_people(sample_run(8.0), people)]), encoding="utf-8")
    page = browser.new_page(viewport=WINDOW)
    page.goto(path.as_uri())
    page.wait_for_selector(".plot .main-svg")
    page.click("#play")
    return page.evaluate(f"({FRAME_S})()")


def of_plotly(browser: Any, people: int) -> list[float]:
    """Seconds a frame of plotly's 3D scatter, of the size that our scene has."""
    page = browser.new_page(viewport=WINDOW)
    page.set_content('<div id="plot" style="width: 850px; height: 540px"></div>')
    page.add_script_tag(content=get_plotlyjs())
    page.add_script_tag(
        content=SCATTER.replace("BONES", json.dumps(H36M17.bones)).replace("PEOPLE", str(people)) + "show(0);"
    )
    page.evaluate("show(0)")
    return page.evaluate(f"({FRAME_S})(show)")


def main() -> None:
    """Print the table."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    rows = []
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=chromium(), args=sandbox)
        for people in (2, 10):
            for name, taken in (
                ("page", of_page(browser, people, Path(folder))),
                ("plotly scatter3d", of_plotly(browser, people)),
            ):
                p50_s, p95_s = taken[FRAMES // 2], taken[FRAMES * 95 // 100]
                rows.append((name, people, FRAMES / sum(taken), 1000 * p50_s, 1000 * p95_s))
        browser.close()
    columns = ("", "people", "frames/s", "p50, ms", "p95, ms")
    print(text_table(Table(title=f"Playback in headless Chromium, {FRAMES} frames", columns=columns, rows=tuple(rows))))


if __name__ == "__main__":
    main()
