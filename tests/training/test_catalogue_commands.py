"""The training commands that the catalogue of models gives are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("lightning")

from occpose_core.catalogue import CATALOGUE
from occpose_core.checkpoint import load_checkpoint
from tests.training.short_fit import short_fit
from training import cli
from training.phases import SYSTEMS
from training.systems import main

ROOT = Path(__file__).parents[2]


def commands(word: str) -> pytest.MarkDecorator:
    """All of the catalogue that begin so and take motion."""
    given = {entry.command for entry in CATALOGUE.values() if not entry.image_size}
    return pytest.mark.parametrize("command", sorted(each for each in given if f"python -m training {word} " in each))


def test_a_catalogued_command_trains_one_phase_or_a_system() -> None:
    assert {entry.command.split()[3] for entry in CATALOGUE.values()} == {"fit", "system"}


@commands("system")
def test_a_catalogued_command_trains_that_form_and_window(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)
    assert main([*words[4:], "--dry-run"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    name = last.split("--runs=runs/")[1].split()[0]
    assert CATALOGUE[name].command == command, "the result is named as the catalogue names it"
    assert f"config.masked={str('masked' in words).lower()}" in last
    if "--window" in words:
        assert f"config.window={words[words.index('--window') + 1]}" in last
        assert f"config.causal={str('--causal' in words).lower()}" in last


@commands("fit")
def test_a_catalogued_phase_makes_the_model_of_that_name(
    command: str, data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    training, options = shlex.split(command)[3:], short_fit("", data_file, tmp_path)[2:]
    assert cli.main([*training, *options, "--trainer.max_epochs=0"]) == 0
    [path] = tmp_path.glob("*/*.safetensors")
    _, info = load_checkpoint(path)
    entry = CATALOGUE[info.name]
    assert (path.parent.name, path.stem, entry.command) == (info.name, info.name, command)
    assert (info.family, info.form, info.window, info.parameters) == (
        entry.family,
        entry.form,
        entry.window,
        entry.parameters,
    )


def test_every_variant_of_every_system_has_a_name_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        f"{name} --form {form}{window}"
        for name, system in SYSTEMS.items()
        for form in system.forms
        for window in [f" --window {n}{kind}" for n in system.windows for kind in ("", " --causal")] or [""]
    ]
    for options in given:
        assert main([*options.split(), "--dry-run"]) == 0
    names = set(re.findall(r"--runs=runs/(\S+)", capsys.readouterr().out))
    assert len(names) == len(given)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        pytest.param("lcn", "lcn-paper", id="paper form of a network that runs masked"),
        pytest.param("lcn --form masked", "lcn", id="masked"),
        pytest.param("occluded-hpe", "filling-elepose", id="both networks of a system"),
        pytest.param("occluded-hpe --form masked", "filling-elepose-masked", id="both networks, masked"),
        pytest.param("strided-posegraph --causal", "strided-posegraph-81-causal", id="window by default"),
        pytest.param("sefd", "sefd", id="image models, the last phase's"),
        pytest.param("htnet --name mine", "mine", id="given"),
    ],
)
def test_a_system_is_named_after_its_last_model(options: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*options.split(), "--dry-run"]) == 0
    assert f"--runs=runs/{name} " in capsys.readouterr().out
