"""The catalogue says of every model what building it shows."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from occpose_core.catalogue import CATALOGUE, RATE_HZ, SOURCES, Entry
from occpose_core.cli import main
from occpose_core.runtime import shipped_models

entries = pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in CATALOGUE.items()])


def published(entry: Entry) -> dict[str, Any]:
    """Its config in the paper's form; models that take images are nothing but that."""
    return entry.config if entry.image_size else paper_form(entry.config)


def paper_form(config: dict[str, Any]) -> dict[str, Any]:
    """The same sizes without what the masked form adds."""
    kept = {key: value for key, value in config.items() if key not in ("masked", "target")}
    return {key: paper_form(value) if isinstance(value, dict) else value for key, value in kept.items()}


@entries
def test_a_built_model_is_what_its_entry_says(entry: Entry) -> None:
    pytest.importorskip("torch")
    if entry.image_size:
        pytest.importorskip("kornia")
    from occpose_core.models import build, describe

    model = build(entry.family, entry.config)
    info = describe(entry.name, entry.family, model, {}, rate_hz=RATE_HZ)
    for fact in ("form", "window", "outputs", "source", "look_ahead_s", "image_size"):
        assert getattr(info, fact) == getattr(entry, fact), fact
    paper = build(entry.family, published(entry))
    assert sum(parameter.numel() for parameter in paper.parameters()) == entry.parameters


def test_every_family_is_in_the_catalogue() -> None:
    pytest.importorskip("torch")
    from occpose_core.models import IMAGE_MODELS, MODELS

    assert {*MODELS, *IMAGE_MODELS} == {entry.family for entry in CATALOGUE.values()} == set(SOURCES)


def test_both_forms_of_every_published_system_are_there() -> None:
    for family in ("elepose", "filling-elepose", "posegraphnet", "strided-posegraph", "htnet", "lcn"):
        assert {entry.form for entry in CATALOGUE.values() if entry.family == family} == {"paper", "masked"}
    windows = {(e.window, e.look_ahead > 0, e.form) for e in CATALOGUE.values() if e.family == "strided-posegraph"}
    assert len(windows) == 4 * 2 * 2


def test_reading_the_catalogue_needs_no_torch() -> None:
    code = "import sys, occpose_core.catalogue, occpose_core.commands.models; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_models_without_weights_are_listed_behind_the_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)
    names = [model["name"] for model in models]
    assert len(names) == len(set(names)) == len({*CATALOGUE, *shipped_models()})
    assert [model["weights"] for model in models] == sorted((model["weights"] for model in models), reverse=True)
    for model in models:
        assert (model["shipped_parameters"] is not None) == model["weights"] == (model["name"] in shipped_models())
        if model["name"] in CATALOGUE:
            entry = CATALOGUE[model["name"]]
            assert (model["parameters"], model["family"]) == (entry.parameters, entry.family)
            assert (model["form"], model["window"], model["gives"]) == (entry.form, entry.window, list(entry.outputs))
            assert model["image_size"] == entry.image_size


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("htnet", "htnet", id="paper form"),
        pytest.param("lcn", "lcn --form masked", id="masked form"),
        pytest.param("strided-posegraph-81", "strided-posegraph --window 81", id="centred"),
        pytest.param(
            "strided-posegraph-27-causal-masked", "strided-posegraph --window 27 --causal --form masked", id="causal"
        ),
    ],
)
def test_every_model_says_how_to_train_it(name: str, options: str) -> None:
    assert CATALOGUE[name].command == f"python -m training system {options}"


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name not in shipped_models()])
def test_a_model_without_weights_is_refused_with_the_way_to_train_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--model", name, "--data", "motion.npz"]) == 2
    said = capsys.readouterr().err
    assert f"no weights of '{name}'" in said
    assert f"`{CATALOGUE[name].command}`" in said
    assert said.count("\n") == 1
