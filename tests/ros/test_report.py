"""The pages of a replay before a browser sees them: what they tell, and that foreign text cannot leave its place."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from occpose_core.report import text_table
from occpose_core.skeleton import H36M17
from occpose_ros.report.curves import charts
from occpose_ros.report.document import json_text
from occpose_ros.report.moments import worst_moments
from occpose_ros.report.page import ReportRun, bag_page, pooled_page
from occpose_ros.report.playback import mean_error_m, playback
from occpose_ros.report.scene import scene_frame
from occpose_ros.report.summary import cards, sentence
from occpose_ros.report.tables import tables
from tests.browser.runs import sample_run

HOSTILE = '</script><img src=x onerror="alert(1)">&"\'$title'
RUN = sample_run(2.0)
SCORE = RUN.score
BEGIN_NS = int(SCORE.pairs.stamp_ns.min())
TYPES = {"Int16Array": "<i2", "Uint8Array": "<u1", "Uint16Array": "<u2", "Uint32Array": "<u4", "Float32Array": "<f4"}


def unpacked(field: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(field["base64"]), TYPES[field["type"]])


def upright(joints_cam_m: np.ndarray) -> np.ndarray:
    """Heights of heads over ankles in the scene."""
    scene = scene_frame(joints_cam_m)
    joints_m = scene.from_cam(joints_cam_m)
    return joints_m[:, H36M17.index("head_top"), 2] - joints_m[:, H36M17.index("left_ankle"), 2]


def tilted(joints_cam_m: np.ndarray, degrees: float) -> np.ndarray:
    """The same people before a camera that looks down, or up, by some degrees."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return joints_cam_m @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T


