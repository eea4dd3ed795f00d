"""Reports: written whole or not at all, self-contained, and equal for equal figures."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from occpose_core.charts import DrawnPerson, Scene, bar_chart, line_chart, people_chart
from occpose_core.files import OutputError, refuse_existing, write_atomically
from occpose_core.report import Report, Table, html_page, text_table, write_html, write_json
from occpose_core.skeleton import H36M17

J = len(H36M17.joints)
TABLE = Table(
    title="Errors",
    columns=("model", "frames", "hidden"),
    rows=(("a <b>", 12, 45.678), ("second model", 3, float("nan")), ("third", None, 7.0)),
    note="mm",
)


def pictures():
    joints = np.random.default_rng(0).normal(size=(J, 3)) + [0, 0, 4]
    person = DrawnPerson(joints_cam_m=joints, filled=np.arange(J) % 3 == 0, truth_cam_m=joints + 0.05)
    scene = Scene(label="1.0 s", people=(person,))
    series = {"model": (np.arange(3.0), np.array([1.0, np.nan, 3.0])), "hold": (np.arange(3.0), np.arange(3.0))}
    return (
        people_chart("People", [scene, Scene(label="nobody", people=())]),
        line_chart("Error over time", "time, s", "MPJPE, mm", series, "a caption"),
        bar_chart("Joints", "MPJPE, mm", ["a", "b"], {"model": np.array([1.0, 2.0]), "hold": np.array([2.0, np.nan])}),
    )


class _Tags(HTMLParser):
    """Collects tags and checks that they nest."""

    VOID = ("meta", "br", "link", "img", "hr", "use", "path")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_needs_no_network_and_nests() -> None:
    page = html_page(Report(title="T", text="x", tables=(TABLE,), pictures=pictures()))
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    for tag, name, value in tags.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert value is not None and value.startswith("#"), (tag, name, value)
    assert not re.search(r"<script|<link|@import|url\((?!#)", page)
    assert 'name="viewport"' in page
    assert page.count("<svg") == 3


def test_strings_are_escaped() -> None:
    page = html_page(Report(title="<i>", text="a & b", tables=(TABLE,)))
    for raw in ("<i>", "a <b>"):
        assert raw not in page
    assert "a &amp; b" in page


def test_equal_reports_are_equal_bytes() -> None:
    first, again = (html_page(Report(title="T", tables=(TABLE,), pictures=pictures())) for _ in range(2))
    assert first == again


def test_text_table_aligns_numbers_and_shows_missing_ones() -> None:
    lines = text_table(TABLE).splitlines()
    assert lines[0] == "Errors"
    assert lines[1] == "model         frames  hidden"
    assert lines[3:6] == [
        "a <b>             12    45.7",
        "second model       3       -",
        "third              -     7.0",
    ]
    assert lines[-1] == "mm"


def test_json_has_null_for_nan_and_keeps_numbers(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    write_json(path, {"a": float("nan"), "b": [1.25, float("inf")], "c": (1, 2), "d": {"e": "ü"}})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": None, "b": [1.25, None], "c": [1, 2], "d": {"e": "ü"}}


def test_bytes_of_a_file_name_that_is_no_text_come_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    write_json(tmp_path / "figures.json", {"bag": name, "ä": 1})
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8")) == {"bag": name, "ä": 1}


@pytest.mark.parametrize("write", [pytest.param(write_json, id="json"), pytest.param(write_html, id="html")])
def test_existing_files_are_kept_without_force(tmp_path: Path, write) -> None:
    content = {} if write is write_json else Report(title="T")
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        write(path, content)
    assert path.read_text() == "mine"
    write(path, content, force=True)
    assert path.read_text() != "mine"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("folder", "is a directory", id="a folder"),
        pytest.param("missing/file", "does not exist", id="in a missing folder"),
    ],
)
def test_impossible_outputs_get_one_sentence(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=message):
        refuse_existing(tmp_path / name, force=True)


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="is a device or a pipe, not a file"):
        write_json(tmp_path / "pipe", {}, force=True)
    assert (tmp_path / "pipe").is_fifo()


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr("occpose_core.files.os.replace", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_atomically(path, b"new", force=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
