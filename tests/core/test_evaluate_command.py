"""`occpose evaluate` with a shipped model, on recordings made here."""

from __future__ import annotations

import argparse
import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from occpose_core.cli import main
from occpose_core.commands import evaluate as evaluate_command
from occpose_core.evaluation import figure_patterns
from occpose_core.skeleton import H36M17

J = len(H36M17.joints)
MODEL = "lcn"
ROOT = Path(__file__).resolve().parents[2]
LENGTHS = (150, 60, 90)
RESULT_KEYS = {
    *("model", "pattern", "input", "rig", "mode", "frames", "mpjpe_mm", "pa_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm"),
    *("accel_error_mm", "root_error_mm", "coverage", "calibration", "baselines"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data file of three people of the test split and one of the training split."""
    rng = np.random.default_rng(0)
    lengths = np.array([*LENGTHS, 50])
    time = np.arange(lengths.sum())[:, None, None] / 30.0
    body = rng.normal([0.0, 0.0, 0.9], [0.25, 0.25, 0.4], size=(1, J, 3))
    swing = 0.1 * np.sin(2 * np.pi * time + rng.uniform(0, 6, size=(1, J, 3)))
    path = tmp_path_factory.mktemp("data") / "motion.npz"
    np.savez_compressed(
        path,
        positions=(body + swing + [0.5, 0, 0] * np.sin(time)).astype(np.float32),
        start=np.cumsum(lengths) - lengths,
        length=lengths,
        name=np.array(["t_01", "t_02", "u_01", "v_01"]),
        subject=np.array(["t", "t", "u", "v"]),
        split=np.array(["test", "test", "test", "train"]),
        description=np.array(["sway"] * 4),
        fps=np.array(30),
        joints=np.array(H36M17.joints),
        license=np.array("public domain"),
    )
    return path


@pytest.fixture
def evaluate(data: Path, tmp_path: Path) -> Callable[..., list[dict]]:
    """Run the command on the data and read its results."""

    def run(*arguments: str, name: str = "figures.json") -> list[dict]:
        out = tmp_path / name
        assert main(["evaluate", "--model", MODEL, "--data", str(data), "--json", str(out), *arguments]) == 0
        return json.loads(out.read_text(encoding="utf-8"))["results"]

    return run


def test_results_have_the_stable_keys(evaluate: Callable[..., list[dict]]) -> None:
    results = evaluate("--pattern", "natural", "k-missing(2)", "--max-frames", "60")
    assert [result["pattern"] for result in results] == ["natural", "k-missing(2)"]
    for result in results:
        assert not RESULT_KEYS - set(result)
        assert set(result["baselines"]) == {"mean_pose", "hold", "constant_velocity", "clean"}
        for errors in (result["mpjpe_mm"], *result["baselines"].values()):
            assert set(errors) == {"all", "visible", "hidden"}
            assert all(math.isfinite(value) and value > 0 for value in errors.values())
        assert {"p50", "p90"} == set(result["calibration"]["hidden"]) == set(result["calibration"]["visible"])
        assert result["frames"] == 60
        assert 0 < result["coverage"] <= 1


def test_the_file_says_what_was_measured(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    arguments = ["--model", MODEL, "--data", str(data), "--pattern", "clean", "--max-frames", "10", "--seed", "3"]
    assert main(["evaluate", *arguments, "--json", str(out)]) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["data"][0]["file"] == "motion.npz"
    assert len(figures["data"][0]["sha256"]) == len(figures["models"][0]["sha256"]) == 64
    assert figures["models"][0]["name"] == MODEL
    assert figures["seed"] == 3
    assert figures["split"] == "test"


def test_equal_commands_give_equal_figures_and_the_seed_changes_them(evaluate: Callable[..., list[dict]]) -> None:
    arguments = ("--pattern", "natural", "joint30", "--max-frames", "50")
    first = evaluate(*arguments, name="1.json")
    assert evaluate(*arguments, name="2.json") == first
    assert evaluate(*arguments, "--seed", "1", name="3.json") != first


def test_models_rigs_and_inputs_multiply(evaluate: Callable[..., list[dict]]) -> None:
    arguments = ("--model", "filling-lcn", "--rig", "train", "held-out", "--input", "gt", "detector")
    results = evaluate(*arguments, "--pattern", "iid20", "--max-frames", "20")
    settings = {(result["model"], result["rig"], result["input"]) for result in results}
    assert len(results) == len(settings) == 8


def test_pooled_patterns_have_a_row_each_and_tell_of_their_arguments(evaluate: Callable[..., list[dict]]) -> None:
    results = evaluate("--pool", "--pattern", "k-missing", "limb-run", "clean", "--max-frames", "40")
    assert [result["pattern"] for result in results] == ["k-missing", "limb-run", "clean"]
    assert [len(result["by_pattern"]) for result in results] == [6, 35, 1]
    for result in results:
        assert sum(row["frames"] for row in result["by_pattern"].values()) == result["frames"] == 40
        assert set(result["limb_end_mm"]) == {"all", "visible", "hidden"}


def test_all_frames_are_scored_without_a_limit(evaluate: Callable[..., list[dict]]) -> None:
    natural, windows = evaluate("--pattern", "natural", "clean")
    assert natural["frames"] == sum(LENGTHS)
    assert windows["frames"] == -(-sum(LENGTHS) // 27)


def test_what_runs_the_model_can_be_chosen(evaluate: Callable[..., list[dict]], data: Path, capsys) -> None:
    arguments = ("--pattern", "natural", "--max-frames", "20")
    assert evaluate(*arguments, "--backend", "onnxruntime", name="1.json") == evaluate(*arguments, name="2.json")
    refused = ["evaluate", "--model", "posegraphnet-masked", "--data", str(data), *arguments, "--backend", "torch"]
    assert main(refused) == 2
    assert "not shipped as .safetensors; choose another backend" in capsys.readouterr().err


def test_other_splits_and_rates(evaluate: Callable[..., list[dict]]) -> None:
    (result,) = evaluate("--pattern", "natural", "--split", "train", "--rate", "15")
    assert result["frames"] == 25


def test_table_and_page(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    arguments = ["--pattern", "natural", "limb-run(arm,0.5)", "limb-run(arm,2)", "--max-frames", "60"]
    assert main(["evaluate", "--model", MODEL, "--data", str(data), *arguments, "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    for word in ("natural", "limb-run(arm,2)", "mean pose", "hold", "const. vel.", "clean", str(page)):
        assert word in printed
    assert max(map(len, printed.splitlines())) <= 160
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 4  # people, error over length, joints, limbs
    assert "Error over occlusion length" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--pattern", "naturl"], "unknown occlusion pattern 'naturl'", id="pattern"),
        pytest.param(
            ["--pattern", "k-missing(9)"], "unknown argument in pattern 'k-missing(9)'", id="pattern argument"
        ),
        pytest.param(["--model", "lcm"], "unknown model 'lcm'; did you mean 'lcn'?", id="model"),
        pytest.param(["--model", "filling"], "gives no 3D pose", id="model that only fills"),
        pytest.param(["--mode", "centre"], "measure it with --mode causal", id="centre mode of a causal model"),
        pytest.param(["--split", "val"], "no sequence of split 'val'", id="empty split"),
        pytest.param(["--data", "nowhere.npz"], "cannot read the data file nowhere.npz: No such file", id="no data"),
        pytest.param(["--json", "/nowhere/figures.json"], "the folder /nowhere does not exist", id="output folder"),
    ],
)
def test_bad_input_gets_one_sentence(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["evaluate", "--model", MODEL, "--data", str(data), *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--rate", "0"], id="zero rate"),
        pytest.param(["--rate", "nan"], id="rate not a number"),
        pytest.param(["--max-frames", "-1"], id="negative frames"),
        pytest.param(["--seed", "-1"], id="negative seed"),
        pytest.param(["--seed", str(2**64)], id="seed too large"),
        pytest.param(["--rig", "moon"], id="unknown rig"),
        pytest.param(["--input", "lidar"], id="unknown input"),
    ],
)
def test_bad_options_are_refused(data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--model", MODEL, "--data", str(data), *arguments])
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_the_same_data_twice_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", MODEL, "--data", str(data), str(data)]) == 2
    assert "given twice" in capsys.readouterr().err


def test_one_file_for_figures_and_page_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["evaluate", "--model", MODEL, "--data", str(data), "--json", out, "--html", out]) == 2
    assert "--json and --html both name" in capsys.readouterr().err


def test_existing_figures_are_kept_without_force(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    out.write_text("mine")
    arguments = ["evaluate", "--model", MODEL, "--data", str(data), "--pattern", "clean", "--json", str(out)]
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert out.read_text() != "mine"


def documented_commands() -> list[list[str]]:
    """The `occpose evaluate` commands in the documentation, as argument lists."""
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("    occpose evaluate ")]


def test_the_documented_data_file_and_first_command_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snippet = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "docs/evaluation.md", "exec"), {})
    assert main(documented_commands()[0]) == 0
    header = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("model"))
    documented = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert " ".join(header.split()) in " ".join(documented.split())


@pytest.mark.parametrize("arguments", documented_commands(), ids=lambda arguments: " ".join(arguments)[:60])
def test_documented_commands_have_valid_options(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    evaluate_command.add_arguments(parser)
    args = parser.parse_args(arguments[1:])
    assert args.images or figure_patterns(args.pattern)