@pytest.mark.parametrize("degrees", [-40, 0, 25, 60])
def test_people_stand_upright_on_the_floor_however_the_camera_is_tilted(degrees: float) -> None:
    joints_cam_m = tilted(SCORE.pairs.truth_cam_m[SCORE.pairs.has_truth], degrees)
    assert np.percentile(upright(joints_cam_m), 10) > 1.2
    scene = scene_frame(joints_cam_m)
    ankles_m = scene.from_cam(joints_cam_m)[:, H36M17.index("left_ankle"), 2]
    assert 0.0 < np.percentile(ankles_m, 10) < 0.25
    np.testing.assert_allclose(scene.rotation @ scene.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(scene.rotation) == pytest.approx(1.0)


def test_where_people_do_not_agree_the_camera_is_level() -> None:
    people = SCORE.pairs.truth_cam_m[SCORE.pairs.has_truth]
    lying = np.concatenate([people, people * [1, -1, 1]])
    np.testing.assert_allclose(scene_frame(lying).rotation, [[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def test_nobody_at_all_has_a_scene() -> None:
    assert scene_frame(np.zeros((0, 17, 3))).camera_height_m == 0.0


def test_playback_has_everybody_to_a_millimetre() -> None:
    pairs, told = SCORE.pairs, playback(SCORE, BEGIN_NS, 10**9)
    assert told["every"] == 1
    joints_m = unpacked(told["joints"]).reshape(-1, 17, 3) * told["unit_m"]
    order = np.lexsort((pairs.track, pairs.stamp_ns))
    expected_m = scene_frame(pairs.joints_cam_m).from_cam(pairs.joints_cam_m[order])
    np.testing.assert_allclose(joints_m, expected_m, atol=0.51e-3)
    np.testing.assert_array_equal(unpacked(told["track"]), pairs.track[order])
    first_row, seconds = unpacked(told["first_row"]), unpacked(told["seconds"])
    assert (first_row[0], first_row[-1], len(first_row)) == (0, len(order), len(seconds) + 1)
    np.testing.assert_allclose(
        np.repeat(seconds, np.diff(first_row)), (pairs.stamp_ns[order] - BEGIN_NS) * 1e-9, atol=1e-4
    )
    filled = (unpacked(told["filled"])[:, None] >> np.arange(17)) & 1
    np.testing.assert_array_equal(filled, pairs.origin[order] == 1)


def test_a_long_playback_is_thinned_to_its_limit() -> None:
    whole, thin = (len(json.dumps(playback(SCORE, BEGIN_NS, limit))) for limit in (10**9, 10_000))
    told = playback(SCORE, BEGIN_NS, 10_000)
    assert told["every"] > 1
    assert thin < 14_000 < whole
    assert len(unpacked(told["seconds"])) == -(-told["frames"] // told["every"])


def test_people_far_away_need_a_coarser_unit() -> None:
    pairs = dataclasses.replace(SCORE.pairs, joints_cam_m=SCORE.pairs.joints_cam_m + [0.0, 0.0, 60.0])
    told = playback(dataclasses.replace(SCORE, pairs=pairs), BEGIN_NS, 10**9)
    assert told["unit_m"] == pytest.approx(0.003)
    assert unpacked(told["joints"]).reshape(-1, 17, 3)[..., 1].max() * told["unit_m"] > 55


def test_the_worst_moment_is_where_the_error_was_made() -> None:
    errors_m = SCORE.errors_m["occpose"].copy()
    wrist, pairs = H36M17.index("left_wrist"), SCORE.pairs
    bad = (pairs.track == 1) & (np.abs((pairs.stamp_ns - BEGIN_NS) * 1e-9 - 1.5) < 0.2)
    errors_m[bad, wrist] = 5.0
    score = dataclasses.replace(SCORE, errors_m={**SCORE.errors_m, "occpose": errors_m})
    worst = worst_moments(score, BEGIN_NS)[0]
    assert worst.person == pairs.ids[1]
    assert worst.seconds == pytest.approx(1.5, abs=0.1)
    assert worst.what.startswith("left wrist ")


def test_joints_of_which_nothing_is_known_make_no_moment_bad() -> None:
    """The run as recorded stands in for the truth only where it had measured a joint."""
    wrist = H36M17.index("left_wrist")
    errors_m = SCORE.errors_m["occpose"].copy()
    errors_m[:, wrist] = 5.0
    known = SCORE.pairs.truth_known & (np.arange(17) != wrist)
    score = dataclasses.replace(
        SCORE,
        pairs=dataclasses.replace(SCORE.pairs, truth_known=known),
        errors_m={**SCORE.errors_m, "occpose": errors_m},
    )
    assert np.nanmax(mean_error_m(score)) < 1.0
    assert not [moment for moment in worst_moments(score, BEGIN_NS) if moment.what.startswith("left wrist")]


def without_truth(run: ReportRun) -> ReportRun:
    """The same run over a recording that says nothing of what is true."""
    nan = np.full_like(run.score.pairs.truth_cam_m, np.nan)
    pairs = dataclasses.replace(run.score.pairs, truth_cam_m=nan)
    errors_m = {name: np.full_like(errors, np.nan) for name, errors in run.score.errors_m.items()}
    figures = {**run.figures, "joints": {"all": 0}, "mpjpe_mm": {}, "baselines": {}, "per_joint_mm": {}}
    figures["by_occlusion_s"] = []
    return dataclasses.replace(
        run, figures=figures, score=dataclasses.replace(run.score, pairs=pairs, errors_m=errors_m)
    )


def test_without_truth_a_page_tells_what_the_system_is_unsure_of() -> None:
    run = without_truth(RUN)
    assert sentence(run) == ""
    assert [chart["title"] for chart in charts(run, [], BEGIN_NS)] == ["Uncertainty over time", "Latency"]
    moments = worst_moments(run.score, BEGIN_NS)
    assert moments and not moments[0].judged
    assert [table.title for table in tables(run.figures)] == ["Run"]
    assert "Least certain moments" in bag_page("bag", "", [run])


def test_self_consistency_stands_in_for_the_truth() -> None:
    figures = {**without_truth(RUN).figures, "self_consistency": {**RUN.figures, "coverage": 0.5}}
    run = dataclasses.replace(
        without_truth(RUN), figures=figures, intervals={"self_consistency.mpjpe_mm.hidden": (1, 2)}
    )
    assert sentence(run).startswith("Joints hidden on top are ")
    made = {card.label: card for card in cards(run)}
    assert made["Hidden on top"].note == "95 %: 1 to 2"
    assert (made["Found again"].value, made["Answered"].value) == ("50.0", "100")
    assert [table.title for table in tables(run.figures)] == ["Hidden on top (MPJPE, mm)", "Run"]
    assert "people found again" in text_table(tables(run.figures)[-1])
    assert "Error over occlusion length" in [chart["title"] for chart in charts(run, [], BEGIN_NS)]


def test_with_truth_all_charts_are_there_and_hold_no_nan() -> None:
    made = charts(RUN, [dataclasses.replace(RUN, model="other")], BEGIN_NS)
    assert [chart["kind"] for chart in made] == ["lines", "steps", "histogram", "bars"]
    json.dumps(made, allow_nan=False)
    assert [series["name"] for series in made[1]["series"]][-1] == "other"


@pytest.mark.parametrize("text", [HOSTILE, "\u2028\u2029", "<!--<script>", "]]>"])
def test_data_cannot_leave_its_element(text: str) -> None:
    told = json_text({"a": text, text: math.nan})
    assert not re.search("[<>&\u2028\u2029]", told)
    assert json.loads(told) == {"a": text, text: None}


class _Elements(HTMLParser):
    """All elements with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def report_over_bags(name: str = "a b") -> dict[str, Any]:
    runs = [{"model": name, "pattern": "", "figures": RUN.figures, "intervals": {}, "sums": {}}]
    return {
        "settings": {"models": [name]},
        "pooled": [{**runs[0], "bags": 2}],
        "bags": [{"bag": bag, "path": bag, "seconds": 2.0, "runs": runs} for bag in (name, "javascript:alert(1)")],
        "failed": [{"bag": name, "path": name, "reason": name}],
        "comparison": [
            {
                "model": name,
                "against": name,
                "pattern": name,
                "differences": {"mpjpe_mm.hidden": {"difference": 3.0, "interval": (1.0, None)}},
            }
        ],
        "baseline": {
            "path": name,
            "tolerance": 0.02,
            "bags": 2,
            "changes": [
                {"model": name, "pattern": name, "figure": name, "before": 1.0, "now": 2.0, "verdict": verdict}
                for verdict in ("worse", "better", "same")
            ],
            "only_now": [name],
            "only_before": [],
        },
    }


def hostile_page() -> str:
    pairs = dataclasses.replace(SCORE.pairs, ids=(HOSTILE,) * len(SCORE.pairs.ids))
    run = dataclasses.replace(RUN, model=HOSTILE, pattern=HOSTILE, score=dataclasses.replace(SCORE, pairs=pairs))
    return bag_page(HOSTILE, HOSTILE, [run, run])


@pytest.mark.parametrize(
    "page",
    [pytest.param(hostile_page, id="bag"), pytest.param(lambda: pooled_page(report_over_bags(HOSTILE)), id="bags")],
)
def test_foreign_text_makes_no_element_and_no_link_of_its_own(page: Any) -> None:
    found = _Elements(page()).found
    assert "img" not in {tag for tag, _ in found}
    assert [tag for tag, _ in found].count("script") == 3
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]
    links = [attributes["href"] for tag, attributes in found if tag == "a"]
    assert links
    assert all(re.match(r"#|\./[\w%./-]+$", link) for link in links)


def test_a_page_names_its_scripts_by_hash_and_nothing_else_may_run() -> None:
    page = bag_page("bag", "", [RUN])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"'sha256-{digest}'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    sources = [attributes for _, attributes in _Elements(page).found if {"src", "srcset", "data"} & set(attributes)]
    assert sources == []


def test_equal_runs_give_equal_pages() -> None:
    assert bag_page("bag", "", [RUN]) == bag_page("bag", "", [RUN])


def test_where_one_bag_alone_is_left_intervals_are_of_its_pieces() -> None:
    said = report_over_bags()
    assert "<h1>occpose replay: 2 bags</h1>" in pooled_page(said) and "intervals are over bags." in pooled_page(said)
    page = pooled_page({**said, "bags": said["bags"][:1]})
    assert "<h1>occpose replay: 1 bag</h1>" in page and "intervals are over 10-second pieces of each person." in page


def test_the_page_over_bags_says_what_failed_and_what_got_worse() -> None:
    page = pooled_page(report_over_bags())
    assert 'href="./a%20b/report.html"' in page
    for words in ("Bags that failed", "1 bag failed", "Models compared", "worse", "Only now, so not compared"):
        assert words in page
