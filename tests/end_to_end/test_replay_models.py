"""`occpose replay` with several models and patterns: each as if alone, and what is the same for all of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from occpose_core.runtime import model_path
from occpose_ros.cli import main
from occpose_ros.replay.settings import ReplaySettings
from tests.end_to_end.cuts import cut, report

MODELS = ("stream-s", "htnet-masked")
WITH_PATTERNS = ("--occlude", "natural", "--occlude", "limb-run(leg,1)")
PATTERNS = ("", "natural", "limb-run(leg,1)")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    return cut(sample, tmp_path_factory.mktemp("recording") / "part_0.mcap", begin_s=8.0, seconds=3.0)


def replayed(recording: Path, folder: Path, *arguments: str) -> dict[str, Any]:
    assert main(["replay", str(recording), "--out", str(folder), *arguments]) == 0
    return report(folder)


@pytest.fixture(scope="module")
def both(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both") / "out"
    replayed(recording, folder, "--model", MODELS[0], "--model", MODELS[1], *WITH_PATTERNS)
    return folder


def test_each_model_answers_as_if_it_were_alone(both: Path, recording: Path, tmp_path: Path) -> None:
    runs = report(both)["bags"][0]["runs"]
    assert [(run["model"], run["pattern"]) for run in runs] == [(m, p) for m in MODELS for p in PATTERNS]
    for model in MODELS:
        alone = replayed(recording, tmp_path / model, "--model", model)
        written = (both / f"output_{model}.mcap").read_bytes()
        assert written == (tmp_path / model / "output.mcap").read_bytes()
        assert alone["bags"][0]["runs"][0] == next(run for run in runs if run["model"] == model)
    assert {path.name for path in both.iterdir()} == {
        "report.html",
        "report.json",
        *(f"output_{model}.mcap" for model in MODELS),
    }


def test_the_same_joints_are_hidden_from_all_models_and_a_seed_decides_which(
    both: Path, recording: Path, tmp_path: Path
) -> None:
    def hidden(said: dict[str, Any], model: str) -> list[int]:
        runs = {run["pattern"]: run for run in said["bags"][0]["runs"] if run["model"] == model}
        return [runs[pattern]["figures"]["joints"]["hidden"] for pattern in PATTERNS]

    first, second = (hidden(report(both), model) for model in MODELS)
    assert first[0] < min(first[1:]) and first == second
    other = replayed(recording, tmp_path / "out", *WITH_PATTERNS, "--seed", "5")
    assert hidden(other, MODELS[0])[0] == first[0] and hidden(other, MODELS[0])[1] != first[1]


def test_models_are_compared_with_the_first(both: Path) -> None:
    said = report(both)
    figures = {(run["model"], run["pattern"]): run["figures"] for run in said["bags"][0]["runs"]}
    assert [(each["model"], each["against"], each["pattern"]) for each in said["comparison"]] == [
        (MODELS[1], MODELS[0], pattern) for pattern in PATTERNS
    ]
    for each in said["comparison"]:
        found = each["differences"]["mpjpe_mm.visible"]
        mine, theirs = (figures[model, each["pattern"]]["mpjpe_mm"]["visible"] for model in MODELS[::-1])
        assert found["difference"] == pytest.approx(mine - theirs)
        assert ("self_consistency.mpjpe_mm.hidden" in each["differences"]) == bool(each["pattern"])
    page = (both / "report.html").read_text()
    assert all(f"{model}, natural" in page for model in MODELS)


def test_a_copy_of_a_model_differs_in_nothing(recording: Path, tmp_path: Path) -> None:
    """Files of one name in two folders are told apart by their folders."""
    for folder in ("mine", "theirs"):
        (tmp_path / folder).mkdir()
        shutil.copy(model_path("stream-s"), tmp_path / folder / "model.onnx")
    paths = [str(tmp_path / folder / "model.onnx") for folder in ("mine", "theirs")]
    said = replayed(recording, tmp_path / "out", "--model", paths[0], "--model", paths[1])
    (each,) = said["comparison"]
    assert (each["model"], each["against"]) == ("theirs/model", "mine/model")
    assert {found["difference"] for found in each["differences"].values()} == {0.0}
    written = [(tmp_path / "out" / f"output_{folder}_model.mcap").read_bytes() for folder in ("mine", "theirs")]
    assert written[0] == written[1]


def test_another_model_under_the_same_name_is_not_done_already(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    shutil.copy(model_path("stream-s"), path)
    args = ["replay", str(recording), "--out", str(tmp_path / "out"), "--model", str(path)]
    assert main(args) == 0
    shutil.copy(model_path("htnet-masked"), path)
    capsys.readouterr()
    assert main(args) == 2
    assert f"exists already and is of other settings (content of {path})" in capsys.readouterr().err
    assert main([*args, "--force"]) == 0


def test_settings_are_as_they_are_in_a_file() -> None:
    settings = ReplaySettings(patterns=("natural",), seed=3)
    assert json.loads(json.dumps(settings.described)) == settings.described
    assert settings.described["patterns"] == ["natural"] and settings.described["config"]["min_score"] == 0.3


SHIPPED = model_path("stream-s").absolute()
RESPELT = f"{SHIPPED.parent}/../{SHIPPED.parent.name}/{SHIPPED.name}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--model", "stream-s", "--model", "stream-s"], "--model stream-s is given twice", id="twice"),
        pytest.param(["--model", str(SHIPPED), "--model", RESPELT], f"--model {SHIPPED} is given twice", id="respelt"),
        pytest.param(["--model", "stream-s", "--model", "no-such"], "unknown model 'no-such'", id="unknown"),
        pytest.param(["--occlude", "fog"], "unknown occlusion pattern 'fog'", id="pattern"),
        pytest.param(
            ["--occlude", "hallucinate"], "pattern 'hallucinate' gives joints in a wrong place", id="hallucinate"
        ),
        pytest.param(["--occlude", "natural", "--image-model", "x.onnx"], "an image model sees", id="image model"),
        pytest.param(["--jobs", "0"], "--jobs must be 1 or more, got 0", id="jobs"),
        pytest.param(["--tolerance", "nan"], "--tolerance must be 0 or more, got nan", id="tolerance"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(
    arguments: list[str], sentence: str, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(recording), "--out", str(tmp_path / "out"), *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and sentence in err
    assert not (tmp_path / "out").exists()
